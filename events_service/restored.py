"""After a backup was restored: what the ledger calls unsent may have gone since, so it is held for an organiser's word.

Everything that was waiting and came due before the service last ran is in doubt; what came due while it was down is
not, as nobody was there to send it. Where the data folder's heartbeat shows that the database was set back, the next
tick does this by itself.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
import structlog
from sqlmodel import Session, SQLModel, col, select

from events_service import feeds, heartbeat, holds, outbox
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Event
from events_service.domain.delivery import HELD_IN_DOUBT
from events_service.errors import UsageError
from events_service.outbox import ROWS

log = structlog.get_logger(__name__)

_ROW = SQLModel.metadata.tables["heartbeat"]


def doubt(session: Session, settings: Settings, until: datetime | None, now: datetime) -> dict[str, Any]:
    """Go through the ledger of a restored database at `now`, and say what was done.

    `until` is when the service last ran before the restore; by default the data folder's heartbeat says, or else it is
    now. What is past its time expires, what may have gone is held, what was in DATA is unknown, and every feed is given
    a new revision. Doing it again changes nothing more. UsageError for a time to come.
    """
    if until is not None and until > now:
        raise UsageError(f"--until {until:%Y-%m-%dT%H:%MZ} is to come; say when the service last ran")
    known = heartbeat.set_back(session, settings)
    until = until or known or now
    before = heartbeat.last(session)
    backed_up = before.begun_at if before else None
    # What is in doubt and too late expires, and whoever may have heard of the event is still known.
    unknown = holds.hold_in_doubt(session, until, now)
    expired = outbox.expire(session, now)
    held = outbox.counts(session, ROWS.c.hold_reason == HELD_IN_DOUBT, ROWS.c.doubted_at == now).get("held", 0)
    renewed = feeds.renew(session, now)
    heartbeat.raise_to(session, max(known or now, now))
    session.connection().execute(sa.update(_ROW).values(restored_from=backed_up, restored_at=now))
    return {
        "backup": backed_up,
        "until": until,
        "expired": expired,
        "held": held,
        "unknown": unknown,
        "feeds": renewed,
        "events": _by_event(session),
    }


def notice(database: Database, settings: Settings, now: datetime) -> bool:
    """Do so where the database was set back behind the data folder's heartbeat; whether it was. Else one small read."""
    with database.read() as session:
        if heartbeat.set_back(session, settings) is None:
            return False
    with database.write() as session:
        done = doubt(session, settings, None, now)
    feeds.rebuild_stale(database, now)
    log.error(
        "an older copy of the database was restored; what may have gone since it was made is held",
        backup=done["backup"] and done["backup"].isoformat(),
        until=done["until"].isoformat(),
        **{name: done[name] for name in ("held", "unknown", "expired")},
    )
    return True


def _by_event(session: Session) -> list[dict[str, Any]]:
    """What waits for an organiser's word, by event."""
    in_doubt = ROWS.c.hold_reason == HELD_IN_DOUBT
    query = (
        select(
            col(Event.slug),
            sa.func.count().filter(in_doubt),
            sa.func.count().filter(ROWS.c.state == "unknown"),
        )
        .select_from(ROWS.outerjoin(sa.inspect(Event).local_table, col(Event.id) == ROWS.c.event_id))
        .where(sa.or_(in_doubt, ROWS.c.state == "unknown"))
        .group_by(col(Event.slug))
        .order_by(col(Event.slug))
    )
    return [{"event": slug, "held": held, "unknown": unknown} for slug, held, unknown in session.execute(query)]
