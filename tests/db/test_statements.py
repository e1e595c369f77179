from __future__ import annotations

import sqlalchemy as sa
from sqlmodel import Session

from events_service.db import statements
from events_service.db.session import Database


def test_a_statement_is_made_once_for_each_dialect_and_what_it_is_of(sqlite_url: str, postgres_url: str) -> None:
    made: list[tuple[str, str]] = []

    @statements.made_once
    def named(session: Session, name: str) -> sa.TextClause:
        made.append((session.get_bind().dialect.name, name))
        return sa.text(f"SELECT '{name}'")

    databases = [Database(sqlite_url), Database(postgres_url)]
    for database in databases:
        with database.read() as session:
            assert named(session, "a") is named(session, "a")
            assert session.execute(named(session, "b")).scalar_one() == "b"
    assert made == [("sqlite", "a"), ("sqlite", "b"), ("postgresql", "a"), ("postgresql", "b")]
    for database in databases:
        database.dispose()


def test_no_more_statements_are_kept_than_are_of_use(sqlite_url: str) -> None:
    @statements.made_once
    def numbered(_session: Session, number: int) -> sa.TextClause:
        return sa.text(str(number))

    database = Database(sqlite_url)
    with database.read() as session:
        first = numbered(session, 0)
        for number in range(1000):
            assert numbered(session, number).text == str(number)
        assert numbered(session, 0) is not first
    database.dispose()
