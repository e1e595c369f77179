"""How a database's faults are said: one line, by PostgreSQL's codes where there are any."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from events_service.db.session import Database
from events_service.db.tables import Event, Suppression
from events_service.errors import DatabaseError, EventsError, InputError
from tests.attendance import make_event


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        ("40P01", "deadlock detected: blocked by process 7", "was in the way of another writer; try again"),
        ("40001", "could not serialize access", "was in the way of another writer; try again"),
        ("55P03", "canceling statement due to lock timeout", "is locked by another process; wait for it to end"),
        ("53100", "could not extend file: blocked", "no space is left on its disk; make room, then try again"),
        ("53300", "sorry, too many clients already", "has no connection left; raise max_connections"),
        ("57P01", "terminating connection due to administrator command", "was stopped; try again when it is back"),
        ("57P03", "the database system is starting up", "was stopped; try again when it is back"),
        ("25006", "cannot execute UPDATE in a read-only transaction", "is read-only"),
        ("42501", "permission denied for table event", "this user may not do that; grant it its tables"),
        ("42P01", 'relation "event" does not exist', "has no tables of ours; run `events db upgrade`"),
        ("XX001", "invalid page, blocked", "invalid page, blocked"),
    ],
)
def test_what_postgresql_says_goes_by_its_code(postgres_database: Database, code: str, words: str, said: str) -> None:
    raised = f"DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '{code}'; END $$"
    with pytest.raises(DatabaseError) as caught, postgres_database.write() as session:
        session.connection().exec_driver_sql(raised)
    assert str(caught.value).startswith(f"database {postgres_database}: {said}")
    assert "\n" not in str(caught.value)


def test_the_victim_of_a_deadlock_is_told_to_try_again(postgres_database: Database) -> None:
    with postgres_database.write() as session:
        for slug in ("one", "two"):
            make_event(session, slug)
    both_hold = threading.Barrier(2)
    told: list[str] = []

    def take(first: str, second: str) -> None:
        try:
            with postgres_database.write() as session:
                session.connection().exec_driver_sql("SET LOCAL deadlock_timeout = '20ms'")
                for slug in (first, second):
                    session.exec(select(Event).where(col(Event.slug) == slug).with_for_update()).one()
                    if slug == first:
                        both_hold.wait(10)
        except DatabaseError as error:
            told.append(str(error))

    other = threading.Thread(target=take, args=("two", "one"))
    other.start()
    take("one", "two")
    other.join()
    assert told == [f"database {postgres_database}: was in the way of another writer; try again"]


def test_a_connection_that_was_cut_is_one_line_and_the_next_is_new(postgres_database: Database) -> None:
    with pytest.raises(DatabaseError, match="was stopped; try again when it is back"), postgres_database.read() as one:
        number = one.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        with postgres_database.read() as other:
            other.connection().exec_driver_sql(f"SELECT pg_terminate_backend({number}, 5000)")
        one.connection().exec_driver_sql("SELECT 1")
    with postgres_database.read() as session:
        assert session.connection().exec_driver_sql("SELECT 1").scalar() == 1


def test_a_number_that_no_column_holds_is_the_givers_mistake(database: Database) -> None:
    for number in (99999999999999999999, 2**63):
        with pytest.raises(InputError, match=r"^a number is larger than any that is kept"), database.read() as session:
            session.get(Event, number)


def test_text_that_postgresql_does_not_take_is_one_line(postgres_database: Database) -> None:
    with pytest.raises(DatabaseError, match="cannot take this") as caught, postgres_database.read() as session:
        session.exec(select(Event).where(col(Event.slug) == "a\0b")).first()
    assert "\n" not in str(caught.value)


def test_what_was_to_be_written_is_in_no_error(database: Database) -> None:
    nameless = sa.insert(Suppression).values(email_hash="a secret hash", reason=None)
    with pytest.raises(sa.exc.IntegrityError) as caught, database.write() as session:
        session.connection().execute(nameless)
    # PostgreSQL's own detail has the row; ours adds nothing to it.
    ours = str(caught.value).replace(str(caught.value.orig), "")
    assert "secret" not in ours and "parameters" in ours


def test_an_overflow_that_is_not_the_databases_is_left_alone(sqlite_database: Database) -> None:
    with pytest.raises(OverflowError) as caught, sqlite_database.read():
        raise OverflowError("date value out of range")
    assert not isinstance(caught.value, EventsError)
