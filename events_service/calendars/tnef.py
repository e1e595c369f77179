"""Meeting replies that Outlook wraps in TNEF (winmail.dat) instead of a calendar: MS-OXTNEF, as far as they need it.

Read by hand: what is wanted are six properties of one list, and no kept library is bounded against hostile input.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from events_service.calendars.model import Reply

MAX_BYTES = 1024 * 1024
MAX_PROPERTIES = 2000

_SIGNATURE = 0x223E9F78
_MESSAGE = 1
_ATT_CLASS, _ATT_PROPERTIES = 0x00078008, 0x00069003
_CLASSES = {
    "ipm.schedule.meeting.resp.pos": "ACCEPTED",
    "ipm.schedule.meeting.resp.neg": "DECLINED",
    "ipm.schedule.meeting.resp.tent": "TENTATIVE",
    "ipm.microsoft schedule.mtgrespp": "ACCEPTED",
    "ipm.microsoft schedule.mtgrespn": "DECLINED",
    "ipm.microsoft schedule.mtgrespa": "TENTATIVE",
}
"""Message classes of replies: PidTagMessageClass's, and what they are called in attMessageClass (MS-OXTNEF 2.1.3.4)."""

_MEETING = uuid.UUID("6ed8da90-450b-1b10-98da-00aa003f1305")
_APPOINTMENT = uuid.UUID("00062002-0000-0000-c000-000000000046")
_PROPERTIES = {
    (None, 0x001A): "class",
    (_MEETING, 0x0001): "stamp",
    (_MEETING, 0x0003): "object",
    (_APPOINTMENT, 0x8201): "sequence",
    (_APPOINTMENT, 0x8250): "starts",
    (_APPOINTMENT, 0x8251): "ends",
    (_APPOINTMENT, 0x8257): "counter",
}
"""PidTagMessageClass, PidLidAttendeeCriticalChange, PidLidGlobalObjectId, PidLidAppointmentSequence, the times that are
proposed, and PidLidAppointmentCounterProposal (MS-OXPROPS, MS-OXOCAL 2.2)."""

_FIXED = {0x02: 4, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8, 0x48: 16}
_VARIABLE = frozenset({0x0D, 0x1E, 0x1F, 0x102})
_SEVERAL = 0x1000
_NAMED = 0x8000
# A UID that is no GlobalObjectId stands in one behind this (MS-OXCICAL 2.1.3.1.1.20.26).
_FOREIGN_UID = b"vCal-Uid\x01\x00\x00\x00"
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Reader:
    """Bytes that are read from the start on; struct.error past their end."""

    content: bytes
    place: int = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.place + count > len(self.content):
            raise struct.error("past the end")
        self.place += count
        return self.content[self.place - count : self.place]

    def number(self, size: int = 4) -> int:
        return int.from_bytes(self.take(size), "little")

    def padded(self, count: int) -> bytes:
        value = self.take(count)
        self.place = min(self.place + -count % 4, len(self.content))
        return value


def read_tnef(content: bytes, sender: str) -> Reply | None:
    """The reply in a TNEF stream; None where it is none, or cannot be read.

    It does not name its ATTENDEE: that is whoever sent it. One that proposes times is a COUNTER (MS-OXCICAL 2.1.3.1).
    `uid` is "" where it does not say which event it answers.
    """
    if len(content) > MAX_BYTES:
        return None
    found: dict[str, bytes] = {}
    try:
        for name, value in _properties(content):
            found.setdefault(name, value)
    except struct.error:
        # What came before the fault still counts.
        pass
    partstat = _CLASSES.get(_text(found.get("class", b"")).lower())
    if partstat is None:
        return None
    counters = bool(found.get("counter", b"\0")[0])
    return Reply(
        uid=_uid(found.get("object", b"")),
        recurrence_id=None,
        attendee=sender,
        partstat=partstat,
        sequence=int.from_bytes(found.get("sequence", b""), "little", signed=True),
        dtstamp=_time(found.get("stamp")),
        sent_by="",
        comment="",
        method="COUNTER" if counters else "REPLY",
        starts=_time(found.get("starts")) if counters else None,
        ends=_time(found.get("ends")) if counters else None,
    )


def _properties(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The wanted properties of the message itself, by our names."""
    stream = _Reader(content)
    if stream.number() != _SIGNATURE:
        return
    stream.number(2)
    while stream.place < len(content):
        level, attribute, length = stream.number(1), stream.number(), stream.number()
        value = stream.take(length)
        stream.number(2)
        if level == _MESSAGE and attribute == _ATT_CLASS:
            yield "class", value
        elif level == _MESSAGE and attribute == _ATT_PROPERTIES:
            yield from _listed(_Reader(value))


def _listed(listed: _Reader) -> Iterator[tuple[str, bytes]]:
    for _ in range(min(listed.number(), MAX_PROPERTIES)):
        kind, tag = listed.number(2), listed.number(2)
        key = _name(listed, tag)
        values = _values(listed, kind)
        if key in _PROPERTIES and values:
            yield _PROPERTIES[key], values[0]


def _name(listed: _Reader, tag: int) -> tuple[uuid.UUID | None, int]:
    """A property's set and number; one that is named by words is none of ours."""
    if tag < _NAMED:
        return None, tag
    owner = uuid.UUID(bytes_le=listed.take(16))
    if listed.number() == 0:
        return owner, listed.number()
    listed.padded(listed.number())
    return owner, -1


def _values(listed: _Reader, kind: int) -> list[bytes]:
    single = kind & ~_SEVERAL
    if single in _FIXED:
        count = listed.number() if kind & _SEVERAL else 1
        return [listed.take(_FIXED[single]) for _ in range(min(count, MAX_PROPERTIES))]
    if single in _VARIABLE:
        return [listed.padded(listed.number()) for _ in range(min(listed.number(), MAX_PROPERTIES))]
    raise struct.error(f"a type that nobody knows the size of: {kind}")


def _text(value: bytes) -> str:
    """A string of either kind: what is in UTF-16 has a NUL in each of its ASCII characters."""
    encoding = "utf-16-le" if value[1:2] == b"\0" else "latin-1"
    return value.decode(encoding, "replace").partition("\0")[0]


def _uid(object_id: bytes) -> str:
    """The UID in a GlobalObjectId: the one it was made from, or the id itself in hexadecimal (MS-OXCICAL)."""
    _, mark, uid = object_id.partition(_FOREIGN_UID)
    if mark:
        return uid.partition(b"\0")[0].decode("utf-8", "replace")
    return object_id.hex().upper()


def _time(value: bytes | None) -> datetime | None:
    """A FILETIME: tenths of microseconds since 1601, in UTC."""
    try:
        return _EPOCH + timedelta(microseconds=int.from_bytes(value, "little") // 10) if value else None
    except OverflowError:
        return None
