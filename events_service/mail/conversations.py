"""Carrying conversations on: one alone, or many side by side in one thread. They know of sockets and fences only."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, TypeVar

from events_service.errors import MailError
from events_service.mail.wire import FENCE, Conversation, Wait

T = TypeVar("T")

_TIMED_OUT = "timed out"


def alone(steps: Generator[Any, Any, T], fence: Callable[[], bool] = lambda: True) -> T:
    """Carry one conversation, or a part of one, on to its end; whatever it raises."""
    try:
        wanted = next(steps)
        while True:
            if wanted is FENCE:
                wanted = steps.send(fence())
            elif _ready(wanted):
                wanted = steps.send(None)
            else:
                wanted = steps.throw(TimeoutError(_TIMED_OUT))
    except StopIteration as end:
        answer: T = end.value
        return answer


def _ready(wait: Wait) -> bool:
    poll = select.poll()
    poll.register(wait.sock, select.POLLOUT if wait.writing else select.POLLIN)
    return bool(poll.poll(max(wait.until - time.monotonic(), 0.0) * 1000))


class Conversations(Generic[T]):
    """Conversations side by side, each about something of the caller's. For one thread.

    None waits for another: each goes on as soon as its server says something, or its time is over. `idle` is entered
    for as long as there is nothing to do.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        idle: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._monotonic, self._idle = monotonic, idle
        self._poll = select.poll()
        self._waiting: dict[int, tuple[T, Conversation, Wait]] = {}
        self._fenced: list[tuple[T, Conversation]] = []
        self._over: list[tuple[T, bool | MailError]] = []

    @property
    def talking(self) -> int:
        """How many wait for their servers."""
        return len(self._waiting)

    @property
    def at_fence(self) -> list[T]:
        """What those are about that wait at the fence, in the order in which they came to it."""
        return [about for about, _conversation in self._fenced]

    def begin(self, about: T, conversation: Conversation) -> None:
        """Carry one on as far as it goes."""
        self._go_on(about, conversation, conversation.send, None)

    def answer(self, passes: Callable[[T], bool]) -> None:
        """Tell those at the fence whether they may go, and carry them on."""
        fenced, self._fenced = self._fenced, []
        for about, conversation in fenced:
            self._go_on(about, conversation, conversation.send, passes(about))

    def listen(self, seconds: float) -> bool:
        """Carry on those whose servers said something, or whose time is over; wait so long at most for one of them.

        Whether any went on.
        """
        if not self._waiting:
            return False
        now = self._monotonic()
        first = min(wait.until for _about, _conversation, wait in self._waiting.values())
        wait = max(min(seconds, first - now), 0.0)
        with self._idle() if wait else nullcontext():
            heard = self._poll.poll(wait * 1000)
        for handle, _event in heard:
            about, conversation, _wait = self._leave(handle)
            self._go_on(about, conversation, conversation.send, None)
        if heard or first > self._monotonic():
            return bool(heard)
        now = self._monotonic()
        late = [handle for handle, (_about, _conversation, wait) in self._waiting.items() if wait.until <= now]
        for handle in late:
            about, conversation, _wait = self._leave(handle)
            self._go_on(about, conversation, conversation.throw, TimeoutError(_TIMED_OUT))
        return bool(late)

    def over(self) -> list[tuple[T, bool | MailError]]:
        """What those were about that ended since the last call, and how: what they returned, or the error."""
        over, self._over = self._over, []
        return over

    def _leave(self, handle: int) -> tuple[T, Conversation, Wait]:
        self._poll.unregister(handle)
        return self._waiting.pop(handle)

    def _go_on(self, about: T, conversation: Conversation, tell: Callable[[Any], Any], word: object) -> None:
        try:
            wanted = tell(word)
        except StopIteration as end:
            self._over.append((about, end.value))
        except MailError as error:
            self._over.append((about, error))
        else:
            if wanted is FENCE:
                self._fenced.append((about, conversation))
                return
            handle = wanted.sock.fileno()
            self._waiting[handle] = (about, conversation, wanted)
            self._poll.register(handle, select.POLLOUT if wanted.writing else select.POLLIN)
