"""What a database's faults mean to a person: ours for the driver's, each in one line that says what to do."""

from __future__ import annotations

import sqlalchemy as sa

from events_service.errors import DatabaseError, EventsError, InputError

_NO_SPACE = "no space is left on its disk; make room, then try again"
_IN_THE_WAY = "was in the way of another writer; try again"
_LOCKED = "is locked by another process; wait for it to end, then try again"
_STOPPED = "was stopped; try again when it is back"
_NO_TABLES = "has no tables of ours; run `events db upgrade`"
_TOO_LARGE = "a number is larger than any that is kept; look it up again"

# Appendix A of PostgreSQL's manual. Its words are translated, and quote what people wrote.
_BY_CODE = {
    "40P01": _IN_THE_WAY,
    "40001": _IN_THE_WAY,
    "55P03": _LOCKED,
    "53100": _NO_SPACE,
    "53300": "has no connection left; raise max_connections or run fewer processes",
    "57P01": _STOPPED,
    "57P02": _STOPPED,
    "57P03": _STOPPED,
    "25006": "is read-only; name the primary server in EVENTS_DATABASE_URL",
    "42501": "this user may not do that; grant it its tables",
    "42P01": _NO_TABLES,
}
# Where there is no connection, there is no code.
_BY_WORDS = {
    "postgresql": (
        ("refused", "does not answer; see that PostgreSQL runs there and EVENTS_DATABASE_URL is right"),
        ("No space left", _NO_SPACE),
    ),
    "sqlite": (
        ("readonly", "is read-only; give this user the right to write it and its folder"),
        ("disk is full", _NO_SPACE),
        ("No space left", _NO_SPACE),
        ("disk I/O error", "could not be read or written (disk I/O error); look at the disk and its free space"),
        ("locked", _LOCKED),
        ("unable to open", "cannot be opened; see that its folder exists and this user may write there"),
        ("not a database", "is not an SQLite database; name another file in EVENTS_DATABASE_URL"),
        ("malformed", "is damaged; restore it from a backup"),
        ("no such table", _NO_TABLES),
    ),
}


def explained(error: sa.exc.DatabaseError | OverflowError, url: sa.URL) -> EventsError | None:
    """The error of ours that says what happened at `url`; None where it is not the database's fault but the code's."""
    if isinstance(error, OverflowError):
        return InputError(_TOO_LARGE) if "SQLite INTEGER" in str(error) else None
    code = getattr(error.orig, "sqlstate", None)
    if isinstance(error, sa.exc.DataError):
        if code == "22003":
            return InputError(_TOO_LARGE)
        return DatabaseError(f"database {_place(url)}: cannot take this: {_one_line(error)}")
    if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError) and code not in _BY_CODE:
        return None
    return DatabaseError(f"database {_place(url)}: {_meaning(_cause(error), code, url)}")


def _meaning(error: sa.exc.SQLAlchemyError, code: str | None, url: sa.URL) -> str:
    if code in _BY_CODE:
        return _BY_CODE[code]
    text = _one_line(error)
    return next((what for sign, what in _BY_WORDS[url.get_backend_name()] if sign in text), text)


def _cause(error: sa.exc.DatabaseError) -> sa.exc.SQLAlchemyError:
    """What really failed: on a full disk SQLite undoes the transaction, and going back to a savepoint hides why."""
    before = error.__context__
    if "no such savepoint" in str(error) and isinstance(before, sa.exc.SQLAlchemyError):
        return before
    return error


def _place(url: sa.URL) -> str:
    return str(url.database if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True))


def _one_line(error: sa.exc.SQLAlchemyError) -> str:
    return " ".join(str(getattr(error, "orig", error)).split())
