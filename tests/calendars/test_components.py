from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.calendars.components import MAX_BYTES, read_calendar
from events_service.calendars.invitation import InvitationTemplate
from events_service.calendars.model import Mailbox, Reply
from events_service.errors import InputError
from tests.calendars.given import MUNICH, texts


def vevent(*lines: str, method: str = "METHOD:REPLY\r\n") -> bytes:
    body = "".join(line + "\r\n" for line in lines)
    return f"BEGIN:VCALENDAR\r\n{method}BEGIN:VEVENT\r\n{body}END:VEVENT\r\nEND:VCALENDAR\r\n".encode()


def one(*lines: str) -> Reply:
    (reply,) = read_calendar(vevent(*lines))
    return reply


def test_a_whole_reply() -> None:
    assert one(
        "UID:inv\\,7@example.org",
        "SEQUENCE:3",
        "DTSTAMP:20260102T080000Z",
        "DTSTART:20260302T090000Z",
        "DTEND:20260302T103000Z",
        "COMMENT:Sorry\\, no.",
        "COMMENT;LANGUAGE=de:\\n",
        'ATTENDEE;PARTSTAT=declined;SENT-BY="MAILTO:Pa@Example.org":MAILTO:Boss@Example.org',
    ) == Reply(
        uid="inv,7@example.org",
        recurrence_id=None,
        attendee="boss@example.org",
        partstat="DECLINED",
        sequence=3,
        dtstamp=datetime(2026, 1, 2, 8, tzinfo=UTC),
        sent_by="pa@example.org",
        comment="Sorry, no.",
        method="REPLY",
        starts=datetime(2026, 3, 2, 9, tzinfo=UTC),
        ends=datetime(2026, 3, 2, 10, 30, tzinfo=UTC),
    )


def test_what_is_missing_or_broken_takes_its_default() -> None:
    expected = Reply("", None, "a@b.c", "NEEDS-ACTION", 0, None, "", "", "REPLY")
    assert one("ATTENDEE:mailto:a@b.c") == expected
    assert (
        one("ATTENDEE:mailto:a@b.c", "SEQUENCE:99999999999999", "DTSTAMP:**ANY**", "DTSTART:20261399T000000Z")
        == expected
    )


