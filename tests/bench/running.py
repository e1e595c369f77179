"""Campaigns as they run live, timed: in this process, and by worker and scheduler processes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
import sqlalchemy as sa

from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.logs import configure_logs
from schedules.service import work
from tests import services
from tests.bench.harness import Unavailable
from tests.bench.mission import invitations
from tests.bench.postfix import Sink
from tests.crowds import counts
from tests.processes import Live, live

LETTERS = int(os.environ.get("EVENTS_BENCH_LETTERS", "20000"))
"""How many invitations a campaign has."""
LONGEST = 600.0
"""Seconds that a campaign is waited for."""


def settings_for(folder: Path, smtp_url: str, **more: str) -> Settings:
    """Settings of a service that keeps everything in `folder`."""
    return Settings.model_validate(
        {"data_dir": folder, "smtp_url": smtp_url, "secret_key": "a key for benchmarks"}
        | {"mail_from": "Events desk <events@example.org>"}
        | more
    )


class Sent(NamedTuple):
    """Messages a second, and what each took of a processor, in seconds, by who took it.

    `left` is how many processors nobody else on the machine took meanwhile, `commits` how many a message took where
    that was counted.
    """

    rate: float
    cpu: dict[str, float]
    left: float
    commits: float = 0.0


class Watch:
    """What processes, and the machine, take of the processors from its making on."""

    def __init__(self, taken: Callable[[], dict[str, float]]) -> None:
        self._taken, self._before = taken, taken()
        self._busy, self._began = _busy(), time.perf_counter()

    def sent(self, letters: int) -> Sent:
        """So many were sent since."""
        passed = time.perf_counter() - self._began
        ours = {name: seconds - self._before[name] for name, seconds in self._taken().items()}
        others = max(_busy() - self._busy - sum(ours.values()), 0) / passed
        cpu = {name: seconds / letters for name, seconds in ours.items()}
        return Sent(letters / passed, cpu, max((os.cpu_count() or 1) - others, 0.1))


def _busy() -> float:
    """The seconds that all processors of the machine together were not idle."""
    user, nice, system, _idle, _wait, irq, soft, steal, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")


def here(folder: Path, to: Sink, letters: int) -> Sent:
    """A campaign on SQLite in this process, from due rows to the sink."""
    folder.mkdir(exist_ok=True)
    settings = settings_for(folder, to.url)
    database = open_database(settings.resolved_database_url)
    try:
        invitations(database, letters)
        return sent_here(settings, database, to, letters)
    finally:
        database.dispose()


def sent_here(settings: Settings, database: Database, to: Sink, letters: int) -> Sent:
    """The campaign that is due in a database, by the broker in this process."""
    configure_logs(settings, logging.WARNING)
    before = to.messages
    watch = Watch(lambda: {"cpu": time.process_time(), "sink_cpu": processor_seconds(to.pid)})
    tally = work(settings, database, None, until_idle=True)
    sent = watch.sent(letters)
    if tally["sent"] != letters or to.messages - before != letters:
        raise RuntimeError(f"not everything was sent: {tally}; the sink has {to.messages - before}")
    return sent


@dataclass
class Fleet:
    """Worker processes and a scheduler on PostgreSQL and RabbitMQ. `rss` is the most memory that a worker had, in
    bytes, each time somebody looked."""

    database: Database
    workers: Live
    settings: dict[str, object]
    rss: list[int] = field(default_factory=list)

    def send(self, to: Sink, letters: int) -> Sent:
        """A campaign, from the commit that makes its rows due to the last row's being settled."""
        before = to.messages
        invitations(self.database, letters)
        watch, commits = Watch(lambda: self.processor_seconds(to)), self._commits()
        wait_until(lambda: to.messages - before >= letters, lambda: self._look("the campaign"))
        # The word on the last message of a chunk is committed when the chunk is closed.
        wait_until(lambda: counts(self.database) == {"sent": letters}, lambda: self._look("its last rows"))
        sent = watch.sent(letters)
        if to.messages - before != letters:
            raise RuntimeError(f"the sink took {to.messages - before} messages, not {letters}")
        return sent._replace(commits=(self._commits() - commits) / letters)

    def _commits(self) -> int:
        """How many there were so far in the database, a second ago at most."""
        with self.database.read() as session:
            of_ours = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
            return int(session.execute(sa.text(of_ours)).scalar_one())

    def processor_seconds(self, to: Sink) -> dict[str, float]:
        """What workers, database connections and the sink took of the processors so far; 0 for what is elsewhere."""
        with self.database.read() as session:
            of_ours = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            backends = session.execute(sa.text(of_ours)).scalars().all()
        groups = {"worker_cpu": self.workers.children, "database_cpu": backends, "sink_cpu": [to.pid]}
        return {name: sum(map(processor_seconds, pids)) for name, pids in groups.items()}

    def resident(self) -> int:
        """The bytes of memory of the worker process that has most."""
        return max(resident(pid) for pid in self.workers.children)

    def _look(self, what: str) -> str:
        self.rss.append(self.resident())
        return f"{what}; {counts(self.database)}; the workers said: {self.workers.said[-500:]}"


