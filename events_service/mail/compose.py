"""A message as bytes: what is the same for all is encoded once, and only a recipient's own values are filled in.

The shape is multipart/mixed[ multipart/alternative[ text/plain, text/html, text/calendar; method=… ], invite.ics ]
with a calendar, multipart/alternative without (RFC 6047; the same bytes twice, as mail programs differ in which they
take). The calendar part has no Content-Disposition and its `method` equals the object's. Objects of sessions follow in
the multipart/mixed, each an attachment text/calendar; method=… of its own. Everything is 7-bit.
"""

from __future__ import annotations

import binascii
import hashlib
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from events_service.mail.headers import link, machine_line, mailbox_line, read_mailbox, text_line
from events_service.mail.marks import Cut, fitting, has_marks
from events_service.mail.wire import Outgoing

_B64_BYTES = 57


class Letter(NamedTuple):
    """What is one recipient's own: address and name, the values of the marks, headers, and the calendar's bytes.

    `sessions` are the calendars that are attached besides, each with its method.

    `sender` is a mailbox such as `Events desk <events@example.org>`; `unsubscribe_url` and `list_id` go into the list
    headers where given (RFC 8058, RFC 2919). Bounces go to `return_path`, by default to the sender's own address.
    """

    sender: str
    recipient: str
    name: str
    message_id: str
    values: Mapping[str, str]
    reply_to: str = ""
    unsubscribe_url: str = ""
    unsubscribe_mailbox: str = ""
    list_id: str = ""
    calendar: bytes | None = None
    method: str = "REQUEST"
    return_path: str = ""
    sessions: Sequence[tuple[str, bytes]] = ()


class Form:
    """A rendered message, cut at its marks, encoded where it is the same for all, and ready to be filled.

    `calendar_head` is what the calendars of its letters begin with, `session_heads` the same of those of sessions.
    """

    def __init__(
        self, subject: str, text: str, html_text: str, calendar_head: bytes = b"", session_heads: Sequence[bytes] = ()
    ) -> None:
        self._subject = text_line("Subject", subject)
        self._text = _QuotedPrintable(text, str)
        self._html = _QuotedPrintable(html_text, html.escape)
        self._calendar = _Base64(calendar_head)
        self._sessions = [_Base64(head) for head in session_heads]
        self.fields = self._text.fields | self._html.fields

    def fill(self, letter: Letter, at: datetime) -> Outgoing:
        """The message for one recipient, dated `at`.

        KeyError if the letter lacks a value that the text marks, InputError for an address or a link that no header
        can hold.
        """
        boundary = "=_" + hashlib.sha256(letter.message_id.encode()).hexdigest()[:24]
        parts = [
            _part("text/plain; charset=utf-8", self._text.fill(letter.values)),
            _part("text/html; charset=utf-8", self._html.fill(letter.values)),
        ]
        attached = []
        if letter.calendar is not None:
            encoded = self._calendar.fill(letter.calendar)
            parts.append(_part(f"text/calendar; charset=utf-8; method={letter.method}", encoded, "base64"))
            attached.append(
                _part('application/ics; name="invite.ics"', encoded, "base64", 'attachment; filename="invite.ics"')
            )
        if letter.sessions:
            attached += self._attached(letter.sessions)
        body = _multipart("alternative", boundary, parts)
        if attached:
            body = _multipart("mixed", boundary + "m", [body, *attached])
        return Outgoing(
            sender=letter.return_path or read_mailbox(letter.sender)[1],
            recipient=letter.recipient,
            message_id=letter.message_id,
            data=self._headers(letter, at) + body,
        )

    def _attached(self, sessions: Sequence[tuple[str, bytes]]) -> Iterator[bytes]:
        """Each an attachment with a method of its own, of which a message may have several (RFC 6047 4.5)."""
        for number, ((method, content), form) in enumerate(zip(sessions, self._sessions, strict=True), 1):
            name = f"session-{number}.ics"
            kind = f'text/calendar; charset=utf-8; method={method}; name="{name}"'
            yield _part(kind, form.fill(content), "base64", f'attachment; filename="{name}"')

    def _headers(self, letter: Letter, at: datetime) -> bytes:
        lines = [
            _from(letter.sender),
            mailbox_line("To", letter.name, letter.recipient),
            self._subject,
            _date(at.replace(microsecond=0)),
            machine_line("Message-ID", letter.message_id),
        ]
        if letter.reply_to:
            lines.append(mailbox_line("Reply-To", "", letter.reply_to))
        if letter.list_id:
            lines.append(machine_line("List-Id", letter.list_id))
        if letter.unsubscribe_url:
            # Folded between the addresses, never inside one: an encoded or broken link is no one-click link.
            lines.append(f"List-Unsubscribe: {link(letter.unsubscribe_url)}")
            if letter.unsubscribe_mailbox:
                lines[-1] += f",\r\n {link('mailto:' + letter.unsubscribe_mailbox)}"
            lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
        lines.append("Auto-Submitted: auto-generated")
        lines.append("MIME-Version: 1.0")
        return ("\r\n".join(lines) + "\r\n").encode("ascii")


