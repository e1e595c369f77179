"""Programs out of Debian's packages, unpacked beside the benchmarks and never installed.

A package is fetched once with `apt-get download` and kept in `~/.cache/events-bench` (XDG_CACHE_HOME is heeded).
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.harness import Unavailable

_PATIENCE = 20.0


def cache_folder() -> Path:
    """Where what the benchmarks fetch is kept from one run to the next."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "events-bench"


def unpacked(packages: Sequence[str], program: str, wanted: str) -> Path:
    """The folder where these packages are unpacked, the first one's name; Unavailable where they are not to be had.

    `program` is a path in it that must be there. `wanted` says what for, as the beginning of a sentence.
    """
    into = cache_folder() / packages[0]
    if (into / program).exists():
        return into
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as work:
        for package in packages:
            run(["apt-get", "download", package], Path(work), wanted)
            found = list(Path(work).glob(f"{package}_*.deb"))
            if not found:
                raise Unavailable(f"{wanted}, and `apt-get download {package}` brought nothing")
            run(["dpkg", "-x", str(found[0]), "unpacked"], Path(work), wanted)
        shutil.rmtree(into, ignore_errors=True)
        (Path(work) / "unpacked").rename(into)
    return into


def run(command: Sequence[str], folder: Path, wanted: str) -> str:
    """What a command prints that is needed for `wanted`; Unavailable where it is not here, or fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Unavailable(f"{wanted}, and {command[0]} is not here; install it, or run this on Debian") from error
    if done.returncode:
        raise Unavailable(f"{wanted}, and `{' '.join(command)}` failed: {done.stderr.strip()[-300:]}")
    return done.stdout


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path, name: str) -> None:
    """Until somebody listens there; Unavailable where the process ends first, or takes too long."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"{name} does not start: {log.read_text().strip()[-300:]}") from None
            time.sleep(0.02)
        else:
            return
