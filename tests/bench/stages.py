"""What a message costs by stage: the service's own functions, timed from outside while a campaign runs.

Time is counted for the innermost stage that runs, so the stages of one thread add up to what it spent. Timing costs a
little itself, so rates are measured without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest import mock

from events_service.calendars.invitation import InvitationTemplate
from events_service.db.session import Database
from events_service.db.writer import SharedWriter, Writer
from events_service.letter_contents import Contents
from events_service.letters import Letters
from events_service.mail.compose import Form
from events_service.mail.conversations import Conversations
from events_service.mail.smtp_client import Server
from events_service.mail.wire import Outgoing
from events_service.postroom import Postroom

TIMED: tuple[tuple[type, str, str], ...] = (
    (Contents, "rendered", "render"),
    (InvitationTemplate, "fill", "calendar"),
    (Form, "fill", "mime"),
    (Letters, "fill", "letter"),
    (Conversations, "begin", "smtp"),
    (Conversations, "answer", "smtp"),
    (Conversations, "listen", "smtp"),
    (Server, "open", "connect"),
    (Postroom, "deliver", "other"),
    (Writer, "write", "database"),
    (SharedWriter, "write", "database"),
)
"""Which function is which stage. Whatever a write to the database holds is `database`."""


class Stages:
    """By stage, of all threads together: seconds of a processor, and seconds that passed while it waited.

    It waits for the disk, for the server, for another thread, or for its turn on the processor. `messages` and `bytes`
    are what was composed.
    """

    def __init__(self) -> None:
        self.worked: dict[str, float] = {}
        self.waited: dict[str, float] = {}
        self.messages = 0
        self.bytes = 0
        self._running = threading.local()
        self._counting = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what runs inside for `name`, until a stage inside it begins."""
        stack: list[str] = self._running.__dict__.setdefault("stack", [])
        self._turn(stack)
        stack.append(name)
        try:
            yield
        finally:
            self._turn(stack)
            stack.pop()

    def _turn(self, stack: list[str]) -> None:
        """Count the time since the last turn for the stage that ran until now."""
        now, worked = time.perf_counter(), time.thread_time()
        if stack:
            since, worked_since = self._running.since
            with self._counting:
                passed, used = now - since, worked - worked_since
                self.worked[stack[-1]] = self.worked.get(stack[-1], 0.0) + used
                self.waited[stack[-1]] = self.waited.get(stack[-1], 0.0) + passed - used
        self._running.since = now, worked

    def count(self, message: Outgoing) -> None:
        """One more was composed."""
        with self._counting:
            self.messages += 1
            self.bytes += len(message.data)

    def microseconds(self) -> dict[str, float]:
        """What a message takes of a processor, by stage."""
        return {name: self._each(seconds) for name, seconds in self.worked.items()}

    @property
    def size(self) -> int:
        """The mean bytes of a message."""
        return self.bytes // max(self.messages, 1)

    def __str__(self) -> str:
        parts = [
            f"{name} {self._each(seconds):,.0f} (and {self._each(self.waited[name]):,.0f} waiting)"
            for name, seconds in sorted(self.worked.items(), key=lambda item: -item[1])
        ]
        return f"a message of {self.size:,} bytes takes, in µs of a processor: {', '.join(parts)}"

    def _each(self, seconds: float) -> float:
        return seconds / max(self.messages, 1) * 1e6


@contextmanager
def timed() -> Iterator[Stages]:
    """Time the service's functions in this process for as long as it is wanted."""
    stages = Stages()
    with ExitStack() as stack:
        for owner, name, stage in TIMED:
            stack.enter_context(mock.patch.object(owner, name, _timed(stages, stage, getattr(owner, name))))
        stack.enter_context(mock.patch.object(Database, "write", _write(stages, Database.write)))
        yield stages


def _timed(stages: Stages, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def timed_one(*given: Any, **named: Any) -> Any:
        with stages.stage(stage):
            answer = function(*given, **named)
        if stage == "letter":
            stages.count(answer)
        return answer

    return timed_one


def _write(stages: Stages, function: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def write(*given: Any, **named: Any) -> Iterator[Any]:
        with stages.stage("database"), function(*given, **named) as session:
            yield session

    return write
