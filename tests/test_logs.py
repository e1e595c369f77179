"""Logs as a collector reads them: from a process of its own, as its stderr is what counts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SAY = """
import logging, structlog
from events_service.config import Settings
from events_service.logs import configure_logs
configure_logs(Settings(log_format="{format}"))
log = structlog.get_logger("ours")
log.info("delivered", ids=[1, 2], sent=2)
log.debug("nobody sees this")
log.warning("refused", why="550 <ada@example.org>: no such user; ask bob@example.org")
URL = "postgresql+psycopg://events:***@db.example.org:5432/events"
log.error("away", why=f"database {URL}: does not answer to ada@example.org")
try:
    raise ValueError("what ada@example.org wrote")
except ValueError:
    log.error("broken", exc_info=True)
    logging.getLogger("theirs").exception("failed for %s", "ada@example.org")
try:
    raise ConnectionResetError(104, "reset by peer")
except ConnectionResetError:
    logging.getLogger("theirs").exception("lost")
logging.getLogger("theirs").warning("%d left for bob@example.org", 3)
logging.getLogger("theirs").info("nobody sees this")
"""


@pytest.fixture(params=["json", "console"])
def lines(request: pytest.FixtureRequest) -> list[str]:
    code = SAY.replace("{format}", request.param)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr.splitlines()


@pytest.mark.parametrize("lines", ["json"], indirect=True)
def test_each_event_is_one_line_of_json_whoever_logs_it(lines: list[str]) -> None:
    found = [json.loads(line) for line in lines]
    assert [(one["event"], one["level"]) for one in found] == [
        ("delivered", "info"),
        ("refused", "warning"),
        ("away", "error"),
        ("broken", "error"),
        ("failed for <address>", "error"),
        ("lost", "error"),
        ("3 left for <address>", "warning"),
    ]
    assert all(one["timestamp"].endswith("Z") for one in found)
    assert (found[0]["ids"], found[0]["sent"]) == ([1, 2], 2)
    assert found[1]["why"] == "550 <address>: no such user; ask <address>"
    assert found[2]["why"] == (
        "database postgresql+psycopg://events:***@db.example.org:5432/events: does not answer to <address>"
    )
    assert "ValueError: what <address> wrote" in found[3]["exception"]
    assert "ValueError: what <address> wrote" in found[4]["exception"]
    assert found[5]["error"] == "ConnectionResetError: [Errno 104] reset by peer"
    assert "exception" not in found[5]
    assert found[6]["logger"] == "theirs"


def test_no_line_holds_an_address_of_a_person(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert "refused" in text and "3 left for" in text and "nobody" not in text
    assert "ada" not in text and "bob" not in text
