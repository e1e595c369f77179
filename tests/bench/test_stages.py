from __future__ import annotations

import threading
from pathlib import Path

import pytest

from events_service.db.schema import open_database
from schedules.service import work
from tests.bench.mission import invitations, invite_again
from tests.bench.running import settings_for
from tests.bench.stages import Stages, timed
from tests.crowds import counts
from tests.mail.servers import real_server


def test_time_is_counted_for_the_innermost_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tests.bench.stages.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("tests.bench.stages.time.thread_time", lambda: now[0] / 4)
    stages = Stages()
    with stages.stage("database"):
        now[0] = 4.0
        with stages.stage("smtp"):
            now[0] = 12.0
        now[0] = 28.0
    now[0] = 100.0
    with stages.stage("smtp"):
        now[0] = 104.0
    assert stages.worked == {"database": 5.0, "smtp": 3.0}
    assert stages.waited == {"database": 15.0, "smtp": 9.0}


def test_threads_do_not_interrupt_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tests.bench.stages.time.perf_counter", lambda: now[0])
    stages = Stages()

    def send() -> None:
        with stages.stage("smtp"):
            now[0] = 5.0

    with stages.stage("database"):
        now[0] = 1.0
        other = threading.Thread(target=send)
        other.start()
        other.join()
        now[0] = 6.0
    assert stages.worked.keys() == stages.waited.keys() == {"database", "smtp"}
    assert stages.worked["database"] + stages.waited["database"] == 6.0
    assert stages.worked["smtp"] + stages.waited["smtp"] == 4.0


def test_every_stage_of_a_campaign_is_seen(tmp_path: Path) -> None:
    with real_server() as (desk, port), timed() as stages:
        settings = settings_for(tmp_path, f"smtp://127.0.0.1:{port}")
        database = open_database(settings.resolved_database_url)
        invitations(database, 12)
        work(settings, database, None, until_idle=True)
        assert counts(database) == {"sent": 12}
        assert invite_again(database, "munich-2") == 12
        work(settings, database, None, until_idle=True)
        assert counts(database) == {"sent": 24}
        database.dispose()
    assert stages.messages == len(desk.taken) == 24
    assert 15_000 < stages.size < 20_000
    seen = stages.microseconds()
    assert {"render", "calendar", "mime", "letter", "smtp", "connect", "database", "other"} <= seen.keys()
    assert min(seen.values()) > 0
