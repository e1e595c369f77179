"""Telling attendees of changes to the sessions that they attend, each of them once for each change.

What a message says is worked out when it is first claimed, from what its reader knows by then (`itinerary_rows`): so a
message that goes anyway, such as an update of the event, takes the news along, and the one that was written for them
alone finds nothing left to say and is cancelled. Where nothing goes anyway, that one is written here. It is mandatory,
so that no gate, hold or unsubscribe stops it: nobody should wait in a room where nothing is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import outbox
from events_service.db.tables import (
    Attendee,
    AttendeeSession,
    Campaign,
    CampaignStep,
    Event,
    EventSession,
)
from events_service.db.types import UTCDateTime
from events_service.domain.delivery import ITINERARY, UNSENT, delivery_key
from events_service.event_rows import id_of
from events_service.itinerary_rows import CARRIERS, CARRIES, Reader, plans
from events_service.outbox import MAY_HAVE_GONE, ROWS

_RETOLD = timedelta(days=2)
"""For how long after a change it is looked who heard meanwhile of what had been."""
_BATCH = 500
_TOLD = sa.exists().where(ROWS.c.attendee_id == col(Attendee.id), CARRIES, MAY_HAVE_GONE)
_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UTCDateTime)
_SINCE: sa.BindParameter[datetime] = sa.bindparam("since", type_=UTCDateTime)
_LATELY = (
    sa.select(col(Attendee.event_id), col(Attendee.id))
    .join(Event, col(Event.id) == col(Attendee.event_id))
    .where(
        col(Event.state) == "approved",
        col(Event.ends) > _NOW,
        col(Event.id).in_(sa.select(col(Campaign.event_id)).join(CampaignStep).where(col(CampaignStep.itinerary))),
        sa.or_(
            col(Event.id).in_(sa.select(col(EventSession.event_id)).where(col(EventSession.changed_at) > _SINCE)),
            col(Attendee.id).in_(
                sa.select(col(AttendeeSession.attendee_id)).where(col(AttendeeSession.changed_at) > _SINCE)
            ),
            col(Attendee.replied_at) > _SINCE,
        ),
        _TOLD,
        # Where it could not be told, it cannot be told now; another change, or an organiser's retry, will.
        sa.not_(
            sa.exists().where(
                ROWS.c.attendee_id == col(Attendee.id),
                ROWS.c.purpose.in_(CARRIERS),
                ROWS.c.state.in_(("failed", "bounced", "suppressed", "expired")),
                ROWS.c.changed_at > _SINCE,
            )
        ),
    )
    .order_by(col(Attendee.event_id), col(Attendee.id))
)
"""Who was told of an itinerary, and of whose sessions or wishes something changed lately."""
_IS_TOLD = sa.select(col(Attendee.id)).where(col(Attendee.id) == sa.bindparam("attendee"), _TOLD)
_BY_ATTENDEE = sa.select(ROWS.c.attendee_id, sa.func.count()).group_by(ROWS.c.attendee_id)


def sessions_changed(session: Session, event: Event, now: datetime) -> int:
    """Tell those who were told of sessions of an event that they are others now; how many.

    For changes of sessions alone. Where the event itself has moved or was cancelled, they are told of that, and the
    sessions go along.
    """
    forget_unsent(session, event)
    told = session.exec(select(Attendee.id).where(Attendee.event_id == event.id, _TOLD).order_by(col(Attendee.id)))
    return _tell(session, event, [id for id in told if id is not None], now)


def attendee_changed(session: Session, event: Event, attendee: Attendee, now: datetime) -> int:
    """Tell an attendee what they attend by now, if they were told of something else. Returns 1 or 0."""
    forget_unsent(session, event, attendee)
    return reply_changed(session, event, attendee, now)


def reply_changed(session: Session, event: Event, attendee: Attendee, now: datetime) -> int:
    """The same where only their reply to the event is another. Most have been told of no session yet."""
    told = session.connection().execute(_IS_TOLD, {"attendee": attendee.id}).scalars().all()
    return _tell(session, event, [id for id in told if id is not None], now)


def forget_unsent(session: Session, event: Event, attendee: Attendee | None = None) -> None:
    """Let messages that told of itineraries, and did not go, be written anew when they are claimed again."""
    session.flush()
    whose = (ROWS.c.attendee_id == attendee.id,) if attendee else ()
    frozen = (ROWS.c.state.in_(UNSENT), ROWS.c.content_id.is_not(None), CARRIES)
    stale = sa.update(ROWS).where(ROWS.c.event_id == event.id, *whose, *frozen)
    session.connection().execute(stale.values(content_id=None))


def retell(session: Session, now: datetime) -> int:
    """Of changes in the last two days, tell whoever does not know them by now. Returns how many.

    A message may have gone while something changed that its writer could not see, or the one that took the news along
    may have failed.
    """
    told = {"since": now - _RETOLD, "now": now}
    found: dict[int, list[int]] = {}
    for one in session.connection().execute(_LATELY, told):
        found.setdefault(one.event_id, []).append(one.id)
    return sum(_tell(session, session.get_one(Event, id), attendees, now) for id, attendees in found.items())


def _tell(session: Session, event: Event, attendee_ids: Sequence[int], now: datetime) -> int:
    """Write to those of these attendees who do not know what they should and to whom nothing goes that says it."""
    if event.state != "approved" or event.ends <= now:
        return 0
    written = 0
    for start in range(0, len(attendee_ids), _BATCH):
        batch = attendee_ids[start : start + _BATCH]
        readers = [Reader(id, id_of(event), id, introduces=False) for id in batch]
        behind = {id for id, plan in plans(session, readers, {id_of(event): event}).items() if plan.news}
        if behind:
            written += _write(session, event, behind - _on_its_way(session, behind), now)
    return written


def _on_its_way(session: Session, attendee_ids: Collection[int]) -> set[int]:
    """Those to whom a message goes that takes the news along: it has not been claimed yet."""
    going = sa.and_(ROWS.c.purpose.in_(CARRIERS), ROWS.c.state.in_(UNSENT), ROWS.c.attendee_id.in_(attendee_ids))
    return set(session.connection().execute(sa.select(ROWS.c.attendee_id).where(going)).scalars())


def _write(session: Session, event: Event, attendee_ids: Collection[int], now: datetime) -> int:
    """One message each. How many there were before is the revision in its key."""
    mine = sa.and_(ROWS.c.purpose == ITINERARY, ROWS.c.attendee_id.in_(attendee_ids))
    before = {id: count for id, count in session.connection().execute(_BY_ATTENDEE.where(mine))}
    people = select(Attendee.id, Attendee.person_id).where(col(Attendee.id).in_(attendee_ids))
    return outbox.post(
        session,
        [
            {
                "key": delivery_key(ITINERARY, id_of(event), "-", person_id, before.get(attendee_id, 0) + 1),
                "purpose": ITINERARY,
                "event_id": event.id,
                "step": ITINERARY,
                "attendee_id": attendee_id,
                "person_id": person_id,
                "mandatory": True,
                "priority": 1,
                "state": "pending",
                "sequence": event.sequence,
                "due_at": now,
                "next_at": now,
                "expires_at": event.ends,
                "unknown_policy": "resend",
                "fields": {},
                "attempts": 0,
                "created_at": now,
                "changed_at": now,
            }
            for attendee_id, person_id in session.exec(people.order_by(col(Attendee.id)))
            if attendee_id is not None and person_id is not None
        ],
    )
