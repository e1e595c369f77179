"""The processes of a live service, put together: everything in one (`up`), or web, worker and scheduler apart."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime

import dramatiq
import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from dramatiq.brokers.stub import StubBroker

from events_service import restored
from events_service.clock import FixedClock, system_clock
from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.postroom import Postroom, Tally
from events_service.web.app import create_app
from events_service.web.server import make_server
from schedules.beside import Beside
from schedules.scheduler import start_scheduler
from schedules.ticks import MOST_WAITING, live_tick, tick
from schedules.watch import Watch
from workers.actors import Bells, Ring, declare
from workers.bell import PatientBell
from workers.broker import check_broker, make_broker
from workers.lanes import Lane, Lanes
from workers.process import (
    await_broker,
    bells_for,
    bells_to_ring,
    live_postroom,
    mail_transport,
    run_worker,
    stop_event,
    supervise,
)

log = structlog.get_logger(__name__)
_ROUNDS = 1000
WORK_THREADS = 2
"""Threads of `events work`: a message whose server takes its time does not hold up the next chunk."""


def up(settings: Settings, host: str, port: int, threads: int, started: Callable[[str], None]) -> None:
    """Web, worker and scheduler in this process until SIGTERM or Ctrl-C; what is in DATA then is finished.

    `started` is told the address when it answers. A worker thread and the web share one database, as SQLite allows.
    """
    # uvicorn raises the signal that stopped it once more when it is done: without this it would end the process there.
    stopped = stop_event()
    database = open_database(settings.resolved_database_url)
    broker = make_broker(settings.broker_url)
    check_broker(broker, settings.broker_url)
    # What is still in the queue may name what had gone before a restore.
    restored.wake(database, settings, system_clock())
    with closing(broker), closing(live_postroom(settings, database)) as postroom:
        bells = bells_for(broker, settings, database, postroom)
        bell = PatientBell(_while_there_is_room(bells))
        app = create_app(database, settings, system_clock, lambda: _ready(broker, settings), bell)
        server = make_server(app, host, port, forwarded_allow_ips=settings.forwarded_allow_ips)
        lanes = Lanes(broker, threads)
        watch = Watch(database, settings)
        beside = Beside()
        ticking = watch.over(lambda: live_tick(database, settings, bells, system_clock(), beside))
        scheduler = start_scheduler(ticking, settings.tick_seconds)
        started(server.url)
        try:
            # uvicorn takes SIGTERM and Ctrl-C, lets requests end, and returns.
            server.run(stopped=stopped)
        finally:
            wind_down(postroom, scheduler, lanes, settings.stop_seconds)
            watch.close()
            bell.close()
    database.dispose()


def wind_down(postroom: Postroom, scheduler: BackgroundScheduler, lanes: Lanes, seconds: float) -> None:
    """Begin nothing more, and let what was begun end: what is in DATA has so many seconds from now.

    A tick that runs meanwhile ends beside it. Whoever ends the process before that undoes that tick, and loses nothing.
    """
    postroom.stop()
    scheduler.pause()
    lanes.stop(seconds)
    scheduler.shutdown(wait=True)


def web(settings: Settings, host: str, port: int, started: Callable[[str], None]) -> None:
    """The pages and feeds alone."""
    stopped = stop_event()
    database = open_database(settings.resolved_database_url)
    broker = make_broker(settings.broker_url)
    bell = PatientBell(_while_there_is_room(bells_to_ring(broker)))
    # With the broker in this process nobody would hear it.
    ring = silent if isinstance(broker, StubBroker) else bell
    app = create_app(database, settings, system_clock, lambda: _ready(broker, settings), ring)
    server = make_server(app, host, port, forwarded_allow_ips=settings.forwarded_allow_ips)
    started(server.url)
    try:
        server.run(stopped=stopped)
    finally:
        bell.close()
        broker.close()
        database.dispose()


def _while_there_is_room(bells: Bells) -> Ring:
    """Rings for what somebody waits for, unless so much waits already that no worker seems to be there."""

    def ring(ids: Sequence[int]) -> None:
        if bells.waiting("urgent") < MOST_WAITING:
            bells.urgent(ids)

    return ring


def silent(_ids: Sequence[int]) -> None:
    """Rings nobody: the next tick finds what is due."""


def _ready(broker: dramatiq.Broker, settings: Settings) -> None:
    check_broker(broker, settings.broker_url)


def worker(settings: Settings, processes: int, threads: int) -> None:
    """Workers alone, as many processes as asked for. A broker that does not answer yet is waited for."""
    stopped = stop_event()
    # A child that cannot begin would be put back for ever, so whether it can is seen before the first fork.
    mail_transport(settings)
    database = open_database(settings.resolved_database_url)
    if not await_broker(settings, stopped):
        return
    # What is still in the queue may name what had gone before a restore.
    restored.wake(database, settings, system_clock())
    database.dispose()
    supervise(processes, lambda: _work_awake(settings, threads), settings.stop_seconds, stopped)


def _work_awake(settings: Settings, threads: int) -> None:
    stopped = stop_event()
    database = open_database(settings.resolved_database_url)
    with restored.awake(database, settings):
        run_worker(settings, threads, stopped)
    database.dispose()


def scheduler(settings: Settings) -> None:
    """The scheduler alone: it rings the workers through the broker, and needs none for all else that ticks do."""
    stopped = stop_event()
    database = open_database(settings.resolved_database_url)
    broker = make_broker(settings.broker_url)
    bells = bells_to_ring(broker)
    watch = Watch(database, settings)
    beside = Beside()
    ticking = watch.over(lambda: live_tick(database, settings, bells, system_clock(), beside))
    running = start_scheduler(ticking, settings.tick_seconds)
    stopped.wait()
    running.shutdown(wait=True)
    watch.close()
    broker.close()
    database.dispose()


class LocalQueue:
    """A broker and a worker in this process, for work that ends: `events work` and rehearsals."""

    def __init__(self, postroom: Postroom, threads: int = 1) -> None:
        self.tally = Tally()
        self._counting = threading.Lock()
        self._broker = make_broker("stub://")
        self._errors: list[Exception] = []
        self._deliver = postroom.deliver
        self.ring = declare(self._broker, self._attempt, self._count).deliver
        self._worker = Lane(self._broker, ("deliver",), threads)
        self._worker.start()

    def _attempt(self, ids: Sequence[int]) -> Tally:
        # Raised in a worker's thread it would be a traceback in the log; `drain` raises it where it is one line.
        try:
            return self._deliver(ids)
        except Exception as error:  # noqa: BLE001  (whatever it is, it must not be lost in a thread)
            self._errors.append(error)
            return Tally()

    def _count(self, tally: Tally) -> None:
        with self._counting:
            self.tally.add(tally)

    def drain(self) -> None:
        """Wait until everything that was rung for is done; an error of an actor is raised here."""
        assert isinstance(self._broker, StubBroker)  # noqa: S101  (made so above)
        self._broker.join("deliver", fail_fast=True)
        self._worker.join()
        if self._errors:
            raise self._errors[0]

    def stop(self) -> None:
        """End the worker's threads."""
        self._worker.stop()
        self._broker.close()


