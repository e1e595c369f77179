"""`events up`, live: serves, sends, stops when it is told to, and carries on after it was killed."""

from __future__ import annotations

import re
import signal
import socket
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events_service import feeds
from events_service.db.schema import open_database
from events_service.db.session import Database
from tests.crowds import counts, crowd
from tests.processes import Live, live, run

QUICK = {"tick_seconds": 0.2}


@pytest.fixture
def data(tmp_path: Path) -> Database:
    """The database where a service in `tmp_path` keeps its own."""
    return open_database(f"sqlite:///{tmp_path / 'var/events.db'}")


def mails(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "var/mail/new").glob("*")]


def address(service: Live) -> str:
    line = service.wait_for_line("serving http://")
    return re.findall(r"http://[0-9.:]+", line)[0]


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.status, answer.read().decode()


def refused(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_sends_and_stops_cleanly(data: Database, tmp_path: Path, number: signal.Signals) -> None:
    crowd(data, 40)
    with data.write() as session:
        _feed, token = feeds.create(session, "organiser", "", datetime.now(UTC))
    with live(tmp_path, "up", "--port", 0, **QUICK) as service:
        base = address(service)
        assert get(f"{base}/healthz") == (200, "ok\n")
        assert get(f"{base}/readyz")[0] == 200
        assert "BEGIN:VEVENT" in get(f"{base}/feeds/{token}.ics")[1]
        service.wait_for(lambda: counts(data) == {"sent": 40}, "forty letters")
        assert service.stop(number) == 0
        assert "Traceback" not in service.said
    assert len(mails(tmp_path)) == 40


def test_killed_midway_it_carries_on_with_nothing_lost_or_doubled(data: Database, tmp_path: Path) -> None:
    crowd(data, 300)
    quick = QUICK | {"chunk_size": 50, "lease_seconds": 1, "data_lease_seconds": 1}
    taken: list[str] = []
    for _ in range(2):
        with live(tmp_path, "up", "--port", 0, **quick) as service:
            had = len(mails(tmp_path))
            service.wait_for(lambda had=had: len(mails(tmp_path)) > had + 20, "some letters")
            assert service.stop(signal.SIGKILL) == -signal.SIGKILL
        taken = mails(tmp_path)
        assert counts(data).get("sent", 0) <= len(taken) < 300
    with live(tmp_path, "up", "--port", 0, **quick) as service:
        service.wait_for(lambda: counts(data).keys() <= {"sent", "unknown"}, "the rest")
        assert service.stop() == 0
    found = counts(data)
    # Four worker threads: each kill leaves one message of each at the most of which nobody knows.
    assert found["sent"] + found.get("unknown", 0) == 300
    assert found.get("unknown", 0) <= 8
    assert set(taken) <= set(mails(tmp_path))
    assert found["sent"] <= len(mails(tmp_path)) <= 300
    with data.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"


def test_a_worker_that_stops_gives_back_what_it_had_not_begun(data: Database, tmp_path: Path) -> None:
    crowd(data, 300)
    with live(tmp_path, "up", "--port", 0, **QUICK) as service:
        service.wait_for(lambda: len(mails(tmp_path)) > 20, "some letters")
        assert service.stop() == 0
    found = counts(data)
    assert found.keys() <= {"sent", "pending"}
    assert found["sent"] == len(mails(tmp_path))


def test_a_second_ctrl_c_waits_for_nothing(data: Database, tmp_path: Path) -> None:
    """The first one waits for a request that never ends; the second leaves it."""
    with live(tmp_path, "up", "--port", 0, **QUICK) as service:
        base = address(service)
        host, port = base.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(b"POST /unsubscribe/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            get(f"{base}/healthz")
            service.process.send_signal(signal.SIGINT)
            service.wait_for(lambda: refused(host, int(port)), "the first to be heard")
            service.process.send_signal(signal.SIGINT)
            assert service.process.wait(timeout=9) in (0, 130)
        assert "Traceback" not in service.said


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for command in ("up", "web"):
            done = run(tmp_path, command, "--port", port)
            assert (done.returncode, done.stdout) == (1, "")
            [line] = done.stderr.splitlines()
            assert line.startswith(f"error: cannot listen on 127.0.0.1:{port}: address already in use; ")


@pytest.mark.parametrize("command", ["up", "web", "worker", "scheduler"])
@pytest.mark.parametrize("option", [("--at", "2024-05-01T09:00Z"), ("--dry-run",)])
def test_what_lives_in_real_time_takes_no_other(command: str, option: tuple[str, ...], tmp_path: Path) -> None:
    for words in ((command, *option), (*option, command)):
        done = run(tmp_path, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{option[0]} has no meaning here" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "var").exists()


def test_a_database_that_another_writer_holds_keeps_nothing_from_being_sent(data: Database, tmp_path: Path) -> None:
    """Web, worker and scheduler wait their turn while somebody else writes again and again."""
    crowd(data, 60)
    with live(tmp_path, "up", "--port", 0, **QUICK) as service:
        base = address(service)
        while len(mails(tmp_path)) < 60 and service.process.poll() is None:
            with data.write() as session:
                session.connection().exec_driver_sql("UPDATE event SET summary = 'busy'")
                assert get(f"{base}/readyz")[0] == 200
        service.wait_for(lambda: counts(data) == {"sent": 60}, "sixty letters")
        assert service.stop() == 0
        assert "locked" not in service.said


def test_ready_says_whether_the_broker_answers(sqlite_database: Database, redis_url: str, tmp_path: Path) -> None:
    settings = {"database_url": str(sqlite_database), "broker_url": redis_url}
    with live(tmp_path, "web", "--port", 0, **settings) as service:
        status, body = get(f"{address(service)}/readyz")
        assert (status, '"broker":"ok"' in body.replace(" ", "")) == (200, True)
        assert service.stop() == 0
