"""After a backup was restored: what the ledger calls unsent may have gone since, so it is held for an organiser's word.

Everything that was waiting and came due before the service last ran is in doubt; what came due while it was down is
not, as nobody was there to send it. Where the data folder's heartbeat shows that the database was set back, the next
tick does this by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
import structlog
from sqlmodel import Session, SQLModel, col, select

from events_service import feeds, heartbeat, holds, outbox
from events_service.clock import system_clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Event, Heartbeat
from events_service.domain.delivery import HELD_IN_DOUBT
from events_service.errors import EventsError, UsageError
from events_service.outbox import ROWS

log = structlog.get_logger(__name__)

_ROW = SQLModel.metadata.tables["heartbeat"]
_STANDS = timedelta(days=1)
"""For so long a restore is still being dealt with, and to go through the ledger once more is for that same restore."""
_LEAP = 10_000_000
"""How many numbers are left out after a restore: no backup is so old that more rows were written since."""


def doubt(session: Session, settings: Settings, until: datetime | None, now: datetime) -> dict[str, Any]:
    """Go through the ledger of a restored database at `now`, and say what was done.

    `until` is when the service last ran before the restore. By default the data folder's heartbeat says, or what was
    said of this same restore within a day, or else it is now. What is past its time expires, what may have gone is
    held, what was in DATA is unknown, every feed is given a new revision, and numbers that rows written since the
    backup had are never given again. Doing it again changes nothing more. UsageError for a time to come.
    """
    if until is not None and until > now:
        raise UsageError(f"--until {until:%Y-%m-%dT%H:%MZ} is to come; say when the service last ran")
    before = heartbeat.alone(session)
    known = heartbeat.set_back(session, settings)
    stands = _standing(before, now) if known or heartbeat.in_step(session, settings) else None
    backed_up = before and (before.restored_from if stands and not known else before.begun_at)
    if known or not stands:
        # First of all: on PostgreSQL it waits for those who are taking numbers, who may wait for rows.
        _leap(session)
    # A clock that ran ahead when it was noted is no time to come.
    until = until or max((at for at in (known and min(known, now), stands) if at), default=now)
    # What is in doubt and too late expires, and whoever may have heard of the event is still known.
    unknown = holds.hold_in_doubt(session, until, now)
    expired = outbox.expire(session, now)
    held = outbox.counts(session, ROWS.c.hold_reason == HELD_IN_DOUBT, ROWS.c.doubted_at == now).get("held", 0)
    renewed = feeds.renew(session, now)
    heartbeat.note(session, now)
    heartbeat.catch_up(session, settings, now)
    values = {"restored_from": backed_up, "restored_until": until, "restored_at": now}
    session.connection().execute(sa.update(_ROW).values(values))
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
        # Another process may have been quicker, and what it did must not be done for a later time.
        heartbeat.alone(session)
        if heartbeat.set_back(session, settings) is None:
            return False
        done = doubt(session, settings, None, now)
    feeds.rebuild_stale(database, now)
    log.error(
        "an older copy of the database was restored; what may have gone since it was made is held",
        backup=done["backup"] and done["backup"].isoformat(),
        until=done["until"].isoformat(),
        **{name: done[name] for name in ("held", "unknown", "expired")},
    )
    return True


def wake(database: Database, settings: Settings, now: datetime) -> None:
    """Before a process takes from the queue: see that the database was not set back, and note that it lives."""
    notice(database, settings, now)
    heartbeat.begin(database, settings, now)


@contextmanager
def awake(database: Database, settings: Settings) -> Iterator[None]:
    """Do so at every tick's length, beside a worker: its machine may have no scheduler that does."""
    stopped = threading.Event()

    def watch() -> None:
        while not stopped.wait(settings.tick_seconds):
            try:
                wake(database, settings, system_clock())
            except EventsError as error:
                log.warning("the heartbeat cannot be noted", why=str(error))

    thread = threading.Thread(target=watch, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        # One that waits for a database that is away must not take the time for what is in DATA.
        thread.join(timeout=1.0)


def _standing(before: Heartbeat | None, now: datetime) -> datetime | None:
    """Until when the service ran, as was found when the restore that is being dealt with was."""
    if before is None or before.restored_at is None or not timedelta() <= now - before.restored_at < _STANDS:
        return None
    return before.restored_until


def _leap(session: Session) -> None:
    """Leave out the numbers of rows that the backup does not know: keys, links and Message-IDs have them."""
    connection = session.connection()
    tables = [table.name for table in SQLModel.metadata.sorted_tables if table.autoincrement_column is not None]
    for name in tables:
        if connection.dialect.name == "sqlite":
            leapt = connection.execute(
                sa.text("UPDATE sqlite_sequence SET seq = seq + :leap WHERE name = :name"),
                {"leap": _LEAP, "name": name},
            )
            if not leapt.rowcount:
                connection.execute(
                    sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :leap)"),
                    {"leap": _LEAP, "name": name},
                )
            continue
        sequence = connection.execute(
            sa.text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": name}
        ).scalar_one()
        at = connection.execute(sa.text(f"SELECT last_value FROM {sequence}")).scalar_one()  # noqa: S608  (its own name)
        # Unlike setval it is undone with the rest.
        connection.exec_driver_sql(f"ALTER SEQUENCE {sequence} RESTART WITH {int(at) + _LEAP}")


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
