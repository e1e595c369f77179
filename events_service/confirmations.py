"""Confirmations: whoever replied by link is told by mail what we have them down for.

They are written in the reply's own transaction, one for each reply that changed something, and go before campaigns. An
unsubscribe from campaigns does not stop them, as they answer what the person has just done; a dead address does.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col

from events_service import outbox
from events_service.db.tables import Attendee, AttendeeReply, Event
from events_service.db.types import UTCDateTime
from events_service.domain.delivery import CONFIRMATION, UNSENT, delivery_key
from events_service.event_rows import id_of
from events_service.outbox import ROWS

LIFE = timedelta(days=1)
"""A confirmation that comes later than this would puzzle more than it helps."""

AT_ONCE = 3
"""So many to one attendee in a day go at once; each further one waits twice as long as the one before."""
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=6)
_ATTENDEE: sa.BindParameter[int] = sa.bindparam("attendee")
_REPLACED = (
    sa.update(ROWS)
    .where(ROWS.c.attendee_id == _ATTENDEE, ROWS.c.purpose == CONFIRMATION, ROWS.c.state.in_(UNSENT))
    .values(
        state="cancelled", hold_reason=None, last_error="a later reply replaced it",
        changed_at=sa.bindparam("now", type_=UTCDateTime),
    )
)  # fmt: skip
_APPLIED = sa.select(sa.func.count()).where(
    col(AttendeeReply.attendee_id) == _ATTENDEE, col(AttendeeReply.applied), col(AttendeeReply.session_id).is_(None)
)
_WENT = sa.select(sa.func.count()).where(
    ROWS.c.attendee_id == _ATTENDEE, ROWS.c.purpose == CONFIRMATION, ROWS.c.state != "cancelled",
    ROWS.c.created_at > sa.bindparam("since", type_=UTCDateTime),
)  # fmt: skip
_WRITTEN = sa.select(ROWS.c.id).where(ROWS.c.key == sa.bindparam("of_key"))


def reply_changed(session: Session, event: Event, attendee: Attendee, via: str, now: datetime) -> tuple[int, ...]:
    """Drop what would still confirm an older reply, and write a confirmation of this one if it came by link.

    Returns the ids of deliveries that somebody waits for now and that may go. The reply is on record already, under a
    lock on its attendee: its number among those that were applied is the revision in the key.
    """
    connection = session.connection()
    connection.execute(_REPLACED, {"attendee": attendee.id, "now": now})
    if via != "link" or attendee.person_id is None:
        return ()
    number = connection.execute(_APPLIED, {"attendee": attendee.id}).scalar_one()
    due = now + _wait(session, attendee, now)
    key = delivery_key(CONFIRMATION, id_of(event), "-", attendee.person_id, number)
    outbox.post(
        session,
        [
            {
                "key": key,
                "purpose": CONFIRMATION,
                "event_id": event.id,
                "step": CONFIRMATION,
                "attendee_id": attendee.id,
                "person_id": attendee.person_id,
                "mandatory": True,
                "priority": 0,
                "state": "pending",
                "sequence": event.sequence,
                "due_at": due,
                "next_at": due,
                "expires_at": min(now + LIFE, event.ends),
                "unknown_policy": "resend",
                "fields": {},
                "attempts": 0,
                "created_at": now,
                "changed_at": now,
            }
        ],
    )
    if due > now:
        return ()
    return tuple(connection.execute(_WRITTEN, {"of_key": key}).scalars())


def _wait(session: Session, attendee: Attendee, now: datetime) -> timedelta:
    """How long the next confirmation waits: not at all, unless several of the last day went or may still go.

    Whoever has a link can press it all day, and each mail goes to the attendee. One that waits is cancelled by a later
    reply, which waits in its place: the last one is confirmed in the end.
    """
    lately = {"attendee": attendee.id, "since": now - LIFE}
    more = session.connection().execute(_WENT, lately).scalar_one() - AT_ONCE
    return min(_FIRST_WAIT * 2 ** min(more, 20), _LONGEST_WAIT) if more >= 0 else timedelta()
