"""What guests' programs read and write: our messages out of a maildir, and calendar replies, bounces and vacations."""

from __future__ import annotations

import email
from datetime import UTC, datetime
from email.policy import default
from pathlib import Path

import pytest

from events_service.calendars.invitation import InvitationTemplate
from events_service.calendars.model import CalendarEvent, Mailbox
from events_service.calendars.replies import read_calendar_mail
from events_service.mail.compose import Form, Letter
from events_service.mail.conversations import alone
from events_service.mail.marks import mark
from events_service.mail.reports import read_report
from schedules.rehearsal.answers import Invitation, Writer, bounce, calendar_reply, vacation
from schedules.rehearsal.names import AWKWARD
from schedules.rehearsal.postbag import Mail, Postbag

AT = datetime(2023, 8, 7, 8, tzinfo=UTC)
DESK = "events@lancashire.example.org"
REPLY = "reply+7.abcdefghij@lancashire.example.org"
URL = "https://events.lancashire.example.org"
EVENT = CalendarEvent(
    uid="5b3c0c1e-0000-5000-8000-000000000001",
    sequence=3,
    summary="Müller, Söhne; und Töchter: a long title that has to be folded somewhere, for it goes on and on",
    starts=datetime(2023, 10, 9, 7, tzinfo=UTC),
    ends=datetime(2023, 10, 12, 15, tzinfo=UTC),
    timezone="Europe/Berlin",
    created=AT,
    changed=AT,
)
NAMES = [(name, address) for _, name, address in AWKWARD]


def posted(folder: Path, name: str = "Ada", address: str = "ada@lancaster.example", *, calendar: bool = True) -> Mail:
    """A message of ours to somebody, taken out of the maildir that it was sent to."""
    invitation = InvitationTemplate(EVENT, "REQUEST").fill(
        Mailbox(name, address), Mailbox("Events", REPLY), sent_by=DESK
    )
    text = f"Wörter und Zeilen, die länger sind als siebzig Zeichen, damit sie umbrochen werden: {mark('reply_url')}\n"
    letter = Letter(
        sender=f"Events desk <{DESK}>",
        recipient=address,
        name=name,
        message_id="<one@lancashire.example.org>",
        values={"reply_url": f"{URL}/reply/7.abcdefghij"},
        reply_to=REPLY,
        unsubscribe_url=f"{URL}/unsubscribe/9.xyz",
        list_id="<munich.lancashire.example.org>",
        calendar=invitation if calendar else None,
    )
    postbag = Postbag(folder / "mail")
    with postbag.connect() as [connection]:
        assert alone(
            connection.send(Form("Subject: größer", text, f"<p>{mark('reply_url')}</p>").fill(letter, AT)), lambda: True
        )
    (path,) = postbag.take()
    assert not postbag.take()
    return Mail.read(path)


@pytest.mark.parametrize(("name", "address"), NAMES)
def test_a_guest_reads_what_the_standard_library_reads(tmp_path: Path, name: str, address: str) -> None:
    mail = posted(tmp_path, name, address)
    message = email.message_from_bytes(mail.path.read_bytes(), policy=default)
    (calendar,) = (part for part in message.walk() if part.get_content_type() == "text/calendar")
    body = message.get_body(("plain",))
    assert body is not None
    assert mail.recipient == message["To"].addresses[0].addr_spec == address
    assert mail.text.strip() == body.get_content().strip()
    assert mail.method == calendar["Content-Type"].params["method"] == "REQUEST"
    assert mail.calendar.splitlines() == calendar.get_content().replace("\r\n ", "").splitlines()
    assert mail.message_id == message["Message-ID"]
    assert mail.unsubscribe_url == message["List-Unsubscribe"].strip("<>") == f"{URL}/unsubscribe/9.xyz"
    assert (mail.event, mail.link("reply"), mail.link("survey")) == ("munich", f"{URL}/reply/7.abcdefghij", "")


def test_a_message_without_a_calendar_has_none(tmp_path: Path) -> None:
    mail = posted(tmp_path, calendar=False)
    assert (mail.method, mail.calendar, mail.link("reply")) == ("", "", f"{URL}/reply/7.abcdefghij")


@pytest.mark.parametrize("program", ["gmail", "outlook", "thunderbird"])
@pytest.mark.parametrize(("name", "address"), [*NAMES, ("Ada", "ada@lancaster.example")])
def test_a_reply_says_who_answers_what_to_which_invitation(
    tmp_path: Path, program: str, name: str, address: str
) -> None:
    invitation = Invitation.read(posted(tmp_path, name, address))
    assert (invitation.uid, invitation.sequence, invitation.organizer) == (EVENT.uid, 3, REPLY)
    for answer in ("accepted", "tentative", "declined"):
        read = read_calendar_mail(calendar_reply(program, invitation, Writer(name, address), answer, AT))
        (reply,) = read.replies
        assert (read.method, read.sender, read.auto_submitted, read.bounce) == ("REPLY", address, False, False)
        assert REPLY in read.recipients
        assert (reply.uid, reply.attendee, reply.partstat) == (EVENT.uid, address, answer.upper())
        assert (reply.sequence, reply.dtstamp) == (3, AT)


def test_a_forged_reply_goes_to_another_address(tmp_path: Path) -> None:
    invitation = Invitation.read(posted(tmp_path))
    message = calendar_reply("gmail", invitation, Writer("Ada", "ada@lancaster.example", DESK), "declined", AT)
    assert read_calendar_mail(message).recipients == (DESK,)


def test_a_bounce_names_the_message_and_its_status(tmp_path: Path) -> None:
    mail = posted(tmp_path, *NAMES[0])
    report = read_report(bounce(mail, "5.1.1", AT))
    assert report is not None
    (recipient,) = report.recipients
    assert (report.message_ids, recipient.status) == ((mail.message_id,), "5.1.1")
    assert recipient.dead_address


def test_a_vacation_is_nobody_s_reply(tmp_path: Path) -> None:
    read = read_calendar_mail(vacation(posted(tmp_path), Writer("Ada", "ada@lancaster.example"), AT))
    assert (read.auto_replied, read.replies, read.bounce) == (True, (), False)
    assert read.recipients == (REPLY,)
