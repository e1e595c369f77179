"""One database, SQLite or PostgreSQL: its engine, and a session for a reader or a writer.

A writer on SQLite begins with BEGIN IMMEDIATE: a deferred transaction that turns into a writer fails at once when
another writer is there, whatever the busy timeout says. Committing is the edge's business: `write()` commits when its
block ends, and rolls back when it raises.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlmodel import Session

from events_service.db.faults import explained
from events_service.db.types import UTCDateTime
from events_service.errors import DatabaseError, SettingsError

SQLITE_BUSY_SECONDS = 15.0
POSTGRES_IDLE_SECONDS = 300
_WAL_PAUSE = 0.02


class Database:
    """An engine with the service's conventions. `url` is SQLAlchemy's.

    `durable=False` is for rehearsals: it gives up surviving a power cut, never consistency.
    """

    def __init__(self, url: str, *, durable: bool = True, busy_seconds: float = SQLITE_BUSY_SECONDS) -> None:
        try:
            self.url = make_url(url)
        except (sa.exc.ArgumentError, ValueError) as error:
            # What it says may be a password.
            raise SettingsError(
                "EVENTS_DATABASE_URL: not a database address;"
                " write it like sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST:PORT/NAME"
            ) from error
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if not self.is_sqlite and self.url.drivername != "postgresql+psycopg":
            raise SettingsError(
                f"EVENTS_DATABASE_URL: {self.url.drivername!r} is not supported;"
                " use sqlite:///FILE or postgresql+psycopg://HOST/NAME"
            )
        if self.is_sqlite:
            self.engine = _sqlite_engine(self.url, durable, busy_seconds)
        else:
            self.engine = _postgres_engine(self.url)
        self._writer = self.engine.execution_options(writer=True)
        self._busy_seconds = busy_seconds
        # SQLite has one writer at a time, and whoever finds another there sleeps and looks again, longer each time:
        # within a process writers wait for their turn instead.
        self.turn = threading.RLock()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that is rolled back when the block ends."""
        with self.translated(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self, *, dry_run: bool = False) -> Iterator[Session]:
        """A session that is committed when the block ends, and rolled back if it raises or `dry_run` is set."""
        with self._in_turn(), self.translated(), Session(self._writer, expire_on_commit=False) as session:
            yield session
            if dry_run:
                session.rollback()
            else:
                session.commit()

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        # Who does not get it in time asks SQLite all the same, which says in its words what is in the way.
        mine = self.is_sqlite and self.turn.acquire(timeout=self._busy_seconds)
        try:
            yield
        finally:
            if mine:
                self.turn.release()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Raise what the database says is wrong as an error of ours."""
        try:
            yield
        except (sa.exc.DatabaseError, OverflowError) as error:
            ours = explained(error, self.url)
            if ours is None:
                raise
            raise ours from error

    def __str__(self) -> str:
        return self.url.render_as_string(hide_password=True)


def database_now(dialect: str) -> sa.ColumnElement[datetime]:
    """The database's own clock at this statement, for leases only."""
    if dialect == "sqlite":
        return sa.type_coerce(sa.func.strftime("%Y-%m-%d %H:%M:%f000", "now"), UTCDateTime)
    return sa.type_coerce(sa.func.clock_timestamp(), UTCDateTime)


def database_in(dialect: str, seconds: float) -> sa.ColumnElement[datetime]:
    """The database's clock plus `seconds`, for the end of a lease."""
    if dialect == "sqlite":
        shift = f"{seconds:+.3f} seconds"
        return sa.type_coerce(sa.func.strftime("%Y-%m-%d %H:%M:%f000", "now", shift), UTCDateTime)
    return sa.type_coerce(sa.func.clock_timestamp() + sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds), UTCDateTime)


def one_of(dialect: str, column: sa.ColumnElement[int], name: str) -> sa.ColumnElement[bool]:
    """Whether a whole number is in the list that the parameter `name` is told: one statement, however long the list."""
    if dialect == "sqlite":
        told = sa.func.json_each(sa.bindparam(name, type_=sa.JSON)).table_valued("value")
        return column.in_(sa.select(told.c.value))
    return column == sa.any_(sa.bindparam(name, type_=postgresql.ARRAY(sa.BigInteger)))


def wait_no_longer(session: Session, seconds: float) -> None:
    """In this transaction wait so long for what another has locked, then DatabaseError. SQLite always does.

    For work that comes round again: one that waits for ever would keep all the rest from being done.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.connection().exec_driver_sql(f"SET LOCAL lock_timeout = {int(seconds * 1000)}")


def _postgres_engine(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(
            url,
            pool_pre_ping=True,
            pool_size=10,
            max_overflow=20,
            hide_parameters=True,
            connect_args=_postgres_limits(url),
        )
    except ImportError as error:
        raise SettingsError("EVENTS_DATABASE_URL: PostgreSQL needs the packages that `make prod` installs") from error


def _postgres_limits(url: sa.URL) -> dict[str, str]:
    """How long to believe in a server, or a server in us, that has gone silent; what the address says of it stands.

    A transaction whose process is frozen is ended after a time that no commit of ours needs, so that what it has
    locked comes free.
    """
    idle = f"-c idle_in_transaction_session_timeout={POSTGRES_IDLE_SECONDS}s"
    said = {name: str(value) for name, value in url.query.items()}
    options = f"{idle} {said['options']}" if "options" in said else idle
    silence = {
        "connect_timeout": "10",
        "keepalives_idle": "30",
        "keepalives_interval": "10",
        "keepalives_count": "3",
        "tcp_user_timeout": "60000",
    }
    return silence | {name: value for name, value in said.items() if name in silence} | {"options": options}


def _use_wal(cursor: sqlite3.Cursor, busy_seconds: float) -> None:
    """Turn the database to write-ahead logging, once in its life.

    SQLite answers "locked" at once, whatever the busy timeout, where several processes do so on a new file: the loser
    looks again, and finds it done.
    """
    tries = max(int(busy_seconds / _WAL_PAUSE), 1)
    for left in reversed(range(tries)):
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or not left:
                raise
        time.sleep(_WAL_PAUSE)


def _sqlite_engine(url: sa.URL, durable: bool, busy_seconds: float) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise SettingsError("EVENTS_DATABASE_URL: SQLite needs a file, such as sqlite:///var/events.db")
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(f"{url.database}: cannot make its folder: {error.strerror}") from error
    engine = sa.create_engine(
        url,
        connect_args={"timeout": busy_seconds, "check_same_thread": False, "isolation_level": None},
        # What people wrote has no place in a log.
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy_seconds * 1000)}")
        _use_wal(cursor, busy_seconds)
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writer = connection.get_execution_options().get("writer")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine
