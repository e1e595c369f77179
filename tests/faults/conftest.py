"""Full length where EVENTS_TEST_FAULTS says full, short otherwise; a desk, and servers of our own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.faults import private
from tests.faults.desk import Desk, open_desk


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether the faults are injected at full length."""
    return os.environ.get("EVENTS_TEST_FAULTS") == "full"


@pytest.fixture
def desk() -> Iterator[Desk]:
    """An SMTP server that keeps a record."""
    with open_desk() as desk:
        yield desk


@pytest.fixture(scope="session")
def _redis() -> Iterator[private.PrivateRedis]:
    with private.private_redis() as server:
        yield server


@pytest.fixture
def own_redis(_redis: private.PrivateRedis) -> private.PrivateRedis:
    """Redis, empty; started for the first test that wants it, and again if the last one left it dead."""
    _redis.kill()
    _redis.start()
    return _redis


@pytest.fixture(scope="session")
def _rabbit() -> Iterator[private.PrivateRabbit]:
    with private.private_rabbit() as server:
        yield server


@pytest.fixture
def own_rabbit(_rabbit: private.PrivateRabbit) -> private.PrivateRabbit:
    """RabbitMQ with none of our queues."""
    _rabbit.ensure()
    _rabbit.delete_queues()
    return _rabbit


@pytest.fixture(scope="session")
def _postgres() -> Iterator[private.PrivatePostgres]:
    with private.private_postgres() as server:
        yield server


@pytest.fixture
def own_postgres(_postgres: private.PrivatePostgres) -> private.PrivatePostgres:
    """PostgreSQL, to be stopped and started."""
    _postgres.ensure()
    return _postgres
