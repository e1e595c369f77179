"""Many people, invited at once: the ledger rows of a campaign that is due now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events_service import campaigns, outbox
from events_service.db.session import Database
from events_service.domain.cadence import load_cadence
from tests import planned
from tests.attendance import make_event
from tests.ledger import SHORT, hold_reviews

ONE = SHORT.split('[[steps]]\nkey = "reminder"')[0]


def crowd(database: Database, size: int, now: datetime | None = None, policy: str = "hold") -> None:
    """`size` people on an event that begins in fifty days, each with an invitation that was due ten days ago."""
    now = now or datetime.now(UTC)
    with database.write() as session:
        planned.load(session)
        hold_reviews(session, now=now)
        event = make_event(
            session,
            starts=now + timedelta(days=50),
            ends=now + timedelta(days=52),
            created_at=now,
            changed_at=now,
        )
        people(session, event.id or 0, size, now)
        text = ONE.replace("calendar = true", f'calendar = true\nunknown = "{policy}"')
        campaigns.start(session, event, load_cadence(text, "one.toml"), now)


def people(session: Session, event_id: int, size: int, now: datetime) -> None:
    """People and their places, by the batch."""
    tables = SQLModel.metadata.tables
    rows = [
        {
            "email": f"p{number}@example.org",
            "email_hash": f"{number:064x}",
            "name": f"Person {number}",
            "organisation": "",
            "locale": "en",
            "timezone": "UTC",
            "role": "delegate",
            "source": "",
            "created_at": now,
            "changed_at": now,
        }
        for number in range(size)
    ]
    session.execute(tables["person"].insert(), rows)
    ids = session.execute(sa.select(tables["person"].c.id)).scalars().all()
    places = [
        {
            "event_id": event_id,
            "person_id": id,
            "role": "delegate",
            "reply": "none",
            "reply_note": "",
            "added_at": now,
        }
        for id in ids
    ]
    session.execute(tables["attendee"].insert(), places)


def counts(database: Database) -> dict[str, int]:
    """How many deliveries are in each state."""
    with database.read() as session:
        return outbox.counts(session)