@pytest.mark.parametrize(
    ("line", "instant"),
    [
        ("RECURRENCE-ID:20260302T090000Z", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ("RECURRENCE-ID;TZID=Europe/Berlin:20260302T100000", datetime(2026, 3, 2, 9, tzinfo=UTC)),
        ('RECURRENCE-ID;TZID="W. Europe Standard Time":20260302T100000', datetime(2026, 3, 2, 9, tzinfo=UTC)),
        (
            "RECURRENCE-ID;TZID=/mozilla.org/20050126_1/Europe/Berlin:20260302T100000",
            datetime(2026, 3, 2, 9, tzinfo=UTC),
        ),
        ("RECURRENCE-ID;VALUE=DATE:20260302", datetime(2026, 3, 2, tzinfo=UTC)),
        ("RECURRENCE-ID:20260302T090000", None),
        ("RECURRENCE-ID;TZID=Customized Time Zone 1:20260302T090000", None),
        ("RECURRENCE-ID;TZID=../../../etc/passwd:20260302T090000", None),
        ("RECURRENCE-ID;TZID=Asia/Tokyo:00010101T000000", None),
        ("RECURRENCE-ID:tomorrow", None),
    ],
)
def test_instances_are_placed_in_time_or_kept_as_text(line: str, instant: datetime | None) -> None:
    reply = one("ATTENDEE:mailto:a@b.c", line)
    assert reply.recurrence_id == instant
    assert reply.recurrence_id_text == line.rpartition(":")[2]


def test_a_floating_stamp_counts_as_utc() -> None:
    assert one("DTSTAMP:20260102T080000", "ATTENDEE:mailto:a@b.c").dtstamp == datetime(2026, 1, 2, 8, tzinfo=UTC)


def test_the_address_parameter_helps_where_the_value_is_none() -> None:
    assert one('ATTENDEE;EMAIL="Anna@Example.org";PARTSTAT=ACCEPTED:/aMTA0/principal/').attendee == "anna@example.org"


def test_each_attendee_and_each_event_is_a_reply() -> None:
    content = vevent("UID:1", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:a@x", "ATTENDEE:mailto:b@x").replace(
        b"END:VCALENDAR\r\n", vevent("UID:2", "ATTENDEE:mailto:c@x", method="").removeprefix(b"BEGIN:VCALENDAR\r\n")
    )
    assert [(reply.uid, reply.attendee, reply.partstat, reply.method) for reply in read_calendar(content)] == [
        ("1", "a@x", "ACCEPTED", "REPLY"),
        ("1", "b@x", "NEEDS-ACTION", "REPLY"),
        ("2", "c@x", "NEEDS-ACTION", "REPLY"),
    ]


def test_an_event_without_attendee_is_a_reply_of_nobody() -> None:
    assert one("UID:1").attendee == ""


def test_a_method_that_comes_late_holds_for_its_calendar_alone() -> None:
    first = vevent("UID:1", method="").replace(b"END:VCALENDAR", b"METHOD:COUNTER\r\nEND:VCALENDAR")
    content = first + vevent("UID:2", method="") + vevent("UID:3", method="METHOD:refresh\r\n")
    assert [(reply.uid, reply.method) for reply in read_calendar(content)] == [
        ("1", "COUNTER"),
        ("2", ""),
        ("3", "REFRESH"),
    ]


def test_of_two_methods_the_first_holds() -> None:
    content = vevent("UID:1", method="METHOD:REPLY\r\nMETHOD:CANCEL\r\n")
    assert [reply.method for reply in read_calendar(content)] == ["REPLY"]


def test_what_an_alarm_or_a_zone_says_is_not_the_event_s() -> None:
    content = vevent(
        "BEGIN:VALARM", "UID:alarm", "ATTENDEE:mailto:alarm@x", "END:VALARM", "UID:1", "ATTENDEE:mailto:a@x"
    ).replace(b"BEGIN:VEVENT", b"BEGIN:VTIMEZONE\r\nDTSTART:19700101T000000\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT")
    (reply,) = read_calendar(content)
    assert (reply.uid, reply.attendee, reply.starts) == ("1", "a@x", None)


def test_an_alarm_that_never_ends_does_not_hide_the_event_s_end() -> None:
    content = vevent("BEGIN:VALARM", "UID:alarm") + vevent("UID:2", "ATTENDEE:mailto:a@x")
    assert [reply.uid for reply in read_calendar(content)] == ["", "2"]


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [("", "utf-8"), ("utf-8", "utf-8"), ("UTF-8", "utf-8-sig"), ("iso-8859-1", "latin-1"), ("", "latin-1"),
     ("us-ascii", "utf-8"), ("no-such", "latin-1"), ("utf-8", "latin-1"), ("utf-16", "utf-16"),
     ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"), ("utf-16", "utf-16-be"),
     ("", "utf-16"), ("punycode", "utf-8"), ("windows-1252", "cp1252")],
)  # fmt: skip
def test_charsets_told_and_untold(charset: str, encoding: str) -> None:
    content = vevent("UID:1", "ATTENDEE:mailto:jürgen@x", "COMMENT:Grüße")
    (reply,) = read_calendar(content.decode().encode(encoding), charset)
    assert (reply.attendee, reply.comment) == ("jürgen@x", "Grüße")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n\r\n"])
def test_line_ends_and_folds_of_others(end: bytes) -> None:
    content = vevent("UID:1", "ATTENDEE;PART", " STAT=ACCEPTED:mailto:a@x").replace(b"\r\n", end)
    if end == b"\r\n\r\n":
        content = content.replace(b"ATTENDEE;PART\r\n\r\n ", b"ATTENDEE;PART\r\n ")
    assert [(reply.uid, reply.partstat) for reply in read_calendar(content)] == [("1", "ACCEPTED")]


