"""When a live scheduler last ticked: noted in the database, and beside it in a file of the data folder.

A monitor reads the first. The second outlives the database: where it is the later of the two, an older copy of the
database has been put in its place, and what that copy calls unsent may have gone long ago (`restored`).
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
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


def beat(database: Database, settings: Settings, now: datetime) -> None:
    """Note that a tick has ended: in the database, then in the file, so that the file is never ahead on its own.

    A file that cannot be written is a line in the log: nothing else depends on it.
    """
    with database.write() as session:
        found = raise_to(session, now)
    path = settings.data_dir / _FILE
    draft = path.with_name(f"{_FILE}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(f"{found.lineage} {(found.ticked_at or now).astimezone(UTC).isoformat()}\n")
        draft.replace(path)
    except OSError as error:
        log.warning("the heartbeat cannot be kept", file=str(path), why=error.strerror)


def raise_to(session: Session, now: datetime) -> Heartbeat:
    """The heartbeat, made if there is none, and never lowered: a clock that was set back is no restore."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    fresh = insert(_ROW).values(id=1, lineage=secrets.token_hex(8), ticked_at=now)
    later = sa.or_(_ROW.c.ticked_at.is_(None), _ROW.c.ticked_at < now)
    session.connection().execute(
        fresh.on_conflict_do_update(index_elements=["id"], set_={"ticked_at": now}, where=later)
    )
    return session.get_one(Heartbeat, 1, populate_existing=True)


def last(session: Session) -> Heartbeat | None:
    """The heartbeat as the database has it; None before the first tick of a live scheduler."""
    return session.get(Heartbeat, 1)


def set_back(session: Session, settings: Settings) -> datetime | None:
    """When the service last ticked, where the database has forgotten that it did; None where it has not."""
    found, known = last(session), _read(settings.data_dir / _FILE)
    if found is None or known is None or known[0] != found.lineage:
        # Another database's, or none: it says nothing of this one.
        return None
    return known[1] if found.ticked_at is None or known[1] > found.ticked_at else None


def _read(path: Path) -> tuple[str, datetime] | None:
    try:
        lineage, _, at = path.read_text().strip().partition(" ")
        known = datetime.fromisoformat(at)
    except (OSError, ValueError):
        return None
    return (lineage, known) if known.tzinfo else None
