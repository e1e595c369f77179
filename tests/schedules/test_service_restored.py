"""Live processes of a service whose database was set back, and what lets the next restore be known."""

from __future__ import annotations

from pathlib import Path

from events_service import heartbeat
from events_service.clock import system_clock
from events_service.config import Settings
from events_service.db.session import Database
from tests.crowds import counts, crowd
from tests.processes import live
from workers.broker import make_broker
from workers.process import bells_to_ring


def test_up_looks_for_a_restore_before_it_takes_what_waits_in_the_queue(
    sqlite_database: Database, redis_url: str, tmp_path: Path
) -> None:
    """The queue rings for what went after the backup was made."""
    data = tmp_path / "data"
    crowd(sqlite_database, 20)
    heartbeat.begin(sqlite_database, Settings(data_dir=data), system_clock())
    [file] = data.glob("heartbeat.*")
    folder, noted, at = file.read_text().split()
    file.write_text(f"{folder} {int(noted) + 5} {at}\n")
    broker = make_broker(redis_url)
    bells_to_ring(broker).deliver(range(1, 21))
    broker.close()
    settings = {"database_url": str(sqlite_database), "broker_url": redis_url, "data_dir": data}
    with live(tmp_path, "up", "--port", 0, **settings, smtp_url=f"maildir:{tmp_path}/mail") as up:
        up.wait_for_line("serving")
        assert "an older copy of the database was restored" in up.said.partition("serving")[0]
        assert up.stop() == 0
    assert counts(sqlite_database) == {"held": 20}


def test_a_worker_notes_that_it_lives_in_its_own_folder(
    sqlite_database: Database, redis_url: str, tmp_path: Path
) -> None:
    """Its machine may have no scheduler, and what it sent must be in doubt after a restore all the same."""
    data = tmp_path / "data"
    settings = {"database_url": str(sqlite_database), "broker_url": redis_url, "data_dir": data, "tick_seconds": 0.2}

    def noted() -> int:
        return max((int(file.read_text().split()[1]) for file in data.glob("heartbeat.*")), default=0)

    with live(tmp_path, "worker", "--threads", 1, **settings) as worker:
        worker.wait_for(lambda: noted() > 3, "three notes")
        assert worker.stop() == 0
        assert "Traceback" not in worker.said
