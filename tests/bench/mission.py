"""The mission that the benchmarks invite to: a summary and an agenda as real ones have, 17 KB a message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import campaigns
from events_service.db.session import Database
from events_service.db.tables import Attendee, Event, EventSession, Person
from events_service.domain.cadence import load_cadence
from tests.attendance import make_event
from tests.crowds import ONE, crowd

SUMMARY = """\
Four days in Munich with universities, companies and public bodies that work on cyber resilience, for people from \
research, industry and education who would like to work with them.

We visit the cyber range of the Universität der Bundeswehr, where defenders of hospitals and waterworks train together \
on copies of their own networks; a manufacturer of programmable controllers, whose product security team shows how \
faults that others report become updates in the field; and the city's operations centre for critical infrastructure. \
On the second afternoon each of us meets three partners, chosen from what you told us of your work, for half an hour \
each.

On the last day the delegation and its hosts agree what follows: joint proposals, student exchanges, pilots with \
companies, and who looks after each until the conference in spring.

Travel within the city, lunches and one dinner are provided; tell us by reply if you need help with costs or a visa."""

SESSIONS = (
    ("Welcome and briefing", "meeting", 9, "Audimax"),
    ("Visit: cyber range", "visit", 33, "Building 41"),
    ("Three partners, half an hour each", "meeting", 37, "Senate hall"),
    ("Visit: product security at a controller maker", "visit", 57, "Plant South"),
    ("What follows: agreements and owners", "meeting", 81, "Senate hall"),
)
"""Title, kind, hours after midnight of the first day, place."""


def invitations(database: Database, size: int, now: datetime | None = None) -> None:
    """`size` people, each with an invitation to it that was due ten days before `now`."""
    now = now or datetime.now(UTC)
    crowd(database, size, now)
    with database.write() as session:
        _describe(session, session.exec(select(Event)).one())


def invite_again(database: Database, slug: str) -> int:
    """The same people, invited to one more mission like it. Returns how many."""
    now = datetime.now(UTC)
    with database.write() as session:
        event = make_event(
            session,
            slug,
            starts=now + timedelta(days=50),
            ends=now + timedelta(days=52),
            created_at=now,
            changed_at=now,
        )
        _describe(session, event)
        people = session.exec(select(Person.id).where(col(Person.email).like("p%"))).all()
        places = [place(event.id, id, now) for id in people]
        session.execute(sa.insert(Attendee), places)
        return campaigns.start(session, event, load_cadence(ONE, "one.toml"), now)


def place(event_id: int | None, person_id: int | None, now: datetime) -> dict[str, Any]:
    """A delegate's place as a row, not answered yet."""
    return {
        "event_id": event_id, "person_id": person_id, "role": "delegate", "reply": "none", "reply_note": "",
        "added_at": now,
    }  # fmt: skip


def _describe(session: Session, event: Event) -> None:
    event.summary, event.url = SUMMARY, "https://events.example.org/missions/munich"
    event.venue, event.city = "Universität der Bundeswehr", "Munich"
    event.organiser_name, event.organiser_email = "Events desk", "events@example.org"
    midnight = event.starts.replace(hour=0, minute=0, second=0, microsecond=0)
    for position, (title, kind, hours, venue) in enumerate(SESSIONS):
        starts = midnight + timedelta(hours=hours)
        session.add(
            EventSession(
                event_id=event.id or 0,
                position=position,
                uid=f"{event.slug}-{position}@events.example.org",
                title=title,
                starts=starts,
                ends=starts + timedelta(hours=2),
                timezone=event.timezone,
                kind=kind,
                venue=venue,
                city=event.city,
                country=event.country,
                changed_at=event.changed_at,
            )
        )
