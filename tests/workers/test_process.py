from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from events_service.db.session import Database
from events_service.outbox import ROWS
from tests.crowds import counts, crowd
from tests.processes import PATIENCE, alive, live, run, until
from workers.process import next_pause

PEOPLE = 1000
QUICK = {"tick_seconds": 0.2, "ring_again_seconds": 3, "lease_seconds": 3, "data_lease_seconds": 3, "chunk_size": 25}


@pytest.fixture(params=["rabbitmq", "redis"])
def broker_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A real broker, empty."""
    yield request.getfixturevalue(f"{request.param}_url")


def mails(folder: Path) -> int:
    return len(list((folder / "mail/new").glob("*"))) if (folder / "mail/new").is_dir() else 0


def test_two_processes_of_two_threads_deliver_a_thousand_once_each(
    postgres_database: Database, broker_url: str, tmp_path: Path
) -> None:
    crowd(postgres_database, PEOPLE)
    settings = QUICK | {
        "database_url": postgres_database.url.render_as_string(hide_password=False),
        "broker_url": broker_url,
        "smtp_url": f"maildir:{tmp_path}/mail",
    }
    with (
        live(tmp_path, "worker", "--processes", 2, "--threads", 2, **settings) as worker,
        live(tmp_path, "scheduler", **settings) as scheduler,
    ):
        worker.wait_for(lambda: mails(tmp_path) > 50, "the first fifty")
        victim, other = worker.children
        os.kill(victim, signal.SIGKILL)
        worker.wait_for(lambda: len(worker.children) == 2 and victim not in worker.children, "another child")
        assert other in worker.children
        worker.wait_for(
            lambda: counts(postgres_database).get("pending", 0) + counts(postgres_database).get("sending", 0) == 0,
            "the end",
        )
        children = worker.children
        assert scheduler.stop() == 0
        assert worker.stop() == 0
        assert not any(alive(pid) for pid in children)
        assert "Traceback" not in worker.said + scheduler.said
    # What was in DATA when its worker was killed is one message a connection, two at the most here.
    found = counts(postgres_database)
    assert set(found) <= {"sent", "unknown"}
    assert found["sent"] >= PEOPLE - 2
    assert found["sent"] <= mails(tmp_path) <= PEOPLE


def test_children_whose_parent_is_gone_stop(sqlite_database: Database, redis_url: str, tmp_path: Path) -> None:
    settings = {"database_url": str(sqlite_database), "broker_url": redis_url}
    with live(tmp_path, "worker", "--threads", 1, **settings) as worker:
        worker.wait_for_line("worker started")
        children = worker.children
        assert worker.stop(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not any(alive(pid) for pid in children), "the children's end")


def test_ctrl_c_stops_all_of_it(sqlite_database: Database, redis_url: str, tmp_path: Path) -> None:
    settings = {"database_url": str(sqlite_database), "broker_url": redis_url}
    with live(tmp_path, "worker", "--processes", 2, "--threads", 1, **settings) as worker:
        worker.wait_for(lambda: worker.said.count("worker started") == 2, "two children")
        os.killpg(worker.process.pid, signal.SIGINT)
        assert worker.process.wait(timeout=30) == 0
        assert "Traceback" not in worker.said


FAILING = """
from workers.process import supervise

def child():
    raise RuntimeError("no such table, said ada@example.org")

supervise(1, child)
"""


def test_a_child_that_fails_says_why_and_is_replaced_after_longer_and_longer(repository: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FAILING], cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGTERM)
        # It does not wait for the end of a pause.
        rest = process.communicate(timeout=20)[0]
        assert process.returncode == 0
    assert "Traceback" not in "".join(lines) + rest
    said = [line for line in lines if "a worker process failed" in line]
    assert all("RuntimeError" in line and "no such table, said <address>" in line for line in said)
    pauses = [line.split("after_seconds=")[1].split()[0] for line in lines if "starting another" in line]
    assert (len(said), pauses) == (3, ["0.5", "1.0"])


KILLED = """
import os, signal
from workers.process import supervise

supervise(1, lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_child_that_is_killed_again_and_again_is_always_back_at_once(repository: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=repository, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert [line.split("after_seconds=")[1].split()[0] for line in lines] == ["0.5"] * 3


ORPHANED = """
import os
from workers.process import supervise

if not os.fork():
    os._exit(3)

def child():
    print("began", flush=True)
    os.read(0, 1)

supervise(1, child)
"""


def test_a_child_of_somebody_else_is_no_matter_of_it(repository: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHANED],
        cwd=repository,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        # Once that other one is reaped, its own is the only child left.
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: len(children.read_text().split()) == 1, "the end of the other", alive=process)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE)[0] == ""
        assert process.returncode == 0


