"""One process on SQLite that is held up, killed, or out of room."""

from __future__ import annotations

import resource
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from events_service.db.session import Database
from schedules.service import WORK_THREADS
from tests.crowds import counts, crowd
from tests.faults.desk import Desk
from tests.faults.promises import finish, kept, to_begin
from tests.processes import Live, live

THREADS, CONNECTIONS = 2, 2
"""Each of a thread's connections may have a message in DATA."""
QUICK = {
    "tick_seconds": 0.2,
    "ring_again_seconds": 2,
    "lease_seconds": 3,
    "chunk_size": 20,
    "smtp_connections": CONNECTIONS,
}
NO_ROOM = "look at the disk and its free space"
UP = ("up", "--port", "0", "--threads", THREADS)


def settings_of(database: Database, desk: Desk) -> dict[str, object]:
    return QUICK | {"database_url": str(database), "smtp_url": desk.url}


def whole(database: Database) -> bool:
    """Whether SQLite finds no fault in its file."""
    with database.read() as session:
        return session.connection().exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]


def test_locked_by_another_writer_for_a_while(
    sqlite_database: Database, desk: Desk, tmp_path: Path, full: bool
) -> None:
    people, seconds = (1000, 10.0) if full else (100, 1.0)
    crowd(sqlite_database, people)
    with live(tmp_path, *UP, **settings_of(sqlite_database, desk)) as up:
        up.wait_for(lambda: desk.count > people // 3, "a third of it")
        with closing(sqlite3.connect(tmp_path / "events.db", isolation_level=None, timeout=60)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")
        up.wait_for(lambda: counts(sqlite_database) == {"sent": people}, "all of it")
        assert up.stop() == 0
        assert "error" not in up.said
    assert kept(sqlite_database, desk) == {"sent": people}
    assert whole(sqlite_database)


def test_killed_in_the_middle(sqlite_database: Database, desk: Desk, tmp_path: Path, full: bool) -> None:
    """Whoever works: the service in one process, or `events work`, turn about."""
    people, kills = (3000, 12) if full else (200, 2)
    desk.seconds = 0.005
    crowd(sqlite_database, people)
    settings = settings_of(sqlite_database, desk)
    for kill in range(1, kills + 1):
        with live(tmp_path, *(UP if kill % 2 else ("work", "--until-idle")), **settings) as process:
            process.wait_for(lambda enough=people * kill // (kills + 2): desk.count > enough, f"kill {kill}")
            process.stop(signal.SIGKILL)
        assert whole(sqlite_database)
    finish(sqlite_database, tmp_path, settings)
    states = kept(sqlite_database, desk)
    assert set(states) <= {"sent", "unknown"}
    assert states["unknown"] <= ((kills - kills // 2) * THREADS + kills // 2 * WORK_THREADS) * CONNECTIONS
    assert whole(sqlite_database)


def test_no_room_to_write(sqlite_database: Database, desk: Desk, tmp_path: Path, full: bool) -> None:
    """Nothing is called sent that was not received, and it goes on when there is room."""
    people, faults = (3000, 6) if full else (200, 1)
    desk.seconds = 0.005
    crowd(sqlite_database, people)
    # One connection a thread: then each of them is in DATA while the server holds its words.
    settings = settings_of(sqlite_database, desk) | {"smtp_connections": 1}
    with live(tmp_path, *UP, **settings) as up:
        for fault in range(1, faults + 1):
            # Held there, so that enough is left to be written.
            desk.hold(after=people * fault // (faults + 2))
            up.wait_for(lambda: desk.held and desk.in_data == THREADS, f"fault {fault}")
            before = up.said.count(NO_ROOM)
            room(up, 64 * 1024)
            desk.release()
            up.wait_for(lambda before=before: up.said.count(NO_ROOM) > before, "no room")
            room(up, resource.RLIM_INFINITY)
        up.wait_for(lambda: to_begin(sqlite_database) == 0, "the last message's beginning")
        assert up.stop() == 0
        assert "Traceback" not in up.said
    finish(sqlite_database, tmp_path, settings)
    assert set(kept(sqlite_database, desk)) <= {"sent", "unknown"}
    assert whole(sqlite_database)


def room(process: Live, size: int) -> None:
    """Let none of its files grow beyond `size` bytes."""
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
