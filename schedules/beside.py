"""Doing in a thread beside what may hang, so that what must not wait for it does not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from events_service.errors import BrokerError
from events_service.mail.words import without_addresses

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is to be done, what came of it (a value and an error), and whether nobody waits for that any more."""

    act: Callable[[], Any]
    answer: queue.SimpleQueue[tuple[Any, Exception | None]] = field(default_factory=queue.SimpleQueue)
    late: threading.Event = field(default_factory=threading.Event)


class Beside:
    """One thing at a time, in one thread, waited for `seconds` at most. The thread does not keep the process.

    An error that comes after that is a line in the log.
    """

    def __init__(self, seconds: float = 15.0) -> None:
        self._seconds = seconds
        self._free = threading.Event()
        self._free.set()
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="beside", daemon=True).start()

    def do(self, act: Callable[[], T]) -> T:
        """What it comes to, or raises; BrokerError where it takes too long, or what was begun before still does."""
        if not self._free.is_set():
            raise BrokerError("the broker still keeps an earlier tick waiting; what is due is rung for when it answers")
        self._free.clear()
        task = _Task(act)
        self._tasks.put(task)
        try:
            done, error = task.answer.get(timeout=self._seconds)
        except queue.Empty:
            task.late.set()
            raise BrokerError(f"the broker has not answered for {self._seconds:g} seconds") from None
        if error is not None:
            raise error
        return done  # type: ignore[no-any-return]

    def _work(self) -> None:
        while True:
            task = self._tasks.get()
            came: tuple[Any, Exception | None]
            try:
                came = task.act(), None
            except Exception as error:  # noqa: BLE001  (it is whoever asked that it concerns)
                came = None, error
            if task.late.is_set() and came[1] is not None:
                why = without_addresses(" ".join(str(came[1]).split()))[:300]
                log.warning("the broker failed an earlier tick", error=type(came[1]).__name__, why=why)
            self._free.set()
            task.answer.put(came)
