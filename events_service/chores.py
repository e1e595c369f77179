"""What falls due with time and holds nobody up: telling of changes once more, and building calendars anew.

It may take seconds, where an event has many thousands of attendees or a feed many events, so that live it is a worker's
and not the tick's. Any number may do it at once: what it writes has unique keys, and what it builds it locks.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from events_service import campaign_changes, feeds, itinerary_changes
from events_service.db.session import Database


def do(database: Database, now: datetime) -> tuple[int, int]:
    """All of it: how many deliveries were written, and how many calendars became different."""
    with database.write() as session:
        written = retell(session, now)
    return written, feeds.rebuild_stale(database, now)


def retell(session: Session, now: datetime) -> int:
    """Write to those who were told of an event, or of its sessions, while these changed. Returns how many."""
    return campaign_changes.retell(session, now) + itinerary_changes.retell(session, now)
