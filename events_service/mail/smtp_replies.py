"""An SMTP conversation as bytes: commands out, replies in (RFC 5321 4.2), each in time and of bounded length."""

from __future__ import annotations

import re
import select
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from typing import NamedTuple

from events_service.domain.delivery import enhanced_code

MAX_LINE = 4096
MAX_LINES = 200
_AT_ONCE = 4096
_SHOWN = 300
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)


class NonsenseError(smtplib.SMTPException):
    """What the server said is no reply, or not one to what it was asked."""


class Reply(NamedTuple):
    """A reply: its code, and its lines joined by newlines."""

    code: int
    text: bytes

    @property
    def kind(self) -> int:
        """The first digit, which says all that a client needs (RFC 5321 4.2.1)."""
        return self.code // 100

    @property
    def said(self) -> str:
        """The reply as one line, at most 300 characters of it after its code."""
        return f"{self.code} {_shown(self.text)}"

    @property
    def enhanced(self) -> str:
        """Its enhanced status code (RFC 3463), "" where it has none."""
        return enhanced_code(self.text[:16].decode("ascii", "replace"))


class Talk:
    """One end of a connection. Errors are OSError (also TimeoutError) and SMTPException: after one it is of no use."""

    def __init__(self, sock: socket.socket, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.sock, self._monotonic = sock, monotonic
        self._unread = b""
        self._timeout: float | None = None
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        # Of what TLS has decrypted the system knows nothing.
        self._pending: Callable[[], int] = sock.pending if isinstance(sock, ssl.SSLSocket) else lambda: 0

    @property
    def more(self) -> bool:
        """Whether more came than was read. A server has no reason to say anything unasked, but that it closes."""
        return bool(self._unread)

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of it within so many seconds. Where that fails, its last octet was not sent."""
        self._within(seconds)
        self.sock.sendall(data)

    def read(self, seconds: float) -> Reply:
        """The next reply, all of it within so many seconds."""
        until = self._monotonic() + seconds
        self._within(seconds)
        code, lines = b"", list[bytes]()
        while len(lines) < MAX_LINES:
            line = self._line(until, late=bool(lines))
            found = _LINE.fullmatch(line)
            if found is None or (lines and found[1] != code):
                raise NonsenseError(f"what was said cannot be understood: {_shown(line)}")
            code = found[1]
            lines.append((found[3] or b"").strip())
            if found[2] != b"-":
                return Reply(int(code), b"\n".join(lines))
        raise NonsenseError(f"a reply of more than {MAX_LINES} lines")

    def quiet(self) -> bool:
        """Whether the connection is open and nothing was said unasked. What was is the next reply."""
        if self._unread:
            return False
        if not self._pending() and not self._poll.poll(0):
            return True
        self._within(0.0)
        try:
            self._unread = self.sock.recv(_AT_ONCE)
        except (BlockingIOError, ssl.SSLWantReadError):
            # A matter of TLS alone, such as a session ticket.
            return True
        except OSError:
            pass
        return False

    def _line(self, until: float, *, late: bool) -> bytes:
        """The next line. `late` where time has passed since the reply was first waited for."""
        end = self._unread.find(b"\n")
        while end < 0:
            if len(self._unread) > MAX_LINE:
                raise NonsenseError(f"a line of more than {MAX_LINE} octets")
            if late:
                # Who says a little now and then is not waited for any longer.
                self._within(until - self._monotonic())
            got = self.sock.recv(_AT_ONCE)
            if not got:
                raise smtplib.SMTPServerDisconnected("the server closed the connection")
            late, self._unread = True, self._unread + got
            end = self._unread.find(b"\n")
        line, self._unread = self._unread[:end], self._unread[end + 1 :]
        return line.removesuffix(b"\r")

    def _within(self, seconds: float) -> None:
        if seconds < 0:
            raise TimeoutError("timed out")
        # It is a system call.
        if seconds != self._timeout:
            self.sock.settimeout(seconds)
            self._timeout = seconds


def _shown(text: bytes) -> str:
    """Text of a server's as it can stand in a log and in a database, which takes no NUL."""
    words = " ".join(text.decode("utf-8", "replace").split())[:_SHOWN]
    return "".join(char if char.isprintable() else "\ufffd" for char in words)
