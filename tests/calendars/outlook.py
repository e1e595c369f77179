"""A meeting reply as Outlook wraps it in TNEF (MS-OXTNEF 2.1.3), for tests."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

MEETING = uuid.UUID("6ed8da90-450b-1b10-98da-00aa003f1305")
APPOINTMENT = uuid.UUID("00062002-0000-0000-c000-000000000046")
_GLOBAL_ID = bytes.fromhex("040000008200e00074c5b7101a82e008") + bytes(20)
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
Property = tuple[uuid.UUID | None, int, int, bytes]
"""Its set, its number, its type and its value."""


def global_id(uid: str) -> bytes:
    """A GlobalObjectId that stands for somebody else's UID (MS-OXCICAL 2.1.3.1.1.20.26)."""
    held = b"vCal-Uid\x01\x00\x00\x00" + uid.encode() + b"\0"
    return _GLOBAL_ID + struct.pack("<I", len(held)) + held


def filetime(at: datetime) -> bytes:
    """Tenths of microseconds since 1601."""
    return struct.pack("<Q", int((at - _EPOCH).total_seconds() * 10_000_000))


def properties(listed: Sequence[Property]) -> bytes:
    """attMAPIProps: each property with its name, where it has one, and its value padded to four bytes."""
    parts = [struct.pack("<I", len(listed))]
    for place, (owner, number, kind, value) in enumerate(listed):
        tag = number if owner is None else 0x8000 + place
        parts.append(struct.pack("<HH", kind, tag))
        if owner is not None:
            parts.append(owner.bytes_le + struct.pack("<II", 0, number))
        if kind in (0x1E, 0x1F, 0x102):
            parts.append(struct.pack("<II", 1, len(value)))
        parts.append(value + b"\0" * (-len(value) % 4))
    return b"".join(parts)


def tnef(*attributes: tuple[int, bytes]) -> bytes:
    """A stream of attributes of the message, each with its checksum."""
    parts = [struct.pack("<IH", 0x223E9F78, 1)]
    for attribute, value in attributes:
        parts.append(struct.pack("<BII", 1, attribute, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF))
    return b"".join(parts)


def reply(
    kind: str = "IPM.Schedule.Meeting.Resp.Pos",
    uid: str | None = "munich@example.org",
    *extra: Property,
    sequence: int = 0,
    made: datetime = datetime(2023, 9, 1, 9, 59, tzinfo=UTC),
) -> bytes:
    """A whole winmail.dat: version, class, and the properties that a reply has, between some that it also has."""
    listed: list[Property] = [
        (None, 0x0037, 0x1F, "Accepted: Mission".encode("utf-16-le") + b"\0\0"),
        (None, 0x001A, 0x1F, kind.encode("utf-16-le") + b"\0\0"),
        (MEETING, 0x0001, 0x40, filetime(made)),
        (APPOINTMENT, 0x8201, 0x03, struct.pack("<i", sequence)),
        (APPOINTMENT, 0x8223, 0x0B, b"\1\0"),
        *([(MEETING, 0x0003, 0x102, global_id(uid))] if uid is not None else []),
        *extra,
    ]
    return tnef((0x00089006, b"\0\0\1\0"), (0x00069003, properties(listed)))
