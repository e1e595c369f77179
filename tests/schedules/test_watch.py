from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from events_service import heartbeat
from events_service.config import Settings
from events_service.db.session import Database
from events_service.errors import BrokerError
from schedules.ticks import Ticked
from schedules.watch import Watch

NOTHING = Ticked(0, 0, 0, 0, 0, 0, 0)


@pytest.fixture
def quiet(settings: Settings) -> Settings:
    return settings.model_copy(update={"metrics_addr": "off"})


def test_the_heartbeat_is_noted_before_a_tick_and_after_it(sqlite_database: Database, quiet: Settings) -> None:
    seen: list[heartbeat.Heartbeat | None] = []

    def tick() -> Ticked:
        with sqlite_database.read() as session:
            seen.append(heartbeat.last(session))
        return NOTHING

    began = datetime.now(UTC)
    watch = Watch(sqlite_database, quiet)
    watch.over(tick)()
    watch.close()
    with sqlite_database.read() as session:
        after = heartbeat.last(session)
    assert seen[0] and seen[0].begun_at and seen[0].begun_at >= began and seen[0].ended_at is None
    assert after and after.ended_at and after.ended_at >= seen[0].begun_at
    [file] = quiet.data_dir.glob("heartbeat.*")
    assert after.begun_at and after.begun_at.isoformat() in file.read_text()


def test_a_tick_that_fails_has_begun_and_not_ended(sqlite_database: Database, quiet: Settings) -> None:
    def tick() -> Ticked:
        raise BrokerError("the broker takes no message")

    watch = Watch(sqlite_database, quiet)
    with pytest.raises(BrokerError):
        watch.over(tick)()
    watch.close()
    with sqlite_database.read() as session:
        found = heartbeat.last(session)
    assert found and found.begun_at and found.ended_at is None


def test_a_restore_is_noticed_before_the_tick_that_would_send(
    sqlite_database: Database, quiet: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    heartbeat.begin(sqlite_database, quiet, datetime.now(UTC) - timedelta(hours=1))
    [file] = quiet.data_dir.glob("heartbeat.*")
    folder, noted, at = file.read_text().split()
    said: list[str] = []
    file.write_text(f"{folder} {int(noted) + 1} {at}\n")

    def tick() -> Ticked:
        said.append(capsys.readouterr().out)
        return NOTHING

    watch = Watch(sqlite_database, quiet)
    watch.over(tick)()
    watch.over(tick)()
    watch.close()
    assert "an older copy of the database was restored" in said[0] and said[1] == ""
