"""Mails that answer a calendar program: its object once more (REFRESH), and no to the times of a COUNTER.

Each is one row of the ledger, written in the transaction of what it answers, and answers one person's own act: no gate,
hold or unsubscribe stops it, a dead address does.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from events_service import outbox, removals
from events_service.db.tables import Attendee, Event, Proposal
from events_service.domain.delivery import DECLINE_COUNTER, REFRESH, delivery_key
from events_service.event_rows import id_of
from events_service.outbox import ROWS

REFRESHES_A_DAY = 5
"""So many objects go to one attendee in a day: two programs that answer each other must not go on for ever."""
LIFE = timedelta(days=1)
"""An object that comes later than this answers nothing any more."""


def refresh(session: Session, event: Event, attendee: Attendee, mail: int, now: datetime) -> str | None:
    """Write the present object to an attendee, as the mail of that number asked; None, or why it is not sent.

    A request with their answer and the present SEQUENCE, or the cancellation of an event that is off (RFC 5546 3.2.6).
    The attendee's row is held by the caller.
    """
    if attendee.person_id is None or event.ends <= now:
        return "the event is over"
    if why := removals.standing(event, attendee):
        return why
    lately = sa.and_(ROWS.c.attendee_id == attendee.id, ROWS.c.step == REFRESH, ROWS.c.created_at > now - LIFE)
    if sum(outbox.counts(session, lately).values()) >= REFRESHES_A_DAY:
        return f"they were sent it {REFRESHES_A_DAY} times within a day"
    # Of an event that is off only its cancellation may go, and says the same however often.
    purpose = "cancellation" if event.state == "cancelled" else REFRESH
    key = delivery_key(REFRESH, id_of(event), "-", attendee.person_id, mail)
    ends = min(now + LIFE, event.ends)
    outbox.post(session, [_row(event, attendee, key, purpose, REFRESH, now, expires_at=ends, unknown_policy="resend")])
    return None


def decline(session: Session, event: Event, attendee: Attendee, proposal: Proposal, now: datetime) -> None:
    """Write that the proposed times are declined (RFC 5546 3.2.8), once for a proposal.

    Where nobody knows whether it arrived, an organiser says what to do: it is no message that people wait for.
    """
    if attendee.person_id is None:
        return
    key = delivery_key(DECLINE_COUNTER, id_of(event), "-", attendee.person_id, proposal.id or 0)
    row = _row(
        event, attendee, key, DECLINE_COUNTER, DECLINE_COUNTER, now, expires_at=event.ends, unknown_policy="hold"
    )
    outbox.post(session, [row])


def _row(
    event: Event, attendee: Attendee, key: str, purpose: str, step: str, now: datetime, **rest: Any
) -> dict[str, Any]:
    return {
        "key": key,
        "purpose": purpose,
        "event_id": event.id,
        "step": step,
        "attendee_id": attendee.id,
        "person_id": attendee.person_id,
        "mandatory": True,
        "priority": 1,
        "state": "pending",
        "sequence": event.sequence,
        "due_at": now,
        "next_at": now,
        "fields": {},
        "attempts": 0,
        "created_at": now,
        "changed_at": now,
        **rest,
    }
