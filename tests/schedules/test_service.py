from __future__ import annotations

import signal
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from events_service.config import Settings
from events_service.db.session import Database
from schedules.scheduler import start_scheduler
from schedules.service import wind_down, work, would_work
from schedules.ticks import tick
from tests.crowds import counts, crowd
from tests.ledger import INVITED, House, started
from tests.processes import PATIENCE, live, run
from workers.actors import declare
from workers.broker import make_broker
from workers.lanes import Lanes

NAMES = ("ada", "bob", "cem")


@pytest.mark.parametrize("until_idle", [True, False])
@pytest.mark.parametrize("rung", [timedelta(0), timedelta(hours=1)])
def test_work_finds_what_is_due_whoever_was_rung_for_it(
    emptied: Database, settings: Settings, until_idle: bool, rung: timedelta
) -> None:
    """Somebody was told at this moment, or at a later one, and is gone."""
    with emptied.write() as session:
        started(session, *(f"{name}@example.org" for name in NAMES))
    assert tick(emptied, settings, lambda ids: None, INVITED + rung).rung == 3
    assert would_work(settings, emptied, INVITED)["due"] == 3
    assert work(settings, emptied, INVITED, until_idle=until_idle)["sent"] == 3
    assert would_work(settings, emptied, INVITED)["due"] == 0


def test_what_a_tick_rang_for_stays_noted_after_a_dry_run(emptied: Database, settings: Settings) -> None:
    with emptied.write() as session:
        started(session, "ada@example.org")
    assert tick(emptied, settings, lambda ids: None, INVITED).rung == 1
    assert would_work(settings, emptied, INVITED)["due"] == 1
    soon = INVITED + timedelta(seconds=settings.ring_again_seconds - 1)
    assert tick(emptied, settings, lambda ids: None, soon).rung == 0


def test_what_is_in_data_need_not_wait_for_a_tick_to_be_given_its_time(emptied: Database, settings: Settings) -> None:
    """A tick that ends only once the threads that send have ended."""
    house = House(emptied, settings)
    broker = make_broker("stub://")
    declare(broker, house.postroom.deliver)
    lanes = Lanes(broker, 1)
    ticking, lasted = threading.Event(), list[bool]()

    def tick_on() -> None:
        ticking.set()
        deadline = time.monotonic() + PATIENCE
        for thread in lanes.threads:
            thread.join(max(deadline - time.monotonic(), 0))
        lasted.append(any(thread.is_alive() for thread in lanes.threads))

    scheduler = start_scheduler(tick_on, 3600)
    assert ticking.wait(PATIENCE)
    wind_down(house.postroom, scheduler, lanes, PATIENCE)
    # It was waited for, and saw them end.
    assert lasted == [False]


def test_work_that_is_interrupted_gives_back_what_it_had_not_begun(sqlite_database: Database, tmp_path: Path) -> None:
    crowd(sqlite_database, 1000)
    settings = {"database_url": str(sqlite_database), "smtp_url": f"maildir:{tmp_path}/mail", "chunk_size": 1000}
    new = tmp_path / "mail/new"
    with live(tmp_path, "work", "--until-idle", **settings) as working:
        working.wait_for(lambda: new.is_dir() and len(list(new.iterdir())) > 20, "some letters")
        assert working.stop(signal.SIGINT) == 130
        assert "Traceback" not in working.said
    found = counts(sqlite_database)
    assert found.keys() == {"sent", "pending"}
    assert found["sent"] == len(list(new.iterdir()))
    assert run(tmp_path, "work", "--until-idle", **settings).returncode == 0
    assert counts(sqlite_database) == {"sent": 1000}
    assert len(list(new.iterdir())) == 1000
