"""PostgreSQL that loses its backends, its power, or its room, in the middle of a campaign."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg

from events_service.db.schema import open_database
from events_service.db.session import Database
from tests.crowds import crowd
from tests.faults.desk import Desk
from tests.faults.private import PrivatePostgres, PrivateRedis, small_postgres
from tests.faults.promises import finish, kept, to_begin
from tests.processes import Live, live

THREADS, CONNECTIONS = 3, 2
"""Each of a thread's connections may have a message in DATA."""
QUICK = {
    "tick_seconds": 0.2,
    "ring_again_seconds": 2,
    "lease_seconds": 3,
    "chunk_size": 20,
    "smtp_connections": CONNECTIONS,
}
NO_SPACE = "no space is left on its disk"


def interrupted(
    database: Database,
    broker_url: str,
    desk: Desk,
    folder: Path,
    people: int,
    faults: int,
    fault: Callable[[Live], None],
) -> int:
    """A campaign during which `fault` happens so often; how many ended as unknown.

    It is told of the worker, and the mail server holds its words until it releases them.
    """
    crowd(database, people)
    settings = QUICK | {
        "database_url": database.url.render_as_string(hide_password=False),
        "broker_url": broker_url,
        "smtp_url": desk.url,
    }
    desk.seconds = 0.01
    with (
        live(folder, "worker", "--threads", THREADS, **settings) as worker,
        live(folder, "scheduler", **settings) as scheduler,
    ):
        for number in range(1, faults + 1):
            # Held there, so that enough is left to be written.
            desk.hold(after=people * number // (faults + 2))
            worker.wait_for(lambda: desk.held, f"fault {number}")
            fault(worker)
        worker.wait_for(lambda: to_begin(database) == 0, "the last message's beginning")
        assert scheduler.stop() == 0
        assert worker.stop() == 0
        # What became of the connections is a line for each, and the processes live on.
        assert "Traceback" not in worker.said + scheduler.said
    finish(database, folder, settings)
    states = kept(database, desk)
    assert set(states) <= {"sent", "unknown"}
    return states["unknown"]


def test_backends_that_are_terminated_at_random(
    postgres_database: Database, own_redis: PrivateRedis, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people, faults = (3000, 60) if full else (200, 6)
    chance = random.Random(1)
    address = postgres_database.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def terminate(_worker: Live) -> None:
        desk.release()
        with psycopg.connect(address, autocommit=True) as connection:
            others = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()  # fmt: skip
            for [pid] in chance.sample(others, min(2, len(others))):
                connection.execute("SELECT pg_terminate_backend(%s)", [pid])

    # Its own connections are among those that go.
    postgres_database.dispose()
    unknown = interrupted(postgres_database, own_redis.url, desk, tmp_path, people, faults, terminate)
    assert unknown <= faults * THREADS * CONNECTIONS


def test_stopped_at_once_and_started(
    own_postgres: PrivatePostgres, own_redis: PrivateRedis, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people, faults = (3000, 6) if full else (200, 1)

    def restart(_worker: Live) -> None:
        desk.release()
        # As `pg_ctl stop -m immediate` does it: it comes back by way of crash recovery.
        own_postgres.stop(signal.SIGQUIT)
        own_postgres.start()

    with own_postgres.database() as url:
        database = open_database(url)
        assert (
            interrupted(database, own_redis.url, desk, tmp_path, people, faults, restart)
            <= faults * THREADS * CONNECTIONS
        )
        database.dispose()


def test_its_disk_is_full(own_redis: PrivateRedis, desk: Desk, tmp_path: Path, full: bool) -> None:
    """Nothing is called sent that was not received, and it goes on when there is room."""
    people, faults = (3000, 6) if full else (200, 1)
    with small_postgres(150) as (server, disk), server.database() as url:
        database = open_database(url)
        address = url.replace("+psycopg", "")

        def fill(worker: Live) -> None:
            before = worker.said.count(NO_SPACE)
            # A backup that runs: nothing can be tidied up, so that each change takes new room.
            with closing(psycopg.connect(address)) as backup:
                backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                backup.execute("SELECT count(*) FROM delivery")
                disk.fill()
                desk.release()
                # Where it is the log that finds no room, the server goes down by itself.
                worker.wait_for(lambda: worker.said.count(NO_SPACE) > before or "PANIC" in server.said, "no space")
                disk.make_room()
            server.ensure()

        interrupted(database, own_redis.url, desk, tmp_path, people, faults, fill)
        database.dispose()
