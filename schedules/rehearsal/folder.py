"""The folder of a rehearsal: made anew where it is empty or an earlier rehearsal's, else refused."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from events_service.errors import FileError

MARK = 0x52484C31
"""SQLite's application id of a rehearsal's database: it tells one from a live folder, whose files have the same names.
"""

_FILES = ("events.db", "events.db-wal", "events.db-shm", "timeline.svg", "report.html")
_FOLDERS = ("mail", "feeds")
_MARK_AT = 68
"""Where SQLite's file header keeps the application id (https://sqlite.org/fileformat.html, section 1.3)."""


def prepare(folder: Path) -> None:
    """Make `folder` ready, with a marked database in it. FileError where it holds what is no rehearsal of ours."""
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise FileError(folder, "is not a folder; name another with --out")
        if folder.is_dir() and any(folder.iterdir()):
            _clear(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "feeds").mkdir()
        with closing(sqlite3.connect(folder / "events.db")) as database:
            database.execute(f"PRAGMA application_id = {MARK}")
            database.commit()
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise FileError(folder, f"cannot be made ready: {why.lower()}") from error


def is_rehearsal(folder: Path) -> bool:
    """Whether a folder holds an earlier rehearsal, finished or not, and nothing else."""
    entries = list(folder.iterdir())
    for entry in entries:
        right = entry.is_file() if entry.name in _FILES else entry.is_dir() and entry.name in _FOLDERS
        if entry.is_symlink() or not right:
            return False
    database = folder / "events.db"
    return database.is_file() and _mark(database) == MARK


def _clear(folder: Path) -> None:
    if not is_rehearsal(folder):
        raise FileError(folder, "holds something that is no rehearsal; empty it, or name another folder with --out")
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
    # The database goes last: it is what tells that the rest may go.
    for name in ("report.html", "timeline.svg", "events.db-shm", "events.db-wal", "events.db"):
        (folder / name).unlink(missing_ok=True)


def _mark(database: Path) -> int:
    with database.open("rb") as file:
        return int.from_bytes(file.read(_MARK_AT + 4)[_MARK_AT:])
