"""A campaign that runs, for tests of what becomes of its deliveries; and a way out that does as it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import campaigns, doorbell
from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, Delivery, Event, Person, ReviewRecord
from events_service.domain.cadence import Cadence, load_cadence
from events_service.mail.wire import FENCE, Conversation, Outgoing
from events_service.outbox import ROWS
from events_service.postroom import Postroom
from schedules.ticks import tick
from tests import planned
from tests.attendance import make_attendee, make_event

PROGRAMME = "lancashire-2022-2025"
REVIEWS = ("review-12", "progress-18", "review-24", "progress-36")
STARTED = datetime(2023, 6, 1, 9, tzinfo=UTC)
"""When campaigns of these tests start: the mission to Munich is on 9-12 October 2023."""

SHORT = """
key = "short"
title = "Three steps"

[[steps]]
key = "invitation"
template = "invitation"
at = { anchor = "start", days = -60, time = "09:00" }
late = { policy = "send", grace_hours = 72 }
calendar = true

[[steps]]
key = "reminder"
template = "reminder"
audience = { replies = ["none", "tentative"] }
at = { anchor = "start", days = -40, time = "09:30" }
late = { policy = "skip", grace_hours = 72 }
repeat = { maximum = 2, every_days = 14, min_gap_days = 7 }

[[steps]]
key = "joining"
template = "joining"
audience = { replies = ["accepted"] }
at = { anchor = "start", days = -7, time = "09:00" }
late = { policy = "send", grace_hours = 72 }
"""
INVITED = datetime(2023, 8, 10, 9, tzinfo=UTC)
"""When its invitation is due for somebody in UTC."""


def utc(text: str) -> datetime:
    """An instant written without its Z."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def short() -> Cadence:
    """An invitation 60 days before, reminders 40 and 26 days before, joining instructions a week before."""
    return load_cadence(SHORT, "short.toml")


def hold_reviews(session: Session, *ids: str, now: datetime = STARTED) -> None:
    """Record these reviews (all four, unless named) as held: their gates do not stand."""
    for id in ids or REVIEWS:
        session.add(
            ReviewRecord(
                programme_key=PROGRAMME,
                review_id=id,
                ordinal=1,
                decision="continue",
                notes="-",
                held_on=date(2023, 4, 1),
                recorded_at=now,
            )
        )
    session.flush()


def open_gate(session: Session, *ids: str) -> None:
    """Forget that these reviews (all four, unless named) were held."""
    session.execute(sa.delete(ReviewRecord).where(col(ReviewRecord.review_id).in_(ids or REVIEWS)))


def given(session: Session, *emails: str, zone: str = "UTC", **fields: Any) -> Event:
    """The programme, its reviews held, the mission to Munich, and a place on it for each address."""
    planned.load(session)
    hold_reviews(session)
    event = make_event(session, **fields)
    for email in emails:
        invite(session, event, email, zone)
    return event


def invite(session: Session, event: Event, email: str, zone: str = "UTC", **fields: Any) -> Attendee:
    """A person and their place, without a word to a campaign."""
    attendee = make_attendee(session, event, email, **fields)
    person_of(session, attendee).timezone = zone
    session.flush()
    return attendee


def person_of(session: Session, attendee: Attendee) -> Person:
    """Whose place it is."""
    return session.get_one(Person, attendee.person_id)


def started(session: Session, *emails: str, now: datetime = STARTED, zone: str = "UTC", text: str = SHORT) -> Event:
    """`given`, with a campaign that has started."""
    event = given(session, *emails, zone=zone)
    campaigns.start(session, event, load_cadence(text, "short.toml"), now)
    return event


def states(session: Session) -> dict[str, str]:
    """The state of every delivery by `step name`, the name being the address's first part."""
    session.expire_all()
    rows = session.exec(select(Delivery, Person).join(Person).order_by(col(Delivery.id)))
    return {f"{row.step} {person.email.split('@')[0]}": row.state for row, person in rows}


def row_of(session: Session, step: str, email: str = "ada@example.org") -> Delivery:
    """The delivery of a step to an address."""
    session.expire_all()
    query = select(Delivery).join(Person).where(Delivery.step == step, Person.email == email)
    return session.exec(query.order_by(col(Delivery.id).desc())).first() or _absent(step, email)


def _absent(step: str, email: str) -> Delivery:
    raise AssertionError(f"no {step} for {email}")


def run_out(session: Session, *where: sa.ColumnElement[bool]) -> None:
    """Let the leases run out by the database's clock."""
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    session.execute(sa.update(ROWS).where(ROWS.c.state == "sending", *where).values(lease_until=long_ago))


class Wire:
    """A way out that keeps what it takes. `before` and `after` are told of each message around its fence.

    What they raise is what the server did: before DATA, or after it began.
    """

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []
        self.connections = 0
        self.longest_seconds = 0.0
        self.wide = False
        self.connecting: Callable[[], None] = lambda: None
        self.before: Callable[[Outgoing], None] = lambda message: None
        self.after: Callable[[Outgoing], None] = lambda message: None

    @contextmanager
    def connect(self, most: int = 1, *, urgent: bool = False) -> Iterator[list[Wire]]:
        """Count it. One at a time, or `wide` as many as somebody wants."""
        self.connecting()
        self.connections += 1
        yield [self] * (most if self.wide else 1)

    @property
    def usable(self) -> bool:
        """It does not break."""
        return True

    def close(self) -> None:
        """Nothing is kept open."""

    def check(self) -> str:
        """It is always there."""
        return "wire"

    def send(self, message: Outgoing) -> Conversation:
        """Take the message if the fence lets it."""
        self.before(message)
        if not (yield FENCE):
            return False
        self.after(message)
        self.taken.append(message)
        return True

    @property
    def recipients(self) -> list[str]:
        """To whom, in order."""
        return [message.recipient for message in self.taken]


class House:
    """A database, a clock and a post room over a wire: what a worker has."""

    def __init__(self, database: Database, settings: Settings, now: datetime = STARTED) -> None:
        self.database, self.settings = database, settings
        self.clock, self.wire = FixedClock(now), Wire()
        self.postroom = Postroom(database, settings, self.wire, self.clock)

    def tick(self) -> Sequence[int]:
        """What a tick does to deliveries, and the ids it would ring for."""
        rung: list[int] = []
        tick(self.database, self.settings, rung.extend, self.clock())
        return rung

    def work(self, at: datetime | None = None) -> list[str]:
        """Tick and deliver at a moment until nothing is due; the subjects' recipients and steps that went, in order."""
        self.clock.at = at or self.clock.at
        before = len(self.wire.taken)
        while ids := self.tick():
            self.postroom.deliver(ids)
        return self.said(self.wire.taken[before:])

    def run(self, until: datetime) -> list[tuple[str, str]]:
        """Live until a moment, from one due moment to the next: what went, with when it went."""
        went = []
        while True:
            went += [(f"{self.clock.at:%m-%d %H:%M}", what) for what in self.work()]
            with self.database.read() as session:
                due = doorbell.next_due(session)
            if due is None or due > until:
                self.work(until)
                return went
            self.clock.at = due

    def said(self, messages: Sequence[Outgoing]) -> list[str]:
        """`step name` of messages."""
        with self.database.read() as session:
            query = select(Delivery.message_id, Delivery.step, Person.email).join(Person)
            known = {id: f"{step} {email.split('@')[0]}" for id, step, email in session.exec(query)}
        return [known[message.message_id] for message in messages]
