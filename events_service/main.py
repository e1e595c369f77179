"""The `events` command. It is the composition root: the only module that knows all floors.

A noun's module is imported only when the noun is on the command line, so that help and completion stay quick.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from events_service.cli import discover, intake, lmtp
from events_service.cli.base import AT, DRY_RUN, JSON, Run, table, verb
from events_service.clock import system_clock
from events_service.config import Settings, load_settings
from events_service.errors import EventsError, RefusedError, SettingsError, UsageError
from events_service.logs import configure_logs
from events_service.mail.words import without_addresses

PORT = Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on.")]
HOST = Annotated[str, typer.Option(help="The address to listen on.")]
THREADS = Annotated[int, typer.Option(min=1, max=64, help="Threads that send, in each process.")]

NOUNS = {
    "programme": "Load, show and draw the programme.",
    "event": "Add, check, approve, move and cancel events.",
    "institution": "Import institutions, mark targets.",
    "person": "Import, export and erase people.",
    "attendee": "Who is at which event, and what they replied.",
    "proposal": "Other times and delegates that attendees propose.",
    "campaign": "Plan, preview, start, hold and watch campaigns.",
    "delivery": "Look at single messages; retry or settle one.",
    "feed": "Calendar addresses that people subscribe to.",
    "review": "Review points: list and record.",
    "survey": "Surveys and their answers.",
    "outcome": "What came of it, against the plan's targets.",
    "db": "The database: its schema, and what to do after a restore.",
}


def build(words: Sequence[str]) -> typer.Typer:
    """The command tree, with the modules of those nouns that occur in `words`."""
    root = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, rich_markup_mode=None)

    @root.callback(
        invoke_without_command=True, help="Run a programme's events and missions. Every command takes --help."
    )
    def _root(
        ctx: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
        json_: JSON = False,
        at: AT = None,
        dry_run: DRY_RUN = False,
    ) -> None:
        if version:
            from importlib.metadata import version as installed

            typer.echo(f"events {installed('events-service')}")
            raise typer.Exit
        if ctx.invoked_subcommand is None:
            typer.echo(ctx.get_help())
            raise typer.Exit(2)
        ctx.obj = Run(json_, at, dry_run)

    _register_rehearsal(root)
    _register(root)
    for noun, summary in NOUNS.items():
        if noun in words:
            module = importlib.import_module(f"events_service.cli.{noun}")
            root.add_typer(module.app, name=noun, help=summary)
        else:
            root.add_typer(typer.Typer(), name=noun, help=summary)
    return root


def _register_rehearsal(root: typer.Typer) -> None:
    """`events rehearse`: it comes first, as it is what a newcomer wants."""

    @verb(root, "rehearse")
    def _rehearse(
        run: Run,
        programme: Annotated[
            str, typer.Option(metavar="KEY|FILE", help="The key of a programme that ships, or a file.")
        ] = "lancashire-2022-2025",
        people: Annotated[int, typer.Option(min=1, max=100_000, help="How many people to make.")] = 500,
        seed: Annotated[int, typer.Option(help="Another seed, other people and answers.")] = 1,
        out: Annotated[Path, typer.Option(metavar="DIR", help="A folder of its own.")] = Path("var/rehearsal"),
    ) -> None:
        """Run a programme from month 0 to its end in a folder of its own; nothing live is touched."""
        from schedules.rehearsal.command import rehearse
        from schedules.rehearsal.report import document
        from schedules.rehearsal.show import print_summary, progress

        if run.at or run.dry_run:
            raise UsageError("--at and --dry-run have no meaning here: a rehearsal has a clock and a folder of its own")
        configure_logs(Settings.model_construct(), logging.WARNING)
        summary, done, seconds = rehearse(programme, people, seed, out, lambda months: progress(months, run.say))
        run.emit(document(summary, seconds, out), lambda console: print_summary(console, summary, done, out, seconds))


def _register(root: typer.Typer) -> None:
    """The commands without a noun. What they need is imported when they run: the rest of the tree does without it."""

    @verb(root, "up", live=True)
    def _up(run: Run, port: PORT = 8000, host: HOST = "127.0.0.1", threads: THREADS = 2) -> None:
        """Web, worker and scheduler in one process, until Ctrl-C."""
        from schedules.service import up

        configure_logs(run.settings)
        up(run.settings, host, port, threads, lambda url: run.say(f"serving {url}; Ctrl-C stops it"))

    @verb(root, "web", live=True)
    def _web(run: Run, port: PORT = 8000, host: HOST = "127.0.0.1") -> None:
        """Pages, feeds and API alone."""
        from schedules.service import web

        configure_logs(run.settings)
        web(run.settings, host, port, lambda url: run.say(f"serving {url}; Ctrl-C stops it"))

    @verb(root, "worker", live=True)
    def _worker(
        run: Run,
        processes: Annotated[int, typer.Option(min=1, max=64, help="How many processes.")] = 1,
        threads: THREADS = 2,
    ) -> None:
        """Workers alone: they send what the broker rings for."""
        from schedules.service import worker

        configure_logs(run.settings)
        if run.settings.broker_url.startswith("stub:"):
            raise SettingsError(
                "EVENTS_BROKER_URL is stub://, which nobody outside a process can ring; use `events up`"
            )
        worker(run.settings, processes, threads)

    @verb(root, "scheduler", live=True)
    def _scheduler(run: Run) -> None:
        """The scheduler alone: it asks what is due and rings the workers."""
        from schedules.service import scheduler

        configure_logs(run.settings)
        if run.settings.broker_url.startswith("stub:"):
            raise SettingsError("EVENTS_BROKER_URL is stub://, so no worker would hear it; use `events up`")
        scheduler(run.settings)

    @verb(root, "tick")
    def _tick(run: Run) -> None:
        """Once what the scheduler does at every tick."""
        from schedules.service import ring_through

        configure_logs(run.settings, logging.WARNING)
        with _noted(run):
            done = ring_through(run.settings, run.database, run.now, dry_run=run.dry_run)
        run.emit(done, lambda console: console.print(table(["what", "how many"], sorted(done.items()))))

    @verb(root, "work")
    def _work(
        run: Run, until_idle: Annotated[bool, typer.Option("--until-idle", help="Go on until nothing is due.")] = False
    ) -> None:
        """Send what is due, in this process."""
        from schedules.service import work, would_work

        configure_logs(run.settings, logging.WARNING)
        if run.dry_run:
            done = would_work(run.settings, run.database, run.now)
        else:
            with _noted(run):
                done = work(run.settings, run.database, run.now if run.at else None, until_idle=until_idle)
        run.emit(done, lambda console: console.print(table(["what", "how many"], sorted(done.items()))))

    @verb(root, "doctor")
    def _doctor(run: Run) -> None:
        """Look at database, schema, clock, deliveries, ticks, broker, SMTP, rates, templates and settings."""
        from events_service.doctor import examine
        from workers.broker import check_broker, make_broker

        # The clock that is looked at is the machine's, whatever --at says.
        found = examine(
            load_settings,
            lambda settings: check_broker(make_broker(settings.broker_url), settings.broker_url),
            system_clock(),
        )
        rows = [("ok" if one.ok else "FAILED", one.check, one.detail) for one in found]
        run.emit([one.as_json() for one in found], lambda console: console.print(table(["", "what", "how"], rows)))
        if not all(one.ok for one in found):
            raise typer.Exit(1)

    discover.register(root)
    intake.register(root)
    lmtp.register(root)


@contextmanager
def _noted(run: Run) -> Iterator[None]:
    """Where now is the clock's: notice a database that was restored, and note that the service runs and has run."""
    if run.at or run.dry_run:
        yield
        return
    from events_service import heartbeat, restored

    restored.notice(run.database, run.settings, run.now)
    heartbeat.begin(run.database, run.settings, run.now)
    yield
    # It may have gone on for hours.
    heartbeat.begin(run.database, run.settings, system_clock())
    heartbeat.end(run.database, system_clock())


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line and exit as the contract says: 0 done, 1 failed, 2 wrong usage, 3 refused."""
    arguments = list(sys.argv[1:] if words is None else words)
    try:
        _refuse_what_is_no_text(arguments)
        build(arguments)(args=arguments, prog_name="events")
    except RefusedError as error:
        typer.echo(f"refused: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    except EventsError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        # Whoever read our output has gone; Python's own flush at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:  # noqa: BLE001 - a traceback never reaches a user
        typer.echo(_unexpected(error), err=True)
        raise SystemExit(1) from None


def _refuse_what_is_no_text(arguments: Sequence[str]) -> None:
    for number, word in enumerate(arguments, 1):
        raw = os.fsencode(word)
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise UsageError(f"argument {number} is not UTF-8: {raw!r}; type it anew, or rename the file") from None


def _unexpected(error: Exception) -> str:
    """One line on what nobody thought of. What people wrote may be in it, so only a private file has all of it."""
    said = without_addresses(" ".join((str(error).splitlines() or [""])[0].split()))
    return f"error: unexpected {type(error).__name__}: {said[:200]}; details are in {_keep_details(error)}"


def _keep_details(error: Exception) -> str:
    """Write the traceback where only this user can read it: in the data folder, or else the system's temporary one."""
    text = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
    try:
        folder = load_settings().data_dir
        draft = _private(text, folder)
        return str(draft.replace(folder / "events-error.txt"))
    except (EventsError, OSError):
        pass
    try:
        return str(_private(text, None))
    except OSError:
        return "no file: none could be written"


def _private(text: bytes, folder: Path | None) -> Path:
    descriptor, name = tempfile.mkstemp(prefix="events-error-", suffix=".txt", dir=folder)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    return Path(name)
