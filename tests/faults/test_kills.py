"""Workers that are killed in the middle of a campaign."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest

from events_service.db.session import Database
from tests.crowds import crowd
from tests.faults.desk import Desk
from tests.faults.private import PrivateRedis
from tests.faults.promises import finish, kept, to_begin
from tests.processes import alive, live

PROCESSES, THREADS = 2, 2
QUICK = {"tick_seconds": 0.2, "ring_again_seconds": 2, "lease_seconds": 3, "chunk_size": 20}


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
        assert states["unknown"] <= kills * THREADS
