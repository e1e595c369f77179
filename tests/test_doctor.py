from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import Session

from events_service import heartbeat
from events_service.config import Settings
from events_service.db.schema import HEAD, open_database
from events_service.doctor import Check, examine
from events_service.domain.delivery import HELD_IN_DOUBT
from events_service.errors import BrokerError, SettingsError
from tests.cli.conftest import Command, events
from tests.test_outbox import post, row

__all__ = ["events"]

NAMES = [
    "settings",
    "database",
    "schema",
    "clock",
    "deliveries",
    "proposals",
    "ticks",
    "broker",
    "smtp",
    "rates",
    "templates",
    "schedules",
    "secret key",
]


def look(settings: Settings, now: datetime | None = None) -> dict[str, Check]:
    found = examine(lambda: settings, lambda settings: "in this process", now or datetime.now(UTC))
    return {one.check: one for one in found}


def test_a_new_installation_is_well(settings: Settings) -> None:
    found = look(settings)
    assert list(found) == NAMES
    assert [one for one in found.values() if not one.ok] == []
    assert found["schema"].detail == f"{HEAD} of {HEAD}"
    assert found["smtp"].detail == f"maildir {settings.data_dir}/mail"
    assert found["deliveries"].detail == "0 in all, none that needs a person"
    assert found["schedules"].detail.endswith("3 cadences, 3 surveys")


def test_what_needs_a_person_is_counted(settings: Settings) -> None:
    database = open_database(settings.resolved_database_url)
    with database.write() as session:
        _states(session, "unknown", "unknown", "failed", "sent")
    database.dispose()
    detail = look(settings)["deliveries"].detail
    assert detail == "2 unknown, 1 failed: look at them with `events delivery list --state unknown`"


def _states(session: Session, *states: str) -> None:
    post(session, *(row(number, state=state) for number, state in enumerate(states)))


def test_what_a_restore_left_in_doubt_is_counted(settings: Settings) -> None:
    database = open_database(settings.resolved_database_url)
    with database.write() as session:
        post(session, row(1, state="held", hold_reason=HELD_IN_DOUBT), row(2, state="held", hold_reason="organiser"))
    database.dispose()
    detail = look(settings)["deliveries"].detail
    assert detail == "1 held in doubt after a restore: look at them with `events delivery list --state held`"


def test_a_scheduler_that_is_gone_while_something_is_due_is_a_fault(settings: Settings) -> None:
    now = datetime.now(UTC)
    assert look(settings)["ticks"].detail.startswith("none yet, nothing is due; `events up`")
    database = open_database(settings.resolved_database_url)
    heartbeat.begin(database, settings, now)
    heartbeat.end(database, now - timedelta(hours=1))
    found = look(settings)["ticks"]
    assert found.ok and "nothing is due" in found.detail
    with database.write() as session:
        post(session, row(1), row(2))
    found = look(settings)["ticks"]
    assert not found.ok and found.detail.startswith("2 due, the oldest since 2")
    assert "see that `events up` or `events scheduler` runs" in found.detail
    heartbeat.end(database, now)
    assert look(settings)["ticks"].ok
    database.dispose()


def test_rates_are_told(settings: Settings) -> None:
    assert look(settings)["rates"].detail == "as fast as the mail server takes them"
    bound = settings.model_copy(update={"rate_per_second": 20.0, "domain_rate_per_second": 0.5})
    assert look(bound)["rates"].detail == "20 a second in all and 0.5 a second to one domain, for each worker process"


def test_clocks_that_differ_are_a_fault(settings: Settings) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=60)
    clock = look(settings, ahead)["clock"]
    assert not clock.ok
    assert "s apart; set them by NTP" in clock.detail


def test_each_fault_is_its_own(settings: Settings, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    (tmp_path / "not.db").write_bytes(b"no database at all, but long enough to be taken for one" * 40)
    broken = settings.model_copy(
        update={"smtp_url": f"smtp://127.0.0.1:{port}", "database_url": f"sqlite:///{tmp_path}/not.db"}
    )

    def broker(settings: Settings) -> str:
        raise BrokerError("amqp://127.0.0.1 does not answer; see that it runs")

    found = {one.check: one for one in examine(lambda: broken, broker, datetime.now(UTC))}
    assert {name for name, one in found.items() if not one.ok} == {"database", "broker", "smtp"}
    assert "is not an SQLite database" in found["database"].detail
    assert found["smtp"].detail.startswith(f"SMTP 127.0.0.1:{port}: ")
    assert all("\n" not in one.detail for one in found.values())


def test_settings_that_cannot_be_read_are_all_there_is_to_say() -> None:
    def load() -> Settings:
        raise SettingsError("EVENTS_BROKR_URL is not a setting; did you mean EVENTS_BROKER_URL?")

    [only] = examine(load, lambda settings: "", datetime.now(UTC))
    assert (only.check, only.ok) == ("settings", False)


def test_several_machines_need_a_key_of_their_own_choice(settings: Settings, postgres_url: str) -> None:
    without = settings.model_copy(update={"secret_key": "", "database_url": postgres_url})
    assert not look(without)["secret key"].ok


def test_the_command_prints_it_and_fails_where_one_fails(events: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    well = events("doctor", "--json")
    assert (well.code, set(well.json[0])) == (0, {"check", "ok", "detail"})
    assert events("doctor", "--at", "2024-05-01T09:00Z").code == 0
    monkeypatch.setenv("EVENTS_BROKER_URL", "redis://127.0.0.1:1/0")
    ill = events("doctor", "--json")
    assert (ill.code, [one["check"] for one in ill.json if not one["ok"]]) == (1, ["broker"])
    assert "FAILED" in events("doctor").out
    monkeypatch.setenv("EVENTS_BROKER_URL", "redis://127.0.0.1:port/0")
    assert events("doctor").code == 1
    monkeypatch.setenv("EVENTS_BROKR_URL", "stub://")
    ill = events("doctor", "--json")
    assert (ill.code, len(ill.json)) == (1, 1)
    assert "EVENTS_BROKER_URL" in ill.json[0]["detail"]
