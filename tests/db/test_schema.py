"""The schema: migrations and models agree on both databases, and a fresh one is given its tables once."""

from __future__ import annotations

import gzip
import threading
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel, select

from events_service.db.schema import HEAD, MIGRATIONS, current_revision, open_database, upgrade
from events_service.db.session import Database
from events_service.db.tables import Delivery, EventSession, FeedBlock, FeedContent
from events_service.db.types import UTCDateTime
from events_service.errors import DatabaseError
from events_service.feed_blocks import join


def test_upgrading_from_empty_equals_the_models(database_url: str) -> None:
    database = open_database(database_url)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"compare_type": True, "compare_server_default": True, "target_metadata": SQLModel.metadata},
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    database.dispose()


def test_migrations_and_models_agree_on_what_alembic_does_not_compare(sqlite_url: str) -> None:
    """Foreign keys' actions, the conditions of partial indexes, primary keys: read back from SQLite."""
    migrated, direct = open_database(sqlite_url), Database(sqlite_url.replace("events.db", "direct.db"))
    SQLModel.metadata.create_all(direct.engine)
    assert _described(migrated) == _described(direct)
    migrated.dispose()
    direct.dispose()


def test_postgresqls_storage_parameters_are_those_of_the_models(postgres_url: str) -> None:
    """Alembic does not compare them."""
    database = open_database(postgres_url)
    with database.read() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL"
            " AND relnamespace = 'public'::regnamespace"
        )
        stored = {name: set(options) for name, options in rows}
    wanted = {
        name: {f"{key}={value}" for key, value in options.items()}
        for name, table in SQLModel.metadata.tables.items()
        if (options := table.dialect_options["postgresql"].get("with"))
    }
    assert stored == wanted == {"delivery": {"fillfactor=50"}}
    database.dispose()


def test_sqlite_never_gives_the_number_of_a_row_that_is_gone(sqlite_url: str) -> None:
    """Keys and links that were made of it live on. PostgreSQL's sequences do not go back."""
    database = open_database(sqlite_url)
    numbered = {name for name, table in SQLModel.metadata.tables.items() if table.autoincrement_column is not None}
    with database.read() as session:
        rows = session.connection().exec_driver_sql("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")
        assert {"person", "attendee", "event", "delivery", "feed"} <= set(rows.scalars()) == numbered
    database.dispose()


def test_the_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_many_first_starts_make_one_schema(database_url: str) -> None:
    faults: list[BaseException] = []

    def start() -> None:
        try:
            open_database(database_url).dispose()
        except BaseException as error:  # noqa: BLE001  (whatever it is, the test must show it)
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    database = Database(database_url)
    assert current_revision(database) == HEAD
    database.dispose()


def test_upgrading_twice_changes_nothing(database_url: str) -> None:
    database = open_database(database_url)
    upgrade(database)
    assert current_revision(database) == HEAD
    database.dispose()


def test_a_database_of_the_first_version_keeps_its_deliveries(database_url: str) -> None:
    database = Database(database_url)
    with database.write() as session:
        config = Config(attributes={"connection": session.connection()})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, "0001")
        session.connection().exec_driver_sql(
            "INSERT INTO delivery (key, purpose, step, mandatory, priority, state, due_at, next_at, unknown_policy,"
            " attempts, fields, created_at, changed_at) VALUES ('letter:1:-:1:0', 'letter', '-', false, 1, 'pending',"
            " '2023-09-01 09:00:00', '2023-09-01 09:00:00', 'hold', 3, '{}', '2023-09-01 09:00:00',"
            " '2023-09-01 09:00:00')"
        )
    assert current_revision(database) == "0001"
    upgrade(database)
    assert current_revision(database) == HEAD
    with database.read() as session:
        row = session.exec(select(Delivery)).one()
    assert (row.key, row.state, row.attempts, row.lost_leases) == ("letter:1:-:1:0", "pending", 3, 0)
    database.dispose()


