from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlmodel import SQLModel

from events_service.db import tables as _tables  # noqa: F401  (fills the metadata)
from events_service.db.session import Database, one_of
from events_service.db.types import UTCDateTime
from events_service.db.writer import SharedWriter, Writer, run_many
from events_service.errors import DatabaseError
from tests.processes import PATIENCE, until

LISTED = SQLModel.metadata.tables["suppression"]
NOW = datetime(2023, 9, 1, 9, tzinfo=UTC)
INSERT = LISTED.insert().values(
    email_hash=sa.bindparam("who"), reason="bounced", suppressed_at=sa.bindparam("at", type_=UTCDateTime)
)
LIFT = (
    LISTED.update()
    .where(LISTED.c.email_hash == sa.bindparam("who"), LISTED.c.reason.in_(("bounced", "complaint")))
    .values(lifted_at=sa.bindparam("at", type_=UTCDateTime))
)


def add(on: Writer, who: str) -> int:
    return on.run(INSERT, {"who": who, "at": NOW})


def kept(database: Database) -> dict[str, datetime | None]:
    with database.read() as session:
        return {who: at for who, at in session.execute(sa.select(LISTED.c.email_hash, LISTED.c.lifted_at))}


def test_what_is_written_is_kept_and_counted(database: Database) -> None:
    with Writer(database) as writer:
        assert writer.write(lambda on: [add(on, "ada"), add(on, "bob")]) == [1, 1]
        assert writer.write(lambda on: [on.run(LIFT, {"who": who, "at": NOW}) for who in ("ada", "eve")]) == [1, 0]
    assert kept(database) == {"ada": NOW, "bob": None}


def test_nothing_is_kept_of_what_fails_and_the_writer_goes_on(database: Database) -> None:
    def fail(on: Writer) -> None:
        add(on, "ada")
        raise LookupError("never mind")

    with Writer(database) as writer:
        with pytest.raises(LookupError):
            writer.write(fail)
        # A value that the statement wants is not given.
        with pytest.raises(KeyError):
            writer.write(lambda on: [add(on, "bob"), on.run(INSERT, {"who": "cem"})])
        with pytest.raises(sa.exc.IntegrityError):
            writer.write(lambda on: [add(on, "eve"), on.run(INSERT, {"who": None, "at": NOW})])
        assert writer.write(lambda on: add(on, "dan")) == 1
    assert kept(database) == {"dan": None}


def test_another_writer_in_the_way_is_an_error_of_ours(sqlite_database: Database) -> None:
    impatient = Database(str(sqlite_database.url), busy_seconds=0.05)
    with sqlite_database.write() as session, Writer(impatient) as writer:
        session.execute(sa.text("DELETE FROM suppression"))
        with pytest.raises(DatabaseError, match="is locked by another process"):
            writer.write(lambda on: add(on, "ada"))
    with Writer(impatient) as writer:
        assert writer.write(lambda on: add(on, "ada")) == 1
    impatient.dispose()


def test_a_connection_that_was_lost_is_replaced(postgres_database: Database) -> None:
    with Writer(postgres_database) as writer:
        assert writer.write(lambda on: add(on, "ada")) == 1
        with postgres_database.write() as session:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            session.execute(sa.text(f"{others} AND pid <> pg_backend_pid()"))
        with pytest.raises(DatabaseError):
            writer.write(lambda on: add(on, "bob"))
        assert writer.write(lambda on: add(on, "cem")) == 1
    assert kept(postgres_database) == {"ada": None, "cem": None}


class Crowd:
    """Threads that write through one writer, all of them waiting by the time it is their turn."""

    def __init__(self, database: Database, *names: str) -> None:
        self.shared, self.errors = SharedWriter(database), dict.fromkeys(names, "")
        threads = [threading.Thread(target=self._write, args=(name,)) for name in names]
        with database.turn:
            for thread in threads:
                thread.start()
            until(lambda: len(self.shared._waiting) == len(names), "everybody in the queue")
        for thread in threads:
            thread.join(PATIENCE)

    def _write(self, name: str) -> None:
        with self.shared as writer:
            try:
                assert writer.write(lambda on: add(on, name if name != "nobody" else None)) == 1  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001
                self.errors[name] = type(error).__name__


