"""`events event`: add, check, approve, change, move and cancel events."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, verb
from events_service.cli.event_tables import show_difference, show_event, show_events
from events_service.cli.violations import refusals, violation_table
from events_service.errors import ConflictError, EventsError, InputError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from sqlmodel import Session

    from events_service.domain.violations import Violation
    from events_service.reading.event_files import EventFile

app = noun()

Ref = Annotated[str, typer.Argument(metavar="REF", help="The event's slug.")]
Waive = Annotated[list[str] | None, typer.Option("--waive", metavar="CODE", help="Lift this rule for this event.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept on record.")]
Programme = Annotated[str | None, typer.Option("--programme", metavar="KEY", help="Default: the one loaded last.")]
STATES = ("draft", "approved", "done", "cancelled")
KINDS = ("mission", "conference")


@verb(app, "add")
def add(
    run: Run,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Event files (TOML).")],
    programme: Programme = None,
) -> None:
    """Add events as drafts. Each file is all or nothing; a draft may break rules, and says so."""
    from events_service import events, programmes

    read: list[tuple[Path, EventFile]] = []
    faults: list[EventsError] = []
    for path in files:
        try:
            read.append((path, _read(path)))
        except InputError as error:
            faults.append(error)
    document: list[dict[str, Any]] = []
    if read:
        with run.write() as session:
            plan = programmes.current(session, programme)
            added = []
            for path, file in read:
                try:
                    with session.begin_nested():
                        added.append(events.add(session, file, path, run.now, plan))
                    _say_notes(run, path, file)
                except (InputError, ConflictError) as error:
                    faults.append(error)
            document = events.listing(session, added, run.now)
    if document or run.as_json:
        show_events(run, document)
    _raise(run, faults, len(files))


@verb(app, "check")
def check(
    run: Run,
    ref: Annotated[str, typer.Argument(metavar="REF|FILE", help="An event's slug, or an event file.")],
    programme: Programme = None,
) -> None:
    """Say what the programme thinks of an event: exit 3 if an error stands that is not waived."""
    from events_service import event_approval

    with run.read() as session:
        name, found = _verdict(run, session, ref, programme)
    document = [violation.as_json() for violation in found]

    def human(console: Console) -> None:
        if document:
            console.print(violation_table(document))
        else:
            console.print(f"{name} fits the programme.", markup=False)

    run.emit(document, human)
    event_approval.refuse(name, found)


@verb(app, "approve")
def approve(run: Run, ref: Ref, waive: Waive = None, reason: Reason = "") -> None:
    """Let a draft stand: exit 3 while an error stands that is not waived."""
    from events_service import events

    with refusals(run), run.write() as session:
        event = events.find(session, ref, lock=True)
        events.approve(session, event, run.now, waive or [], reason)
        document = events.as_json(session, event, run.now)
    show_event(run, document)
    for code in set(waive or []) - {one["code"] for one in document["violations"] if one["waived"]}:
        run.say(f"note: {code} is not broken, so there was nothing to waive")


@verb(app, "change")
def change(
    run: Run,
    ref: Ref,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The event's file (TOML), as it should be now.")],
    waive: Waive = None,
    reason: Reason = "",
) -> None:
    """Make an event what its file says now; prints what differs. Exit 3 if an approved one would then break a rule."""
    from events_service import events

    file = _read(path)
    with refusals(run), run.write() as session:
        event = events.find(session, ref, lock=True)
        done = events.change(session, event, file, path, run.now, waive or (), reason)
        document = events.as_json(session, event, run.now)
    _say_notes(run, path, file)
    show_difference(
        run, document | {"difference": done.difference(), "deliveries": done.deliveries, "feeds": done.feeds}
    )
    verb = "would touch" if run.dry_run else "touched"
    run.say(f"{verb} {done.deliveries} deliveries and {done.feeds} feeds")


@verb(app, "move")
def move(
    run: Run,
    ref: Ref,
    starts: Annotated[str | None, typer.Option("--starts", metavar="T", help="In the event's zone.")] = None,
    ends: Annotated[str | None, typer.Option("--ends", metavar="T", help="Left out: it keeps its length.")] = None,
    waive: Waive = None,
    reason: Reason = "",
) -> None:
    """Give an event other times: exit 3 if an approved one would then break a rule. Sessions move along."""
    from events_service import events

    with refusals(run), run.write() as session:
        event = events.find(session, ref, lock=True)
        begin, end = _wall_clock("--starts", starts), _wall_clock("--ends", ends)
        moved = events.move(session, event, begin, end, run.now, tuple(waive or ()), reason)
        document = events.as_json(session, event, run.now)
    for note in moved.notes:
        run.say(f"note: {note}")
    if run.dry_run:
        document |= {"deliveries": moved.deliveries, "feeds": moved.feeds}
    show_event(run, document)
    verb = "would touch" if run.dry_run else "touched"
    run.say(f"{verb} {moved.deliveries} deliveries and {moved.feeds} feeds")


@verb(app, "cancel")
def cancel(run: Run, ref: Ref, reason: Reason = "") -> None:
    """Call an event off. Unsent messages are cancelled, and those who were invited are told."""
    from events_service import events

    with run.write() as session:
        event = events.find(session, ref, lock=True)
        told = events.cancel(session, event, reason, run.now)
        document = events.as_json(session, event, run.now)
    show_event(run, document)
    run.say(f"{'would be told' if run.dry_run else 'will be told'}: {told}")


@verb(app, "list")
def list_(
    run: Run,
    state: Annotated[str | None, typer.Option("--state", help=", ".join(STATES))] = None,
    kind: Annotated[str | None, typer.Option("--kind", help=", ".join(KINDS))] = None,
    market: Annotated[str | None, typer.Option("--market", metavar="CC")] = None,
    theme: Annotated[str | None, typer.Option("--theme", metavar="KEY")] = None,
    since: Annotated[str | None, typer.Option("--from", metavar="DATE", help="Not over before this day.")] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="DATE", help="Begins on this day at the latest.")] = None,
    programme: Programme = None,
) -> None:
    """List events by their start, with what each breaks and who comes."""
    from events_service import event_json, event_rows, programmes
    from events_service.domain.timeline import day_begins

    first, last = _day("--from", since), _day("--to", until)
    for option, value, known in (("--state", state, STATES), ("--kind", kind, KINDS)):
        if value is not None and value not in known:
            raise UsageError(f"{option} {value[:40]!r}: use one of {', '.join(known)}")
    with run.read() as session:
        zone = programmes.current(session, programme).timezone if first or last or programme else "UTC"
        wanted = event_rows.Filter(
            programme=programme,
            state=state,
            kind=kind,
            market=market.upper() if market else None,
            theme=theme,
            since=day_begins(first, zone) if first else None,
            until=day_begins(last + timedelta(days=1), zone) if last else None,
        )
        document = event_json.listing(session, event_rows.select_events(session, wanted), run.now)
    show_events(run, document)


@verb(app, "show")
def show(run: Run, ref: Ref) -> None:
    """Show all of one event: its agenda, waivers and history too."""
    from events_service import event_json, event_rows

    with run.read() as session:
        document = event_json.detail(session, event_rows.find(session, ref), run.now)
    show_event(run, document)


def _read(path: Path) -> EventFile:
    from events_service.reading.event_files import read
    from events_service.reading.text_files import read_text

    return read(path, read_text(path))


def _verdict(run: Run, session: Session, ref: str, key: str | None) -> tuple[str, list[Violation]]:
    from events_service import event_checks, events, programmes

    path = Path(ref)
    if path.suffix != ".toml" and "/" not in ref and not path.is_file():
        event = events.find(session, ref)
        return event.slug, event_checks.verdict(session, event, run.now)
    file = _read(path)
    _say_notes(run, path, file)
    plan = programmes.current(session, key)
    return file.slug, event_checks.proposed(session, plan, [file.facts()], run.now)[0]


def _say_notes(run: Run, path: Path, file: EventFile) -> None:
    for note in file.notes:
        run.say(f"note: {path}: {note}")


def _raise(run: Run, faults: list[EventsError], files: int) -> None:
    if not faults:
        return
    if files == 1:
        raise faults[0]
    for fault in faults:
        run.say(f"error: {fault}")
    raise EventsError(f"{len(faults)} of {files} files were not added; mend them and add them again")


def _wall_clock(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text[:40]!r} is no ISO 8601 time; write it like 2023-10-09T09:00") from error
    if len(text) <= len("2023-10-09"):
        raise UsageError(f"{option} {text!r} has no time of day; write it like {text}T09:00")
    return at


def _day(option: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise UsageError(f"{option} {str(text)[:40]!r} is no date; write it like 2023-10-09") from error
