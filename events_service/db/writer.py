"""A writer: a connection that is kept for many short transactions, of statements that are compiled once.

What is done for every single message goes this way. Through a session, setting up and taking down what one transaction
needs costs several times what the database itself takes. On SQLite, which has one writer at a time and waits for the
disk at each commit, threads share one, and one commit serves all who wait.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import visitors
from sqlmodel import Session

from events_service.db.session import Database

T = TypeVar("T")
Statement = sa.UpdateBase | sa.Select[Any]


class Writer:
    """One writer's connection to a database, from its first use to the end of its `with`. For one thread.

    Whatever goes wrong on it, the connection is dropped, and the next transaction opens another.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = database.engine.dialect
        self._connection: PoolProxiedConnection | None = None
        self._cursor: Any = None

    @property
    def dialect(self) -> str:
        """The database's kind: sqlite or postgresql."""
        return self._dialect.name

    def write(self, act: Callable[[Writer], T]) -> T:
        """Do it in a transaction; committed when this returns. DatabaseError as with `Database.write`."""
        with self._database.translated():
            try:
                self._begin()
                done = act(self)
                self._commit()
            except self._dialect.loaded_dbapi.Error as error:
                self._drop()
                raise _as_sqlalchemys(error, self._dialect) from error
            except BaseException:
                self._drop()
                raise
            return done

    def run(self, statement: sa.UpdateBase, values: Mapping[str, Any]) -> int:
        """Execute a statement, which must be the same object each time; how many rows it changed."""
        self._execute(statement, values)
        return int(self._cursor.rowcount)

    def returned(self, statement: Statement, values: Mapping[str, Any]) -> list[Any]:
        """The same for one that returns a column, as the driver gives it: of each row that it changed or found."""
        self._execute(statement, values)
        return [row[0] for row in self._cursor.fetchall()]

    def _execute(self, statement: Statement, values: Mapping[str, Any]) -> None:
        prepared = _prepared(statement, self._dialect)
        self._cursor.execute(prepared.sql, prepared.bound(values))

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_error: object) -> None:
        """Give the connection back as it was."""
        if self._connection is None:
            return
        try:
            if not self._database.is_sqlite:
                self._cursor.execute("RESET plan_cache_mode")
                self._connection.commit()
            self._cursor.close()
            self._connection.close()
            self._connection = self._cursor = None
        except self._dialect.loaded_dbapi.Error:
            self._drop()

    def _begin(self) -> None:
        if self._connection is None:
            self._connection = self._database.engine.raw_connection()
            self._cursor = self._connection.cursor()
            if not self._database.is_sqlite:
                # Planning the fence anew takes longer than all else that is done for it.
                self._cursor.execute("SET plan_cache_mode = force_generic_plan")
        # PostgreSQL's driver begins by itself.
        if self._database.is_sqlite:
            self._cursor.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        if self._database.is_sqlite:
            self._cursor.execute("COMMIT")
        elif self._connection is not None:
            self._connection.commit()

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(self._dialect.loaded_dbapi.Error):
                self._connection.rollback()
            self._connection.invalidate()
            self._connection = self._cursor = None


def run_many(session: Session, statement: sa.UpdateBase, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement, which must be the same object each time, for many rows in a session's transaction."""
    connection = session.connection()
    prepared = _prepared(statement, connection.dialect)
    cursor = connection.connection.cursor()
    try:
        cursor.executemany(prepared.sql, [prepared.bound(row) for row in rows])
    except connection.dialect.loaded_dbapi.Error as error:
        raise _as_sqlalchemys(error, connection.dialect) from error
    finally:
        cursor.close()


class SharedWriter:
    """A writer for the threads of one process, open while any of them is in its `with`.

    Those who wait while one commits go together in the next commit. Whatever goes wrong with one of them, nothing of
    their transaction is kept, and each is told.
    """

    def __init__(self, database: Database) -> None:
        self._writer, self._turn = Writer(database), database.turn
        self._waiting: list[_Request[Any]] = []
        self._queueing = threading.Lock()
        self._users = 0

    def __enter__(self) -> SharedWriter:
        with self._queueing:
            self._users += 1
        return self

    def __exit__(self, *error: object) -> None:
        with self._queueing:
            self._users -= 1
        with self._turn:
            if not self._users:
                self._writer.__exit__(*error)

    def write(self, act: Callable[[Writer], T]) -> T:
        """Do it in a transaction, maybe with what others do; committed when this returns. DatabaseError."""
        mine = _Request(act)
        with self._queueing:
            self._waiting.append(mine)
        with self._turn:
            if not mine.settled:
                self._commit_together()
        if mine.error is not None:
            raise mine.error
        return mine.done[0]

    def _commit_together(self) -> None:
        with self._queueing:
            together, self._waiting = self._waiting, []
        try:
            for request, done in zip(
                together, self._writer.write(lambda on: [one.act(on) for one in together]), strict=True
            ):
                request.done.append(done)
        except BaseException as error:
            for request in together:
                request.error = error
            if not isinstance(error, Exception):
                raise


class _Request(Generic[T]):
    def __init__(self, act: Callable[[Writer], T]) -> None:
        self.act = act
        self.done: list[T] = []
        self.error: BaseException | None = None

    @property
    def settled(self) -> bool:
        return bool(self.done) or self.error is not None


class _Prepared:
    """A statement as the driver's own SQL, and how what it is told is bound."""

    def __init__(self, statement: Statement, dialect: Dialect) -> None:
        told: set[str] = set()

        def note(bind: sa.BindParameter[Any]) -> None:
            # Compiled with its lists written out, a statement wants every value at once.
            if bind.required:
                told.add(bind.key)
                bind.required = False

        whole = visitors.cloned_traverse(statement, {}, {"bindparam": note})
        compiled = whole.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self.sql: str = compiled.string
        self._order: list[str] | None = compiled.positiontup
        to_driver = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()
        }
        self._told = [(name, to_driver[name]) for name in sorted(told)]
        self._fixed = {
            name: process(value) if (process := to_driver.get(name)) else value
            for name, value in compiled.params.items()
            if name not in told
        }

    def bound(self, values: Mapping[str, Any]) -> Any:
        bound = self._fixed.copy()
        for name, process in self._told:
            bound[name] = process(values[name]) if process else values[name]
        return bound if self._order is None else [bound[name] for name in self._order]


@lru_cache(maxsize=128)
def _prepared(statement: Statement, dialect: Dialect) -> _Prepared:
    return _Prepared(statement, dialect)


def _as_sqlalchemys(error: Exception, dialect: Dialect) -> BaseException:
    return sa.exc.DBAPIError.instance(None, None, error, dialect.loaded_dbapi.Error, dialect=dialect)
