"""`events proposal`: other times and delegates that attendees propose, for an organiser to decide."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.cli.violations import refusals
from events_service.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

Number = Annotated[int, typer.Argument(metavar="N", help="The proposal's number, as `proposal list` shows it.")]
STATES = ("open", "accepted", "declined", "withdrawn")


@verb(app, "list")
def list_(
    run: Run,
    event: Annotated[str | None, typer.Option("--event", metavar="REF", help="Of this event only.")] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="S", help=", ".join(STATES))] = None,
) -> None:
    """List proposals in the order they came."""
    from events_service import event_rows, proposals

    if state is not None and state not in STATES:
        raise UsageError(f"--state {state[:40]!r}: use one of {', '.join(STATES)}")
    with run.read() as session:
        document = proposals.listing(session, event_rows.find(session, event) if event else None, state)

    def human(console: Console) -> None:
        rows = [(one["n"], one["event"], one["email"], _what(one), one["state"], one["reason"]) for one in document]
        columns = ("n", "event", "attendee", "proposes", "state", "why")
        console.print(table(columns, rows) if rows else "no proposals")

    run.emit(document, human)


@verb(app, "show")
def show(run: Run, n: Number) -> None:
    """Show one proposal with what was written in it."""
    from events_service import proposals

    with run.read() as session:
        proposals.find(session, n)
        document = proposals.listing(session, numbers=[n])
    _show(run, document)


@verb(app, "accept")
def accept(
    run: Run,
    n: Number,
    waive: Annotated[list[str] | None, typer.Option("--waive", metavar="CODE", help="Lift this rule.")] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept on record.")] = "",
) -> None:
    """Do it: the event moves and all are told, or the delegate takes a place. Exit 3 as for `event move`."""
    from events_service import proposal_answers, proposals

    with refusals(run), run.write() as session:
        _proposal, done = proposal_answers.accept(session, n, run.now, waive or [], reason)
        document = proposals.listing(session, numbers=[n])
    for note in done.notes:
        run.say(f"note: {note}")
    _show(run, document)
    run.say(f"{'would touch' if run.dry_run else 'touched'} {done.deliveries} deliveries and {done.feeds} feeds")


@verb(app, "decline")
def decline(
    run: Run,
    n: Number,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Told to whoever proposed it.")] = "",
) -> None:
    """Say no; whoever proposed other times is told by mail."""
    from events_service import proposal_answers, proposals

    with run.write() as session:
        proposal_answers.decline(session, n, reason, run.now)
        document = proposals.listing(session, numbers=[n])
    _show(run, document)


def _show(run: Run, document: list[dict[str, Any]]) -> None:
    def human(console: Console) -> None:
        for one in document:
            was = " to ".join(_minute(at) for at in one["instead_of"])
            rows = [
                ("event", one["event"]),
                ("attendee", f"{one['name']} <{one['email']}>" if one["name"] else one["email"]),
                ("proposes", _what(one)),
                *([("instead of", was)] if one["kind"] == "time" else []),
                ("wrote", one["comment"] or None),
                ("received", f"{one['received_at']:%Y-%m-%d %H:%M}Z"),
                ("state", one["state"] + (f": {one['reason']}" if one["reason"] else "")),
            ]
            console.print(table((f"proposal {one['n']}", ""), rows))

    run.emit(document[0] if document else None, human)


def _what(one: dict[str, Any]) -> str:
    if one["kind"] == "delegate":
        return f"{one['delegate'] or 'somebody'} in their place"
    ends = f" to {_minute(one['ends'])}" if one["ends"] else ", as long as it was"
    return f"{_minute(one['starts'])}{ends}"


def _minute(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M}"
