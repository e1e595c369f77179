"""A calendar that somebody sent us, cut into what its components say about attendees.

It is read line by line, with no opinion on what else is in it: replies come with missing, misplaced and broken
properties, and one bad line must not hide the answer. Sizes are bounded, so that hostile input ends early.
"""

from __future__ import annotations

import codecs
import re
import zoneinfo
from datetime import UTC, datetime, timedelta

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from events_service.calendars.lines import ContentLine, read_address, read_line, unescape_text, unfold
from events_service.calendars.model import Reply
from events_service.calendars.tzif import load_zone
from events_service.errors import InputError

MAX_BYTES = 1024 * 1024
MAX_COMPONENTS = 100
MAX_DEPTH = 20
MAX_ATTENDEES = 1000
MAX_TEXT = 2000
MAX_ID = 1000

_SCHEDULED = frozenset({"VEVENT", "VTODO", "VJOURNAL"})
_WANTED = re.compile(
    rb"\s*(BEGIN|END|METHOD|UID|RECURRENCE-ID|ATTENDEE|SEQUENCE|DTSTAMP|DTSTART|DTEND|DUE|DURATION|COMMENT)[;:\s]",
    re.IGNORECASE,
)
_DURATION = re.compile(r"\+?P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?", re.I)
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?", re.IGNORECASE)
# Only charsets that decode in linear time and stand for text; Python knows others, such as punycode, that do not.
_CHARSETS = re.compile(
    r"utf-?8|utf-?16(-?[bl]e)?|(us-)?ascii|iso-?8859-?\d+|latin-?\d|(windows-|cp)125\d|koi8-[ru]|gb2312|gbk|gb18030"
    r"|big5|shift_jis|euc-(jp|kr)|iso-2022-jp",
    re.IGNORECASE,
)


def read_calendar(content: bytes, charset: str = "") -> tuple[Reply, ...]:
    """What each VEVENT, VTODO and VJOURNAL says about each of its attendees, in order.

    A component without an attendee gives one reply with attendee "". Nothing comes of what holds no such component.
    `charset` is what the mail says of it; UTF-8, then Latin-1, where it says nothing usable. InputError if there is too
    much of anything: more than 1 MiB, 100 components, a depth of 20 or 1,000 attendees.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"the calendar has {len(content)} bytes; at most {MAX_BYTES} are read")
    replies: list[Reply] = []
    for method, component in _components(_lines(content, charset)):
        replies += _replies(method, component)
        if len(replies) > MAX_ATTENDEES:
            raise InputError(f"the calendar names more than {MAX_ATTENDEES} attendees; it is no reply")
    return tuple(replies)


def _lines(content: bytes, charset: str) -> list[ContentLine]:
    """The lines that matter. Folds are undone before decoding, because they may cut a character in two."""
    known = charset.strip() if _CHARSETS.fullmatch(charset.strip()) else ""
    if known.lower().startswith(("utf-16", "utf16")) or content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        order = "utf-16-be" if content[:1] == b"\0" else "utf-16-le" if content[1:2] == b"\0" else "utf-16"
        content = content.decode(order, "replace").encode()
        known = "utf-8"
    content = content.removeprefix(codecs.BOM_UTF8).replace(b"\0", b"")
    lines = (read_line(_decode(line, known)) for line in unfold(content) if _WANTED.match(line))
    return [line for line in lines if line]


def _decode(line: bytes, charset: str) -> str:
    for name in (charset, "utf-8"):
        try:
            if name:
                return line.decode(name)
        except (UnicodeDecodeError, LookupError):
            continue
    return line.decode("latin-1")


def _components(lines: list[ContentLine]) -> list[tuple[str, list[ContentLine]]]:
    """Each scheduled component with its calendar's method, which may stand after it; alarms inside are left out."""
    found: list[tuple[str, list[ContentLine]]] = []
    open_names: list[str] = []
    method, first_of_calendar = "", 0
    for line in lines:
        inner = open_names[-1] if open_names else ""
        value = line.value.upper()
        if line.name == "BEGIN":
            open_names.append(value)
            if len(open_names) > MAX_DEPTH:
                raise InputError(f"the calendar's components are more than {MAX_DEPTH} deep; it is no reply")
            if value == "VCALENDAR":
                method, first_of_calendar = "", len(found)
            elif value in _SCHEDULED and inner not in _SCHEDULED:
                found.append((method, []))
                if len(found) > MAX_COMPONENTS:
                    raise InputError(f"the calendar has more than {MAX_COMPONENTS} components; it is no reply")
        elif line.name == "END":
            if value in open_names:
                del open_names[len(open_names) - 1 - open_names[::-1].index(value) :]
        elif line.name == "METHOD" and not method and inner in ("VCALENDAR", ""):
            method = value[:MAX_ID]
            found[first_of_calendar:] = [(method, component) for _, component in found[first_of_calendar:]]
        elif inner in _SCHEDULED and found:
            found[-1][1].append(line)
    return found


