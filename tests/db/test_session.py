"""Sessions: what commits, what does not, how SQLite is set up, and how a fault is said."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from events_service.db.session import Database, database_in, database_now, wait_no_longer
from events_service.db.tables import Suppression
from events_service.errors import DatabaseError, SettingsError

NOW = datetime(2023, 5, 1, 9, 0, 0, 123456, tzinfo=UTC)


def row(hash: str = "x") -> Suppression:
    return Suppression(email_hash=hash, reason="bounce", suppressed_at=NOW)


def stored(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.exec(select(Suppression.email_hash).order_by(col(Suppression.email_hash))))


def test_a_writer_commits_at_the_end_and_rolls_back_what_raises(database: Database) -> None:
    with database.write() as session:
        session.add(row("kept"))
    with pytest.raises(RuntimeError, match="in the middle"), database.write() as session:
        session.add(row("lost"))
        session.flush()
        raise RuntimeError("in the middle")
    with database.write(dry_run=True) as session:
        session.add(row("tried"))
        session.flush()
        assert session.exec(select(Suppression).where(Suppression.email_hash == "tried")).one()
    assert stored(database) == ["kept"]


def test_a_reader_changes_nothing(database: Database) -> None:
    with database.read() as session:
        session.add(row("lost"))
        session.flush()
    assert stored(database) == []


def test_instants_come_back_as_they_went_and_compare_as_instants(database: Database) -> None:
    with database.write() as session:
        session.add(row())
    with database.read() as session:
        assert session.exec(select(Suppression.suppressed_at)).one() == NOW
        earlier = select(Suppression).where(col(Suppression.suppressed_at) <= NOW.replace(microsecond=123455))
        assert session.exec(earlier).first() is None
        assert session.exec(select(Suppression).where(col(Suppression.suppressed_at) <= NOW)).one()


def test_a_naive_time_is_refused(database: Database) -> None:
    naive = Suppression(email_hash="x", reason="bounce", suppressed_at=NOW.replace(tzinfo=None))
    with pytest.raises(sa.exc.StatementError, match="naive datetime"), database.write() as session:
        session.add(naive)


def test_the_databases_clock_moves_leases(database: Database) -> None:
    dialect = database.engine.dialect.name
    with database.read() as session:
        there, later, before = session.connection().execute(
            sa.select(database_now(dialect), database_in(dialect, 90.5), database_in(dialect, -10))
        ).one()  # fmt: skip
    assert 90 < (later - there).total_seconds() < 91
    assert 9 < (there - before).total_seconds() < 11
    assert abs((there - datetime.now(UTC)).total_seconds()) < 60


def test_sqlite_is_set_up_for_many_processes(sqlite_database: Database) -> None:
    with sqlite_database.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 15000, "synchronous": 2}


def test_postgresql_is_not_waited_for_and_does_not_wait_for_us_for_ever(postgres_url: str) -> None:
    asks = {"": ["10", "30", "60000", "5min", "4MB"]}
    asks |= {"?connect_timeout=7&options=-c%20work_mem%3D5MB": ["7", "30", "60000", "5min", "5MB"]}
    for more, expected in asks.items():
        database = Database(postgres_url + more)
        with database.engine.connect() as connection:
            said = connection.connection.dbapi_connection.info.get_parameters()
            found = [said[name] for name in ("connect_timeout", "keepalives_idle", "tcp_user_timeout")]
            for name in ("idle_in_transaction_session_timeout", "work_mem"):
                found.append(connection.exec_driver_sql(f"SHOW {name}").scalar())
        database.dispose()
        assert found == expected


def test_work_that_comes_round_again_waits_for_no_lock_for_ever(postgres_database: Database) -> None:
    with postgres_database.write() as session:
        session.add(row())
    change = sa.update(Suppression).values(reason="complaint")
    with postgres_database.write() as other:
        other.execute(change)
        with pytest.raises(DatabaseError, match="is locked"), postgres_database.write() as session:
            wait_no_longer(session, 0.05)
            session.execute(change)


def test_a_second_writer_is_told_that_it_is_locked(tmp_path: Path) -> None:
    first = Database(f"sqlite:///{tmp_path / 'events.db'}", busy_seconds=0.05)
    with first.write() as session:
        session.connection().exec_driver_sql("CREATE TABLE t (id INTEGER)")
    second = Database(f"sqlite:///{tmp_path / 'events.db'}", busy_seconds=0.05)
    with first.write() as session:
        session.connection().exec_driver_sql("INSERT INTO t VALUES (1)")
        with pytest.raises(DatabaseError, match="is locked by another process"), second.write() as other:
            other.connection()
        # A reader does not wait for a writer.
        with second.read() as reader:
            assert reader.connection().exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
    first.dispose()
    second.dispose()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://localhost/x", "is not supported"),
        ("postgresql://localhost/x", "is not supported"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("what is this", "not a database address"),
    ],
)
def test_other_databases_are_refused(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        Database(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://desk:secret@db:port/events",
        "postgresql+psycopg//desk:secret@db/events",
        "mysql://desk:secret@db/events",
        "postgresql+psycopg://desk:secret@[::1/events",
        "postgresql+psycopg://desk:secret@127.0.0.1:99999/events",
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(url: str) -> None:
    with pytest.raises((SettingsError, DatabaseError)) as raised:
        database = Database(url)
        with database.read() as session:
            session.connection()
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_server_that_is_not_there_is_one_line() -> None:
    database = Database("postgresql+psycopg://postgres:secret@127.0.0.1:1/none")
    with pytest.raises(DatabaseError, match="does not answer") as raised, database.read() as session:
        session.connection()
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)
    database.dispose()


def test_postgresql_without_its_packages_says_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # What an import finds where the package is not there.
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match="needs the packages that `make prod` installs"):
        Database("postgresql+psycopg://postgres@127.0.0.1/none")
