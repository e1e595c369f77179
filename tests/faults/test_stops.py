"""A scheduler killed at its work, and workers told to stop in the middle of DATA."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from events_service.db.session import Database
from events_service.outbox import ROWS
from events_service.postroom import Tally
from tests.crowds import counts, crowd
from tests.faults.desk import Desk
from tests.faults.private import PrivateRedis
from tests.faults.promises import finish, kept
from tests.processes import live, until
from workers.actors import declare
from workers.broker import make_broker

QUICK = {"tick_seconds": 0.2, "ring_again_seconds": 1, "lease_seconds": 30, "chunk_size": 20, "smtp_connections": 2}
THREADS, CONNECTIONS = 3, 6


@pytest.fixture
def settings(postgres_database: Database, own_redis: PrivateRedis, desk: Desk) -> dict[str, object]:
    return QUICK | {
        "database_url": postgres_database.url.render_as_string(hide_password=False),
        "broker_url": own_redis.url,
        "smtp_url": desk.url,
    }


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Keep everybody from writing the ledger."""
    with database.write() as session:
        session.connection().exec_driver_sql("LOCK TABLE delivery IN EXCLUSIVE MODE")
        yield


def one_waits(database: Database) -> bool:
    """Whether somebody waits for a lock in that database."""
    with database.read() as session:
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return session.connection().exec_driver_sql(waiting).first() is not None


def noted(database: Database) -> int:
    """How many rows have a note that a worker was told of them."""
    with database.read() as session:
        query = sa.select(sa.func.count()).where(ROWS.c.rung_at.is_not(None))
        return int(session.connection().execute(query).scalar_one())


def test_a_scheduler_killed_while_it_writes_due_rows(
    postgres_database: Database, own_redis: PrivateRedis, desk: Desk, settings: dict[str, object], tmp_path: Path,
    full: bool,
) -> None:  # fmt: skip
    """Once within its transaction, once between its note and the bell; two others at once then find what is due."""
    people = 1000 if full else 100
    crowd(postgres_database, people)
    with locked(postgres_database), live(tmp_path, "scheduler", **settings) as scheduler:
        scheduler.wait_for(lambda: one_waits(postgres_database), "its transaction")
        scheduler.stop(signal.SIGKILL)
    assert noted(postgres_database) == 0
    # With the chores rung for already, the deliveries are the first that it rings for.
    broker = make_broker(own_redis.url)
    declare(broker, lambda ids: Tally()).plan()
    broker.close()
    lock = ExitStack()
    lock.enter_context(locked(postgres_database))
    with lock, live(tmp_path, "scheduler", **settings) as scheduler:
        scheduler.wait_for(lambda: one_waits(postgres_database), "its transaction")
        own_redis.send(signal.SIGSTOP)
        lock.close()
        # It commits its notes, and hangs where it rings.
        scheduler.wait_for(lambda: noted(postgres_database) > 0, "its notes")
        scheduler.stop(signal.SIGKILL)
        own_redis.send(signal.SIGCONT)
    with (
        live(tmp_path, "worker", "--threads", THREADS, **settings) as worker,
        live(tmp_path, "scheduler", **settings) as one,
        live(tmp_path, "scheduler", **settings) as other,
    ):
        worker.wait_for(lambda: counts(postgres_database) == {"sent": people}, "all of it")
        assert one.stop() == other.stop() == worker.stop() == 0
    assert kept(postgres_database, desk) == {"sent": people}


@pytest.mark.parametrize("schedulers", [2, 3])
def test_schedulers_at_once(
    schedulers: int, postgres_database: Database, desk: Desk, settings: dict[str, object], tmp_path: Path, full: bool
) -> None:
    """Each finds what is due at every tick, and each message goes once."""
    people = 1000 if full else 200
    crowd(postgres_database, people)
    desk.seconds = 0.01
    often = settings | {"tick_seconds": 0.05, "chunk_size": 5}
    with ExitStack() as stack:
        worker = stack.enter_context(live(tmp_path, "worker", "--threads", THREADS, **often))
        beside = [stack.enter_context(live(tmp_path, "scheduler", **often)) for _ in range(schedulers)]
        worker.wait_for(lambda: counts(postgres_database) == {"sent": people}, "all of it")
        assert [one.stop() for one in [*beside, worker]] == [0] * (schedulers + 1)
        assert not any("Traceback" in one.said or "tick failed" in one.said for one in [*beside, worker])
    assert kept(postgres_database, desk) == {"sent": people}


def test_told_to_stop_in_data_a_worker_ends_with_the_servers_word(
    postgres_database: Database, desk: Desk, settings: dict[str, object], tmp_path: Path
) -> None:
    people = 60
    crowd(postgres_database, people)
    desk.hold()
    with live(tmp_path, "worker", "--threads", THREADS, **settings) as worker, live(tmp_path, "scheduler", **settings):
        worker.wait_for(lambda: desk.in_data == CONNECTIONS, "all its connections in DATA")
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_for(lambda: "worker stopping" in worker.said, "its stopping")
        desk.release()
        assert worker.process.wait(60) == 0
    assert desk.count == CONNECTIONS
    # What was in DATA has its word; the rest was given back at once, and nothing of it was tried.
    assert counts(postgres_database) == {"sent": CONNECTIONS, "pending": people - CONNECTIONS}
    with postgres_database.read() as session:
        waiting = sa.select(ROWS.c.attempts, ROWS.c.lease_token).where(ROWS.c.state == "pending").distinct()
        assert session.connection().execute(waiting).all() == [(0, None)]
    finish(postgres_database, tmp_path, settings)
    assert kept(postgres_database, desk) == {"sent": people}


def test_told_to_stop_while_the_server_never_answers_it_ends_within_its_grace(
    postgres_database: Database, desk: Desk, settings: dict[str, object], tmp_path: Path
) -> None:
    """What it leaves in DATA is unknown, and the server may have it or not."""
    people = 20
    crowd(postgres_database, people)
    desk.hold()
    brief = settings | {"stop_seconds": 1}
    with live(tmp_path, "worker", "--threads", THREADS, **brief) as worker, live(tmp_path, "scheduler", **brief):
        worker.wait_for(lambda: desk.in_data > 0, "a connection in DATA")
        # The server would be given ten minutes.
        assert worker.stop() == 0
    desk.release()
    until(lambda: desk.in_data == 0, "the server's own end")
    finish(postgres_database, tmp_path, settings)
    states = kept(postgres_database, desk)
    assert 0 < states["unknown"] <= CONNECTIONS
    assert sum(states.values()) == people