def work(settings: Settings, database: Database, now: datetime | None, *, until_idle: bool) -> dict[str, int]:
    """Send what is due in this process; with `until_idle` again and again until nothing is. Counts what became of it.

    `now` stands still where it is given. Each round ticks first, so that what a gate holds, or is too late, stays; one
    that came to nothing is the last, as what it rang for is with others. Whoever was rung for what is due at first, it
    is sent here: they may be gone, and two do nothing twice.
    """
    clock = FixedClock(now) if now else system_clock
    postroom = Postroom(database, settings, mail_transport(settings), clock)
    queue = LocalQueue(postroom, WORK_THREADS)
    try:
        for number in range(_ROUNDS if until_idle else 1):
            before = replace(queue.tally)
            ticked = tick(database, settings, queue.ring, clock(), afresh=number == 0)
            queue.drain()
            if not ticked.rung or queue.tally == before:
                break
    finally:
        # After Ctrl-C threads are still sending: what is in DATA is finished, the rest given back.
        postroom.stop()
        queue.stop()
        postroom.close()
    return vars(queue.tally)


def would_work(settings: Settings, database: Database, now: datetime) -> dict[str, int]:
    """What `work` would begin with: how many are due after a tick of which nothing is kept."""
    return vars(Tally()) | {"due": tick(database, settings, lambda _ids: None, now, dry_run=True, afresh=True).rung}


def ring_through(settings: Settings, database: Database, now: datetime, *, dry_run: bool = False) -> dict[str, int]:
    """One tick from the command line. Without a broker outside this process there is nobody to ring."""
    if dry_run or settings.broker_url.startswith("stub:"):
        return tick(database, settings, None, now, dry_run=dry_run).as_json()
    broker = make_broker(settings.broker_url)
    check_broker(broker, settings.broker_url)
    try:
        return live_tick(database, settings, bells_to_ring(broker), now).as_json()
    finally:
        broker.close()
