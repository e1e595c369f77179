"""An SMTP conversation as bytes: commands out, replies in (RFC 5321 4.2), each in time and of bounded length."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from typing import NamedTuple

from events_service.domain.delivery import enhanced_code
from events_service.mail.wire import Steps, Wait

MAX_LINE = 4096
MAX_LINES = 200
_AT_ONCE = 4096
_SHOWN = 300
_EMPTY = (BlockingIOError, ssl.SSLWantReadError)
"""Nothing came yet; or, a matter of TLS alone, nothing that was said."""
_FULL = (BlockingIOError, ssl.SSLWantWriteError)
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
    """One end of a connection, which must not block: what takes time are steps of a conversation.

    Errors are OSError (also TimeoutError) and SMTPException: after one it is of no use.
    """

    def __init__(self, sock: socket.socket, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.sock, self._monotonic = sock, monotonic
        self._unread = b""

    @property
    def more(self) -> bool:
        """Whether more came than was read. A server has no reason to say anything unasked, but that it closes."""
        return bool(self._unread)

    def send(self, data: bytes, seconds: float) -> Steps[None]:
        """Send all of it within so many seconds. Where that fails, its last octet was not sent."""
        until = self._monotonic() + seconds
        left = memoryview(data)
        while left:
            if self._monotonic() > until:
                raise TimeoutError("timed out")
            try:
                left = left[self.sock.send(left) :]
            except ssl.SSLWantReadError:
                yield Wait(self.sock, False, until)
            except _FULL:
                yield Wait(self.sock, True, until)

    def read(self, seconds: float) -> Steps[Reply]:
        """The next reply, all of it within so many seconds."""
        until = self._monotonic() + seconds
        code, lines = b"", list[bytes]()
        while len(lines) < MAX_LINES:
            line = self._told()
            if line is None:
                yield from self._hear(until)
                continue
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
        try:
            self._unread = self.sock.recv(_AT_ONCE)
        except _EMPTY:
            return True
        except OSError:
            pass
        return False

    def _told(self) -> bytes | None:
        """The next line of what was heard, None where there is none yet."""
        line, end, rest = self._unread.partition(b"\n")
        if not end:
            if len(line) > MAX_LINE:
                raise NonsenseError(f"a line of more than {MAX_LINE} octets")
            return None
        self._unread = rest
        return line.removesuffix(b"\r")

    def _hear(self, until: float) -> Steps[None]:
        """Wait for more. Who says a little now and then is not waited for any longer."""
        while True:
            if self._monotonic() > until:
                raise TimeoutError("timed out")
            try:
                got = self.sock.recv(_AT_ONCE)
            except ssl.SSLWantWriteError:
                yield Wait(self.sock, True, until)
            except _EMPTY:
                yield Wait(self.sock, False, until)
            else:
                break
        if not got:
            raise smtplib.SMTPServerDisconnected("the server closed the connection")
        self._unread += got


def _shown(text: bytes) -> str:
    """Text of a server's as it can stand in a log and in a database, which takes no NUL."""
    words = " ".join(text.decode("utf-8", "replace").split())[:_SHOWN]
    return "".join(char if char.isprintable() else "\ufffd" for char in words)
