"""Processes of the service, run as they are live: started, watched with a deadline, and always ended."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

EVENTS = Path(sys.executable).parent / "events"
PATIENCE = 90.0
"""Seconds that a test waits for what should be there within one or two, on a machine that is busy."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


@dataclass
class Live:
    """A process, and the file that has what it said on stderr."""

    process: subprocess.Popen[str]
    log: Path

    @property
    def said(self) -> str:
        """Its stderr so far."""
        return self.log.read_text()

    def wait_for(self, true: Callable[[], object], what: str) -> None:
        """Wait until `true()` is, while the process runs."""
        until(true, lambda: f"{what}; it said: {self.said[-1500:]}", alive=self.process)

    def wait_for_line(self, word: str) -> str:
        """Wait for a line with that word on stderr."""
        self.wait_for(lambda: word in self.said, f"{word!r} on stderr")
        return next(line for line in self.said.splitlines() if word in line)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end: its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)

    @property
    def children(self) -> list[int]:
        """The processes that it started."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in text.split()]


def end_with_parent() -> None:
    """For `preexec_fn`: heed Ctrl-C, and be killed when the process that started this one is gone.

    Tests that run in the background have Ctrl-C ignored, and what they start would inherit that.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def until(
    true: Callable[[], object], what: str | Callable[[], str], alive: subprocess.Popen[str] | None = None
) -> None:
    """Look every 20 ms until `true()` is; AssertionError after `PATIENCE`, or when `alive` is not any more."""
    deadline = time.monotonic() + PATIENCE
    words = what if callable(what) else lambda: what
    while not true():
        assert alive is None or alive.poll() is None, f"ended with {alive.returncode} while waiting for {words()}"
        assert time.monotonic() < deadline, f"waited in vain for {words()}"
        time.sleep(0.02)


@contextmanager
def live(folder: Path, *words: object, **settings: object) -> Iterator[Live]:
    """`events words…` in `folder` with these settings; killed at the end if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{words[0]}-{len(list(folder.glob('*.log')))}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [EVENTS, *map(str, words)],
            cwd=folder,
            env=environment(**settings),
            stdout=subprocess.DEVNULL,
            stderr=file,
            text=True,
            start_new_session=True,
            preexec_fn=end_with_parent,  # noqa: PLW1509  (it takes no lock)
        )
    try:
        yield Live(process, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(folder: Path, *words: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """`events words…` in `folder`, to its end."""
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [EVENTS, *map(str, words)],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def environment(**settings: object) -> dict[str, str]:
    """The environment of a process: nothing of ours but these settings, `broker_url` for EVENTS_BROKER_URL."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("EVENTS_")}
    ours = {
        "secret_key": "a key for tests, of no use anywhere else",
        "mail_from": "events@example.org",
        "metrics_addr": "off",
    } | settings
    return rest | {f"EVENTS_{name.upper()}": str(value) for name, value in ours.items()}


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
