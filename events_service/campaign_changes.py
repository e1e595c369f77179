"""What becomes of a campaign's deliveries when its event changes, is called off, or somebody is taken off it.

All of it is written in the transaction of that change, and once more by ticks, for two days: a worker's fence that read
the event as it was before may have told somebody whom the change could not see. The keys make that harmless.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import campaign_rows as rows
from events_service import itinerary_changes
from events_service.db.tables import Attendee, Event, EventChange
from events_service.db.types import UTCDateTime
from events_service.domain.delivery import UNSENT
from events_service.outbox import ROWS

_RETOLD = timedelta(days=2)
"""For how long after a change it is looked who was told meanwhile of what had been."""
_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UTCDateTime)
_SINCE: sa.BindParameter[datetime] = sa.bindparam("since", type_=UTCDateTime)
_CANCELLED = select(Event).where(Event.state == "cancelled", col(Event.cancelled_at) > _SINCE).order_by(col(Event.id))
_STANDING = select(Event).where(Event.state == "approved", col(Event.ends) > _NOW).order_by(col(Event.id))
_CHANGED = _STANDING.where(
    col(Event.id).in_(
        select(EventChange.event_id).where(
            col(EventChange.action).in_(("moved", "changed")), col(EventChange.at) > _SINCE
        )
    )
)
_LEFT = _STANDING.where(col(Event.id).in_(select(Attendee.event_id).where(col(Attendee.removed_at) > _SINCE)))


def event_moved(session: Session, event: Event, now: datetime) -> int:
    """Give unsent deliveries of a moved event their new moments, and tell those who know where or when it was.

    Returns how many deliveries were touched or written.
    """
    touched = rows.retime(session, event, now)
    itinerary_changes.forget_unsent(session, event)
    return touched + rows.tell(session, event, "update", rows.to_update(session, event), now, event.ends)


def retime_stale(session: Session, event_ids: Iterable[int], now: datetime) -> None:
    """Give new moments to deliveries that were claimed while their event moved."""
    for id in event_ids:
        rows.retime(session, session.get_one(Event, id), now)


def event_cancelled(session: Session, event: Event, now: datetime) -> int:
    """Cancel what is unsent and tell everybody who was told of the event. Returns how many will be told.

    Running it again finds who was told meanwhile, by a worker that had claimed before; nobody is told twice.
    """
    session.connection().execute(
        sa.update(ROWS)
        .where(ROWS.c.event_id == event.id, ROWS.c.state.in_(UNSENT), ROWS.c.purpose != "cancellation")
        .values(state="cancelled", hold_reason=None, last_error="the event was cancelled", changed_at=now)
    )
    return rows.tell(session, event, "cancellation", rows.to_cancel(session, event), now, event.ends)


def attendee_removed(session: Session, event: Event, attendee: Attendee, now: datetime) -> int:
    """Cancel what is unsent to somebody who was taken off an event, and tell them, if they know of it; how many are."""
    rows.drop_unsent(session, [attendee], "no longer on the event", now)
    return _uninvite(session, event, now)


def _uninvite(session: Session, event: Event, now: datetime) -> int:
    return rows.tell(session, event, "uninvited", rows.to_uninvite(session, event), now, event.ends)


def retell(session: Session, now: datetime) -> int:
    """Tell who was told of an event while it was changed or called off, or they were taken off it. Returns how many."""
    return retell_cancelled(session, now) + retell_moved(session, now) + retell_removed(session, now)


def retell_cancelled(session: Session, now: datetime) -> int:
    """Run `event_cancelled` again for events cancelled in the last two days: see there."""
    events = session.exec(_CANCELLED, params={"since": now - _RETOLD}).all()
    return sum(event_cancelled(session, event, now) for event in events)


def retell_moved(session: Session, now: datetime) -> int:
    """Of events moved in the last two days, tell who was still told of the old times while it moved. Returns how many.

    A message whose fence read the event as it was before the move is the one that `event_moved` could not see.
    """
    events = session.exec(_CHANGED, params={"since": now - _RETOLD, "now": now}).all()
    return sum(rows.tell(session, event, "update", rows.behind(session, event), now, event.ends) for event in events)


def retell_removed(session: Session, now: datetime) -> int:
    """Of those taken off in the last two days, tell who heard of the event at that very moment. Returns how many."""
    events = session.exec(_LEFT, params={"since": now - _RETOLD, "now": now}).all()
    return sum(_uninvite(session, event, now) for event in events)
