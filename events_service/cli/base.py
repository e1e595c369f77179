"""What every command shares: the options before the noun and after the verb, the clock, the database, and printing."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.clock import parse_instant, system_clock
from events_service.config import Settings, load_settings
from events_service.domain.plain import plain
from events_service.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from sqlmodel import Session

    from events_service.db.session import Database

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
AT = Annotated[str | None, typer.Option("--at", metavar="TIME", help="Set now: 2024-05-01T09:00Z.")]
# Known, so that they are refused with the reason, and not offered.
_NO_AT = Annotated[str | None, typer.Option("--at", hidden=True)]
_NO_DRY_RUN = Annotated[bool, typer.Option("--dry-run", hidden=True)]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="Change nothing; print what would change.")]


@dataclass
class Run:
    """One command being run: its options, its now, and the database it works on."""

    as_json: bool = False
    at: str | None = None
    dry_run: bool = False
    _opened: list[Database] = field(default_factory=list)

    @functools.cached_property
    def settings(self) -> Settings:
        """The settings, read once."""
        return load_settings()

    @functools.cached_property
    def now(self) -> datetime:
        """Now for this command: `--at`, or the clock read once."""
        return parse_instant(self.at) if self.at else system_clock()

    @functools.cached_property
    def database(self) -> Database:
        """The database, opened and of the right schema; an empty one is given its tables."""
        from events_service.db.schema import open_database

        database = open_database(self.settings.resolved_database_url)
        self._opened.append(database)
        return database

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session to read with."""
        with self.database.read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed at the end of the block; with `--dry-run` it is rolled back."""
        with self.database.write(dry_run=self.dry_run) as session:
            yield session

    def refuse_live_options(self) -> None:
        """For commands that live in real time: `--at` and `--dry-run` are wrong usage there."""
        if self.at:
            raise UsageError("--at has no meaning here: this command lives in real time")
        if self.dry_run:
            raise UsageError("--dry-run has no meaning here: this command runs until it is stopped")

    def emit(self, document: Any, human: Callable[[Console], None] | None = None) -> None:
        """Print `document` as JSON under `--json`, else let `human` print it for people."""
        if self.as_json or human is None:
            print_json(document)
        else:
            human(console())

    def say(self, message: str) -> None:
        """One line for the person who watches, on stderr."""
        typer.echo(message, err=True)

    def close(self) -> None:
        """Let go of what was opened."""
        for database in self._opened:
            database.dispose()


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=plain) + "\n")


def console() -> Console:
    """A rich console on stdout. Without a terminal it is wide, so that a pipe gets whole words.

    A table that does not fit keeps its words whole, and its lines run on: half a slug or half an amount is worse.
    """
    from rich.console import Console
    from rich.table import Table

    class WholeWords(Console):
        def print(self, *objects: Any, **options: Any) -> None:
            before = self.width
            roomy = self.options.update(width=1000)
            needs = [self.measure(one, options=roomy).minimum for one in objects if isinstance(one, Table)]
            self.width = max([before, *needs])
            super().print(*objects, **options)
            self.width = before

    return WholeWords(soft_wrap=False, highlight=False, width=None if sys.stdout.isatty() else 160)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> Table:
    """A plain table. Cells are shown as they are: markup in data has no effect. None is shown as a dash."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [["-" if cell is None else _shown(cell) for cell in row] for row in rows]
    for place, name in enumerate(columns):
        # A slug or an amount that breaks in the middle cannot be copied, or is read wrongly: words give way first.
        one_word = all(" " not in row[place] for row in shown)
        longest = max((len(word) for row in shown for word in row[place].split()), default=0)
        made.add_column(name, overflow="fold", no_wrap=one_word and bool(shown), min_width=min(longest, 60))
    for row in shown:
        made.add_row(*map(Text, row))
    return made


def _shown(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    text = ", ".join(map(str, cell)) if isinstance(cell, list | tuple) else str(cell)
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


def verb(
    app: typer.Typer, name: str | None = None, *, live: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose first parameter is a `Run`.

    It gets `--json`, `--at` and `--dry-run`, which may also stand before the noun. `live` commands refuse the last two.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        app.command(name)(_with_shared(function, live))
        return function

    return register


def alone(app: typer.Typer) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register what a noun does where no verb follows it; otherwise like `verb`."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        app.callback(invoke_without_command=True)(_with_shared(function, live=False))
        return function

    return register


def _with_shared(function: Callable[..., None], live: bool) -> Callable[..., None]:
    """A function as typer calls it: with the options that every command has, and a `Run` made of them."""
    signature = inspect.signature(function, eval_str=True)
    own = list(signature.parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter("ctx", keyword, annotation=typer.Context),
        inspect.Parameter("json_", keyword, default=False, annotation=JSON),
        inspect.Parameter("at", keyword, default=None, annotation=_NO_AT if live else AT),
        inspect.Parameter("dry_run", keyword, default=False, annotation=_NO_DRY_RUN if live else DRY_RUN),
    ]

    @functools.wraps(function)
    def command(*, ctx: typer.Context, json_: bool, at: str | None, dry_run: bool, **words: Any) -> None:
        before = ctx.obj if isinstance(ctx.obj, Run) else Run()
        run = Run(before.as_json or json_, at or before.at, before.dry_run or dry_run)
        if ctx.invoked_subcommand is not None:
            ctx.obj = run
            return
        if live:
            run.refuse_live_options()
        try:
            function(run, **words)
            if run.dry_run:
                run.say("dry run: nothing was changed")
        finally:
            run.close()

    own = [parameter.replace(kind=keyword) for parameter in own]
    command.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*own, *shared]}
    del command.__wrapped__
    return command


def noun() -> typer.Typer:
    """An app for one noun's verbs."""
    return typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
