"""SMTP (RFC 5321) as a transport: connections that are kept and used again. No retry, no logging: the caller decides.

Connections are pooled in each process: one that is idle is used by whichever thread connects next, and closed after
half a minute. One that the server has closed meanwhile is replaced before anything of a message is sent.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from events_service.errors import MailError, NoTurnError, TransientMailError
from events_service.mail.smtp_client import Server
from events_service.mail.smtp_line import CLOSING, Line, Timeouts
from events_service.mail.wire import Conversation, Outgoing

FINAL_DOT_SECONDS = 600.0
IDLE_SECONDS = 30.0
MAX_IDLE = 16
_ASK_AFTER_SECONDS = 5.0
_MOST_MESSAGES = 1000
"""Over one connection: Exim closes those that go on (`smtp_accept_max_per_connection`)."""
_SHARE_SECONDS = 600.0
"""For so long what was learned of a server's limit is kept to: it may have been a restart."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_OPENING_SECONDS = 5.0
"""A server that takes its time to greet gets fewer connections, so that no lease is over before the first message."""
_WIDTH_SECONDS = 60.0
_TURN_SECONDS = 10.0
"""For so long somebody waits for one of the connections that the server gives."""


class Smtp:
    """A server. `scheme` is smtp, smtp+starttls or smtps.

    `timeout` is how many seconds each phase may take at most, `final_timeout` how many the word on a whole message;
    `smtp_line.Timeouts` has the table. Safe to share between threads; a fork begins with no connections.

    When the server says 421, nobody connects for a second; for twice as long each time that it says so again, five
    minutes at most, until it takes a message. But where it took ten messages or more over that connection before, and
    does not say that we send too much (4.7.x), that is a connection's share: none takes more for the next ten minutes,
    and nobody waits.
    """

    def __init__(
        self,
        host: str,
        port: int,
        scheme: str,
        user: str = "",
        password: str = "",
        *,
        timeout: float,
        final_timeout: float = FINAL_DOT_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.server = Server(host, port, scheme, user, password)
        self.timeouts = Timeouts.within(timeout, final_timeout)
        self._idle_seconds, self._monotonic = idle_seconds, monotonic
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Line]] = []
        self._closed = False
        self._reaper: threading.Timer | None = None
        self._most, self._most_until = _MOST_MESSAGES, float("-inf")
        self._used, self._urgent_waiting = 0, 0
        self._width, self._width_until = 0, float("-inf")
        self._given_back = threading.Condition(self._lock)
        self._pause, self._paused_until = 0.0, float("-inf")
        weakref.finalize(self, _hang_up, self._idle)
        _LIVING.add(self)

    @property
    def longest_seconds(self) -> float:
        """From the fence to the last word on a message."""
        return self.timeouts.longest_seconds

    @contextmanager
    def connect(self, most: int = 1, *, urgent: bool = False) -> Iterator[list[SmtpConnection]]:
        """Connections that are kept for the next when done; TransientMailError where there is none to be had.

        The server may say that it gives fewer than `most`: then it is asked for no more at a time for a minute. Who
        comes meanwhile waits for some seconds until one is given back; one is left to what is urgent, and whoever
        sends gives theirs back where somebody urgent waits. NoTurnError where none is given back in time.
        """
        lines = [self._take(urgent)]
        try:
            enough = self._monotonic() + _OPENING_SECONDS
            while len(lines) < most and self._monotonic() < enough and (line := self._one_more()):
                lines.append(line)
            yield [SmtpConnection(self, line) for line in lines]
        finally:
            for line in lines:
                self._give_back(line)

    def close(self) -> None:
        """Say goodbye on those that are idle; what is in use is closed when it is given back."""
        self._closed = True
        self._end(self._out_of_pool(float("inf")))

    def check(self) -> str:
        """Connect once and say to what."""
        try:
            self._open().close()
        except TransientMailError as error:
            raise MailError(str(error), error.code, error.enhanced) from error
        return f"{self.server.scheme}://{self.server.host}:{self.server.port}"

    def usable(self, line: Line) -> bool:
        """Whether one more message can go over a line now."""
        wanted = self._urgent_waiting and self._is_narrow()
        return line.taken < self._share() and not wanted and not self._pause_left() and line.alive(ask=False)

    def heed(self, line: Line, *, took: bool) -> None:
        """Learn from what the server said last; `took` where it took a message."""
        if took:
            self._pause = 0.0
        elif line.closing and line.had_its_share(line.closing):
            with self._lock:
                self._most = min(self._share(), line.taken)
                self._most_until = self._monotonic() + _SHARE_SECONDS
        elif line.closing:
            self._slow_down()
        line.closing = None

    def _share(self) -> int:
        """How many messages go over one connection, as far as is known now."""
        return self._most if self._monotonic() < self._most_until else _MOST_MESSAGES

    def _pause_left(self) -> float:
        """How many seconds nobody connects for."""
        return max(self._paused_until - self._monotonic(), 0.0)

    def _take(self, urgent: bool) -> Line:
        if wait := self._pause_left():
            raise TransientMailError(f"{self.server}: it said 421 and is left alone for {wait:.1f} s more", CLOSING)
        with self._lock:
            self._urgent_waiting += urgent
            try:
                if not self._given_back.wait_for(lambda: self._may_use_another(urgent), _TURN_SECONDS):
                    raise NoTurnError(f"{self.server}: it gives {self._width} connections, and all are in use")
            finally:
                self._urgent_waiting -= urgent
            self._used += 1
        return self._line()

    def _one_more(self) -> Line | None:
        """Another beside those that are in use, if the server gives it. That it does not is no reason to pause."""
        with self._lock:
            if not self._may_use_another(urgent=False):
                return None
            self._used += 1
        try:
            return self._line()
        except TransientMailError:
            return None

    def _line(self) -> Line:
        """One that is kept, or a new one; it counts as used already."""
        try:
            return self._out_of_idle() or self._open()
        except BaseException as error:
            others = self._leave()
            if isinstance(error, TransientMailError) and error.code:
                self._note_refusal(error.code, others)
            raise

    def _open(self) -> Line:
        return self.server.open(self.timeouts)

    def _is_narrow(self) -> bool:
        """Whether the server said lately how many connections it gives."""
        return self._monotonic() < self._width_until

    def _may_use_another(self, urgent: bool) -> bool:
        if not self._is_narrow():
            return True
        spare = 0 if urgent or self._width < 2 else 1
        return self._used < self._width - spare and (urgent or not self._urgent_waiting)

    def _note_refusal(self, code: int, others: int) -> None:
        """The server said no to a connection beside so many `others`, or to the only one."""
        if others:
            with self._lock:
                self._width, self._width_until = others, self._monotonic() + _WIDTH_SECONDS
        elif code == CLOSING:
            self._slow_down()

    def _leave(self) -> int:
        """One is not used any more; how many still are."""
        with self._lock:
            self._used -= 1
            self._given_back.notify_all()
            return self._used

    def _out_of_idle(self) -> Line | None:
        """One that is kept and still good."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, line = self._idle.pop()
            idle = self._monotonic() - since
            if idle < self._idle_seconds and line.alive(ask=idle >= _ASK_AFTER_SECONDS):
                return line
            line.close()
            if idle >= _ASK_AFTER_SECONDS:
                # It was asked, and said nothing: the others would be waited for in vain, one after the other.
                for other in self._out_of_pool(float("inf")):
                    other.drop()

    def _slow_down(self) -> None:
        with self._lock:
            now = self._monotonic()
            # Several threads may hear it at the same time.
            if now >= self._paused_until:
                self._pause = min(2 * self._pause or _FIRST_PAUSE, _LONGEST_PAUSE)
                self._paused_until = now + self._pause

    def _give_back(self, line: Line) -> None:
        with self._lock:
            kept = line.usable and not self._closed and len(self._idle) < MAX_IDLE and line.taken < self._share()
            if kept:
                self._idle.append((self._monotonic(), line))
                self._reap_later()
        if not kept:
            line.close()
        self._leave()

    def _reap_later(self) -> None:
        if self._reaper is None:
            itself = weakref.ref(self)
            self._reaper = threading.Timer(self._idle_seconds, _reap, (itself,))
            self._reaper.daemon = True
            self._reaper.start()

    def reap(self) -> None:
        """Close what has been idle for too long."""
        self._end(self._out_of_pool(self._monotonic() - self._idle_seconds))
        with self._lock:
            self._reaper = None
            if self._idle:
                self._reap_later()

    def _out_of_pool(self, until: float) -> list[Line]:
        """Take out of the pool those that were given back before a moment."""
        with self._lock:
            old = [line for since, line in self._idle if since <= until]
            self._idle[:] = [(since, line) for since, line in self._idle if since > until]
        return old

    @staticmethod
    def _end(lines: list[Line]) -> None:
        for line in lines:
            line.close()

    def forget(self) -> None:
        """In a fork: the connections are the parent's, which goes on using them."""
        self._lock, self._reaper, self._used, self._urgent_waiting = threading.Lock(), None, 0, 0
        self._given_back = threading.Condition(self._lock)
        _hang_up(self._idle)


class SmtpConnection:
    """An open connection. Where it was lost with a message, or after one, the next goes over another."""

    def __init__(self, smtp: Smtp, line: Line) -> None:
        self._smtp, self.line = smtp, line

    @property
    def usable(self) -> bool:
        """Whether one more message can go over it: not where the server is left alone."""
        return self._smtp.usable(self.line)

    def send(self, message: Outgoing) -> Conversation:
        """Send one message. See `wire.Conversation`."""
        line = self.line
        before = line.taken
        try:
            return (yield from line.send(message))
        finally:
            self._smtp.heed(line, took=line.taken > before)


_LIVING: weakref.WeakSet[Smtp] = weakref.WeakSet()


def _hang_up(idle: list[tuple[float, Line]]) -> None:
    """Close without a word."""
    while idle:
        idle.pop()[1].drop()


def _reap(itself: weakref.ref[Smtp]) -> None:
    smtp = itself()
    if smtp is not None:
        smtp.reap()


def _forget_all() -> None:
    for smtp in list(_LIVING):
        smtp.forget()


os.register_at_fork(after_in_child=_forget_all)
