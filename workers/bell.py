"""Ringing from a process that answers people: it must not wait for a broker, so a thread of its own does."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import structlog

from events_service.errors import BrokerError
from workers.actors import Ring

MOST = 1000

log = structlog.get_logger(__name__)


class PatientBell:
    """Passes on to `ring`, one after the other, what it is told; it never fails and never waits.

    What cannot be passed on is dropped: the next tick finds it. Past so many that wait, it drops what comes.
    """

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._told: queue.Queue[Sequence[int] | None] = queue.Queue(MOST)
        self._thread = threading.Thread(target=self._pass_on, name="bell", daemon=True)
        self._thread.start()

    def __call__(self, ids: Sequence[int]) -> None:
        """Ring for these soon."""
        try:
            self._told.put_nowait(ids)
        except queue.Full:
            log.warning("too many deliveries to ring for; the next tick finds them")

    def close(self, seconds: float = 2.0) -> None:
        """Pass on what waits, for so long at most."""
        try:
            self._told.put(None, timeout=seconds)
        except queue.Full:
            return
        self._thread.join(seconds)

    def _pass_on(self) -> None:
        away = False
        while (ids := self._told.get()) is not None:
            try:
                self._ring(ids)
                away = False
            except BrokerError as error:
                # Said once, not for each page that somebody sends.
                if not away:
                    log.warning("no worker can be told at once; ticks will", why=str(error))
                away = True
