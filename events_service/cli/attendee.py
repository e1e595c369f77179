"""`events attendee`: who is at which event, and what they replied; who was taken off it."""

from __future__ import annotations

from datetime import datetime
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
REMOVED = ("removed_at", "removal_reason")


@verb(app, "add")
def add(
    run: Run,
    ref: Ref,
    email: Email,
    role: Annotated[str | None, typer.Option("--role", help="Default: the person's own.")] = None,
) -> None:
    """Put a person on an event. One who is there already stays, with the new role if one is given.

    One who was taken off is put back, and asked anew.
    """
    from events_service import attendees, events, guest_lists, people

    with run.write() as session:
        event = events.find(session, ref)
        attendee = attendees.add(session, event, people.find(session, email), role, run.now)
        document = [guest_lists.as_json(session, attendee)]
    _show(run, document)


@verb(app, "remove")
def remove(
    run: Run,
    ref: Ref,
    email: Email,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept on record, told to nobody.")] = "",
) -> None:
    """Take somebody off an event. If they had heard of it, they are told, and it leaves their calendar."""
    from events_service import attendees, events, guest_lists, people, removals

    with run.write() as session:
        event = events.find(session, ref)
        attendee = attendees.find(session, event, people.normalise_email(email))
        told = removals.remove(session, event, attendee, reason, run.now)
        document = [guest_lists.as_json(session, attendee)]
    _show(run, document)
    run.say(f"{'would be told' if run.dry_run else 'will be told'}: {told}")


@verb(app, "list")
def list_(
    run: Run,
    ref: Ref,
    removed: Annotated[bool, typer.Option("--removed", help="Those who were taken off, instead.")] = False,
) -> None:
    """List an event's attendees."""
    from events_service import events, guest_lists

    with run.read() as session:
        document = guest_lists.listing(session, events.find(session, ref), removed=removed)
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
    from events_service import attendees, events, guest_lists, people

    if answer not in attendees.REPLIES:
        raise UsageError(f"{answer!r} is no reply; use one of {', '.join(attendees.REPLIES)}")
    with run.write() as session:
        attendee = attendees.find(session, events.find(session, ref), people.normalise_email(email))
        applied = attendees.set_reply(session, attendee, answer, via="organiser", note=note, now=run.now)
        document = [guest_lists.as_json(session, attendee)]
    run.say(applied.why)
    _show(run, document)


@verb(app, "sessions")
def sessions(
    run: Run,
    ref: Ref,
    email: Email,
    attend: Annotated[
        list[int], typer.Option("--attend", metavar="N", help="They attend session N; may be repeated.")
    ] = [],  # noqa: B006
    leave: Annotated[
        list[int], typer.Option("--leave", metavar="N", help="They leave session N; may be repeated.")
    ] = [],  # noqa: B006
) -> None:
    """Show which sessions somebody attends, and change it. N is the session's, as shown here and by `event show`."""
    from events_service import attendees, events, itineraries, people

    with run.write() if attend or leave else run.read() as session:
        event = events.find(session, ref)
        attendee = attendees.find(session, event, people.normalise_email(email))
        said = itineraries.choose(session, event, attendee, attend, leave, run.now) if attend or leave else None
        document = itineraries.listing(session, event, attendee)
        declined = attendee.reply == "declined"
    if said is not None:
        run.say("; ".join(said) or "nothing changed: it was so already")
        if said and declined:
            run.say(f"{email} has declined {ref}, so this counts once they accept it")

    def human(console: Console) -> None:
        rows = [
            (one["n"], one["attends"], f"{datetime.fromisoformat(one['starts']):%Y-%m-%d %H:%M}", one["timezone"],
             one["kind"], one["title"])
            for one in document
        ]  # fmt: skip
        console.print(table(("n", "attends", "starts", "timezone", "kind", "session"), rows))

    run.emit(document, human)


@verb(app, "checkin")
def checkin(run: Run, ref: Ref, email: Email) -> None:
    """Record that somebody came."""
    from events_service import attendees, events, guest_lists, people

    with run.write() as session:
        attendee = attendees.find(session, events.find(session, ref), people.normalise_email(email))
        attendees.check_in(session, attendee, run.now)
        document = [guest_lists.as_json(session, attendee)]
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
    columns = [*SHOWN, *(REMOVED if any(row["removed_at"] for row in document) else ())]

    def human(console: Console) -> None:
        console.print(table(columns, ([row[name] for name in columns] for row in document)))

    run.emit(document, human)
