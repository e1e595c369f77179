"""`events intake`: one e-mail on stdin, and what came of those that calendars sent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, alone, table, verb

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(add_completion=False, rich_markup_mode=None)


def register(root: typer.Typer) -> None:
    """Add the command to the root."""
    root.add_typer(app, name="intake")


@alone(app)
def intake(run: Run) -> None:
    """Take one e-mail on stdin: a calendar reply, a bounce, a complaint. What it is not is left alone."""
    from events_service import intake as mail_in

    message = sys.stdin.buffer.read(mail_in.MAX_READ)
    proof = mail_in.proof_of(message, run.settings, run.now)
    with run.write() as session:
        taken = mail_in.take(session, message, run.settings, run.now, proof)
        document: dict[str, Any] = {"kind": taken.kind, "applied": taken.applied, "why": taken.why}
    done = "applied" if taken.applied else "not applied"
    run.emit(document, lambda console: console.print(f"{taken.kind}, {done}: {taken.why}", markup=False))


@verb(app, "list")
def list_(
    run: Run,
    event: Annotated[str | None, typer.Option("--event", metavar="REF", help="Of this event only.")] = None,
    not_applied: Annotated[bool, typer.Option("--not-applied", help="Only what changed nothing, and why.")] = False,
) -> None:
    """List the calendar mail that came in, and what became of it."""
    from events_service import event_rows
    from events_service import intake as mail_in

    with run.read() as session:
        found = event_rows.find(session, event) if event else None
        document = mail_in.listing(session, found, not_applied=not_applied)

    def human(console: Console) -> None:
        rows = [
            (
                f"{one['received_at']:%Y-%m-%d %H:%M}Z",
                one["event"],
                one["email"],
                one["said"] or None,
                one["applied"],
                one["why"],
            )
            for one in document
        ]
        columns = ("received", "event", "attendee", "said", "applied", "why")
        console.print(table(columns, rows) if rows else "no calendar mail")

    run.emit(document, human)
