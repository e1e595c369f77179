"""A message as bytes: what is the same for all is built once, and only a recipient's own values are filled in.

The shape is multipart/mixed[ multipart/alternative[ text/plain, text/html, text/calendar; method=… ], invite.ics ]
with a calendar, multipart/alternative without (RFC 6047; the same bytes twice, as mail programs differ in which they
take). The calendar part has no Content-Disposition and its `method` equals the object's. Everything is 7-bit.
"""

from __future__ import annotations

import binascii
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from events_service.mail.headers import link, machine_line, mailbox_line, read_mailbox, text_line
from events_service.mail.marks import Cut
from events_service.mail.wire import Outgoing

_B64_BYTES = 57


@dataclass(frozen=True, slots=True)
class Letter:
    """What is one recipient's own: address and name, the values of the marks, headers, and the calendar's bytes.

    `sender` is a mailbox such as `Events desk <events@example.org>`; `unsubscribe_url` and `list_id` go into the list
    headers where given (RFC 8058, RFC 2919).
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


class Form:
    """A rendered message, cut at its marks and ready to be filled."""

    def __init__(self, subject: str, text: str, html_text: str) -> None:
        self._subject = text_line("Subject", subject)
        self._text = Cut(text, str)
        self._html = Cut(html_text, html.escape)

    def fill(self, letter: Letter, at: datetime) -> Outgoing:
        """The message for one recipient, dated `at`.

        KeyError if the letter lacks a value that the text marks, InputError for an address or a link that no header
        can hold.
        """
        boundary = "=_" + hashlib.sha256(letter.message_id.encode()).hexdigest()[:24]
        parts = [
            _part("text/plain; charset=utf-8", _quoted(self._text.fill(letter.values))),
            _part("text/html; charset=utf-8", _quoted(self._html.fill(letter.values))),
        ]
        if letter.calendar is None:
            body = _multipart("alternative", boundary, parts)
        else:
            encoded = _base64(letter.calendar)
            parts.append(_part(f"text/calendar; charset=utf-8; method={letter.method}", encoded, "base64"))
            attached = _part(
                'application/ics; name="invite.ics"', encoded, "base64", 'attachment; filename="invite.ics"'
            )
            body = _multipart("mixed", boundary + "m", [_multipart("alternative", boundary, parts), attached])
        return Outgoing(
            sender=read_mailbox(letter.sender)[1],
            recipient=letter.recipient,
            message_id=letter.message_id,
            data=self._headers(letter, at) + body,
        )

    def _headers(self, letter: Letter, at: datetime) -> bytes:
        lines = [
            mailbox_line("From", *read_mailbox(letter.sender)),
            mailbox_line("To", letter.name, letter.recipient),
            self._subject,
            f"Date: {format_datetime(at)}",
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


def _quoted(text: str) -> bytes:
    encoded = binascii.b2a_qp(text.encode("utf-8", "replace"), istext=True)
    return encoded.replace(b"\n", b"\r\n")


def _base64(content: bytes) -> bytes:
    return (
        b"\r\n".join(
            binascii.b2a_base64(content[start : start + _B64_BYTES], newline=False)
            for start in range(0, len(content), _B64_BYTES)
        )
        + b"\r\n"
    )


def _part(content_type: str, encoded: bytes, encoding: str = "quoted-printable", disposition: str = "") -> bytes:
    head = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}\r\n"
    if disposition:
        head += f"Content-Disposition: {disposition}\r\n"
    return head.encode() + b"\r\n" + encoded


def _multipart(kind: str, boundary: str, parts: list[bytes]) -> bytes:
    mark = b"--" + boundary.encode()
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode()
    return head + b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
