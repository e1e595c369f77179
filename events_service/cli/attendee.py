"""`events attendee`: who is at which event, and what they replied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

Ref = Annotated[str, typer.Argument(metavar="REF", help="The event's slug.")]
Email = Annotated[str, typer.Argument(metavar="EMAIL")]
SHOWN = ("email", "name", "role", "reply", "replied_at", "attended", "institution")


@verb(app, "add")
def add(
    run: Run,
    ref: Ref,
    email: Email,
    role: Annotated[str | None, typer.Option("--role", help="Default: the person's own.")] = None,
) -> None:
    """Put a person on an event. One who is there already stays, with the new role if one is given."""
    from events_service import attendees, events, people

    with run.write() as session:
        event = events.find(session, ref)
        attendee = attendees.add(session, event, people.find(session, email), role, run.now)
        document = [attendees.as_json(session, attendee)]
    _show(run, document)


@verb(app, "list")
def list_(run: Run, ref: Ref) -> None:
    """List an event's attendees."""
    from events_service import attendees, events

    with run.read() as session:
        document = attendees.listing(session, events.find(session, ref))
    _show(run, document)


@verb(app, "reply")
def reply(
    run: Run,
    ref: Ref,
    email: Email,
    answer: Annotated[str, typer.Argument(metavar="accepted|declined|tentative")],
    note: Annotated[str, typer.Option("--note")] = "",
) -> None:
    """Enter a reply that reached you some other way. A later act of the attendee's own wins over it."""
    from events_service import attendees, events, people

    if answer not in attendees.REPLIES:
        raise UsageError(f"{answer!r} is no reply; use one of {', '.join(attendees.REPLIES)}")
    with run.write() as session:
        attendee = attendees.find(session, events.find(session, ref), people.normalise_email(email))
        applied = attendees.set_reply(session, attendee, answer, via="organiser", note=note, now=run.now)
        document = [attendees.as_json(session, attendee)]
    run.say(applied.why)
    _show(run, document)


@verb(app, "checkin")
def checkin(run: Run, ref: Ref, email: Email) -> None:
    """Record that somebody came."""
    from events_service import attendees, events, people

    with run.write() as session:
        attendee = attendees.find(session, events.find(session, ref), people.normalise_email(email))
        attendees.check_in(session, attendee, run.now)
        document = [attendees.as_json(session, attendee)]
    _show(run, document)


@verb(app, "history")
def history(run: Run, ref: Ref, email: Email) -> None:
    """Show all that ever came of somebody's reply, whichever way, and what became of it."""
    from events_service import attendee_history, attendees, events, people

    with run.read() as session:
        attendee = attendees.find(session, events.find(session, ref), people.normalise_email(email))
        document = attendee_history.listing(session, attendee)

    def human(console: Console) -> None:
        columns = ("at", "by", "said", "applied", "why", "note")
        rows = [
            (f"{one['at']:%Y-%m-%d %H:%M:%S}Z", one["via"], one["reply"], one["applied"], one["why"], one["note"])
            for one in document
        ]
        console.print(table(columns, rows) if rows else "nothing came yet")

    run.emit(document, human)


def _show(run: Run, document: list[dict[str, Any]]) -> None:
    def human(console: Console) -> None:
        console.print(table(SHOWN, ([row[name] for name in SHOWN] for row in document)))

    run.emit(document, human)