def test_what_holds_no_event_gives_nothing() -> None:
    for content in (b"", b"\0", b"hello", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", b"END:VEVENT\nUID:1\n", b"\xff\xfe"):
        assert read_calendar(content) == ()


def test_a_free_busy_reply_is_none_of_ours() -> None:
    assert read_calendar(vevent("UID:1", "ATTENDEE:mailto:a@x").replace(b"VEVENT", b"VFREEBUSY")) == ()


def test_too_much_of_anything_is_refused() -> None:
    with pytest.raises(InputError, match=f"the calendar has {MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read"):
        read_calendar(b" " * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="more than 100 components"):
        read_calendar(vevent("UID:1") * 101)
    with pytest.raises(InputError, match="more than 20 deep"):
        read_calendar(b"BEGIN:X\r\n" * 21)
    with pytest.raises(InputError, match="more than 1000 attendees"):
        read_calendar(vevent(*["ATTENDEE:mailto:a@x"] * 1001))
    assert len(read_calendar(vevent("UID:1") * 100)) == 100


@pytest.mark.parametrize(
    "content",
    [
        b"BEGIN:VEVENT\r\n" * 70_000,
        b"BEGIN:X\r\n" * 50_000 + b"END:Y\r\n" * 50_000,
        b"BEGIN:X\r\n" * 19 + b"END:Y\r\n" * 100_000,
        b"BEGIN:VCALENDAR\r\n" + b"METHOD:X\r\n" * 100_000,
        b"BEGIN:VEVENT\r\nATTENDEE" + b";A=B" * 250_000,
        b"BEGIN:VEVENT\r\nATTENDEE;DELEGATED-TO=" + b"a@b," * 250_000 + b":mailto:a@x",
        b"BEGIN:VEVENT\r\nCOMMENT:" + b"\\n" * 500_000,
        b"BEGIN:VEVENT\r\nUID:" + b"\r\n x" * 260_000,
        b"BEGIN:VEVENT\r\nDTSTAMP:" + b"2" * 1_000_000,
        b"BEGIN:VEVENT\r\nATTENDEE:mailto:" + b"@" * 1_000_000,
        b"BEGIN:VEVENT\r\nDTSTART;TZID=" + b"A/" * 500_000 + b":20260101T000000",
    ],
    ids=range(11),
)
def test_hostile_calendars_end_soon(content: bytes) -> None:
    assert len(content) <= MAX_BYTES
    began = time.perf_counter()
    try:
        replies = read_calendar(content)
    except InputError:
        replies = ()
    assert len(replies) <= 1000
    assert time.perf_counter() - began < 3


@given(st.binary(max_size=300), st.sampled_from(["", "utf-8", "utf-16", "iso-2022-jp", "utf-7", "hex"]))
def test_no_bytes_raise_anything_else(content: bytes, charset: str) -> None:
    wrapped = b"BEGIN:VEVENT\r\nATTENDEE;" + content + b"\r\nDTSTART;" + content + b"\r\nEND:VEVENT\r\n"
    assert len(read_calendar(wrapped, charset)) >= 1 or charset.startswith("utf-16")


@given(texts, st.sampled_from(["ACCEPTED", "TENTATIVE", "DECLINED"]))
def test_what_we_send_can_be_read_as_its_own_answer(name: str, partstat: str) -> None:
    template = InvitationTemplate(MUNICH, "REQUEST")
    content = template.fill(Mailbox(name, "anna@example.org"), Mailbox(name, "desk@example.org"), partstat)
    (reply,) = read_calendar(content)
    assert (reply.uid, reply.attendee, reply.partstat) == (MUNICH.uid, "anna@example.org", partstat)
    assert (reply.sequence, reply.dtstamp) == (MUNICH.sequence, MUNICH.changed)
    assert (reply.starts, reply.ends) == (MUNICH.starts, MUNICH.ends)


def test_real_files_of_other_projects_are_read_or_refused_for_their_size(shared: Path) -> None:
    files = sorted((shared / "data" / "ics").glob("*/*.ics"))
    assert len(files) > 250
    counts = {"broken": [0, 0], "good": [0, 0], "replies": [0, 0]}
    for path in files:
        began = time.perf_counter()
        try:
            counts[path.parent.name][0] += bool(read_calendar(path.read_bytes()))
        except InputError as error:
            assert str(error).endswith("it is no reply")
            counts[path.parent.name][1] += 1
        assert time.perf_counter() - began < 1, path.name
    assert counts["replies"][1] == 0
    assert counts["broken"][0] > 100
    assert counts["good"][0] > 40


def test_real_itip_files_keep_their_method(shared: Path) -> None:
    for path in sorted((shared / "data" / "ics" / "replies").glob("*.ics")):
        replies = read_calendar(path.read_bytes())
        expected = path.stem.rpartition("-")[2].upper()
        assert {reply.method for reply in replies} <= {expected}, path.name
        assert replies or b"VFREEBUSY" in path.read_bytes(), path.name
        assert all(reply.uid for reply in replies), path.name
