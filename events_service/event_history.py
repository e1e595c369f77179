"""What a change to an event leaves behind: a row of its history, a new SEQUENCE where one is due, and stale feeds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session

from events_service import feeds, proposals
from events_service.db.tables import Event, EventChange
from events_service.event_rows import id_of


def note_change(
    session: Session,
    event: Event,
    action: str,
    now: datetime,
    detail: Mapping[str, Any] | None = None,
    *,
    anew: bool = False,
) -> int:
    """Record a change that was made to `event`, in its own transaction; how many feeds show it.

    `anew` is for changes of when, where or whether: they raise SEQUENCE by one (RFC 5546 section 2.1.4). `detail` is
    kept for good: no personal data in it.
    """
    if anew:
        event.sequence += 1
        event.changed_at = now
    session.add(event)
    session.add(EventChange(event_id=id_of(event), at=now, action=action, detail=dict(detail or {})))
    session.flush()
    if anew:
        proposals.event_changed(session, event, now)
    return feeds.touch_event(session, event, now)
