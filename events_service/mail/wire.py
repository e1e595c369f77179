"""What a transport is, and what a conversation with a mail server is.

A transport is dumb: no database, no retry, no logging. Errors propagate as MailError, and the caller decides.

A conversation is a generator, so that one thread can hold many side by side (`conversations`). It yields FENCE just
before DATA, or before the group of commands that DATA is the last of, and is told whether the message may go; it yields
a `Wait` where it can do nothing before its socket is ready.
"""

from __future__ import annotations

import socket
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


class Wait(NamedTuple):
    """Until the socket can be read, or written, but not past a moment of the monotonic clock: then TimeoutError."""

    sock: socket.socket
    writing: bool
    until: float


class _Fence(Enum):
    FENCE = "fence"


FENCE: Final = _Fence.FENCE
Steps: TypeAlias = Generator[Wait, None, T]
"""A part of a conversation that meets no fence."""
Conversation: TypeAlias = Generator[Wait | Literal[_Fence.FENCE], Any, bool]
"""Sends one message. It returns False, having sent nothing, if it was told False at the fence.

TransientMailError, PermanentMailError, or UnknownMailError where the connection broke after DATA; and
SenderRefusedError where the next message need not be tried either.
"""


class Outgoing(NamedTuple):
    """One message on its way: envelope addresses, its Message-ID, and the 7-bit bytes with CRLF lines."""

    sender: str
    recipient: str
    message_id: str
    data: bytes


class Connection(Protocol):
    """An open way out, good for many messages, one after the other, one recipient each."""

    @property
    def usable(self) -> bool:
        """Whether one more message can go over it."""
        ...

    def send(self, message: Outgoing) -> Conversation:
        """Begin to send a message."""
        ...


class Transport(Protocol):
    """A place that mail can be sent to.

    `longest_seconds` is how long one message may take from its fence to the last word on it; 0 where it cannot hang.
    """

    @property
    def longest_seconds(self) -> float: ...

    def connect(self, most: int = 1, *, urgent: bool = False) -> AbstractContextManager[Sequence[Connection]]:
        """Open connections, `most` at the most; TransientMailError if there is none to be had now.

        What is `urgent`, for which somebody waits, goes before the rest where there are few.
        """
        ...

    def close(self) -> None:
        """Give up what is kept open for the next `connect`, at the end of a process."""
        ...

    def check(self) -> str:
        """See that it could be used, and say what it is; MailError if it cannot."""
        ...