@contextmanager
def fleet(folder: Path, to: Sink, *, processes: int = 2, threads: int = 2, **settings: object) -> Iterator[Fleet]:
    """`events worker` and `events scheduler`, started and ready, on a private database and RabbitMQ's queues."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        url, broker = _service(stack, services.postgres_database), _service(stack, services.rabbitmq_queues)
        database = open_database(url)
        stack.callback(database.dispose)
        given: dict[str, object] = {
            "data_dir": folder,
            "database_url": url,
            "broker_url": broker,
            "smtp_url": to.url,
            "tick_seconds": 0.5,
            "log_format": "json",
        } | settings
        words = ("worker", "--processes", processes, "--threads", threads)
        workers = stack.enter_context(live(folder, *words, **given))
        workers.wait_for(lambda: workers.said.count("worker started") == processes, "the workers")
        scheduler = stack.enter_context(live(folder, "scheduler", **given))
        yield Fleet(database, workers, given)
        for process in (scheduler, workers):
            process.stop()


def _service(stack: ExitStack, service: Callable[[], object]) -> str:
    """The URL of a service, for as long as the stack lasts; Unavailable where there is none."""
    try:
        url: str = stack.enter_context(service())  # type: ignore[arg-type]
    except pytest.skip.Exception as reason:
        raise Unavailable(str(reason)) from None
    except Exception as error:  # each client has its own
        if "connect" not in f"{type(error).__name__} {error}".lower():
            raise
        raise Unavailable(f"{type(error).__name__}: {str(error).strip()[:200]}") from error
    return url


def wait_until(true: Callable[[], bool], look: Callable[[], str], longest: float = LONGEST) -> None:
    """Look every 20 ms until `true()` is; `look` is called now and then, and says what there is if it never is."""
    deadline = time.monotonic() + longest
    rounds = 0
    while not true():
        rounds += 1
        if rounds % 25 == 0:
            look()
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {longest:.0f} s in vain for {look()}")
        time.sleep(0.02)


def resident(pid: int) -> int:
    """The bytes of memory that a process has; 0 for one that is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def processor_seconds(pid: int) -> float:
    """What a process took of the processors since it began, with all its threads; 0 for one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def commits_per_second(database: Database, connections: int = 8, each: int = 200) -> float:
    """Commits of one small row a second, over so many connections at once."""
    with database.write() as session:
        session.execute(sa.text("CREATE TABLE one_row (id integer PRIMARY KEY, n integer NOT NULL)"))
        session.execute(sa.text("INSERT INTO one_row VALUES (:id, 0)"), [{"id": id} for id in range(connections)])

    def commit(id: int) -> None:
        with database.engine.connect() as connection:
            for _ in range(each):
                connection.execute(sa.text("UPDATE one_row SET n = n + 1 WHERE id = :id"), {"id": id})
                connection.commit()

    began = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(commit, range(connections)))
    return connections * each / (time.perf_counter() - began)
