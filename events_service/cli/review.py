"""`events review`: list review points and record what they decided."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

Programme = Annotated[str | None, typer.Option("--programme", metavar="KEY", help="Default: the one loaded last.")]
DECISIONS = ("continue", "refresh", "stop")


@verb(app, "list")
def list_(run: Run, programme: Programme = None) -> None:
    """List the programme's review points: when each is due, its state, and its records."""
    from events_service import programmes, reviews

    with run.read() as session:
        document = reviews.listing(session, programmes.current(session, programme), run.now)
    _show(run, document)


@verb(app, "record")
def record(
    run: Run,
    id: Annotated[str, typer.Argument(metavar="ID", help="The review point's id.")],
    decision: Annotated[str, typer.Option("--decision", help=", ".join(DECISIONS))],
    notes: Annotated[str, typer.Option("--notes", metavar="T")],
    present: Annotated[list[str] | None, typer.Option("--present", metavar="T", help="Who was there.")] = None,
    condition: Annotated[list[str] | None, typer.Option("--condition", metavar="T")] = None,
    held: Annotated[str | None, typer.Option("--held", metavar="DATE", help="Default: today.")] = None,
    corrects: Annotated[
        str | None, typer.Option("--corrects", metavar="ID", help="The latest record's number, or the review's id.")
    ] = None,
    programme: Programme = None,
) -> None:
    """Record that a review was held. That is what holds it, and what releases its gate."""
    from events_service import programmes, reviews

    if decision not in DECISIONS:
        raise UsageError(f"--decision {decision[:40]!r}: use one of {', '.join(DECISIONS)}")
    try:
        held_on = date.fromisoformat(held) if held else None
    except ValueError as error:
        raise UsageError(f"--held {str(held)[:40]!r} is no date; write it like 2023-04-01") from error
    with run.write() as session:
        plan = programmes.current(session, programme)
        reviews.record(
            session,
            plan,
            id,
            decision=decision,
            notes=notes,
            present=present or (),
            conditions=condition or (),
            held_on=held_on,
            corrects=corrects,
            now=run.now,
        )
        document = [reviews.as_json(session, plan, id, run.now)]
    _show(run, document)


def _show(run: Run, document: list[dict[str, Any]]) -> None:
    def human(console: Console) -> None:
        rows = [
            (
                one["id"],
                one["title"],
                one["scope"],
                f"{one['opens_on']} to {one['due_on']}",
                one["state"],
                one["held_on"],
                one["decision"],
            )
            for one in document
        ]
        console.print(table(("id", "review", "workstreams", "open", "state", "held on", "decision"), rows))
        records = [
            (record["id"], one["id"], record["held_on"], record["decision"], record["notes"], record["corrects"])
            for one in document
            for record in one["records"]
        ]
        if records:
            console.print(table(("record", "review", "held on", "decision", "notes", "corrects"), records))

    run.emit(document, human)
