"""Brokers that are emptied, killed, stopped, or were never there: the ledger is the truth, and they are a doorbell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from events_service import doorbell
from events_service.db.session import Database
from events_service.postroom import Tally
from tests.crowds import counts, crowd
from tests.faults.desk import Desk
from tests.faults.private import PrivateRabbit, PrivateRedis
from tests.faults.promises import finish, kept
from tests.processes import Live, live, run
from workers.actors import declare
from workers.broker import make_broker
from workers.process import bells_to_ring

QUICK = {"tick_seconds": 0.2, "ring_again_seconds": 2, "lease_seconds": 10}
THREADS = 2


def settings_of(database: Database, broker_url: str, desk: Desk, **more: object) -> dict[str, object]:
    url = database.url.render_as_string(hide_password=False)
    return QUICK | {"database_url": url, "broker_url": broker_url, "smtp_url": desk.url} | more


def all_sent(database: Database, people: int, *processes: Live) -> None:
    """Wait for it, and end them all as they are ended live."""
    processes[0].wait_for(lambda: counts(database) == {"sent": people}, "all of it")
    for process in processes:
        assert process.stop() == 0
        assert "Traceback" not in process.said


def sent_within_two_sweeps(
    database: Database, people: int, folder: Path, settings: dict[str, object], worker: Live
) -> None:
    """Let there be one tick, and a second once nothing is on its way; with these two all of it must be sent."""
    broker = make_broker(str(settings["broker_url"]))
    bells = bells_to_ring(broker)

    def nothing_moves() -> bool:
        return not bells.waiting("deliver") and not counts(database).get("sending")

    for sweep in (1, 2):
        done = run(folder, "tick", **settings)
        assert done.returncode == 0, done.stderr
        worker.wait_for(
            lambda first=sweep == 1: counts(database) == {"sent": people} or (first and nothing_moves()),
            f"the end of sweep {sweep}",
        )
    broker.close()
    all_sent(database, people, worker)


@contextmanager
def at_work(folder: Path, settings: dict[str, object]) -> Iterator[tuple[Live, Live]]:
    """A worker and a scheduler that live."""
    with (
        live(folder, "worker", "--threads", THREADS, **settings) as worker,
        live(folder, "scheduler", **settings) as scheduler,
    ):
        yield worker, scheduler


def test_redis_emptied_with_a_thousand_queued(
    postgres_database: Database, own_redis: PrivateRedis, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people = 1000 if full else 200
    crowd(postgres_database, people)
    settings = settings_of(postgres_database, own_redis.url, desk, chunk_size=2, ring_again_seconds=3600)
    with own_redis.client() as redis:
        assert run(tmp_path, "tick", **settings).returncode == 0
        assert redis.llen("events:deliver") == people // 2
        redis.flushall()
    with live(tmp_path, "worker", "--threads", THREADS, **settings) as worker:
        sent_within_two_sweeps(postgres_database, people, tmp_path, settings, worker)
    assert kept(postgres_database, desk) == {"sent": people}


def test_redis_killed_in_the_middle(
    postgres_database: Database, own_redis: PrivateRedis, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people = 1000 if full else 200
    crowd(postgres_database, people)
    settings = settings_of(postgres_database, own_redis.url, desk, chunk_size=10)
    desk.seconds = 0.01
    with at_work(tmp_path, settings) as (worker, scheduler):
        worker.wait_for(lambda: desk.count > people // 4, "a quarter of it")
        own_redis.kill()
        # A tick that cannot ring says so, and goes on: it sweeps, and rings when it can.
        scheduler.wait_for_line("tick failed")
        assert scheduler.stop() == 0
        assert counts(postgres_database).get("pending", 0) > 0
        own_redis.start()
        sent_within_two_sweeps(postgres_database, people, tmp_path, settings, worker)
    assert kept(postgres_database, desk) == {"sent": people}


def test_rabbitmqs_queue_deleted(
    postgres_database: Database, own_rabbit: PrivateRabbit, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people = 1000 if full else 200
    crowd(postgres_database, people)
    settings = settings_of(postgres_database, own_rabbit.url, desk, chunk_size=10)
    desk.seconds = 0.01
    with at_work(tmp_path, settings) as (worker, scheduler):
        worker.wait_for(lambda: desk.count > people // 4, "a quarter of it")
        desk.hold()
        assert scheduler.stop() == 0
        own_rabbit.delete_queues()
        assert counts(postgres_database).get("pending", 0) > 0
        desk.release()
        sent_within_two_sweeps(postgres_database, people, tmp_path, settings, worker)
    assert kept(postgres_database, desk) == {"sent": people}


def test_rabbitmq_stopped_and_started(
    postgres_database: Database, own_rabbit: PrivateRabbit, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people = 1000 if full else 200
    crowd(postgres_database, people)
    settings = settings_of(postgres_database, own_rabbit.url, desk, chunk_size=10)
    desk.seconds = 0.01
    with at_work(tmp_path, settings) as (worker, scheduler):
        worker.wait_for(lambda: desk.count > people // 4, "a quarter of it")
        desk.hold()
        own_rabbit.stop()
        scheduler.wait_for_line("tick failed")
        assert scheduler.stop() == 0
        assert counts(postgres_database).get("pending", 0) > 0
        desk.release()
        own_rabbit.start()
        sent_within_two_sweeps(postgres_database, people, tmp_path, settings, worker)
    assert kept(postgres_database, desk) == {"sent": people}


def test_every_doorbell_five_times(
    postgres_database: Database, own_redis: PrivateRedis, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people = 1000 if full else 200
    crowd(postgres_database, people)
    settings = settings_of(postgres_database, own_redis.url, desk)
    broker = make_broker(own_redis.url)
    ring = declare(broker, lambda ids: Tally()).deliver
    with postgres_database.write() as session:
        ids = doorbell.ring_due(session, datetime.now(UTC), limit=people, again_after=None)
    for _ in range(5):
        for start in range(0, people, 10):
            ring(ids[start : start + 10])
    broker.close()
    with live(tmp_path, "worker", "--threads", 4, **settings) as worker, own_redis.client() as redis:
        worker.wait_for(lambda: redis.llen("events:deliver") == 0, "the end of the queue")
        all_sent(postgres_database, people, worker)
    assert kept(postgres_database, desk) == {"sent": people}


def test_a_broker_that_comes_after_those_who_need_it(
    postgres_database: Database, own_redis: PrivateRedis, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people = 1000 if full else 100
    crowd(postgres_database, people)
    own_redis.kill()
    with at_work(tmp_path, settings_of(postgres_database, own_redis.url, desk)) as (worker, scheduler):
        worker.wait_for_line("waiting for the broker")
        scheduler.wait_for_line("tick failed")
        own_redis.start()
        all_sent(postgres_database, people, worker, scheduler)
    assert kept(postgres_database, desk) == {"sent": people}


def test_no_broker_at_all(postgres_database: Database, desk: Desk, tmp_path: Path, full: bool) -> None:
    """`events work` needs none. What a worker and a scheduler say to that: tests/workers/test_process.py."""
    people = 1000 if full else 100
    crowd(postgres_database, people)
    finish(postgres_database, tmp_path, settings_of(postgres_database, "amqp://guest:guest@127.0.0.1:1", desk))
    assert kept(postgres_database, desk) == {"sent": people}
