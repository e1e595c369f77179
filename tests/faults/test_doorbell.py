"""Doorbells lost, repeated, late: the ledger is the truth."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from events_service.config import Settings
from events_service.db.session import Database
from tests.crowds import counts, crowd
from tests.ledger import INVITED, House, started
from tests.processes import live

QUICK = {"tick_seconds": 0.2, "ring_again_seconds": 1, "lease_seconds": 2, "data_lease_seconds": 2, "chunk_size": 20}


@pytest.fixture
def house(emptied: Database, settings: Settings) -> House:
    with emptied.write() as session:
        started(session, *(f"p{number}@example.org" for number in range(20)))
    return House(emptied, settings, INVITED)


def test_every_doorbell_five_times_at_once(house: House) -> None:
    ids = house.tick()
    threads = [threading.Thread(target=house.postroom.deliver, args=(ids,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(house.wire.taken) == len(set(house.wire.recipients)) == 20


def test_no_doorbell_at_all(house: House) -> None:
    assert len(house.tick()) == 20
    # Nobody heard it. A sweep later it is rung again, and a worker that looks for itself finds the same.
    house.clock.at += timedelta(seconds=house.settings.ring_again_seconds)
    assert len(house.work()) == 20


def test_a_doorbell_for_what_is_not_there(house: House) -> None:
    assert house.postroom.deliver([987654321]).sent == 0
    assert house.postroom.deliver([]).sent == 0


def test_redis_emptied_with_work_queued(
    postgres_database: Database, redis_url: str, tmp_path: Path, full: bool
) -> None:
    people = 1000 if full else 200
    crowd(postgres_database, people)
    settings = QUICK | {
        "database_url": postgres_database.url.render_as_string(hide_password=False),
        "broker_url": redis_url,
        "smtp_url": f"maildir:{tmp_path}/mail",
    }
    with redis.Redis.from_url(redis_url) as client, live(tmp_path, "scheduler", **settings) as scheduler:
        scheduler.wait_for(lambda: client.dbsize() > 0, "messages in the queue")
        client.flushdb()
        with live(tmp_path, "worker", "--threads", 2, **settings) as worker:
            worker.wait_for(lambda: counts(postgres_database) == {"sent": people}, "all of it")
            assert worker.stop() == 0
        assert scheduler.stop() == 0
    assert len(list((tmp_path / "mail/new").iterdir())) == people
