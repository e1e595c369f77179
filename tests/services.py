"""PostgreSQL, RabbitMQ and Redis for the tests: a private database each time, queues that nobody else has just then.

EVENTS_TEST_POSTGRES_URL, EVENTS_TEST_RABBITMQ_URL and EVENTS_TEST_REDIS_URL say which there are. A test whose service
is not named is skipped, or fails where EVENTS_TEST_REQUIRE_SERVICES is set, as CI sets it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from sqlalchemy.engine import make_url

# Every queue that the service declares; dramatiq gives each a delay and a dead-letter queue.
QUEUES = ("deliver", "urgent", "intake", "plan")


def service_url(variable: str) -> str:
    """The address in `variable`, or else this test's end."""
    url = os.environ.get(variable, "")
    if not url:
        not_here(f"{variable} is not set", "name a server to run this")
    return url


def not_here(reason: str, hint: str) -> NoReturn:
    """End this test: it is skipped with `hint`, or fails where every service is wanted."""
    if os.environ.get("EVENTS_TEST_REQUIRE_SERVICES"):
        pytest.fail(f"{reason}, and EVENTS_TEST_REQUIRE_SERVICES wants every service", pytrace=False)
    pytest.skip(f"{reason}: {hint}")


@contextmanager
def postgres_database(template: str = "template0") -> Iterator[str]:
    """A private database on the PostgreSQL server named for the tests, dropped afterwards: its URL for SQLAlchemy."""
    import psycopg
    from psycopg import sql

    server = make_url(service_url("EVENTS_TEST_POSTGRES_URL")).set(drivername="postgresql")
    address = server.render_as_string(hide_password=False)
    name = f"events_test_{os.getpid()}_{secrets.token_hex(4)}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    try:
        yield server.set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def rabbitmq_queues() -> Iterator[str]:
    """The RabbitMQ server with none of our queues on it, for one test at a time on this machine: its URL."""
    url = service_url("EVENTS_TEST_RABBITMQ_URL")
    with _alone(url):
        delete_queues(url)
        yield url
        delete_queues(url)


@contextmanager
def redis_keyspace() -> Iterator[str]:
    """The Redis database named for the tests, empty, for one test at a time on this machine: its URL."""
    import redis

    url = service_url("EVENTS_TEST_REDIS_URL")
    if urlsplit(url).path.strip("/") in {"", "0"}:
        pytest.fail(
            "EVENTS_TEST_REDIS_URL: the tests empty its database, so it may not be 0; end it with /15", pytrace=False
        )
    with _alone(url), redis.Redis.from_url(url) as client:
        client.flushdb()
        yield url
        client.flushdb()


def delete_queues(url: str) -> None:
    """Delete the service's queues on the RabbitMQ at `url`."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    for queue in QUEUES:
        for suffix in ("", ".DQ", ".XQ"):
            channel.queue_delete(f"{queue}{suffix}")
    connection.close()


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """Hold this machine's lock on the service at `url`: other workers and other checkouts wait."""
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"events-tests-{os.getuid()}-{digest}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