def test_the_pause_doubles_up_to_half_a_minute_and_is_forgotten_after_a_life() -> None:
    pauses, last = [], 0.0
    for lived in (0.1, 0.1, 5, 29, 0.1, 0.1, 0.1, 0.1, 31, 0.1):
        last = next_pause(last, lived)
        pauses.append(last)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 0.5, 1]


NOBODY_THERE = ("amqp://guest:guest@127.0.0.1:1", "redis://127.0.0.1:1/0")


@pytest.mark.parametrize("url", NOBODY_THERE)
@pytest.mark.parametrize("command", [("tick",), ("up", "--port", "0")])
def test_a_broker_that_is_not_there_is_one_line(url: str, command: tuple[str, ...], tmp_path: Path) -> None:
    done = run(tmp_path, *command, broker_url=url)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {url.replace('guest:guest@', '')} does not answer (")
    assert "guest" not in line


@pytest.mark.parametrize("url", NOBODY_THERE)
def test_a_worker_waits_for_a_broker_that_is_not_there_until_it_is_told_to_stop(url: str, tmp_path: Path) -> None:
    with live(tmp_path, "worker", broker_url=url) as worker:
        worker.wait_for(lambda: worker.said.count("waiting for the broker") == 3, "the third time")
        assert worker.stop() == 0
        lines = worker.said.splitlines()
    assert len(lines) == 3
    where = f"{url.replace('guest:guest@', '')} does not answer ("
    assert all(where in line and "guest" not in line for line in lines)
    assert [line.split("again_in_seconds=")[1].split()[0] for line in lines] == ["0.5", "1.0", "2.0"]


@pytest.mark.parametrize("url", NOBODY_THERE)
def test_a_scheduler_begins_without_a_broker_and_does_what_needs_none(
    url: str, sqlite_database: Database, tmp_path: Path
) -> None:
    crowd(sqlite_database, 3)
    with sqlite_database.write() as session:
        session.execute(sa.update(ROWS).values(expires_at=datetime(2001, 1, 1, tzinfo=UTC)))
    settings = {"database_url": str(sqlite_database), "broker_url": url, "tick_seconds": 0.2}
    with live(tmp_path, "scheduler", **settings) as scheduler:
        scheduler.wait_for(lambda: scheduler.said.count("tick failed") > 1, "ticks without a broker")
        assert scheduler.stop() == 0
        assert "Traceback" not in scheduler.said and "guest" not in scheduler.said
    assert counts(sqlite_database) == {"expired": 3}


@pytest.mark.parametrize("command", ["worker", "scheduler"])
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"broker_url": "nonsense://there"}, "EVENTS_BROKER_URL: 'nonsense'"),
        ({"broker_url": NOBODY_THERE[0], "tick_seconds": "soon"}, "EVENTS_TICK_SECONDS=soon"),
        ({"broker_url": NOBODY_THERE[0], "database_url": "nonsense"}, "EVENTS_DATABASE_URL: not a database address"),
    ],
)
def test_a_setting_that_is_wrong_is_not_waited_for(
    command: str, settings: dict[str, object], why: str, tmp_path: Path
) -> None:
    done = run(tmp_path, command, **settings)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {why}")


def test_nor_is_where_mail_goes(tmp_path: Path) -> None:
    done = run(tmp_path, "worker", broker_url=NOBODY_THERE[0], smtp_url="nonsense://there")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: EVENTS_SMTP_URL")


STOPPED_EARLY = """
import threading
from workers.process import supervise

stopped = threading.Event()
stopped.set()
supervise(1, lambda: print("began", flush=True), stopping=stopped)
"""


def test_a_stop_that_came_before_there_were_children_leaves_none(repository: Path) -> None:
    words = [sys.executable, "-c", STOPPED_EARLY]
    done = subprocess.run(words, cwd=repository, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("command", ["worker", "scheduler"])
def test_without_a_broker_a_worker_alone_is_of_no_use(command: str, tmp_path: Path) -> None:
    done = run(tmp_path, command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "EVENTS_BROKER_URL is stub://" in done.stderr
    assert "use `events up`" in done.stderr
