"""Servers of calendars beside ours, and the client that asks them all: nginx, Radicale, xandikos, and wrk.

nginx and wrk come out of Debian's packages, the two CalDAV servers by pip into an environment of the benchmarks' own;
nothing is installed. Each server is one process with one worker.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.bench.debian import cache_folder, free_port, run, unpacked, wait_for
from tests.bench.harness import Unavailable
from tests.bench.running import processor_seconds
from tests.processes import live

CONNECTIONS = 8
_RATE = re.compile(r"Requests/sec:\s+([0-9.]+)")
_COUNT = re.compile(r"(\d+) requests in")
_DAV = ("radicale==3.9.0", "xandikos==0.4.10")
_NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; gzip_static on; etag on;
  types {{ text/calendar ics; }} default_type text/calendar;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {folder}/www; }}
}}
"""


@dataclass(frozen=True)
class Served:
    """A calendar at an address, and the process that serves it."""

    url: str
    pid: int


@dataclass(frozen=True)
class Rate:
    """Requests a second, and the processor's seconds that the server took for each."""

    each_second: float
    processor: float


@contextmanager
def nginx(folder: Path, body: bytes) -> Iterator[Served]:
    """nginx with that file, plain and gzipped beforehand."""
    program = unpacked(["nginx", "libpcre2-8-0"], "usr/sbin/nginx", "the yardstick is nginx") / "usr/sbin/nginx"
    www = folder / "www"
    www.mkdir(parents=True)
    (www / "feed.ics").write_bytes(body)
    (www / "feed.ics.gz").write_bytes(gzip.compress(body, 6))
    port = free_port()
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port))
    command = [str(program), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with _running(command, folder, port, "nginx", _libraries(program.parents[2])) as pid:
        yield Served(f"http://127.0.0.1:{port}/feed.ics", pid)


@contextmanager
def radicale(folder: Path, events: Mapping[str, bytes]) -> Iterator[Served]:
    """Radicale with a collection of these calendars, each of one event, by their names."""
    calendar = folder / "collections/collection-root/bench/feed"
    calendar.mkdir(parents=True)
    (calendar / ".Radicale.props").write_text('{"tag": "VCALENDAR", "D:displayname": "feed"}')
    for name, content in events.items():
        (calendar / name).write_bytes(content)
    port = free_port()
    command = [
        str(_dav() / "radicale"), "--config", "", f"--server-hosts=127.0.0.1:{port}", "--auth-type=none",
        "--rights-type=authenticated", f"--storage-filesystem-folder={folder / 'collections'}", "--logging-level=error",
    ]  # fmt: skip
    with _running(command, folder, port, "Radicale") as pid:
        yield Served(f"http://127.0.0.1:{port}/bench/feed/", pid)


@contextmanager
def xandikos(folder: Path, events: Mapping[str, bytes]) -> Iterator[Served]:
    """xandikos with the same."""
    calendar = folder / "dav/bench/calendars/feed"
    calendar.mkdir(parents=True)
    (calendar / ".xandikos").write_text("[DEFAULT]\ntype = calendar\n")
    for name, content in events.items():
        (calendar / name).write_bytes(content)
    who = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "The calendar"]):
        run(["git", *who, *words], calendar, "xandikos keeps calendars in git")
    port = free_port()
    command = [
        str(_dav() / "xandikos"), "serve", "-d", str(folder / "dav"), "--listen-address=127.0.0.1",
        f"--port={port}", "--current-user-principal=/bench", "--no-detect-systemd",
    ]  # fmt: skip
    with _running(command, folder, port, "xandikos") as pid:
        yield Served(f"http://127.0.0.1:{port}/bench/calendars/feed", pid)


@contextmanager
def service(folder: Path, path: str) -> Iterator[Served]:
    """Ours, as `events web` runs it, on the database of that folder."""
    port = free_port()
    with live(folder, "web", "--port", port, data_dir=folder, secret_key="a key for benchmarks") as web:
        web.wait_for_line("serving")
        yield Served(f"http://127.0.0.1:{port}{path}", web.process.pid)


def rate(served: Served, headers: Mapping[str, str], seconds: int, connections: int = CONNECTIONS) -> Rate:
    """How often wrk gets an answer over so many connections that stay open; RuntimeError where one is a failure."""
    folder = unpacked(
        ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"], "usr/bin/wrk", "the client of these benchmarks is wrk"
    )
    asked = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    # A slow server's first answer counts too.
    command = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", *asked, served.url]
    before = processor_seconds(served.pid)
    said = subprocess.run(
        [str(folder / "usr/bin/wrk"), *command], env={**os.environ, **_libraries(folder)}, capture_output=True,
        text=True, check=True,
    ).stdout  # fmt: skip
    took = processor_seconds(served.pid) - before
    found, count = _RATE.search(said), _COUNT.search(said)
    if not found or not count or "Non-2xx" in said or "Socket errors" in said or not int(count[1]):
        raise RuntimeError(f"{served.url}: {said.strip()[-300:]}")
    return Rate(float(found[1]), took / int(count[1]))


@contextmanager
def _running(
    command: Sequence[str], folder: Path, port: int, name: str, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    log = folder / f"{name}.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
    try:
        wait_for(port, process, log, name)
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _libraries(root: Path) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": ":".join(str(path) for path in root.glob("usr/lib/*-linux-gnu"))}


@cache
def _dav() -> Path:
    """The folder with `radicale` and `xandikos`; Unavailable where they cannot be fetched."""
    environment = cache_folder() / "dav"
    programs = environment / "bin"
    if not (programs / "xandikos").exists() or not (programs / "radicale").exists():
        wanted = "Radicale and xandikos are compared with"
        base = getattr(sys, "_base_executable", sys.executable)
        run([base, "-m", "venv", "--clear", "--without-pip", str(environment)], Path.cwd(), wanted)
        run([base, "-m", "pip", "--python", str(programs / "python"), "install", "--quiet", *_DAV], Path.cwd(), wanted)
    if not (programs / "xandikos").exists():
        raise Unavailable("Radicale and xandikos could not be fetched with pip")
    return programs
