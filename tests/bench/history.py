"""Years of a ledger, written by the database itself: what went out long ago, and what waits for its day."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events_service.db.session import Database
from events_service.db.tables import Campaign, CampaignStep
from tests.attendance import make_event

EVENTS = 20
STEPS = 5
FUTURE = 2
"""Of so many events, each with as many steps, so many are still to come: a tenth of all rows are pending."""
PART = 20_000

_PERSON, _ATTENDEE, _DELIVERY, _STEP, _CAMPAIGN = (
    SQLModel.metadata.tables[name] for name in ("person", "attendee", "delivery", "campaign_step", "campaign")
)


def fill(database: Database, rows: int, now: datetime | None = None) -> None:
    """Write so many deliveries (a multiple of 100), of people and events of their own.

    Of a hundred that were due, 96 are sent, and one each is failed, bounced, unknown and expired.
    """
    now = now or datetime.now(UTC)
    people = rows // (EVENTS * STEPS)
    with database.write() as session:
        _people(session, people, now)
        events = [_event(session, number, now) for number in range(EVENTS)]
    for number, event in enumerate(events):
        with database.write() as session:
            _places(session, event, now)
            _deliveries(session, event, number >= EVENTS - FUTURE, now)
    if not database.is_sqlite:
        # As autovacuum does within minutes.
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")


def _people(session: Session, number: int, now: datetime) -> None:
    for start in range(0, number, PART):
        rows = [
            {
                "email": f"h{id}@example.org", "email_hash": f"history-{id}", "name": f"Person {id}",
                "organisation": "", "locale": "en", "timezone": "UTC", "role": "delegate", "source": "",
                "created_at": now, "changed_at": now,
            }
            for id in range(start, min(start + PART, number))
        ]  # fmt: skip
        session.execute(_PERSON.insert(), rows)


def _event(session: Session, number: int, now: datetime) -> int:
    """One every six weeks; the last ones are to come."""
    starts = now + timedelta(days=42 * (number - EVENTS + FUTURE) + 30)
    past = starts < now
    event = make_event(
        session, f"history-{number}", starts=starts, ends=starts + timedelta(days=2),
        state="done" if past else "approved", created_at=now, changed_at=now,
    )  # fmt: skip
    campaign = Campaign(event_id=event.id or 0, cadence="mission", started_at=now)
    session.add(campaign)
    session.flush()
    for position in range(STEPS):
        session.add(
            CampaignStep(
                campaign_id=campaign.id or 0,
                position=position,
                key=f"step-{position}",
                template="invitation",
                at_time=time(9),
                offset_days=position,
            )
        )
    return event.id or 0


def _places(session: Session, event: int, now: datetime) -> None:
    values = {
        "event_id": sa.literal(event),
        "person_id": _PERSON.c.id,
        "role": sa.literal("delegate"),
        "reply": sa.literal("none"),
        "reply_note": sa.literal(""),
        "added_at": sa.literal(now, _ATTENDEE.c.added_at.type),
    }
    chosen = sa.select(*values.values()).where(_PERSON.c.email.like("h%")).order_by(_PERSON.c.id)
    session.execute(_ATTENDEE.insert().from_select(list(values), chosen))


def _deliveries(session: Session, event: int, future: bool, now: datetime) -> None:
    when = now + timedelta(days=40) if future else now - timedelta(days=60)
    hundredth = _ATTENDEE.c.id % 100
    outcomes = {0: "failed", 1: "bounced", 2: "unknown", 3: "expired"}
    state = sa.case(*[(hundredth == n, sa.literal(name)) for n, name in outcomes.items()], else_=sa.literal("sent"))
    instant = _DELIVERY.c.due_at.type
    sqlite = session.get_bind().dialect.name == "sqlite"
    chance = sa.func.hex(sa.func.randomblob(16)) if sqlite else sa.func.md5(sa.cast(sa.func.random(), sa.Text))
    text = sa.Text()
    values: dict[str, sa.ColumnElement[Any]] = {
        "key": sa.literal(f"campaign:{event}:") + _STEP.c.key + ":" + sa.cast(_ATTENDEE.c.person_id, text) + ":0",
        "purpose": sa.literal("campaign"),
        "event_id": sa.literal(event),
        "step_id": _STEP.c.id,
        "step": _STEP.c.key,
        "attendee_id": _ATTENDEE.c.id,
        "person_id": _ATTENDEE.c.person_id,
        "mandatory": sa.literal(False),
        "priority": sa.literal(1),
        "state": sa.literal("pending") if future else state,
        "due_at": sa.literal(when, instant),
        "next_at": sa.literal(when, instant),
        "expires_at": sa.literal(when + timedelta(days=3), instant),
        "unknown_policy": sa.literal("hold"),
        "attempts": sa.literal(0 if future else 1),
        "sequence": sa.literal(0),
        "fields": sa.literal({}, _DELIVERY.c.fields.type),
        "message_id": sa.null() if future else sa.literal("<") + chance + "@events.example.org>",
        "sent_at": sa.null() if future else sa.literal(when, instant),
        "lease_token": sa.null() if future else sa.func.substr(chance, 1, 16),
        "created_at": sa.literal(when - timedelta(days=30), instant),
        "changed_at": sa.literal(when, instant),
    }
    chosen = (
        sa.select(*values.values())
        .select_from(_ATTENDEE)
        .join(_CAMPAIGN, _CAMPAIGN.c.event_id == _ATTENDEE.c.event_id)
        .join(_STEP, _STEP.c.campaign_id == _CAMPAIGN.c.id)
        .where(_ATTENDEE.c.event_id == event)
        .order_by(_STEP.c.id, _ATTENDEE.c.id)
    )
    session.execute(_DELIVERY.insert().from_select(list(values), chosen))
