"""Workers that are killed in the middle of a campaign, at random or by a message of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from events_service.db.session import Database
from events_service.domain.delivery import LOST_TOO_OFTEN
from events_service.outbox import ROWS
from tests.crowds import counts, crowd
from tests.faults.desk import Desk
from tests.faults.private import PrivateRedis
from tests.faults.promises import finish, kept, to_begin
from tests.ledger import run_out
from tests.processes import PATIENCE, alive, environment, live, run

PROCESSES, THREADS, CONNECTIONS = 2, 2, 2
"""Each of a thread's connections may have a message in DATA."""
QUICK = {
    "tick_seconds": 0.2,
    "ring_again_seconds": 2,
    "lease_seconds": 3,
    "chunk_size": 20,
    "smtp_connections": CONNECTIONS,
}


@pytest.mark.parametrize("policy", ["hold", "resend"])
def test_workers_that_are_killed_at_random(
    policy: str, postgres_database: Database, own_redis: PrivateRedis, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people, kills = (3000, 40) if full else (300, 4)
    # At full length that is about a second from one kill to the next.
    desk.seconds = 0.05 if full else 0.01
    crowd(postgres_database, people, policy=policy)
    settings = QUICK | {
        "database_url": postgres_database.url.render_as_string(hide_password=False),
        "broker_url": own_redis.url,
        "smtp_url": desk.url,
    }
    chance = random.Random(policy)
    with (
        live(tmp_path, "worker", "--processes", PROCESSES, "--threads", THREADS, **settings) as worker,
        live(tmp_path, "scheduler", **settings) as scheduler,
    ):
        for kill in range(1, kills + 1):
            worker.wait_for(lambda enough=people * kill // (kills + 2): desk.count >= enough, f"kill {kill}")
            worker.wait_for(lambda: any(map(alive, worker.children)), "somebody to kill")
            os.kill(chance.choice([pid for pid in worker.children if alive(pid)]), signal.SIGKILL)
        worker.wait_for(lambda: to_begin(postgres_database) == 0, "the last message's beginning")
        assert scheduler.stop() == 0
        assert worker.stop() == 0
    finish(postgres_database, tmp_path, settings)
    states = kept(postgres_database, desk, policy=policy)
    if policy == "resend":
        assert states == {"sent": people}
        assert len(desk.ids) == people
    else:
        assert set(states) <= {"sent", "unknown"}
        assert states["unknown"] <= kills * THREADS * CONNECTIONS


KILLED_BY = """
import os, signal, sys
from events_service.clock import system_clock
from events_service.config import load_settings
from events_service.db.schema import open_database
from schedules.service import LocalQueue
from schedules.ticks import tick
from tests.ledger import House

settings = load_settings()
house = House(open_database(settings.resolved_database_url), settings, system_clock())

def die(message):
    if message.recipient == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)

house.wire.before = die
queue = LocalQueue(house.postroom, threads=4)
first = True
while tick(house.database, settings, queue.ring, house.clock(), afresh=first).rung:
    queue.drain()
    first = False
queue.stop()
"""


def test_a_message_that_kills_every_worker_fails_alone(database: Database, repository: Path, tmp_path: Path) -> None:
    """Four threads of a process are lost with it each time, and what they had claimed."""
    crowd(database, 120)
    url = database.url.render_as_string(hide_password=False)
    settings: dict[str, object] = {"database_url": url, "chunk_size": 15, "data_dir": tmp_path}
    words, lives = [sys.executable, "-c", KILLED_BY, "p77@example.org"], 0
    told = {"cwd": repository, "env": environment(**settings), "timeout": PATIENCE}
    while subprocess.run(words, check=False, **told).returncode:
        lives += 1
        assert lives <= LOST_TOO_OFTEN
        with database.write() as session:
            run_out(session)
    assert lives == LOST_TOO_OFTEN
    states = counts(database)
    # What another thread had in DATA at that moment nobody can know of.
    assert states.pop("unknown", 0) <= 3 * LOST_TOO_OFTEN
    assert states.keys() == {"failed", "sent"}
    assert states["failed"] == 1
    with database.read() as session:
        query = sa.select(ROWS.c.id, ROWS.c.last_error).where(ROWS.c.state == "failed")
        [failed] = session.connection().execute(query).all()
    assert "its worker was lost 5 times in a row" in failed.last_error
    shown = run(tmp_path, "delivery", "show", failed.id, **settings)
    assert "p77@example.org" in shown.stdout
    assert run(tmp_path, "delivery", "retry", failed.id, **settings).returncode == 0
    assert counts(database)["pending"] == 1
