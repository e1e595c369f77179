from __future__ import annotations

import pika
import psycopg
import pytest
import redis
import sqlalchemy as sa

from events_service.db.session import Database
from tests import services


def test_each_postgres_database_is_private_and_dropped() -> None:
    with services.postgres_database() as first, services.postgres_database() as second:
        assert first != second
        with psycopg.connect(first.replace("+psycopg", "")) as connection:
            connection.execute("CREATE TABLE mine (id int)")
        with psycopg.connect(second.replace("+psycopg", "")) as connection:
            assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first.replace("+psycopg", ""))


def test_redis_is_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "over")


def test_redis_is_emptied_before_the_next(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0


def test_the_redis_database_of_live_data_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
    with pytest.raises(pytest.fail.Exception, match="may not be 0"), services.redis_keyspace():
        pass


def test_rabbitmq_has_none_of_our_queues(rabbitmq_url: str) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(rabbitmq_url))
    for queue in services.QUEUES:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
            connection.channel().queue_declare(queue, passive=True)
    connection.close()


def test_a_service_that_is_not_named_skips_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENTS_TEST_REDIS_URL", raising=False)
    monkeypatch.delenv("EVENTS_TEST_REQUIRE_SERVICES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="EVENTS_TEST_REDIS_URL is not set"):
        services.service_url("EVENTS_TEST_REDIS_URL")


def test_a_service_that_is_not_named_fails_where_all_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENTS_TEST_REDIS_URL", raising=False)
    monkeypatch.setenv("EVENTS_TEST_REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match="EVENTS_TEST_REDIS_URL is not set"):
        services.service_url("EVENTS_TEST_REDIS_URL")


@pytest.mark.parametrize("leftover", ["first", "second"])
def test_a_database_has_tables_and_nobody_else_s_rows(database: Database, leftover: str) -> None:
    with database.write() as session:
        connection = session.connection()
        assert connection.scalar(sa.text("SELECT count(*) FROM person")) == 0
        connection.execute(sa.text("CREATE TABLE leftover (id int)"))
