"""The yardstick for mail: postfix's own `smtp-source` and `smtp-sink`, unpacked from Debian's package, not installed.

Where postfix is installed, its programs are taken from there. The sink takes a message and throws it away; the source
sends as fast as the sink takes. Both are C, without TLS, disk or DNS: theirs is what loopback and two programs can do.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench.debian import free_port, unpacked, wait_for

SESSIONS = 8
_COUNTED = re.compile(r"mesg=(\d+)")


@dataclass(frozen=True)
class Sink:
    """A running smtp-sink."""

    port: int
    pid: int
    _counter: Path
    kept: Path
    """Where it writes what it takes, if it was asked to: a line `X-Rcpt-Args: <address>`, then the message."""

    @property
    def url(self) -> str:
        """It, as `EVENTS_SMTP_URL` names a server."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def messages(self) -> int:
        """How many it has said 250 to after the final dot."""
        with self._counter.open("rb") as file:
            # It writes a line for each message; the last says all.
            file.seek(max(file.seek(0, os.SEEK_END) - 200, 0))
            found = _COUNTED.findall(file.read().decode())
        return int(found[-1]) if found else 0


@contextmanager
def sink(folder: Path, *, keep: bool = False) -> Iterator[Sink]:
    """A smtp-sink on a free port of loopback, for as long as it is wanted; Unavailable where there is none.

    With `keep` it writes every message to one file.
    """
    programs = _programs()
    port = free_port()
    counter = folder / f"sink-{port}.log"
    kept = folder / f"sink-{port}" / "mail"
    if keep:
        kept.parent.mkdir()
        for path in (folder, kept.parent):
            path.chmod(0o777)
    # It wants to be told whom to become when it is started by root.
    who = ["-u", "nobody"] if os.geteuid() == 0 else []
    with counter.open("wb") as said:
        process = subprocess.Popen(
            [programs / "smtp-sink", *who, "-c", *(["-D", str(kept)] if keep else []), f"127.0.0.1:{port}", "1024"],
            stdout=said,
            stderr=subprocess.STDOUT,
            env=_environment(programs),
        )
    try:
        wait_for(port, process, counter, "smtp-sink")
        yield Sink(port, process.pid, counter, kept)
    finally:
        process.kill()
        process.wait()


def source(to: Sink, messages: int, size: int, sessions: int = SESSIONS) -> float:
    """Messages a second of smtp-source: so many of `size` bytes over connections that stay open."""
    programs = _programs()
    command: Sequence[str | Path] = [
        programs / "smtp-source", "-s", str(sessions), "-d", "-m", str(messages), "-l", str(size),
        "-M", "localhost", "-f", "events@example.org", "-t", "ada@example.org", f"127.0.0.1:{to.port}",
    ]  # fmt: skip
    began = time.perf_counter()
    done = subprocess.run(command, env=_environment(programs), capture_output=True, text=True, check=False)
    taken = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"smtp-source ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return messages / taken


class Yardstick:
    """The rate of smtp-source, taken before and after what it is held against: the machine may be busier by then."""

    def __init__(self, to: Sink, size: int, messages: int = 10_000) -> None:
        self._to, self._size, self._messages = to, size, messages
        self._rates: list[float] = []

    def take(self, rounds: int = 2) -> None:
        """Measure it so many times."""
        self._rates += [source(self._to, self._messages, self._size) for _ in range(rounds)]

    @property
    def rate(self) -> float:
        """The median of what was measured so far."""
        return statistics.median(self._rates)


def _environment(programs: Path) -> dict[str, str]:
    """Its libraries are in a folder beside it, which an installed one finds without help."""
    return {**os.environ, "LD_LIBRARY_PATH": str(programs.parent / "lib/postfix")}


@cache
def _programs() -> Path:
    """The folder with smtp-source and smtp-sink; Unavailable where they are not to be had."""
    installed = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if installed:
        return Path(installed).parent
    return unpacked(["postfix"], "usr/sbin/smtp-sink", "the yardstick is postfix's smtp-source") / "usr/sbin"