def _replies(method: str, component: list[ContentLine]) -> list[Reply]:
    first: dict[str, ContentLine] = {}
    for line in component:
        first.setdefault(line.name, line)
    recurrence = first.get("RECURRENCE-ID")
    comments = (unescape_text(line.value).strip() for line in component if line.name == "COMMENT")
    comment = "\n".join(text for text in comments if text)[:MAX_TEXT]
    starts = _instant(first.get("DTSTART"))
    attendees = [line for line in component if line.name == "ATTENDEE"] or [ContentLine("ATTENDEE", "")]
    return [
        Reply(
            uid=unescape_text(first["UID"].value)[:MAX_ID] if "UID" in first else "",
            recurrence_id=_instant(recurrence),
            attendee=read_address(attendee.value) or read_address(attendee.param("EMAIL")),
            partstat=(attendee.param("PARTSTAT").strip().upper() or "NEEDS-ACTION")[:MAX_ID],
            sequence=_number(first.get("SEQUENCE")),
            dtstamp=_instant(first.get("DTSTAMP"), floating_is_utc=True),
            sent_by=read_address(attendee.param("SENT-BY")),
            comment=comment,
            method=method,
            recurrence_id_text=recurrence.value[:MAX_ID] if recurrence else "",
            delegated_to=tuple(filter(None, map(read_address, attendee.param_values("DELEGATED-TO")))),
            starts=starts,
            ends=_instant(first.get("DTEND") or first.get("DUE")) or _after(starts, first.get("DURATION")),
        )
        for attendee in attendees[: MAX_ATTENDEES + 1]
    ]


def _number(line: ContentLine | None) -> int:
    return int(line.value) if line and re.fullmatch(r"[0-9]{1,9}", line.value) else 0


def _instant(line: ContentLine | None, *, floating_is_utc: bool = False) -> datetime | None:
    """A date or time as an instant in UTC; None if it is unreadable, or in a zone nobody knows."""
    match = _TIME.fullmatch(line.value) if line else None
    if not line or not match:
        return None
    *numbers, z = match.groups()
    try:
        at = datetime(*(int(number or 0) for number in numbers))  # type: ignore[arg-type]  # noqa: DTZ001
        tzid = line.param("TZID")
        if z or numbers[3] is None or (floating_is_utc and not tzid):
            return at.replace(tzinfo=UTC)
        return at.replace(tzinfo=_zone(tzid)).astimezone(UTC) if tzid else None
    except (ValueError, OverflowError, InputError):
        return None


def _after(starts: datetime | None, line: ContentLine | None) -> datetime | None:
    """The end that a DURATION (RFC 5545 3.3.6) gives, None where there is no such thing."""
    match = _DURATION.fullmatch(line.value) if line else None
    if starts is None or match is None:
        return None
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    try:
        return starts + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return None


def _zone(tzid: str) -> zoneinfo.ZoneInfo:
    """An IANA zone by its name, by Windows' name for it, or by the path that some programs put before the name."""
    tzid = WINDOWS_TO_OLSON.get(tzid, tzid)
    if tzid.startswith("/"):
        tzid = "/".join(tzid.split("/")[-2:])
    return load_zone(tzid)
