"""Mail that carries a calendar: what it answers, from whom, to whom. Whom to believe is for the caller to decide."""

from __future__ import annotations

import email
import email.message
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from events_service.calendars.components import MAX_BYTES, read_calendar
from events_service.calendars.lines import read_address
from events_service.calendars.model import Reply
from events_service.calendars.tnef import MAX_BYTES as MAX_TNEF_BYTES
from events_service.calendars.tnef import read_tnef
from events_service.errors import InputError

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
MAX_PARTS = 200
MAX_HEADER = 65_536
MAX_FROM = 2_000
MAX_ADDRESSES = 100
MAX_METHOD = 100

_CALENDAR_TYPES = frozenset({"text/calendar", "application/ics", "text/x-vcalendar", "application/calendar"})
_TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_CALENDAR_FILE = re.compile(r".*\.(ics|ical|vcs)", re.IGNORECASE | re.DOTALL)
_RECIPIENT_HEADERS = ("Delivered-To", "X-Original-To", "Envelope-To", "To", "Cc")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_QUOTED_NAME = re.compile(r'"[^"]*"')
_BETWEEN_ADDRESSES = re.compile(r'[\s<>,;:()"]+')
_COMMENT = re.compile(r"\([^()]*\)")
_ADDRESS = r'([^<>\s,;:@()"]+@[^<>\s,;:@()"]+)'
_FROM = re.compile(rf'[^<>@,;()"]*<\s*{_ADDRESS}\s*>|{_ADDRESS}')
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,990}>")
_AUTO_PRECEDENCE = frozenset({"auto_reply", "auto-reply"})
_BULK_PRECEDENCE = frozenset({"bulk", "junk", "list"})
_AUTO_HEADERS = ("X-Autoreply", "X-Auto-Reply", "X-Autorespond", "X-Autoresponse")

_Message: TypeAlias = "email.message.Message[str, str]"


@dataclass(frozen=True, slots=True)
class CalendarMail:
    """What an e-mail says in its calendar, and the headers that tell whether to believe it.

    `method` is "" and `replies` empty where it carries no calendar. `sender` is the one address of its one From,
    lower-case; "" where that is not beyond doubt, for then nobody can say who wrote it. `recipients` begin with those
    that the delivering server named. `auto_submitted`: a program sent it, so never answer it (RFC 3834).
    `auto_replied`: it answers by itself, as an out-of-office note does, so it is nobody's reply. `bounce`: a delivery
    report.
    `answers_to` are the Message-IDs it names. `authentication_results` are such headers, unjudged, topmost first.
    """

    method: str
    replies: tuple[Reply, ...]
    sender: str
    recipients: tuple[str, ...]
    auto_submitted: bool
    auto_replied: bool
    bounce: bool
    message_id: str
    answers_to: tuple[str, ...]
    authentication_results: tuple[str, ...]


def read_calendar_mail(message_bytes: bytes) -> CalendarMail:
    """Read one e-mail, whatever its nesting, encoding and line ends.

    The calendar is the first of its text/calendar parts, else of its attachments, with an event in it, else the reply
    in a winmail.dat (TNEF). Its METHOD decides, the part's parameter only where it has none (RFC 6047 2.4). Mail inside
    the mail (message/rfc822, as bounces have it) is not looked into. InputError if the message is larger than 32 MiB,
    has more than 200 parts, or its calendar is larger than `read_calendar` takes.
    """
    if len(message_bytes) > MAX_MESSAGE_BYTES:
        raise InputError(f"the message has {len(message_bytes)} bytes; at most {MAX_MESSAGE_BYTES} are read")
    try:
        message = email.message_from_bytes(message_bytes)
        parts = list(_parts(message))
    except RecursionError:
        raise InputError("the message is nested too deeply to be read") from None
    sender = _sender(message)
    replies = _first_calendar(parts) or _first_tnef(parts, sender)
    # Parameters and comments may follow the keyword (RFC 3834 section 5).
    auto = re.split(r"[;(\s]", _header(message, "Auto-Submitted").strip().lower(), maxsplit=1)[0]
    bounce = _is_bounce(message, parts)
    precedence = _header(message, "Precedence").strip().lower()
    replied = (
        auto == "auto-replied"
        or precedence in _AUTO_PRECEDENCE
        or any(_header(message, name) for name in _AUTO_HEADERS)
    )
    # Whoever wants no answer to it, not even a bounce, is no person.
    machine = precedence in _BULK_PRECEDENCE or _header(message, "Return-Path") == "<>"
    ids = _MESSAGE_ID.findall(_header(message, "In-Reply-To") + " " + _header(message, "References"))
    own_id = _MESSAGE_ID.search(_header(message, "Message-ID"))
    return CalendarMail(
        method=replies[0].method if replies else "",
        replies=replies,
        sender=sender,
        recipients=_addresses(message, _RECIPIENT_HEADERS),
        auto_submitted=bounce or replied or machine or auto not in ("", "no"),
        auto_replied=replied,
        bounce=bounce,
        message_id=own_id[0] if own_id else "",
        answers_to=tuple(dict.fromkeys(ids)),
        authentication_results=tuple(_headers(message, "Authentication-Results")),
    )


