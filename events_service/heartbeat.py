"""That the service lives: noted in the database, and how often it was also in a file of the data folder.

A monitor reads when a tick last ended. The file outlives the database: where it has counted further than the row of
its folder, an older copy of the database has been put in its place, and what that copy calls unsent may have gone long
ago (`restored`). Each folder has a row of its own, so that no machine hides what another one's file knows.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import DataFolder, Heartbeat

log = structlog.get_logger(__name__)

_ROW, _FOLDERS = (SQLModel.metadata.tables[name] for name in ("heartbeat", "data_folder"))


@dataclass(frozen=True, slots=True)
class _Note:
    """What the file has: whose folder it is, how often it was noted, and when last."""

    folder: str
    count: int
    at: datetime


def begin(database: Database, settings: Settings, now: datetime) -> None:
    """Note that this process lives: in the database, then in the file, so that the file is never ahead on its own.

    It comes before a tick, so that nothing which that finds due can be sent without the note. A file that cannot be
    written is a line in the log: nothing else depends on it.
    """
    with database.write() as session:
        path = _file(settings, note(session, now).lineage)
        mine = _own(path, now)
        count = _counted(session, mine.folder, now) if mine else 0
    latest = _read(path)
    # Another process may have noted more meanwhile, and what a restore is still to be told by must stay.
    if mine and (latest is None or (latest.folder == mine.folder and latest.count < count)):
        _write(path, _Note(mine.folder, count, now))


def end(database: Database, now: datetime) -> None:
    """Note that a tick has done its work."""
    with database.write() as session:
        session.connection().execute(sa.update(_ROW).values(ended_at=now))


def note(session: Session, now: datetime) -> Heartbeat:
    """The heartbeat at `now`, made if there is none. Whoever has it is alone with it until the transaction ends."""
    fresh = _insert(session, _ROW).values(id=1, lineage=secrets.token_hex(8), begun_at=now)
    session.connection().execute(fresh.on_conflict_do_update(index_elements=["id"], set_={"begun_at": now}))
    return session.get_one(Heartbeat, 1, populate_existing=True)


def last(session: Session) -> Heartbeat | None:
    """The heartbeat as the database has it; None before the first tick of a live scheduler."""
    return session.get(Heartbeat, 1)


def alone(session: Session) -> Heartbeat | None:
    """The same, read anew, and nobody else has it so until the transaction ends."""
    return session.get(Heartbeat, 1, with_for_update=True, populate_existing=True)


def set_back(session: Session, settings: Settings) -> datetime | None:
    """By when the service last ran, where the database has forgotten that it did; None where it has not.

    Two ticks are added to the last note: what came due before the next could begin may have gone without another.
    """
    known, counted = _both(session, settings)
    if known is None or known.count <= counted:
        # Without a file, or with another database's, nothing is said of this one.
        return None
    return known.at + timedelta(seconds=2 * settings.tick_seconds)


def in_step(session: Session, settings: Settings) -> bool:
    """Whether this folder's file knows the database, and that it was not set back."""
    known, counted = _both(session, settings)
    return known is not None and 0 < known.count <= counted


def catch_up(session: Session, settings: Settings, now: datetime) -> None:
    """Count this folder's row as far as its file has: that the database was set back has been dealt with."""
    known, counted = _both(session, settings)
    if known and known.count > counted:
        _counted(session, known.folder, now, known.count)


def _both(session: Session, settings: Settings) -> tuple[_Note | None, int]:
    """What the file of this database has, and how far the row of its folder has counted."""
    found = last(session)
    known = _read(_file(settings, found.lineage)) if found else None
    if known is None:
        return None, 0
    row = session.get(DataFolder, known.folder, populate_existing=True)
    return known, row.noted if row else 0


def _counted(session: Session, folder: str, now: datetime, count: int | None = None) -> int:
    """Count a folder's row up by one, or to `count`; how far it is then."""
    fresh = _insert(session, _FOLDERS).values(folder=folder, noted=count or 1, begun_at=now)
    further = {"noted": count or _FOLDERS.c.noted + 1, "begun_at": now}
    counted = fresh.on_conflict_do_update(index_elements=["folder"], set_=further).returning(_FOLDERS.c.noted)
    return int(session.connection().execute(counted).scalar_one())


def _insert(session: Session, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if session.get_bind().dialect.name == "postgresql" else sqlite.insert(table)


def _file(settings: Settings, lineage: str) -> Path:
    """One file for each database, as two may share a folder."""
    return settings.data_dir / f"heartbeat.{lineage}"


def _own(path: Path, now: datetime) -> _Note | None:
    """The folder's note, made with nothing counted if there is none; None where it cannot be kept.

    Its name is kept before it is used: else each note would be of another folder.
    """
    known = _read(path)
    if known is None:
        fresh = _Note(secrets.token_hex(8), 0, now)
        known = fresh if _write(path, fresh) else None
    return known


def _read(path: Path) -> _Note | None:
    try:
        folder, count, at = path.read_text().split()
        known = _Note(folder, int(count), datetime.fromisoformat(at))
    except (OSError, ValueError):
        return None
    return known if known.at.tzinfo else None


def _write(path: Path, known: _Note) -> bool:
    """Put a note in the file's place, on the disk before it counts; whether it could."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, draft = tempfile.mkstemp(prefix=".heartbeat.", dir=path.parent)
        try:
            with os.fdopen(number, "w") as file:
                file.write(f"{known.folder} {known.count} {known.at.astimezone(UTC).isoformat()}\n")
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except OSError:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        log.warning("the heartbeat cannot be kept", file=str(path), why=error.strerror)
        return False
    return True
