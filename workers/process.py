"""Worker processes: a parent that forks its children after everything is loaded, and puts a dead one back.

Dramatiq's own command stops all its processes when one dies; here the others go on, and a new child is there within a
second or two, as nothing has to be imported again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

import dramatiq
import structlog

from events_service.clock import system_clock
from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.errors import EventsError
from events_service.mail.transports import transport
from events_service.mail.wire import Transport
from events_service.mail.words import without_addresses
from events_service.postroom import Postroom, Tally
from workers.actors import Ring, declare
from workers.broker import check_broker, make_broker

log = structlog.get_logger(__name__)
_RESTART_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
_PARENT_SECONDS = 1.0
_STOP = (signal.SIGTERM, signal.SIGINT)


def mail_transport(settings: Settings) -> Transport:
    """Where the settings send mail."""
    return transport(
        settings.resolved_smtp_url,
        timeout=settings.smtp_timeout_seconds,
        final_timeout=settings.smtp_final_timeout_seconds,
    )


def start_worker(broker: dramatiq.Broker, threads: int) -> dramatiq.Worker:
    """Start `threads` threads that do what the broker says. The caller stops them."""
    worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=threads)
    worker.start()
    return worker


def run_worker(settings: Settings, threads: int, stopped: threading.Event) -> None:
    """Work in this process until `stopped` is set or its parent is gone; what is in DATA by then is finished."""
    parent = os.getppid()
    broker = make_broker(settings.broker_url)
    check_broker(broker, settings.broker_url)
    database = open_database(settings.resolved_database_url)
    postroom = live_postroom(settings, database)
    ring_for(broker, postroom)
    worker = start_worker(broker, threads)
    log.info("worker started", threads=threads, pid=os.getpid())
    while not stopped.wait(_PARENT_SECONDS) and os.getppid() == parent:
        pass
    postroom.stop()
    log.info("worker stopping", pid=os.getpid())
    worker.stop()
    postroom.close()
    broker.close()
    database.dispose()


def live_postroom(settings: Settings, database: Database) -> Postroom:
    """The post room of a process that lives in real time."""
    return Postroom(database, settings, mail_transport(settings), system_clock)


def ring_for(broker: dramatiq.Broker, postroom: Postroom) -> Ring:
    """Declare the actors of a live process on its broker. What they cannot do now is a line in the log."""

    def deliver(ids: Sequence[int]) -> Tally:
        try:
            return postroom.deliver(ids)
        except EventsError as error:
            # The rows are in the ledger still, and rung for again.
            log.error("deliveries put off", why=str(error))
            return Tally()

    return declare(broker, deliver)


def supervise(processes: int, child: Callable[[], None]) -> int:
    """Run `child` in so many forks until this process is told to stop; a fork that dies is replaced.

    One that was killed is back after half a second. Those that fail of themselves soon after they began, one after the
    other, are replaced after longer and longer.
    """
    stopping = threading.Event()
    began: dict[int, float] = {}

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        for pid in began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def start() -> None:
        # A stop that came between the fork and its note would leave a child that nobody stops.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        if not stopping.is_set():
            began[_fork(child)] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)

    for number in _STOP:
        signal.signal(number, stop)
    for _ in range(processes):
        start()
    pause = 0.0
    while began:
        pid, status = os.wait()
        lived = time.monotonic() - began.pop(pid)
        if not stopping.is_set():
            pause = _RESTART_SECONDS if os.WIFSIGNALED(status) else next_pause(pause, lived)
            log.warning("a worker process died; starting another", pid=pid, after_seconds=pause)
            stopping.wait(pause)
            start()
    return 0


def next_pause(last: float, lived: float) -> float:
    """How many seconds to wait before a child that `lived` so long is replaced: half a second.

    Twice as long as the `last` pause, 30 seconds at most, where it lived for less than that.
    """
    return min(max(2 * last, _RESTART_SECONDS), _LONGEST_PAUSE) if lived < _LONGEST_PAUSE else _RESTART_SECONDS


def _fork(child: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        # Until the child says otherwise, being told to stop ends it: it has begun nothing.
        for number in _STOP:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)
        child()
        code = 0
    except EventsError as error:
        log.error("a worker process cannot begin", why=str(error))
    except Exception as error:  # noqa: BLE001  (whatever it is, the exit below would swallow it)
        why = without_addresses(" ".join(str(error).split()))[:300]
        log.error("a worker process failed", error=type(error).__name__, why=why)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def stop_event() -> threading.Event:
    """An event that SIGTERM or Ctrl-C sets. A second Ctrl-C does not wait: KeyboardInterrupt."""
    stopped = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if stopped.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stopped.set()

    for number in _STOP:
        signal.signal(number, stop)
    return stopped
