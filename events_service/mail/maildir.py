"""A maildir as a mail server: one file a message, named after its Message-ID.

A name that is there already is the same message sent again, so it is written over: here nothing is ever unknown.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from events_service.errors import MailError, TransientMailError
from events_service.mail.wire import FENCE, Conversation, Outgoing


class Maildir:
    """Delivers into `path`/new; made when it is first used. `durable` waits for the disk."""

    longest_seconds = 0.0

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path, self.durable = path, durable

    @contextmanager
    def connect(self, most: int = 1, *, urgent: bool = False) -> Iterator[list[Maildir]]:  # noqa: ARG002
        """Make the folders if they are not there.

        It takes one message after the other: so a crash leaves one in doubt. Where surviving one is given up, it takes
        as many at the same time as somebody wants.
        """
        self._prepare()
        yield [self] * (1 if self.durable else most)

    def close(self) -> None:
        """Nothing is kept open."""

    def check(self) -> str:
        """See that the folder can be written."""
        try:
            self._prepare()
        except TransientMailError as error:
            raise MailError(str(error)) from error
        if not os.access(self.path / "new", os.W_OK):
            raise MailError(f"{self.path}: cannot be written by this user")
        return f"maildir {self.path}"

    @property
    def usable(self) -> bool:
        """Always."""
        return True

    def send(self, message: Outgoing) -> Conversation:
        """Write the message to tmp, then move it to new in one step."""
        if not (yield FENCE):
            return False
        file_ = self.file_of(message.message_id)
        draft = self.path / "tmp" / f"{file_.name}.{os.getpid()}"
        try:
            with draft.open("wb") as file:
                # A maildir holds lines as this system writes them.
                file.write(message.data.replace(b"\r\n", b"\n"))
                if self.durable:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(file_)
            if self.durable:
                _sync(file_.parent)
        except OSError as error:
            with suppress(OSError):
                draft.unlink()
            raise TransientMailError(f"{draft}: {error.strerror}") from error
        return True

    def file_of(self, message_id: str) -> Path:
        """Where the message of that Message-ID is delivered."""
        return self.path / "new" / hashlib.sha256(message_id.encode()).hexdigest()[:32]

    def _prepare(self) -> None:
        try:
            for folder in ("tmp", "new", "cur"):
                (self.path / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TransientMailError(f"{self.path}: cannot be made: {error.strerror}") from error


def _sync(folder: Path) -> None:
    """A name is on the disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
