"""Servers of our own, to kill and to fill: PostgreSQL, Redis and RabbitMQ, each with its folder and its ports.

The machine's own are left alone. Whatever becomes of the test run, they end with it: each asks the kernel to be killed
when the process that started it is gone. A test whose server is not installed is skipped, or fails where
EVENTS_TEST_REQUIRE_SERVICES is set.
"""

from __future__ import annotations

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.processes import PATIENCE, end_with_parent
from tests.services import delete_queues, not_here

# Below the ports that the system gives to whoever connects, so that none is taken while its server is down.
_PORTS = range(15_000, 32_000)


class PrivateServer:
    """One server. `start` waits until it answers; `stop` and `kill` until it is gone."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str | Path]:
        """What starts it in the foreground."""
        raise NotImplementedError

    def answers(self) -> None:
        """Raise whatever its client raises where it does not answer yet."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """What its environment has beside ours."""
        return {}

    @property
    def said(self) -> str:
        """The end of what it wrote."""
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-2000:]

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env=os.environ | self.environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509  (it takes no lock)
            )
        deadline = time.monotonic() + PATIENCE
        while (why := self._silent()) and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not why, f"{self.name} does not answer ({why}): {self.said}"

    def ensure(self) -> None:
        """See that it answers: it may be on its way back, or down, or on its way there."""
        deadline = time.monotonic() + PATIENCE
        while self.process is not None and self.process.poll() is None and time.monotonic() < deadline:
            if not self._silent():
                return
            time.sleep(0.05)
        self.kill()
        self.start()

    def _silent(self) -> str:
        """Why it does not answer; empty if it does."""
        try:
            self.answers()
        except Exception as error:  # noqa: BLE001  (each client has errors of its own)
            return f"{type(error).__name__}: {error}"
        return ""

    def send(self, number: int) -> None:
        """Send its first process a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it with a signal and wait for its end."""
        assert self.process is not None
        self.send(number)
        self.process.wait(PATIENCE)

    def kill(self) -> None:
        """kill -9, of all its processes."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(PATIENCE)


