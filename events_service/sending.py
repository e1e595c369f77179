"""One chunk's letters over some connections side by side, in one thread: one commit fences those that wait for it.

What ends meanwhile is committed with that fence too, so that a connection never has more than one message in doubt.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeVar

from events_service.chunk import UNWRITABLE, Chunk, unwritable
from events_service.clock import Clock
from events_service.errors import MailError, SenderRefusedError, TransientMailError, UnknownMailError
from events_service.letters import Draft, Letters
from events_service.mail.conversations import Conversations
from events_service.mail.pace import Pace
from events_service.mail.wire import Connection

_PATIENCE_SECONDS = 1.0
_LINGER_SECONDS = 0.05
"""For so long words wait for the next fence's commit where no server says anything, then they get one of their own."""
_CLOSING = 421
_FOR_EVER = float("inf")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Letter:
    """What a conversation is about."""

    draft: Draft
    connection: Connection


class Round:
    """Sends for as long as one of its connections is good. For one thread.

    `heard` counts the letters that came as far as a word of the server's, or to the fence.
    `given_back` counts, over all rounds of a chunk, the rows that were given back because of their domain's pace. Who
    sends has `turn`, and lets others have it whenever it waits for a server, or for a database that is `elsewhere`:
    threads that contend for the interpreter instead ask for it after every system call, and take a quarter more of the
    processor for each message. SQLite works in this process, and for one thread at a time.
    """

    def __init__(
        self,
        chunk: Chunk,
        letters: Letters,
        pace: Pace,
        clock: Clock,
        stopping: threading.Event,
        given_back: Counter[str],
        turn: threading.Lock,
        *,
        elsewhere: bool,
    ) -> None:
        self._chunk, self._letters, self._pace, self._clock = chunk, letters, pace, clock
        self._stopping, self._given_back = stopping, given_back
        self._turn, self._elsewhere = turn, elsewhere
        self._talks = Conversations[_Letter](idle=self._others_turn)
        self._fault: Exception | None = None
        self.heard = 0

    def send(self, waiting: deque[Draft], connections: Sequence[Connection]) -> None:
        """Send what waits, until nothing does, no connection is good any more, or it is time to stop.

        What was begun is ended before anything is raised: SenderRefusedError where none takes anything from us, or
        whatever kept a fence from being written.
        """
        with self._turn:
            self._send(waiting, list(reversed(connections)))
        if self._fault is not None:
            raise self._fault

    def _send(self, waiting: deque[Draft], free: list[Connection]) -> None:
        while True:
            try:
                pause = self._begin(waiting, free)
            except Exception as error:  # noqa: BLE001  (whatever it is, what is in DATA is ended first)
                self._fault, pause = error, None
            if self._talks.listen(0.0):
                pass
            elif self._talks.at_fence:
                self._ask(waiting)
            elif self._talks.talking:
                self._wait(pause)
            elif pause is not None:
                with self._others_turn():
                    self._stopping.wait(pause)
            else:
                break
            self._record(free)

    def _begin(self, waiting: deque[Draft], free: list[Connection]) -> float | None:
        """Give each connection that is free a letter. In how many seconds one more may go; None where none waits."""
        while free and not self._ends:
            if not free[-1].usable:
                free.pop()
                continue
            found = self._next(waiting)
            if not isinstance(found, Draft):
                return found
            try:
                message = self._letters.fill(found, self._clock())
            except UNWRITABLE as error:
                self._chunk.refused(found, unwritable(error))
                continue
            connection = free.pop()
            self._talks.begin(_Letter(found, connection), connection.send(message))
            self._record(free)
        return None

    def _next(self, waiting: deque[Draft]) -> Draft | float | None:
        """The next that may go at the pace that is set, or in how many seconds one may; None where nothing is left.

        Others go before one whose domain must wait. Where all must, a short wait is waited for. One that is longer
        gives the row back, and those behind it to the same domain come back after longer still.
        """
        soonest = _FOR_EVER
        for _ in range(len(waiting)):
            draft = waiting.popleft()
            seconds = self._pace.wait(draft.email)
            if not seconds:
                return draft
            if seconds > _PATIENCE_SECONDS:
                domain = draft.email.rpartition("@")[2]
                self._given_back[domain] += 1
                self._chunk.postponed(draft, seconds * self._given_back[domain])
                continue
            waiting.append(draft)
            soonest = min(soonest, seconds)
        return soonest if waiting else None

    def _ask(self, waiting: deque[Draft]) -> None:
        """Let those go that wait at the fence, and that it lets pass."""
        asked = [letter.draft for letter in self._talks.at_fence]
        passed: frozenset[int] = frozenset()
        if not self._ends:
            passed = self._kept(lambda: self._chunk.fence(asked), passed)
        self._talks.answer(lambda letter: letter.draft.row.id in passed)
        stopped = [draft for draft in asked if draft.row.id not in passed]
        if stopped and not self._ends:
            # Only now: what has passed waits for nobody before its DATA.
            nobody: list[Draft] = []
            waiting.extendleft(reversed(self._kept(lambda: self._chunk.judge(stopped), nobody)))

    def _wait(self, pause: float | None) -> None:
        """Until a server says something, one more letter may go, or the lease is to be renewed."""
        until = _FOR_EVER if pause is None else pause
        if self._fault is None:
            if self._talks.listen(min(until, _LINGER_SECONDS)) or until <= _LINGER_SECONDS:
                return
            self._kept(self._chunk.settle, None)
            until = min(until, max(self._chunk.quiet_seconds, _LINGER_SECONDS))
        self._talks.listen(until)

    @property
    def _ends(self) -> bool:
        """Whether nothing more may go."""
        return self._fault is not None or self._stopping.is_set()

    def _kept(self, act: Callable[[], T], without: T) -> T:
        """Write to the ledger. What goes wrong is raised once what is in DATA is ended."""
        try:
            with self._others_turn() if self._elsewhere else nullcontext():
                return act()
        except Exception as error:  # noqa: BLE001  (whatever it is)
            self._fault = error
        return without

    def _record(self, free: list[Connection]) -> None:
        """Note what became of those that are over; whose connection is good takes another."""
        for letter, outcome in self._talks.over():
            draft = letter.draft
            self.heard += not (isinstance(outcome, TransientMailError) and outcome.untried)
            if isinstance(outcome, SenderRefusedError):
                self._chunk.untried(draft, outcome)
                self._fault = self._fault or outcome
            elif isinstance(outcome, TransientMailError) and (outcome.untried or outcome.code == _CLOSING):
                # About the connection or the server, whatever it was said to. In case it is this message's doing,
                # after all, it comes back behind the others.
                self._chunk.untried(draft, outcome, turns=2)
            elif isinstance(outcome, MailError):
                self._chunk.refused(draft, outcome)
            elif outcome:
                self._chunk.sent(draft)
            lost = isinstance(outcome, TransientMailError | UnknownMailError) and outcome.code in (0, _CLOSING)
            if not lost:
                free.append(letter.connection)

    @contextmanager
    def _others_turn(self) -> Iterator[None]:
        self._turn.release()
        try:
            yield
        finally:
            self._turn.acquire()
