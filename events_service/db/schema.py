"""Opening a database at the right schema. Alembic itself is imported only to change one."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from events_service.db.session import Database
from events_service.errors import DatabaseError

HEAD = "0006"
"""The newest migration; a test holds it equal to what alembic finds."""

MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str, *, durable: bool = True) -> Database:
    """The database at `url`, its tables made if it has none; DatabaseError if its schema is not ours."""
    database = Database(url, durable=durable)
    found = current_revision(database)
    if found is None:
        upgrade(database)
    elif found != HEAD:
        refuse_unknown(database, found)
        raise DatabaseError(f"database {database}: schema {found} is older than {HEAD}; run `events db upgrade`")
    return database


def refuse_unknown(database: Database, found: str | None) -> None:
    """DatabaseError if `found` is a migration that this version does not have."""
    known = {path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("*.py")}
    if found is not None and found not in known:
        raise DatabaseError(f"database {database}: schema {found!r} was made by a newer version; install that version")


def current_revision(database: Database) -> str | None:
    """The migration a database is at; None where it is empty. DatabaseError where it holds somebody else's tables."""
    with database.read() as session:
        tables = set(sa.inspect(session.connection()).get_table_names())
        if "alembic_version" in tables:
            found = session.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            return str(found) if found is not None else None
    if "event" in tables or "delivery" in tables:
        raise DatabaseError(f"database {database}: has tables but no schema version; restore it from a backup")
    return None


def upgrade(database: Database) -> None:
    """Run the migrations that are missing. Two processes may start at once: the second waits, then finds it done."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.write() as session:
        connection = session.connection()
        if not database.is_sqlite:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(726335)")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
