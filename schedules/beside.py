"""Doing in a thread beside what may hang, so that what must not wait for it does not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from events_service.errors import BrokerError

T = TypeVar("T")


class Beside:
    """One thing at a time, in one thread, waited for `seconds` at most. The thread does not keep the process."""

    def __init__(self, seconds: float = 15.0) -> None:
        self._seconds = seconds
        self._free = threading.Event()
        self._free.set()
        self._tasks: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="beside", daemon=True).start()

    def do(self, act: Callable[[], T]) -> T:
        """What it comes to, or raises; BrokerError where it takes too long, or what was begun before still does."""
        if not self._free.is_set():
            raise BrokerError("the broker still keeps an earlier tick waiting; what is due is rung for when it answers")
        self._free.clear()
        answer: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()
        self._tasks.put((act, answer))
        try:
            done, error = answer.get(timeout=self._seconds)
        except queue.Empty:
            raise BrokerError(f"the broker has not answered for {self._seconds:g} seconds") from None
        if error is not None:
            raise error
        return done  # type: ignore[return-value]

    def _work(self) -> None:
        while True:
            act, answer = self._tasks.get()
            came: tuple[Any, Exception | None]
            try:
                came = act(), None
            except Exception as error:  # noqa: BLE001  (it is whoever asked that it concerns)
                came = None, error
            self._free.set()
            answer.put(came)
