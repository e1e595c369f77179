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

from events_service import chores, doorbell, mailbox
from events_service.clock import system_clock
from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.errors import BrokerError, EventsError
from events_service.mail.transports import transport
from events_service.mail.wire import Transport
from events_service.mail.words import without_addresses
from events_service.postroom import Postroom, Tally
from workers.actors import Bells, declare
from workers.broker import check_broker, make_broker
from workers.lanes import Lanes

log = structlog.get_logger(__name__)
_RESTART_SECONDS = 0.5
_LONGEST_PAUSE = 30.0
_PARENT_SECONDS = 1.0
_CLOSING_SECONDS = 5.0
"""Beside the grace: to give back what was fetched, and to close connections."""
_STOP = (signal.SIGTERM, signal.SIGINT)


def mail_transport(settings: Settings) -> Transport:
    """Where the settings send mail."""
    return transport(
        settings.resolved_smtp_url,
        timeout=settings.smtp_timeout_seconds,
        final_timeout=settings.smtp_final_timeout_seconds,
    )


def run_worker(settings: Settings, threads: int, stopped: threading.Event) -> None:
    """Work in this process until `stopped` is set or its parent is gone; what is in DATA by then is finished.

    It is given `stop_seconds` for that. What is in DATA even then is found as unknown when its lease is over.
    """
    parent = os.getppid()
    broker = make_broker(settings.broker_url)
    check_broker(broker, settings.broker_url)
    database = open_database(settings.resolved_database_url)
    with contextlib.closing(live_postroom(settings, database)) as postroom:
        bells_for(broker, settings, database, postroom)
        lanes = Lanes(broker, threads)
        log.info("worker started", threads=threads, pid=os.getpid())
        while not stopped.wait(_PARENT_SECONDS) and os.getppid() == parent:
            pass
        postroom.stop()
        log.info("worker stopping", pid=os.getpid())
        if not lanes.stop(settings.stop_seconds):
            log.warning("stopped while a message was in DATA; its row will be unknown", pid=os.getpid())
    broker.close()
    database.dispose()


def await_broker(settings: Settings, stopped: threading.Event) -> bool:
    """Wait until the broker answers, and ask less and less often; False if `stopped` is set before.

    A machine starts its services in any order, and at work a broker that goes away is waited for as well. SettingsError
    at once where its address is none.
    """
    broker = make_broker(settings.broker_url)
    pause = 0.0
    with contextlib.closing(broker):
        while not stopped.is_set():
            try:
                check_broker(broker, settings.broker_url)
                return True
            except BrokerError as error:
                pause = next_pause(pause, 0)
                log.warning("waiting for the broker", why=str(error), again_in_seconds=pause)
                stopped.wait(pause)
    return False


def live_postroom(settings: Settings, database: Database) -> Postroom:
    """The post room of a process that lives in real time."""
    return Postroom(database, settings, mail_transport(settings), system_clock)


def bells_for(broker: dramatiq.Broker, settings: Settings, database: Database, postroom: Postroom) -> Bells:
    """Declare the actors of a live process on its broker. What they cannot do now is a line in the log."""

    def deliver(ids: Sequence[int], *, urgent: bool = False) -> Tally:
        try:
            return postroom.deliver(ids, urgent=urgent)
        except EventsError as error:
            # The rows are in the ledger still, and rung for again.
            log.error("deliveries put off", why=str(error))
            return Tally()

    def urgent() -> Tally:
        # All of it at once: one by one, a chunk's fixed cost for each, they would pile up while a campaign runs.
        try:
            with database.read() as session:
                ids = doorbell.due(session, system_clock(), limit=settings.chunk_size, priority=doorbell.URGENT)
        except EventsError as error:
            log.error("deliveries put off", why=str(error))
            return Tally()
        return deliver(ids, urgent=True) if ids else Tally()

    def look() -> None:
        try:
            mailbox.imap_poll(settings, database, system_clock())
        except EventsError as error:
            log.error("the mailbox cannot be read; it is looked into again later", why=str(error))

    def do_chores() -> None:
        try:
            chores.do(database, system_clock())
        except EventsError as error:
            log.error("chores put off", why=str(error))

    return declare(broker, deliver, urgent=urgent, intake=look, plan=do_chores)


def bells_to_ring(broker: dramatiq.Broker) -> Bells:
    """The same for a process that rings and does none of it."""
    return declare(broker, lambda _ids: Tally())


def supervise(
    processes: int, child: Callable[[], None], stop_seconds: float = 60.0, stopping: threading.Event | None = None
) -> int:
    """Run `child` in so many forks until this process is told to stop; a fork that dies is replaced.

    `stopping` is what tells of a stop that came before this had begun to listen for it.

    A fork that has not ended some seconds after the `stop_seconds` that it may take is killed.

    One that was killed is back after half a second. Those that fail of themselves soon after they began, one after the
    other, are replaced after longer and longer.
    """
    stopping = stopping or threading.Event()
    began: dict[int, float] = {}

    def tell(number: int) -> None:
        for pid in began:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        tell(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, stop_seconds + _CLOSING_SECONDS)

    def start() -> None:
        # A stop that came between the fork and its note would leave a child that nobody stops.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
        if not stopping.is_set():
            began[_fork(child)] = time.monotonic()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP)

    for number in _STOP:
        signal.signal(number, stop)
    signal.signal(signal.SIGALRM, lambda _signal, _frame: tell(signal.SIGKILL))
    for _ in range(processes):
        start()
    pause = 0.0
    while began:
        pid, status = os.wait()
        if pid not in began:
            # As process 1 of a container it is handed every orphan there.
            continue
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
