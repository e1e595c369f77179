"""The maildir that a rehearsal's mail goes into, and letters as guests read them out of it."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from events_service.mail.maildir import Maildir
from events_service.mail.wire import Conversation, Outgoing

_BOUNDARY = re.compile(rb'boundary="([^"]+)"')
_TYPE = re.compile(rb"Content-Type: ([a-z]+/[a-z]+)(?:.*?;\s*method=([A-Z]+))?", re.DOTALL)
_ADDRESS = re.compile(r"<([^<>]+)>\s*$|^\s*([^<>\s]+)\s*$")
_LINK = re.compile(r"https://\S+/(reply|survey)/([^\s/?]+)")


class Postbag(Maildir):
    """A maildir that knows what came in since somebody last looked, so that nobody lists a folder of thousands."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, durable=False)
        self._new: list[Path] = []

    def send(self, message: Outgoing) -> Conversation:
        """See `Maildir.send`."""
        sent = yield from super().send(message)
        if sent:
            self._new.append(self.file_of(message.message_id))
        return sent

    def take(self) -> list[Path]:
        """The files that came in since the last call, in order."""
        found, self._new = self._new, []
        return found


@dataclass(frozen=True)
class Mail:
    """One message as its recipient's program reads it. `headers` are by lower-case name, unfolded."""

    path: Path
    headers: dict[str, str]
    body: bytes

    @classmethod
    def read(cls, path: Path) -> Mail:
        """Read a file of a maildir."""
        head, _, body = path.read_bytes().partition(b"\n\n")
        # Unfolded (RFC 5322 2.2.3); these messages repeat no header.
        lines = re.sub(rb"\n[ \t]+", b" ", head).decode("ascii").split("\n")
        pairs = (line.partition(":") for line in lines)
        return cls(path, {name.lower(): value.strip() for name, _, value in pairs}, body)

    @property
    def recipient(self) -> str:
        """The address it was sent to."""
        found = _ADDRESS.search(self.headers["to"])
        return (found[1] or found[2]) if found else ""

    @property
    def event(self) -> str:
        """The slug of the event that it is about, from its List-Id; "" where no list sent it: a confirmation."""
        return self.headers.get("list-id", "").strip("<>").partition(".")[0]

    @property
    def message_id(self) -> str:
        """Its Message-ID, with the angle brackets."""
        return self.headers["message-id"]

    @property
    def unsubscribe_url(self) -> str:
        """The address that a mail program posts to for one-click unsubscribing (RFC 8058); "" without one."""
        one_click = self.headers.get("list-unsubscribe-post") == "List-Unsubscribe=One-Click"
        return self.headers.get("list-unsubscribe", "").strip("<>") if one_click else ""

    @cached_property
    def method(self) -> str:
        """REQUEST or CANCEL where a calendar of the event is in it, else ""; those of sessions are attached."""
        return self._parts.get("text/calendar", ("", b""))[0]

    @cached_property
    def calendar(self) -> str:
        """The calendar object, unfolded; "" where there is none."""
        _, part = self._parts.get("text/calendar", ("", b""))
        return re.sub("\r?\n[ \t]", "", binascii.a2b_base64(part).decode()) if part else ""

    @cached_property
    def text(self) -> str:
        """The plain text."""
        return binascii.a2b_qp(self._parts["text/plain"][1]).decode()

    def link(self, page: str) -> str:
        """The address of a page (reply, survey) in the text; "" where there is none."""
        return next((found[0] for found in _LINK.finditer(self.text) if found[1] == page), "")

    @cached_property
    def _parts(self) -> dict[str, tuple[str, bytes]]:
        """Each leaf by its type: the calendar method of its header, and its body as it is encoded."""
        boundaries = _BOUNDARY.findall(f"content-type: {self.headers['content-type']}".encode())
        boundaries += _BOUNDARY.findall(self.body)
        pieces = [self.body]
        # Not by a pattern: every message has boundaries of its own, and compiling costs more than splitting.
        for boundary in dict.fromkeys(boundaries):
            for end in (b"\n", b"--\n"):
                pieces = [part for piece in pieces for part in piece.split(b"--" + boundary + end)]
        found: dict[str, tuple[str, bytes]] = {}
        for piece in pieces:
            head, _, body = piece.partition(b"\n\n")
            kind = _TYPE.match(head)
            attached = b"Content-Disposition: attachment" in head
            if kind is not None and not attached and not kind[1].startswith(b"multipart"):
                found.setdefault(kind[1].decode(), ((kind[2] or b"").decode(), body))
        return found