def test_a_session_of_before_goes_on_from_its_events_sequence(database_url: str) -> None:
    database = Database(database_url)
    at = "'2023-09-01 09:00:00.000000'"
    with database.write() as session:
        config = Config(attributes={"connection": session.connection()})
        config.set_main_option("script_location", str(MIGRATIONS))
        command.upgrade(config, "0003")
        for number, sequence in ((1, 4), (2, 0)):
            session.connection().exec_driver_sql(
                "INSERT INTO event (id, programme_key, slug, uid, kind, hosted_by, title, summary, state, visibility,"
                " starts, ends, timezone, venue, city, country, organiser_name, organiser_email, themes, markets,"
                f" sequence, created_at, changed_at) VALUES ({number}, 'p', 'e{number}', 'u{number}', 'mission', 'us',"
                f" 't', '', 'approved', 'private', {at}, {at}, 'UTC', '', '', '', '', '', '[]', '[]', {sequence},"
                f" {at}, {at})"
            )
            session.connection().exec_driver_sql(
                "INSERT INTO event_session (event_id, position, uid, title, starts, ends, timezone, kind, city,"
                f" country, venue, partner, price) VALUES ({number}, 1, 's{number}', 't', {at}, {at}, 'UTC', 'talk',"
                " '', '', '', '', '')"
            )
    upgrade(database)
    with database.read() as session:
        rows = session.exec(select(EventSession).order_by(EventSession.uid)).all()
    changed = datetime(2023, 9, 1, 9, tzinfo=UTC)
    assert [(row.sequence, row.changed_at, row.cancelled_at) for row in rows] == [
        (4, changed, None),
        (0, changed, None),
    ]
    database.dispose()


def test_somebody_elses_tables_are_left_alone(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as session:
        session.connection().exec_driver_sql("CREATE TABLE event (id INTEGER PRIMARY KEY, what TEXT)")
    with pytest.raises(DatabaseError, match="has tables but no schema version"):
        open_database(sqlite_url)
    database.dispose()


def _described(database: Database) -> dict[str, object]:
    inspector = sa.inspect(database.engine)
    found: dict[str, object] = {}
    for table in sorted(set(inspector.get_table_names()) - {"alembic_version"}):
        found[table] = {
            "columns": sorted((c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)),
            "keys": sorted(map(repr, inspector.get_foreign_keys(table))),
            "unique": sorted(map(repr, inspector.get_unique_constraints(table))),
            "indexes": sorted(
                (one["name"], one["column_names"], one["unique"], str(one["dialect_options"].get("sqlite_where")))
                for one in inspector.get_indexes(table)
            ),
            "primary": sorted(inspector.get_pk_constraint(table)["constrained_columns"]),
        }
    return found


def test_feeds_go_on_being_served_after_they_are_put_in_blocks(database_url: str) -> None:
    """What was one body is one block with the same bytes, to be built anew; and the way back."""
    body = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n"
    at = datetime(2023, 7, 1, 10, 0, tzinfo=UTC)
    database = Database(database_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def to(revision: str) -> None:
        with database.write() as session:
            config.attributes["connection"] = session.connection()
            (command.upgrade if revision > "0006" else command.downgrade)(config, revision)

    with database.write() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0003")
        session.execute(
            sa.text(
                'INSERT INTO feed_content (kind, "of", revision, etag, changed_at, body, gzipped)'
                " VALUES ('public', '', 7, 'abc', :at, :body, :body)"
            ).bindparams(sa.bindparam("at", at, UTCDateTime()), sa.bindparam("body", body, sa.LargeBinary()))
        )
    to("0007")
    with database.read() as session:
        content = session.exec(select(FeedContent)).one()
        assert (content.etag, content.revision, content.changed_at, content.all_stale) == ("abc", 7, at, True)
        block = session.exec(select(FeedBlock)).one()
        plain, gzipped = join([(block.body, block.deflated)])
        assert plain == gzip.decompress(gzipped) == body
    to("0003")
    with database.read() as session:
        row = session.execute(sa.text("SELECT revision, body FROM feed_content")).one()
        assert (row[0], bytes(row[1])) == (7, body)
    to("0007")
    database.dispose()
