"""Single deliveries as an organiser sees them: listed, shown, tried again, settled by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import holds, outbox
from events_service.db.tables import CampaignStep, Delivery, Event, Person
from events_service.domain.delivery import HELD_IN_DOUBT, STATES
from events_service.errors import ConflictError, NotFoundError, UsageError

FAILED, UNKNOWN = "failed", "unknown"
_BATCH = 10_000


def listing(session: Session, event: Event | None, state: str | None, limit: int | None = None) -> list[dict[str, Any]]:
    """The deliveries of an event, or of all, in a state, or in any, by due time; the first `limit` of them.

    UsageError for no such state.
    """
    if state is not None and state not in STATES:
        raise UsageError(f"{state!r} is no state of a delivery; there are {', '.join(STATES)}")
    query = _query()
    if event is not None:
        query = query.where(col(Delivery.event_id) == event.id)
    if state is not None:
        query = query.where(col(Delivery.state) == state)
    rows = session.execute(query.order_by(col(Delivery.due_at), col(Delivery.id)).limit(limit))
    return [_as_json(*row) for row in rows]


def show(session: Session, id: int) -> dict[str, Any]:
    """One delivery, with what explains its state: hold, attempts, lease and the step's policy. NotFoundError."""
    found = session.execute(_query().where(col(Delivery.id) == id)).first()
    if found is None:
        raise NotFoundError("delivery", id, "`events delivery list` shows those there are")
    row: Delivery = found[0]
    step = session.get(CampaignStep, row.step_id) if row.step_id else None
    return _as_json(*found) | {
        "purpose": row.purpose,
        "mandatory": row.mandatory,
        "sequence": row.sequence,
        "next_at": row.next_at,
        "expires_at": row.expires_at,
        "in_data_at": row.in_data_at,
        "lost_leases": row.lost_leases,
        "last_code": row.last_code,
        "when_late": step.on_late if step else None,
        "when_unknown": row.unknown_policy,
    }


def retry(session: Session, id: int, now: datetime) -> dict[str, Any]:
    """Try a failed delivery again, with the same identifiers. ConflictError in any other state."""
    shown = show(session, id)
    if not outbox.retry(session, now, outbox.ROWS.c.id == id):
        raise ConflictError(f"delivery {id} is {shown['state']}; only a failed one is tried again by hand")
    session.expire_all()
    return show(session, id)


def retry_failed(session: Session, event: Event, now: datetime) -> list[dict[str, Any]]:
    """Try all failed deliveries of an event again, with the same identifiers: as `listing` gives them, by due time."""
    ids = outbox.retry(session, now, outbox.ROWS.c.event_id == event.id)
    session.expire_all()
    # SQLite takes no more than 32,766 values in a statement.
    batches = [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]
    rows = [row for batch in batches for row in session.execute(_query().where(col(Delivery.id).in_(batch)))]
    return [_as_json(*row) for row in sorted(rows, key=lambda row: (row[0].due_at, row[0].id))]


def settle(session: Session, id: int, word: str, now: datetime) -> dict[str, Any]:
    """An organiser's word on a delivery that is unknown, or in doubt after a restore; ConflictError for any other.

    The word is `arrived`, or `lost`, which sends it again.
    """
    arrived = _word(word)
    shown = show(session, id)
    settled = outbox.settle_by_hand(session, id, arrived, now)
    if not settled and not holds.settle_in_doubt(session, arrived, now, outbox.ROWS.c.id == id):
        raise ConflictError(f"delivery {id} is {shown['state']}; only an unknown one is settled by hand")
    session.expire_all()
    return show(session, id)


def settle_event(session: Session, event: Event, word: str, now: datetime) -> list[dict[str, Any]]:
    """The same word on all of an event that are unknown or in doubt: as `listing` gives them, by due time."""
    arrived, mine = _word(word), col(Delivery.event_id) == event.id
    doubtful = sa.or_(col(Delivery.state) == UNKNOWN, col(Delivery.hold_reason) == HELD_IN_DOUBT)
    ids = list(session.exec(select(Delivery.id).where(mine, doubtful)))
    for id in ids:
        outbox.settle_by_hand(session, id or 0, arrived, now)
    holds.settle_in_doubt(session, arrived, now, outbox.ROWS.c.event_id == event.id)
    session.expire_all()
    settled, rows = set(ids), session.execute(_query().where(mine).order_by(col(Delivery.due_at), col(Delivery.id)))
    return [_as_json(*row) for row in rows if row[0].id in settled]


def _word(word: str) -> bool:
    if word not in ("arrived", "lost"):
        raise UsageError(f"{word!r} settles nothing; say arrived or lost")
    return word == "arrived"


def _query() -> sa.Select[Any]:
    return (
        select(Delivery, col(Event.slug), col(Person.email))  # type: ignore[return-value]
        .outerjoin(Event, col(Event.id) == col(Delivery.event_id))
        .outerjoin(Person, col(Person.id) == col(Delivery.person_id))
    )


def _as_json(row: Delivery, slug: str | None, email: str | None) -> dict[str, Any]:
    return {
        "id": row.id,
        "key": row.key,
        "event": slug,
        "step": row.step,
        "email": email or row.address,
        "state": row.state,
        "hold_reason": row.hold_reason if row.state == "held" else None,
        "due_at": row.due_at,
        "attempts": row.attempts,
        "message_id": row.message_id,
        "sent_at": row.sent_at,
        "last_error": row.last_error,
    }
