"""What a transport is.

A transport is dumb: no database, no retry, no logging. `send` calls `fence` just before DATA, or before the group of
commands that DATA is the last of; where that says no, nothing is sent and it returns False. Errors propagate as
MailError, and the caller decides.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

Fence = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message on its way: envelope addresses, its Message-ID, and the 7-bit bytes with CRLF lines."""

    sender: str
    recipient: str
    message_id: str
    data: bytes


class Connection(Protocol):
    """An open way out, good for many messages, one recipient each."""

    def send(self, message: Outgoing, fence: Fence) -> bool:
        """Send one message. False if the fence said no.

        TransientMailError, PermanentMailError, or UnknownMailError where the connection broke after DATA; and
        SenderRefusedError where the next message need not be tried either.
        """
        ...


class Transport(Protocol):
    """A place that mail can be sent to.

    `longest_seconds` is how long one message may take from its fence to the last word on it; 0 where it cannot hang.
    """

    @property
    def longest_seconds(self) -> float: ...

    def connect(self) -> AbstractContextManager[Connection]:
        """Open a connection; TransientMailError if there is none to be had now."""
        ...

    def close(self) -> None:
        """Give up what is kept open for the next `connect`, at the end of a process."""
        ...

    def check(self) -> str:
        """See that it could be used, and say what it is; MailError if it cannot."""
        ...