@pytest.fixture
def commits(sqlite_database: Database) -> list[str]:
    said: list[str] = []

    @event.listens_for(sqlite_database.engine, "connect")
    def trace(connection: Any, _record: Any) -> None:
        connection.set_trace_callback(lambda sql: said.append(sql) if sql in ("COMMIT", "BEGIN IMMEDIATE") else None)

    sqlite_database.dispose()
    return said


def test_those_who_wait_go_together_in_one_commit(sqlite_database: Database, commits: list[str]) -> None:
    crowd = Crowd(sqlite_database, "ada", "bob", "cem", "dan")
    assert set(crowd.errors.values()) == {""}
    assert kept(sqlite_database).keys() == {"ada", "bob", "cem", "dan"}
    assert commits == ["BEGIN IMMEDIATE", "COMMIT"]
    # Nobody uses it any more: its connection is given back, and opened again for the next.
    assert crowd.shared._writer._connection is None
    with crowd.shared as writer:
        assert writer.write(lambda on: add(on, "eve")) == 1


def test_one_that_fails_takes_those_with_it_along_and_each_is_told(sqlite_database: Database) -> None:
    crowd = Crowd(sqlite_database, "ada", "nobody", "cem")
    assert set(crowd.errors.values()) == {"IntegrityError"}
    assert kept(sqlite_database) == {}
    with crowd.shared as writer:
        assert writer.write(lambda on: add(on, "ada")) == 1
    assert kept(sqlite_database).keys() == {"ada"}


def test_what_a_statement_returns_is_returned(database: Database) -> None:
    lift = LIFT.returning(LISTED.c.email_hash)
    with Writer(database) as writer:
        writer.write(lambda on: [add(on, "ada"), add(on, "bob")])
        told = {"who": "ada", "at": NOW}
        assert writer.write(lambda on: [on.returned(lift, told), on.returned(lift, told | {"who": "eve"})]) == [
            ["ada"],
            [],
        ]
    assert kept(database) == {"ada": NOW, "bob": None}


@pytest.mark.parametrize("ids", [[], [2], [3, 1, 99], [*range(1, 5001)]])
def test_one_statement_serves_for_lists_of_any_length(database: Database, ids: list[int]) -> None:
    with Writer(database) as writer:
        writer.write(lambda on: [add(on, who) for who in "abcd"])
        first = _first(database)
        lift = LISTED.update().where(one_of(writer.dialect, LISTED.c.id, "ids")).values(reason="lifted")
        numbers = writer.write(
            lambda on: on.returned(lift.returning(LISTED.c.id), {"ids": [first + id - 1 for id in ids]})
        )
    assert sorted(number - first + 1 for number in numbers) == sorted(set(ids) & {1, 2, 3, 4})


def _first(database: Database) -> int:
    with database.read() as session:
        return session.execute(sa.select(sa.func.min(LISTED.c.id))).scalar_one()


def test_many_rows_in_a_session_s_transaction_are_kept_or_undone_with_it(database: Database) -> None:
    rows = [{"who": who, "at": NOW} for who in ("ada", "bob")]
    with database.write() as session:
        run_many(session, INSERT, rows)
    assert kept(database) == {"ada": None, "bob": None}
    with pytest.raises(LookupError), database.write() as session:
        run_many(session, INSERT, [{"who": "eve", "at": NOW}])
        raise LookupError("never mind")
    with pytest.raises(sa.exc.IntegrityError), database.write() as session:
        run_many(session, INSERT, [{"who": "cem", "at": NOW}, {"who": None, "at": NOW}])
    assert kept(database) == {"ada": None, "bob": None}


def test_a_connection_that_a_writer_had_is_as_it_was(database: Database) -> None:
    with Writer(database) as writer:
        writer.write(lambda on: add(on, "ada"))
    if not database.is_sqlite:
        with database.read() as session:
            assert session.execute(sa.text("SHOW plan_cache_mode")).scalar_one() == "auto"
