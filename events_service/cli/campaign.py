"""`events campaign`: plan, preview, start, hold and watch campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.cli.violations import refusals

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

Ref = Annotated[str, typer.Argument(metavar="REF", help="The event's slug.")]
CadenceKey = Annotated[str | None, typer.Option("--cadence", metavar="KEY", help="Default: the one for this kind.")]


@verb(app, "plan")
def plan(run: Run, ref: Ref, cadence: CadenceKey = None) -> None:
    """Show what starting the campaign would send, and when; nothing is written."""
    from events_service import campaigns, event_rows

    with run.read() as session:
        event = event_rows.find(session, ref)
        document = campaigns.plan(session, event, campaigns.cadence_for(event, cadence), run.now)
    _show(run, document)


@verb(app, "preview")
def preview(
    run: Run,
    ref: Ref,
    step: Annotated[str, typer.Argument(metavar="STEP", help="A step of the cadence, such as invitation.")],
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="An attendee's address.")],
    cadence: CadenceKey = None,
) -> None:
    """Show the e-mail that a step would send to an attendee."""
    from events_service import attendees, campaigns, event_rows, people
    from events_service.letters import Letters, readable

    with run.read() as session:
        event = event_rows.find(session, ref)
        found = campaigns.step_for(session, event, step, cadence)
        attendee = attendees.find(session, event, people.normalise_email(email))
        message = Letters(run.settings).preview(session, event, found, attendee, run.now)
    document = readable(message)

    def human(console: Console) -> None:
        for key in ("from", "to", "subject", "reply_to"):
            console.print(f"{key + ':':<10}{document[key]}", markup=False)
        console.print()
        console.print(document["text"], markup=False)
        if document["calendar"]:
            console.print("(with a calendar request)")

    run.emit(document, human)


@verb(app, "start")
def start(run: Run, ref: Ref, cadence: CadenceKey = None) -> None:
    """Start the campaign: a delivery for every step and attendee. Refused behind an overdue review."""
    from events_service import campaigns, event_rows

    with refusals(run), run.write() as session:
        event = event_rows.find(session, ref, lock=True)
        campaigns.start(session, event, campaigns.cadence_for(event, cadence), run.now)
        document = campaigns.status(session, event)
    _show(run, document)


@verb(app, "hold")
def hold(run: Run, ref: Ref) -> None:
    """Hold what is unsent. Changes of time and cancellations still go."""
    from events_service import campaigns, event_rows

    with run.write() as session:
        event = event_rows.find(session, ref, lock=True)
        campaigns.hold(session, event, run.now)
        document = campaigns.status(session, event)
    _show(run, document)


@verb(app, "release")
def release(run: Run, ref: Ref) -> None:
    """Let a held campaign go on; what came late meanwhile follows its step's policy."""
    from events_service import campaigns, event_rows

    with run.write() as session:
        event = event_rows.find(session, ref, lock=True)
        campaigns.release(session, event, run.now)
        document = campaigns.status(session, event)
    _show(run, document)


@verb(app, "answer")
def answer(run: Run, ref: Ref, step: Annotated[str, typer.Argument(metavar="STEP")],
           word: Annotated[str, typer.Argument(metavar="send|skip")]) -> None:  # fmt: skip
    """Say what becomes of a step that is late and asks."""
    from events_service import campaigns, event_rows

    with run.write() as session:
        event = event_rows.find(session, ref, lock=True)
        campaigns.answer(session, event, step, word, run.now)
        document = campaigns.status(session, event)
    _show(run, document)


@verb(app, "status")
def status(run: Run, ref: Ref) -> None:
    """Show where a campaign stands, step by step."""
    from events_service import campaigns, event_rows

    with run.read() as session:
        document = campaigns.status(session, event_rows.find(session, ref))
    _show(run, document)


def _show(run: Run, document: dict[str, Any]) -> None:
    from events_service.domain.delivery import STATES

    def human(console: Console) -> None:
        used = [state for state in STATES if any(step[state] for step in document["steps"])]
        rows = [
            (
                step["step"],
                f"{step['due_at']:%a %d %b %Y %H:%M}Z" if step["due_at"] else None,
                step["policy"],
                *(step[state] or "" for state in used),
            )
            for step in document["steps"]
        ]
        console.print(
            table(("step", "due", "when late", *used), rows, title=f"{document['event']}: {document['cadence']}")
        )
        if document.get("held_at"):
            console.print(f"Held by an organiser since {document['held_at']:%Y-%m-%d %H:%M}Z.")
        for reason, count in document.get("hold_reasons", {}).items():
            console.print(f"{count} held: {reason}")

    run.emit(document, human)
