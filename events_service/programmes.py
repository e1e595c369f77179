"""Programmes: every revision that was loaded is kept, and the highest of a key is the one in force."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, select

from events_service import config, feeds
from events_service.db.tables import ProgrammeRevision
from events_service.domain.programme import Programme
from events_service.domain.programme_difference import difference
from events_service.domain.programme_file import load_programme
from events_service.errors import ConflictError, InputError, NotFoundError

_ROWS = SQLModel.metadata.tables["programme_revision"]
_REVISION = sa.select(_ROWS.c.key, _ROWS.c.revision, _ROWS.c.source).limit(1)
_LAST = _REVISION.order_by(_ROWS.c.id.desc())
_LATEST = _REVISION.where(_ROWS.c.key == sa.bindparam("programme")).order_by(_ROWS.c.revision.desc())


class _Revision(NamedTuple):
    key: str
    revision: int
    source: str


class Loaded(NamedTuple):
    """What a load did: `differences` is empty for a first revision and where nothing changed (`made` is then false)."""

    programme: Programme
    revision: int
    differences: list[str]
    made: bool


def load(session: Session, file_text: str, name: str, now: datetime) -> Loaded:
    """Put a programme in force. `name` is what errors call the file; ProgrammeFileError where it is faulty.

    A key that is there gets a new revision, unless its content is the same. ConflictError where another load of the
    key was quicker.
    """
    programme = load_programme(file_text, name)
    latest = _latest(session, programme.key)
    differences: list[str] = []
    if latest is not None:
        before = _parsed(latest.source, latest.key)
        if before == programme:
            return Loaded(programme, latest.revision, [], made=False)
        differences = difference(before, programme)
    revision = latest.revision + 1 if latest else 1
    session.add(ProgrammeRevision(key=programme.key, revision=revision, source=file_text, loaded_at=now))
    try:
        session.flush()
    except sa.exc.IntegrityError as error:
        raise ConflictError(f"programme {programme.key} was loaded by somebody else just now; try again") from error
    feeds.touch_programme(session, now)
    return Loaded(programme, revision, differences, made=True)


def current(session: Session, key: str | None = None) -> Programme:
    """The programme of `key` in force; without a key, of the one loaded last. NotFoundError where there is none."""
    return current_revision(session, key)[0]


def current_revision(session: Session, key: str | None = None) -> tuple[Programme, int]:
    """`current`, and which revision it is, from 1."""
    latest = _latest(session, key)
    if latest is None:
        known = ", ".join(session.exec(select(ProgrammeRevision.key).distinct().order_by(ProgrammeRevision.key)))
        if known:
            raise NotFoundError("programme", key, f"loaded are: {known}")
        raise NotFoundError(
            "programme", key or "in force", "load one first: `events programme load lancashire-2022-2025`"
        )
    return _parsed(latest.source, latest.key), latest.revision


def shipped_text(key: str) -> str:
    """The text of a programme that ships with the service; InputError where none has that key."""
    files = config.shipped("programmes")
    if key not in files:
        raise InputError(f"{key}: no file of that name, nor a programme that ships; those are: {', '.join(files)}")
    return files[key].read_text(encoding="utf-8")


def _latest(session: Session, key: str | None) -> _Revision | None:
    connection = session.connection()
    found = connection.execute(_LAST) if key is None else connection.execute(_LATEST, {"programme": key})
    row = found.first()
    return _Revision(*row) if row else None


# Keyed by the text itself: one process may hold several databases, and a revision is never changed.
@lru_cache(maxsize=16)
def _parsed(source: str, key: str) -> Programme:
    return load_programme(source, f"programme {key}")