def _parts(message: _Message) -> Iterator[_Message]:
    """The leaves of a message in order, without those of messages inside it."""
    stack: list[_Message] = [message]
    seen = 0
    while stack:
        part = stack.pop()
        seen += 1
        if seen > MAX_PARTS:
            raise InputError(f"the message has more than {MAX_PARTS} parts")
        payload = part.get_payload() if part.get_content_maintype() == "multipart" else None
        if isinstance(payload, list):
            stack.extend(child for child in reversed(payload) if isinstance(child, email.message.Message))
        else:
            yield part


def _first_calendar(parts: list[_Message]) -> tuple[Reply, ...]:
    """The replies of the first calendar that can be read; none if the mail carries no calendar."""
    problem: InputError | None = None
    for part in sorted(filter(_may_be_calendar, parts), key=lambda part: part.get_content_type() != "text/calendar"):
        try:
            replies = _with_method(read_calendar(_content(part), _charset(part)), part)
        except InputError as error:
            problem = problem or error
        else:
            if replies:
                return replies
    if problem:
        raise problem
    return ()


def _with_method(replies: tuple[Reply, ...], part: _Message) -> tuple[Reply, ...]:
    if all(reply.method for reply in replies):
        return replies
    try:
        said = part.get_param("method", "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return replies
    method = said.strip().upper()[:MAX_METHOD] if isinstance(said, str) else ""
    return tuple(reply if reply.method else replace(reply, method=method) for reply in replies)


def _first_tnef(parts: list[_Message], sender: str) -> tuple[Reply, ...]:
    """The reply of the first TNEF part that is one."""
    for part in parts:
        if part.get_content_type() in _TNEF_TYPES or _filename(part).lower() == "winmail.dat":
            reply = read_tnef(_content(part, MAX_TNEF_BYTES), sender)
            if reply is not None:
                return (reply,)
    return ()


def _may_be_calendar(part: _Message) -> bool:
    return part.get_content_type() in _CALENDAR_TYPES or bool(_CALENDAR_FILE.fullmatch(_filename(part)))


def _filename(part: _Message) -> str:
    try:
        return str(part.get_filename() or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def _charset(part: _Message) -> str:
    try:
        return str(part.get_content_charset() or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def _content(part: _Message, most: int = MAX_BYTES) -> bytes:
    """The decoded body; one over the limit is cut just past it, for whoever reads it to refuse."""
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        return b""
    return content[: most + 1] if isinstance(content, bytes) else b""


def _is_bounce(message: _Message, parts: list[_Message]) -> bool:
    if message.get_content_type() == "multipart/report":
        return True
    return any(part.get_content_type() == "message/delivery-status" for part in parts)


def _headers(message: _Message, name: str) -> list[str]:
    """Every header of that name, unfolded, cut at a length that no honest one has."""
    values = message.get_all(name) or []
    return [re.sub(r"\s+", " ", str(value)[:MAX_HEADER]).strip() for value in values[:MAX_ADDRESSES]]


def _header(message: _Message, name: str) -> str:
    return next(iter(_headers(message, name)), "")


def _addresses(message: _Message, names: Iterable[str]) -> tuple[str, ...]:
    """The addresses in those headers. The library's parser recurses into comments without end, so it is not asked."""
    values = (_QUOTED_NAME.sub(" ", value) for name in names for value in _headers(message, name))
    found = (read_address(word) for value in values for word in _BETWEEN_ADDRESSES.split(value) if "@" in word)
    return tuple(dict.fromkeys(address for address in found if address))[:MAX_ADDRESSES]


def _sender(message: _Message) -> str:
    """The author's address, read strictly: what programs read differently could be checked as somebody else."""
    headers = _headers(message, "From")
    if len(headers) != 1 or len(headers[0]) > MAX_FROM:
        return ""
    bare = _COMMENT.sub(" ", _QUOTED.sub(" ", headers[0]))
    match = _FROM.fullmatch(bare.strip())
    return read_address(match[1] or match[2]) if match else ""
