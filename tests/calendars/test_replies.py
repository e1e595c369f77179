from __future__ import annotations

import time
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.calendars.replies import CalendarMail, read_calendar_mail
from events_service.errors import InputError
from tests.calendars.test_components import vevent

REPLY = vevent("UID:inv-7@example.org", "SEQUENCE:1", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:anna@example.com")


def mail(headers: str = "", body: bytes = REPLY, kind: str = "text/calendar; charset=utf-8; method=REPLY") -> bytes:
    start = f"From: Anna <Anna@Example.com>\r\nTo: rsvp+7@events.example.org\r\n{headers}Content-Type: {kind}\r\n\r\n"
    return start.encode() + body


def uids(message: bytes) -> list[str]:
    return [reply.uid for reply in read_calendar_mail(message).replies]


MADE = {
    "made-apple-decline": ("REPLY", "juergen@example.com", [("juergen@example.com", "DECLINED")]),
    "made-attachment-only": ("REPLY", "juergen@example.com", [("juergen@example.com", "ACCEPTED")]),
    "made-cancel-from-attendee": ("CANCEL", "juergen@example.com", [("juergen@example.com", "NEEDS-ACTION")]),
    "made-delegated": ("REPLY", "juergen@example.com", [("juergen@example.com", "DELEGATED")]),
    "made-exchange-accept-no-organizer": ("REPLY", "juergen@example.com", [("juergen@example.com", "ACCEPTED")]),
    "made-forged-attendee": ("REPLY", "mallory@evil.example", [("juergen@example.com", "DECLINED")]),
    "made-google-accept": ("REPLY", "juergen@example.com", [("juergen@example.com", "ACCEPTED")]),
    "made-latin1": ("REPLY", "juergen@example.com", [("juergen@example.com", "ACCEPTED")]),
    "made-no-method-parameter": ("REPLY", "juergen@example.com", [("juergen@example.com", "ACCEPTED")]),
    "made-older-dtstamp": ("REPLY", "juergen@example.com", [("juergen@example.com", "DECLINED")]),
    "made-outlook-counter": ("COUNTER", "juergen@example.com", [("juergen@example.com", "TENTATIVE")]),
    "made-request-from-stranger": (
        "REQUEST",
        "mallory@evil.example",
        [("rsvp+inv7@calendar.example.org", "NEEDS-ACTION")],
    ),
    "made-thunderbird-tentative": ("REPLY", "juergen@example.com", [("juergen@example.com", "TENTATIVE")]),
    "made-two-attendees": (
        "REPLY",
        "juergen@example.com",
        [("juergen@example.com", "ACCEPTED"), ("k@example.com", "NEEDS-ACTION")],
    ),
}


@pytest.mark.parametrize("name", MADE)
def test_answers_as_mail_programs_write_them(name: str, shared: Path) -> None:
    read = read_calendar_mail((shared / "data" / "ics" / "replies" / f"{name}.eml").read_bytes())
    method, sender, attendees = MADE[name]
    assert (read.method, read.sender) == (method, sender)
    assert [(reply.attendee, reply.partstat) for reply in read.replies] == attendees
    assert {(reply.uid, reply.sequence) for reply in read.replies} == {("inv-7@calendar.example.org", 0)}
    assert read.recipients == ("rsvp+inv7@calendar.example.org",)
    assert read.answers_to == ("<inv-7.0.juergen@calendar.example.org>",)
    assert read.message_id.endswith("@mail.example.com>")
    assert not (read.auto_submitted or read.auto_replied or read.bounce)


def test_what_only_some_of_them_say(shared: Path) -> None:
    folder = shared / "data" / "ics" / "replies"
    (delegated,) = read_calendar_mail((folder / "made-delegated.eml").read_bytes()).replies
    assert delegated.delegated_to == ("k@example.com",)
    (counter,) = read_calendar_mail((folder / "made-outlook-counter.eml").read_bytes()).replies
    assert (counter.starts, counter.ends) == (
        datetime(2026, 3, 2, 14, tzinfo=UTC),
        datetime(2026, 3, 2, 15, 30, tzinfo=UTC),
    )
    (older,) = read_calendar_mail((folder / "made-older-dtstamp.eml").read_bytes()).replies
    assert older.dtstamp == datetime(2026, 1, 1, 23, 59, tzinfo=UTC)


def test_every_mail_at_hand_is_read(shared: Path) -> None:
    files = sorted((shared / "data" / "ics" / "replies").glob("*.eml"))
    assert len(files) >= 18
    for path in files:
        content = path.read_bytes()
        read = read_calendar_mail(content)
        assert bool(read.replies) == (path.stem != "libical-complex-mime-error"), path.name
        assert read_calendar_mail(content.replace(b"\r\n", b"\n")) == read, path.name


def test_every_calendar_at_hand_is_read_the_same_in_a_mail(shared: Path) -> None:
    for path in sorted((shared / "data" / "ics" / "replies").glob("*.ics")):
        message = EmailMessage()
        message["From"], message["To"] = "a@example.com", "b@example.org"
        message.set_content("Accepted.")
        message.add_attachment(path.read_bytes(), maintype="application", subtype="octet-stream", filename=path.name)
        read = read_calendar_mail(message.as_bytes())
        assert {read.method} == {path.stem.rpartition("-")[2].upper()} or not read.replies, path.name


def test_a_bare_calendar_with_all_that_a_decision_needs() -> None:
    headers = (
        "Delivered-To: inbox@events.example.org\r\nX-Original-To: RSVP+7@events.example.org\r\n"
        'Cc: "Bob, x@y.example" <bob@example.com>, rsvp+7@events.example.org\r\n'
        "Message-ID: <m1@example.com>\r\n"
        "In-Reply-To: <d7@events.example.org>\r\nReferences: <d6@events.example.org>\r\n <d7@events.example.org>\r\n"
        "Authentication-Results: mx.example.org; dmarc=pass\r\n header.from=example.com\r\n"
    )
    read = read_calendar_mail(mail(headers))
    assert read == CalendarMail(
        method="REPLY",
        replies=read.replies,
        sender="anna@example.com",
        recipients=("inbox@events.example.org", "rsvp+7@events.example.org", "bob@example.com"),
        auto_submitted=False,
        auto_replied=False,
        bounce=False,
        message_id="<m1@example.com>",
        answers_to=("<d7@events.example.org>", "<d6@events.example.org>"),
        authentication_results=("mx.example.org; dmarc=pass header.from=example.com",),
    )
    (reply,) = read.replies
    assert (reply.uid, reply.attendee, reply.partstat, reply.sequence) == (
        "inv-7@example.org", "anna@example.com", "ACCEPTED", 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("header", "sender"),
    [
        ("From: anna@example.com", "anna@example.com"),
        ("From: <ANNA@example.com>", "anna@example.com"),
        ('From: "Doe, Anna <x@y>" <anna@example.com>', "anna@example.com"),
        ("From: Anna (Ltd) Doe <anna@example.com>", "anna@example.com"),
        ("From: =?utf-8?q?J=C3=BCrgen?= <anna@example.com>", "anna@example.com"),
        ("From: Anna\r\n Doe\r\n <anna@example.com>", "anna@example.com"),
        ("From: Jürgen <anna@example.com>", "anna@example.com"),
        ("From: a@example.com, b@example.com", ""),
        ("From: a@example.com\r\nFrom: b@example.com", ""),
        ("From: a@example.com <b@evil.example>", ""),
        ("From: <a@example.com> <b@evil.example>", ""),
        ("From: a@example.com)b@evil.example", ""),
        ("From: undisclosed:;", ""),
        ("From:", ""),
        ("X-From: anna@example.com", ""),
        ("From: " + '\\"' * 20_000 + " <anna@example.com>", ""),
        ("From: " + "(" * 1_900 + " <anna@example.com>", ""),
    ],
)
def test_the_sender_is_beyond_doubt_or_nobody(header: str, sender: str) -> None:
    message = f"{header}\r\nContent-Type: text/calendar\r\n\r\n".encode() + REPLY
    read = read_calendar_mail(message)
    assert read.sender == sender
    assert uids(message) == ["inv-7@example.org"]


@pytest.mark.parametrize(
    ("headers", "submitted", "replied"),
    [
        ("", False, False),
        ("Auto-Submitted: no\r\n", False, False),
        ("Auto-Submitted: auto-generated\r\n", True, False),
        ('Auto-Submitted: Auto-Replied; owner="x"\r\n', True, True),
        ("Precedence: auto_reply\r\n", True, True),
        ("Precedence: bulk\r\n", True, False),
        ("Return-Path: <>\r\n", True, False),
        ("Return-Path: <anna@example.com>\r\n", False, False),
        ("X-Autoreply: yes\r\n", True, True),
    ],
)
def test_mail_that_nobody_wrote_is_known(headers: str, submitted: bool, replied: bool) -> None:
    read = read_calendar_mail(mail(headers))
    assert (read.auto_submitted, read.auto_replied, read.bounce) == (submitted, replied, False)


def test_a_bounce_is_known_and_the_mail_it_returns_is_not_looked_into() -> None:
    returned = mail(body=REPLY).decode()
    message = (
        'From: mailer-daemon@example.com\r\nContent-Type: multipart/report; boundary="b"\r\n'
        "\r\n--b\r\n\r\nIt did not arrive.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nAction: failed\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\n{returned}\r\n--b--\r\n"
    )
    read = read_calendar_mail(message.encode())
    assert (read.bounce, read.auto_submitted, read.replies, read.method) == (True, True, (), "")


def test_a_forwarded_mail_is_not_looked_into() -> None:
    message = EmailMessage()
    message["From"] = "anna@example.com"
    inner = EmailMessage()
    inner.set_content("x")
    inner.add_attachment(REPLY, maintype="text", subtype="calendar", filename="invite.ics")
    message.set_content("See below.")
    message.add_attachment(inner, filename="forwarded.ics")
    assert read_calendar_mail(message.as_bytes()).replies == ()


def test_the_calendar_is_found_however_deep_it_is_and_text_calendar_comes_first() -> None:
    other = REPLY.replace(b"inv-7", b"inv-8")
    message = EmailMessage()
    message["From"] = "anna@example.com"
    message.set_content("Accepted.")
    message.add_alternative("<p>Accepted.</p>", subtype="html")
    message.make_mixed()
    message.add_attachment(other, maintype="application", subtype="ics", filename="invite.ics")
    assert uids(message.as_bytes()) == ["inv-8@example.org"]
    message.add_attachment(REPLY, maintype="text", subtype="calendar")
    for _ in range(5):
        outer = EmailMessage()
        outer["From"] = "anna@example.com"
        outer.make_mixed()
        outer.attach(message)
        message = outer
    assert uids(message.as_bytes()) == ["inv-7@example.org"]


@pytest.mark.parametrize(
    "disposition",
    [
        'attachment; filename="reply.ICS"',
        "attachment; filename*=utf-8''r%C3%A9ponse.ics",
        'attachment; filename="meeting.vcs"',
    ],
)
def test_a_file_is_known_by_its_name(disposition: str) -> None:
    assert uids(mail(f"Content-Disposition: {disposition}\r\n", kind="application/octet-stream")) == [
        "inv-7@example.org"
    ]


def test_a_calendar_in_plain_text_is_no_calendar() -> None:
    read = read_calendar_mail(mail(kind="text/plain"))
    assert (read.method, read.replies) == ("", ())


def test_a_calendar_part_that_is_empty_does_not_hide_the_attachment() -> None:
    message = (
        b'From: a@example.com\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        b"Content-Type: text/calendar\r\n\r\nnothing\r\n--b\r\nContent-Type: application/ics\r\n\r\n"
    ) + REPLY + b"--b--\r\n"  # fmt: skip
    assert uids(message) == ["inv-7@example.org"]


def test_quoted_printable_with_its_line_breaks_inside_words() -> None:
    body = (
        "BEGIN:VCALENDAR=0D=0A=\r\nMETHOD:REPLY=0D=0ABEGIN:VEVENT=0D=0AUID:inv=\r\n-7@example.org=0D=0A"
        "ATTENDEE;CN=3DJ=C3=BCr=\r\ngen;PARTSTAT=3DDECLINED:mailto:a@x=0D=0AEND:VEVENT=0D=0AEND:VCALENDAR"
    )
    read = read_calendar_mail(mail("Content-Transfer-Encoding: quoted-printable\r\n", body.encode()))
    assert [(reply.uid, reply.partstat) for reply in read.replies] == [("inv-7@example.org", "DECLINED")]


def test_what_is_too_much_is_refused_in_one_line() -> None:
    huge = REPLY.replace(b"UID", b"X-PAD:" + b"x" * 1_100_000 + b"\r\nUID")
    deep = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(5000))
    wide = b'From: a@b.c\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n' + b"--b\r\n\r\nx\r\n" * 250 + b"--b--"
    for message, says in (
        (mail(body=huge), "bytes; at most 1048576 are read"),
        (b"x" * (33 * 1024 * 1024), "at most 33554432 are read"),
        (deep.encode(), "the message (is nested too deeply|has more than 200 parts)"),
        (wide, "the message has more than 200 parts"),
    ):
        began = time.perf_counter()
        with pytest.raises(InputError, match=says) as caught:
            read_calendar_mail(message)
        assert "\n" not in str(caught.value)
        assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "headers",
    [
        "To: " + "a@b.c, " * 100_000 + "\r\n",
        "To: " + "(" * 60_000 + "\r\n",
        "To: " + "<" * 60_000 + "\r\n",
        "To: " + "a" * 60_000 + "\r\n",
        'To: "' + '\\"' * 60_000 + "\r\n",
        "References: " + "<" * 60_000 + "\r\n",
        "X-Original-To: x@y.z\r\n" * 5_000,
    ],
    ids=range(7),
)
def test_hostile_headers_end_soon(headers: str) -> None:
    began = time.perf_counter()
    read = read_calendar_mail(headers.encode() + mail())
    assert len(read.recipients) <= 100
    assert read.replies
    assert time.perf_counter() - began < 3


@given(
    st.binary(max_size=200),
    st.sampled_from(["From", "To", "Content-Type", "Content-Disposition", "Content-Transfer-Encoding", "References"]),
)
def test_no_header_raises(value: bytes, name: str) -> None:
    value = value.replace(b"\r", b"").replace(b"\n", b"")
    read_calendar_mail(name.encode() + b": " + value + b"\r\n" + mail())
    read_calendar_mail(
        name.encode() + b": text/calendar; charset=" + value + b"; filename=" + value + b"\r\n\r\n" + REPLY
    )


@given(st.binary(max_size=400))
def test_no_body_raises(body: bytes) -> None:
    for encoding in ("base64", "quoted-printable", "x-uuencode", "8bit", "nonsense"):
        read_calendar_mail(mail(f"Content-Transfer-Encoding: {encoding}\r\n", body))
    read_calendar_mail(body)