class PrivatePostgres(PrivateServer):
    """PostgreSQL. `prefix` goes before its commands; it never runs as root, which it refuses."""

    def __init__(self, folder: Path, data: Path | None = None, prefix: Sequence[str] = ()) -> None:
        super().__init__(folder, "postgres")
        self.programs = _postgres_programs()
        self.data = data or folder / "data"
        self._prefix = [*prefix, *_as_postgres(folder)]

    def make(self) -> None:
        """Make its data folder. Small segments, so that a full disk is soon found full."""
        words = ["-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        subprocess.run(
            [*self._prefix, self.programs / "initdb", *words, "--wal-segsize=1"],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )

    def command(self) -> Sequence[str | Path]:
        options = {
            "port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off",
            "shared_buffers": "16MB", "min_wal_size": "2MB", "max_wal_size": "8MB", "wal_level": "minimal",
            "max_wal_senders": 0,
        }  # fmt: skip
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [*self._prefix, self.programs / "postgres", "-D", str(self.data), *settings]

    def answers(self) -> None:
        import psycopg

        psycopg.connect(self.address("postgres"), connect_timeout=5).close()

    def address(self, database: str) -> str:
        """A database's address for psycopg."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new database on it: its URL for SQLAlchemy. Dropped afterwards, if the server is there to do so."""
        import psycopg

        name = f"events_{random.randrange(10**9)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield self.address(name).replace("postgresql:", "postgresql+psycopg:")
        finally:
            if self.process is not None and self.process.poll() is None:
                with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
                    connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class PrivateRedis(PrivateServer):
    """Redis that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "redis")
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str | Path]:
        program = _program("redis-server")
        return [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def answers(self) -> None:
        with self.client() as client:
            client.ping()

    def client(self):  # type: ignore[no-untyped-def]
        """A connection to it."""
        import redis

        return redis.Redis.from_url(self.url, socket_timeout=PATIENCE)


class PrivateRabbit(PrivateServer):
    """RabbitMQ: a node, with a port mapper (epmd) and a cookie of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "rabbitmq")
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}"
        self._own = {"ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        (folder / "plugins").write_text("[].")
        self._node = {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"faults{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),
            # Its script then becomes the server instead of watching over it, so there is one process to end.
            "RABBITMQ_ALLOW_INPUT": "1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput",
        }
        self._mapper: subprocess.Popen[bytes] | None = None

    def environment(self) -> dict[str, str]:
        return self._node | self._own

    def command(self) -> Sequence[str | Path]:
        # The one in /usr/sbin is Debian's, which changes user and environment.
        return [_program("rabbitmq-server", "/usr/lib/rabbitmq/bin")]

    def start(self) -> None:
        """A node leaves a port mapper behind that outlives it, unless there is one."""
        if self._mapper is None:
            self._mapper = subprocess.Popen(
                [_program("epmd"), "-port", self._own["ERL_EPMD_PORT"], "-address", "127.0.0.1"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=end_with_parent,  # noqa: PLW1509  (it takes no lock)
            )
        super().start()

    def answers(self) -> None:
        self.connection().close()

    def connection(self):  # type: ignore[no-untyped-def]
        """A connection to it."""
        import pika

        return pika.BlockingConnection(pika.URLParameters(self.url))

    def delete_queues(self) -> None:
        """Delete the service's queues, whatever is in them."""
        delete_queues(self.url)

    def kill(self) -> None:
        super().kill()
        if self._mapper is not None:
            self._mapper.kill()
            self._mapper.wait()
            self._mapper = None


_Server = TypeVar("_Server", bound=PrivateServer)


class SmallDisk:
    """A file system of `megabytes` that only we see: the mount is a process's own, and goes when that process goes."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.place = folder / "disk"
        self.place.mkdir(mode=0o777)
        script = f'mount -t tmpfs -o size={megabytes}m,mode=0777 tmpfs "$0" && echo mounted && exec sleep infinity'
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, self.place],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_parent,  # noqa: PLW1509  (it takes no lock)
        )
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline().decode().strip()
        if said != "mounted":
            self.close()
            pytest.skip(f"a small disk is made by mounting one, which is not allowed here ({said})")

    @property
    def prefix(self) -> list[str]:
        """What goes before a command that is to see the disk."""
        return ["nsenter", "--target", str(self._keeper.pid), "--mount"]

    def fill(self) -> None:
        """Leave no room at all."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def make_room(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return Path(f"/proc/{self._keeper.pid}/root{self.place}/ballast")

    def close(self) -> None:
        """Let go of it."""
        self._keeper.kill()
        self._keeper.communicate()


@contextmanager
def private_postgres() -> Iterator[PrivatePostgres]:
    """PostgreSQL, running."""
    with folder() as place:
        server = PrivatePostgres(place)
        server.make()
        yield from _running(server)


@contextmanager
def small_postgres(megabytes: int) -> Iterator[tuple[PrivatePostgres, SmallDisk]]:
    """PostgreSQL, running, with all it writes on a disk of its own."""
    _postgres_programs()
    with folder() as place:
        disk = SmallDisk(place, megabytes)
        try:
            server = PrivatePostgres(place, disk.place / "data", disk.prefix)
            server.make()
            for one in _running(server):
                yield one, disk
        finally:
            disk.close()


@contextmanager
def private_redis() -> Iterator[PrivateRedis]:
    """Redis, running."""
    with folder() as place:
        yield from _running(PrivateRedis(place))


@contextmanager
def private_rabbit() -> Iterator[PrivateRabbit]:
    """RabbitMQ, running."""
    with folder() as place:
        yield from _running(PrivateRabbit(place))


def _running(server: _Server) -> Iterator[_Server]:
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that a server under another user may write, taken away afterwards."""
    place = Path(tempfile.mkdtemp(prefix="events-faults-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on. Others may look at the same moment, so it is drawn from many."""
    for port in random.SystemRandom().sample(_PORTS, 50):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def _as_postgres(folder: Path) -> list[str]:
    """What runs a command as PostgreSQL's own user, where we are root; that user may then write `folder`."""
    if os.getuid() != 0:
        return []
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    # A change of user makes the kernel forget whose death it was to follow.
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig", "QUIT"]


def _postgres_programs() -> Path:
    versions = Path("/usr/lib/postgresql")
    found = sorted(versions.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True)
    return found[0].parent if found else _program("initdb").parent


def _program(name: str, *folders: str) -> Path:
    found = shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"]))
    if found is None:
        not_here(f"{name} is not installed", "install it to run this")
    return Path(found)
