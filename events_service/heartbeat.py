"""When a live scheduler last ticked: noted in the database, and when it began to also in a file of the data folder.

A monitor reads the first. The file outlives the database: where it is the later of the two, an older copy of the
database has been put in its place, and what that copy calls unsent may have gone long ago (`restored`).
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Heartbeat

log = structlog.get_logger(__name__)

_ROW = SQLModel.metadata.tables["heartbeat"]
_FILE = "heartbeat"


def begin(database: Database, settings: Settings, now: datetime) -> None:
    """Note that a tick begins: in the database, then in the file, so that the file is never ahead on its own.

    It comes before the tick, so that nothing which that finds due can be sent without the note. A file that cannot be
    written is a line in the log: nothing else depends on it.
    """
    with database.write() as session:
        found = raise_to(session, now)
    path = settings.data_dir / _FILE
    draft = path.with_name(f"{_FILE}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(f"{found.lineage} {(found.begun_at or now).astimezone(UTC).isoformat()}\n")
        draft.replace(path)
    except OSError as error:
        log.warning("the heartbeat cannot be kept", file=str(path), why=error.strerror)


def end(database: Database, now: datetime) -> None:
    """Note that a tick has done its work."""
    with database.write() as session:
        session.connection().execute(sa.update(_ROW).values(ended_at=now))


def raise_to(session: Session, now: datetime) -> Heartbeat:
    """The heartbeat, made if there is none, and never lowered: a clock that was set back is no restore."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    fresh = insert(_ROW).values(id=1, lineage=secrets.token_hex(8), begun_at=now)
    later = sa.or_(_ROW.c.begun_at.is_(None), _ROW.c.begun_at < now)
    session.connection().execute(
        fresh.on_conflict_do_update(index_elements=["id"], set_={"begun_at": now}, where=later)
    )
    return session.get_one(Heartbeat, 1, populate_existing=True)


def last(session: Session) -> Heartbeat | None:
    """The heartbeat as the database has it; None before the first tick of a live scheduler."""
    return session.get(Heartbeat, 1)


def set_back(session: Session, settings: Settings) -> datetime | None:
    """By when the service last ran, where the database has forgotten that it did; None where it has not.

    Two ticks are added to the last: what came due before the next could begin may have gone without another note.
    """
    found, known = last(session), _read(settings.data_dir / _FILE)
    if found is None or known is None or known[0] != found.lineage:
        # Another database's, or none: it says nothing of this one.
        return None
    if found.begun_at is not None and known[1] <= found.begun_at:
        return None
    return known[1] + timedelta(seconds=2 * settings.tick_seconds)


def _read(path: Path) -> tuple[str, datetime] | None:
    try:
        lineage, _, at = path.read_text().strip().partition(" ")
        known = datetime.fromisoformat(at)
    except (OSError, ValueError):
        return None
    return (lineage, known) if known.tzinfo else None