class _QuotedPrintable:
    """A text cut at its marks. Lines without one are encoded once: no line's encoding depends on another's."""

    def __init__(self, text: str, escape: Callable[[str], str]) -> None:
        self._escape = escape
        self._pieces: list[bytes | Cut] = []
        self.fields: frozenset[str] = frozenset()
        for marked, lines in groupby(text.split("\n"), key=has_marks):
            if marked:
                cuts = [Cut(line) for line in lines]
                self._pieces += cuts
                self.fields = self.fields.union(*(cut.fields for cut in cuts))
            else:
                self._pieces.append(b"\r\n".join(map(_quoted, lines)))

    def fill(self, values: Mapping[str, str]) -> bytes:
        fit = fitting(values, self.fields, self._escape)
        return b"\r\n".join([one if isinstance(one, bytes) else _quoted(one.fill(fit)) for one in self._pieces])


class _Base64:
    """What calendars begin with, encoded once.

    Base64 goes by whole lines: what follows is then encoded as if the head stood before it.
    """

    def __init__(self, head: bytes) -> None:
        self._head = head[: len(head) // _B64_BYTES * _B64_BYTES]
        self._lines = _base64(self._head)

    def fill(self, content: bytes) -> bytes:
        if self._head and content.startswith(self._head):
            return self._lines + _base64(content[len(self._head) :])
        return _base64(content)


@lru_cache(maxsize=64)
def _from(sender: str) -> str:
    return mailbox_line("From", *read_mailbox(sender))


@lru_cache(maxsize=64)
def _date(at: datetime) -> str:
    return f"Date: {format_datetime(at)}"


def _quoted(line: str) -> bytes:
    """A line in quoted-printable (RFC 2045 6.7), with CRLF only where it is broken."""
    return binascii.b2a_qp(line.encode("utf-8", "replace"), istext=True).replace(b"\n", b"\r\n")


def _base64(content: bytes) -> bytes:
    """Base64 in lines of 76 characters (RFC 2045 6.8), each with its CRLF."""
    lines = [
        binascii.b2a_base64(content[start : start + _B64_BYTES], newline=False)
        for start in range(0, len(content), _B64_BYTES)
    ]
    return b"".join(line + b"\r\n" for line in lines)


def _part(content_type: str, encoded: bytes, encoding: str = "quoted-printable", disposition: str = "") -> bytes:
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    if disposition:
        head += f"Content-Disposition: {disposition}\r\n"
    return head.encode() + b"\r\n" + encoded


def _multipart(kind: str, boundary: str, parts: list[bytes]) -> bytes:
    mark = b"--" + boundary.encode()
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode()
    return head + b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
