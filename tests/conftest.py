"""What every test may ask for: settings of its own, databases, brokers, and the shared material beside the checkout."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from hypothesis import settings as hypothesis_settings
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlmodel import Session, SQLModel

from events_service.config import Settings
from events_service.db.schema import open_database, upgrade
from events_service.db.session import Database
from tests import services
from tests.network import NetworkGuard, OutsideNetworkError

REPOSITORY = Path(__file__).resolve().parent.parent
SERVICE_FIXTURES = {
    "postgres_url", "postgres_database", "rabbitmq_url", "redis_url", "own_postgres", "own_rabbit", "own_redis",
}  # fmt: skip

# The same examples on every run; no deadline, as two busy cores make one meaningless.
hypothesis_settings.register_profile("tests", derandomize=True, deadline=None, database=None)
hypothesis_settings.load_profile("tests")

_guard = NetworkGuard()
_guard.install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a service, so that `-m "not services"` leaves it out."""
    for item in items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        wanted = SERVICE_FIXTURES & set(getattr(item, "fixturenames", ()))
        if "database_kind" in parameters or "shared_kind" in parameters:
            kind = parameters.get("database_kind") or parameters["shared_kind"]
            wanted = {"postgres_url"} if kind == "postgres" else set()
        if wanted:
            item.add_marker("services")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once for each reason how many tests were skipped, not once for each test."""
    reasons = Counter(str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []))
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}", yellow=True)


@pytest.fixture(autouse=True)
def _off_the_network() -> Iterator[None]:
    """Fail a test that reached beyond this machine, even where its code swallowed the refusal."""
    _guard.attempts.clear()
    yield
    if _guard.attempts:
        attempts, _guard.attempts = _guard.attempts, []
        raise OutsideNetworkError(f"this test reached beyond this machine: {', '.join(attempts)}")


@pytest.fixture
def network_guard() -> NetworkGuard:
    """The guard, for the tests of it."""
    return _guard


@pytest.fixture(autouse=True)
def _own_logs() -> Iterator[None]:
    """No command that a test ran leaves its way of logging to the next."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("EVENTS_") and not name.startswith("EVENTS_TEST_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data folder of their own, everything else at its default but the key and the sender."""
    return Settings(
        data_dir=tmp_path / "var",
        secret_key="a key for tests, of no use anywhere else",
        mail_from="Events desk <events@example.org>",
    )


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real material beside the checkout; skips the test where it is not there."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("the folder 'shared' is not beside the checkout")
    return path


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty PostgreSQL database for this test alone."""
    with services.postgres_database() as url:
        yield url


@pytest.fixture
def rabbitmq_url() -> Iterator[str]:
    """RabbitMQ, with none of our queues declared; other tests that use it wait."""
    with services.rabbitmq_queues() as url:
        yield url


@pytest.fixture
def redis_url() -> Iterator[str]:
    """An empty Redis database; other tests that use it wait."""
    with services.redis_keyspace() as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """An SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path / 'events.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Which database: whatever asks for it, directly or through a fixture, runs once on each."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """An empty database without tables, on SQLite and on PostgreSQL."""
    url: str = request.getfixturevalue(f"{database_kind}_url")
    return url


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file at the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "events.db"
    database = Database(f"sqlite:///{path}")
    upgrade(database)
    database.dispose()
    return path


@pytest.fixture(scope="session")
def _migrated_postgres() -> Iterator[str]:
    """The name of a PostgreSQL database at the newest schema, to be copied."""
    with services.postgres_database() as url:
        database = Database(url)
        upgrade(database)
        database.dispose()
        yield str(make_url(url).database)


@pytest.fixture
def sqlite_database(tmp_path: Path, _migrated_sqlite: Path) -> Iterator[Database]:
    """An SQLite database at the newest schema, with no rows."""
    path = tmp_path / "events.db"
    shutil.copyfile(_migrated_sqlite, path)
    database = open_database(f"sqlite:///{path}")
    yield database
    database.dispose()


@pytest.fixture
def postgres_database(_migrated_postgres: str) -> Iterator[Database]:
    """A PostgreSQL database at the newest schema, with no rows."""
    with services.postgres_database(_migrated_postgres) as url:
        database = open_database(url)
        yield database
        database.dispose()


@pytest.fixture
def database(database_kind: str, request: pytest.FixtureRequest) -> Database:
    """A database at the newest schema, with no rows, on SQLite and on PostgreSQL."""
    made: Database = request.getfixturevalue(f"{database_kind}_database")
    return made


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def shared_kind(request: pytest.FixtureRequest) -> str:
    """As `database_kind`, for a whole module."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="module")
def shared_database(
    shared_kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path
) -> Iterator[Database]:
    """One database for a module's tests, on SQLite and on PostgreSQL: for tests that leave nothing in it."""
    with ExitStack() as stack:
        if shared_kind == "postgres":
            url = stack.enter_context(services.postgres_database(request.getfixturevalue("_migrated_postgres")))
        else:
            path = tmp_path_factory.mktemp("shared") / "events.db"
            shutil.copyfile(_migrated_sqlite, path)
            url = f"sqlite:///{path}"
        database = open_database(url)
        stack.callback(database.dispose)
        yield database


@pytest.fixture
def rolled_back(shared_database: Database) -> Iterator[Session]:
    """A session on the module's database, with no rows in it; what the test writes is undone after it."""
    with shared_database.write(dry_run=True) as session:
        yield session


@pytest.fixture
def emptied(shared_database: Database) -> Iterator[Database]:
    """The module's database, with no rows in it; what the test commits is deleted after it."""
    yield shared_database
    tables = [table for table in SQLModel.metadata.sorted_tables if table.name != "alembic_version"]
    with shared_database.write() as session:
        if shared_database.is_sqlite:
            for table in reversed(tables):
                session.execute(table.delete())
        else:
            session.execute(text(f"TRUNCATE {', '.join(table.name for table in tables)} CASCADE"))
