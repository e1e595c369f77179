"""The threads of a worker process: some for campaigns, one kept for what somebody waits for, one for chores."""

from __future__ import annotations

import sys
import time

import dramatiq
import structlog

log = structlog.get_logger(__name__)

_POLL_MS = 100
_CONSUMERS_MS = 1000
_SWITCH_SECONDS = 0.001
_OTHERS = (("urgent",), ("intake", "plan"))


class Lane(dramatiq.Worker):
    """Threads that serve some of the queues, whatever the others have to do.

    All queues are declared before it starts, and nothing is ever delayed: so it listens to these queues and no others,
    where dramatiq's own would open a connection for each delay queue as well.
    """

    def __init__(self, broker: dramatiq.Broker, queues: tuple[str, ...], threads: int) -> None:
        super().__init__(broker, queues=set(queues), worker_timeout=_POLL_MS, worker_threads=threads)
        self._listens_to = queues

    def start(self) -> None:
        """Start its threads."""
        self.broker.emit_before("worker_boot", self)
        for queue in self._listens_to:
            self._add_consumer(queue)
        for _ in range(self.worker_threads):
            self._add_worker()
        self.broker.emit_after("worker_boot", self)


class Lanes:
    """The lanes of one process, running. `threads` are those for campaigns; the caller stops them."""

    def __init__(self, broker: dramatiq.Broker, threads: int) -> None:
        # A thread that sends one confirmation asks for the interpreter at each answer of the database and the mail
        # server; at the default 5 ms it waits that long, each time, for every thread that fills in letters.
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._lanes = [Lane(broker, ("deliver",), threads), *(Lane(broker, queues, 1) for queues in _OTHERS)]
        for lane in self._lanes:
            lane.start()
        self.threads = [thread for lane in self._lanes for thread in lane.workers]

    def stop(self, seconds: float) -> bool:
        """Let each thread finish what it is at, for so long at most in all; whether they all did."""
        deadline = time.monotonic() + seconds
        for thread in self.threads:
            thread.stop()
        for thread in self.threads:
            thread.join(max(deadline - time.monotonic(), 0))
        for lane in self._lanes:
            try:
                lane.stop(timeout=_CONSUMERS_MS)
            except Exception as error:  # noqa: BLE001  (with the broker away, it finds out itself what nobody holds)
                log.warning("the broker was not told of the end", error=type(error).__name__)
        return not any(thread.is_alive() for thread in self.threads)

    def join(self) -> None:
        """Wait until nothing is being worked on."""
        for lane in self._lanes:
            lane.join()
