"""Servers of our own leave nothing behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import private
from tests.processes import PATIENCE, alive, until

KILLED = """
import os, signal
from tests.faults.private import private_redis

with private_redis() as redis:
    print(redis.process.pid, redis.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_ends_with_the_run_that_started_it(repository: Path) -> None:
    private._program("redis-server")
    done = subprocess.run(
        [sys.executable, "-c", KILLED], cwd=repository, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    pid, folder = done.stdout.split()
    shutil.rmtree(folder)
    until(lambda: not alive(int(pid)), "its end")


def test_a_program_that_is_not_installed_skips_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVENTS_TEST_REQUIRE_SERVICES", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-server is not installed: install it to run this"):
        private._program("no-such-server")


def test_a_program_that_is_not_installed_fails_where_all_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_TEST_REQUIRE_SERVICES", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-server is not installed"):
        private._program("no-such-server")
