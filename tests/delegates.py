"""A mission with an agenda, its delegates, and what their mail says of the sessions that they attend, for tests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from icalendar import Event as Component
from sqlmodel import Session, col, select

from events_service import attendees, itinerary_changes
from events_service.db.tables import Attendee, Event, EventSession, Person
from events_service.mail.wire import Outgoing
from tests import ledger
from tests.calendars.readers import with_icalendar
from tests.ledger import SHORT, STARTED, House, utc
from tests.mail.reading import read

CADENCE = SHORT + "itinerary = true\n"
"""As `ledger.SHORT`; its joining instructions, a week before, bring the itinerary."""
JOINING = utc("2023-10-02 09:00")
"""When those are due for somebody in UTC."""
LATER = JOINING + timedelta(hours=1)

AGENDA = (
    ("Welcome", "meeting", "2023-10-09 08:00", "Europe/Berlin"),
    ("Visit: cyber range", "visit", "2023-10-10 07:30", "Europe/Berlin"),
    ("Flight home", "meeting", "2023-10-12 16:00", "Europe/London"),
    ("A day in the Alps", "leisure", "2023-10-13 07:00", "Europe/Berlin"),
)
"""Title, kind, start in UTC, zone. Each takes two hours."""


class Object(NamedTuple):
    """A session's calendar object in a mail."""

    method: str
    title: str
    sequence: int


def agenda(session: Session, event: Event) -> list[EventSession]:
    """Put those sessions on an event's agenda."""
    made = [
        EventSession(
            event_id=event.id or 0,
            position=position,
            uid=f"{event.slug}-{position}@example.org",
            title=title,
            kind=kind,
            starts=utc(starts),
            ends=utc(starts) + timedelta(hours=2),
            timezone=zone,
            city="Munich",
            country="DE",
            changed_at=event.changed_at,
        )
        for position, (title, kind, starts, zone) in enumerate(AGENDA, 1)
    ]
    session.add_all(made)
    session.flush()
    return made


def started(session: Session, *emails: str, reply: str = "accepted") -> Event:
    """The mission to Munich with that agenda and a campaign that runs, and who has replied so."""
    event = ledger.started(session, *emails, text=CADENCE)
    agenda(session, event)
    for email in emails:
        if reply != "none":
            attendees.set_reply(session, place(session, email), reply, via="organiser", note="", now=STARTED)
    return event


def told(house: House, *emails: str) -> Event:
    """The same, and those who accepted have their joining instructions with their itinerary."""
    with house.database.write() as session:
        event = started(session, *emails)
        session.refresh(event)
        session.expunge(event)
    house.run(JOINING)
    return event


def place(session: Session, email: str = "ada@example.org") -> Attendee:
    """Somebody's place at the mission."""
    return session.exec(select(Attendee).join(Person).where(Person.email == email)).one()


def the_event(session: Session) -> Event:
    """The mission."""
    return session.exec(select(Event)).one()


def item(session: Session, number: int) -> EventSession:
    """A session by its place on the agenda."""
    return session.exec(select(EventSession).where(col(EventSession.position) == number)).one()


def shift(session: Session, number: int, now: datetime, hours: int = 3) -> int:
    """Move one session alone, and tell who was told of it; how many."""
    moved = item(session, number)
    moved.starts, moved.ends = moved.starts + timedelta(hours=hours), moved.ends + timedelta(hours=hours)
    moved.sequence, moved.changed_at = moved.sequence + 1, now
    return itinerary_changes.sessions_changed(session, the_event(session), now)


def calendars(message: Outgoing) -> list[bytes]:
    """The calendars of sessions that are attached to a message."""
    leaves = [part for part in read(message.data).walk() if not part.is_multipart()]
    found: list[Any] = [
        part.get_payload(decode=True)
        for part in leaves
        if part.is_attachment() and part.get_content_type() == "text/calendar"
    ]
    return found


def components(message: Outgoing) -> list[Component]:
    """The VEVENTs of those."""
    return [one for content in calendars(message) for one in with_icalendar(content).walk("VEVENT")]


def objects(message: Outgoing) -> list[Object]:
    """What a message says of sessions."""
    found = []
    for content in calendars(message):
        calendar = with_icalendar(content)
        (event,) = calendar.walk("VEVENT")
        found.append(Object(str(calendar["METHOD"]), str(event["SUMMARY"]), int(event["SEQUENCE"])))
    return found


def went(house: House, at: datetime | None = None) -> list[tuple[str, list[Object]]]:
    """Work until nothing is due: `step name` of each message that went, and what it says of sessions."""
    before = len(house.wire.taken)
    said = house.work(at)
    return [(one, objects(message)) for one, message in zip(said, house.wire.taken[before:], strict=True)]
