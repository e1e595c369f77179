from __future__ import annotations

import struct
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.calendars.model import Reply
from events_service.calendars.replies import read_calendar_mail
from events_service.calendars.tnef import MAX_BYTES, read_tnef
from tests.calendars import outlook
from tests.calendars.outlook import APPOINTMENT

ANNA = "anna@example.com"
MADE = datetime(2023, 9, 1, 9, 59, tzinfo=UTC)


def read(content: bytes) -> Reply | None:
    return read_tnef(content, ANNA)


def test_a_reply_in_tnef_says_what_one_in_a_calendar_says() -> None:
    assert read(outlook.reply(sequence=3)) == Reply(
        uid="munich@example.org",
        recurrence_id=None,
        attendee=ANNA,
        partstat="ACCEPTED",
        sequence=3,
        dtstamp=MADE,
        sent_by="",
        comment="",
        method="REPLY",
    )


@pytest.mark.parametrize(
    ("kind", "partstat"),
    [
        ("IPM.Schedule.Meeting.Resp.Pos", "ACCEPTED"),
        ("ipm.schedule.meeting.resp.NEG", "DECLINED"),
        ("IPM.Schedule.Meeting.Resp.Tent", "TENTATIVE"),
        ("IPM.Microsoft Schedule.MtgRespP", "ACCEPTED"),
        ("IPM.Microsoft Schedule.MtgRespN", "DECLINED"),
        ("IPM.Microsoft Schedule.MtgRespA", "TENTATIVE"),
    ],
)
def test_the_message_class_is_the_answer_in_either_place(kind: str, partstat: str) -> None:
    listed = read(outlook.reply(kind))
    alone = read(outlook.tnef((0x00078008, kind.encode() + b"\0")))
    assert listed is not None
    assert alone is not None
    assert (listed.partstat, alone.partstat, alone.uid) == (partstat, partstat, "")


@pytest.mark.parametrize("kind", ["IPM.Note", "IPM.Schedule.Meeting.Request", "IPM.Microsoft Schedule.MtgReq", ""])
def test_what_is_no_reply_is_none(kind: str) -> None:
    assert read(outlook.reply(kind)) is None
    assert read(outlook.tnef((0x00078008, kind.encode() + b"\0"))) is None


def test_one_that_proposes_times_is_a_counter() -> None:
    times = [MADE + timedelta(days=40), MADE + timedelta(days=41)]
    found = read(
        outlook.reply(
            "IPM.Schedule.Meeting.Resp.Tent",
            "munich@example.org",
            (APPOINTMENT, 0x8257, 0x0B, b"\1\0"),
            (APPOINTMENT, 0x8250, 0x40, outlook.filetime(times[0])),
            (APPOINTMENT, 0x8251, 0x40, outlook.filetime(times[1])),
        )
    )
    assert found is not None
    assert (found.method, found.partstat, [found.starts, found.ends]) == ("COUNTER", "TENTATIVE", times)


def test_the_event_is_known_by_its_uid_by_outlooks_own_id_or_not_at_all() -> None:
    nameless = read(outlook.reply(uid=None))
    own = bytes.fromhex("040000008200e00074c5b7101a82e008") + b"\x01" * 40
    foreign = read(outlook.reply("IPM.Schedule.Meeting.Resp.Pos", None, (outlook.MEETING, 3, 0x102, own)))
    assert nameless is not None
    assert foreign is not None
    assert (nameless.uid, foreign.uid) == ("", own.hex().upper())


def test_every_type_of_value_is_stepped_over() -> None:
    sizes = {0x02: 2, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 2, 0x14: 8, 0x40: 8, 0x48: 16}
    fixed = [(None, 0x6000 + kind, kind, b"\7" * size) for kind, size in sizes.items()]
    several = [
        (None, 0x6101, 0x1003, struct.pack("<III", 2, 1, 2)),
        (None, 0x6102, 0x101F, struct.pack("<II", 1, 4) + "a\0".encode("utf-16-le")),
        (None, 0x6103, 0x1E, b"abc\0"),
    ]
    named = struct.pack("<HH", 0x03, 0x8000) + APPOINTMENT.bytes_le + struct.pack("<II", 1, 6)
    named += "ab\0".encode("utf-16-le") + b"\0\0" + struct.pack("<I", 9)
    last = outlook.properties([(None, 0x001A, 0x1F, "IPM.Schedule.Meeting.Resp.Neg\0".encode("utf-16-le"))])[4:]
    values = outlook.properties([*fixed, *several])[4:] + named + last
    content = outlook.tnef((0x00069003, struct.pack("<I", len(fixed) + len(several) + 2) + values))
    found = read(content)
    assert found is not None
    assert found.partstat == "DECLINED"


@pytest.mark.parametrize("kind", ["application/ms-tnef", "application/vnd.ms-tnef", "application/octet-stream"])
def test_a_mail_with_a_winmail_dat_alone_is_a_reply_of_its_sender(kind: str) -> None:
    head = f'From: Anna <{ANNA}>\r\nContent-Type: {kind}; name="winmail.dat"\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
    mail = read_calendar_mail(head.encode() + outlook.reply())
    assert (mail.method, [(one.attendee, one.partstat) for one in mail.replies]) == ("REPLY", [(ANNA, "ACCEPTED")])


def test_a_calendar_beside_it_says_more() -> None:
    calendar = (
        b"BEGIN:VCALENDAR\r\nMETHOD:REPLY\r\nBEGIN:VEVENT\r\nUID:1\r\nATTENDEE;PARTSTAT=DECLINED:mailto:a@b.c\r\n"
        b"END:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    parts = b"--x\r\nContent-Type: application/ms-tnef\r\n\r\n" + outlook.reply() + b"\r\n--x\r\n"
    parts += b"Content-Type: text/calendar\r\n\r\n" + calendar + b"--x--\r\n"
    head = b'From: a@b.c\r\nContent-Type: multipart/mixed; boundary="x"\r\n\r\n'
    assert [one.partstat for one in read_calendar_mail(head + parts).replies] == ["DECLINED"]


@given(st.data())
def test_nothing_that_is_cut_or_changed_raises(data: st.DataObject) -> None:
    whole = outlook.reply()
    place = data.draw(st.integers(0, len(whole) - 1))
    read(whole[:place] + data.draw(st.binary(max_size=8)) + whole[place + data.draw(st.integers(0, 8)) :])
    read(struct.pack("<IH", 0x223E9F78, 1) + data.draw(st.binary(max_size=200)))


@pytest.mark.parametrize(
    "content",
    [
        outlook.tnef((0x00069003, struct.pack("<I", 2**32 - 1) + b"\x03\x10\x00\x60" + struct.pack("<I", 2**32 - 1))),
        outlook.tnef((0x00069003, struct.pack("<I", 2**32 - 1) + b"\x02\x01\x00\x60" + struct.pack("<I", 2**31) * 9)),
        outlook.tnef((0x00069003, struct.pack("<I", 2000) + (b"\x02\x11\x00\x60" + b"\xff\0\0\0" + bytes(1020)) * 900)),
        outlook.tnef(*[(0x00069003, struct.pack("<I", 0))] * 60_000),
        b"\x78\x9f\x3e\x22" + bytes(MAX_BYTES),
    ],
    ids=range(5),
)
def test_hostile_streams_end_soon(content: bytes) -> None:
    began = time.perf_counter()
    assert read(content) is None
    assert time.perf_counter() - began < 1
