"""Mail that guests' programs write: calendar replies as Gmail, Outlook and Thunderbird send them, bounces, vacations.

They are written here by hand, not with our own calendar code, so that one is read by what did not write it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime
from zoneinfo import ZoneInfo

from schedules.rehearsal.postbag import Mail

_PARTSTAT = {"accepted": "ACCEPTED", "tentative": "TENTATIVE", "declined": "DECLINED"}
_SUBJECT = {"accepted": "Accepted", "tentative": "Tentative", "declined": "Declined"}
_SAID = {"accepted": "will come", "tentative": "may come", "declined": "will not come"}


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a calendar program keeps of an invitation."""

    uid: str
    sequence: int
    organizer: str
    attendee: str
    summary: str
    starts: str
    ends: str

    @classmethod
    def read(cls, mail: Mail) -> Invitation:
        """Take it out of the calendar in a mail; KeyError where it has none."""
        event = mail.calendar.partition("BEGIN:VEVENT")[2].partition("END:VEVENT")[0]
        lines = {re.split("[;:]", line, maxsplit=1)[0]: line for line in event.splitlines() if line}
        address = {name: lines[name].lower().rpartition("mailto:")[2] for name in ("ORGANIZER", "ATTENDEE")}
        return cls(
            uid=lines["UID"].partition(":")[2],
            sequence=int(lines["SEQUENCE"].partition(":")[2]),
            organizer=address["ORGANIZER"],
            attendee=address["ATTENDEE"],
            summary=lines["SUMMARY"],
            starts=lines["DTSTART"],
            ends=lines["DTEND"],
        )


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes a reply: their name and address, and the address that it goes to where it is not the organiser's."""

    name: str
    email: str
    to: str = ""


def calendar_reply(program: str, invitation: Invitation, writer: Writer, answer: str, at: datetime) -> bytes:
    """A REPLY (RFC 5546 3.2.3) in an e-mail, as that program writes them."""
    return _PROGRAMS[program](invitation, writer, answer, at)


def bounce(mail: Mail, status: str, at: datetime) -> bytes:
    """What a mail server sends back (RFC 3464): it could not deliver `mail`."""
    recipient, mark = mail.recipient, "=_bounce"
    returned = "".join(
        f"{name}: {mail.headers[name.lower()]}\r\n" for name in ("From", "To", "Subject", "Date", "Message-ID")
    )
    head = _head("Mail Delivery System <mailer-daemon@mx.example.net>", mail.headers["from"], "Undelivered mail", at)
    body = (
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{mark}"\r\n\r\n'
        f"--{mark}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
        f"Your message to {recipient} could not be delivered.\r\n\r\n"
        f"--{mark}\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example.net\r\n\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 no such mailbox\r\n\r\n"
        f"--{mark}\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}\r\n--{mark}--\r\n"
    )
    return (head + "Auto-Submitted: auto-replied\r\n" + body).encode()


def vacation(mail: Mail, writer: Writer, at: datetime) -> bytes:
    """An out-of-office note to whoever wrote `mail` (RFC 3834)."""
    to = mail.headers.get("reply-to") or mail.headers["from"]
    return (
        _head(_mailbox(writer), to, f"Out of office: {mail.headers['subject']}", at)
        + f"In-Reply-To: {mail.message_id}\r\nAuto-Submitted: auto-replied\r\nPrecedence: bulk\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\nI am away until Monday.\r\n"
    ).encode()


def _gmail(invitation: Invitation, writer: Writer, answer: str, at: datetime) -> bytes:
    calendar = _calendar(
        "-//Google Inc//Google Calendar 70.9054//EN",
        ["CALSCALE:GREGORIAN"],
        [
            _utc("DTSTART", invitation.starts),
            _utc("DTEND", invitation.ends),
            f"DTSTAMP:{at:%Y%m%dT%H%M%SZ}",
            f"ORGANIZER;CN=Events:mailto:{invitation.organizer}",
            f"UID:{invitation.uid}",
            f"ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT={_PARTSTAT[answer]};CN={writer.email}"
            f";X-NUM-GUESTS=0:mailto:{writer.email}",
            f"SEQUENCE:{invitation.sequence}",
            "STATUS:CONFIRMED",
            invitation.summary,
            "TRANSP:OPAQUE",
        ],
    )
    text = f"{writer.name or writer.email} {_SAID[answer]}."
    inner, outer = "000000000000a1", "000000000000b2"
    return (
        _reply_head(
            invitation, writer, answer, at, "Sender: Google Calendar <calendar-notification@google.example>\r\n"
        )
        + f'Content-Type: multipart/mixed; boundary="{outer}"\r\n\r\n--{outer}\r\n'
        f'Content-Type: multipart/alternative; boundary="{inner}"\r\n\r\n--{inner}\r\n'
        'Content-Type: text/plain; charset="UTF-8"; format=flowed; delsp=yes\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{_base64(text)}--{inner}\r\n"
        'Content-Type: text/calendar; charset="UTF-8"; method=REPLY\r\nContent-Transfer-Encoding: 8bit\r\n\r\n'
        f"{calendar}\r\n--{inner}--\r\n\r\n--{outer}\r\n"
        'Content-Type: application/ics; name="invite.ics"\r\nContent-Disposition: attachment; filename="invite.ics"\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{_base64(calendar)}--{outer}--\r\n"
    ).encode()


def _outlook(invitation: Invitation, writer: Writer, answer: str, at: datetime) -> bytes:
    calendar = _calendar(
        "Microsoft Exchange Server 2010",
        [],
        [
            f"ATTENDEE;PARTSTAT={_PARTSTAT[answer]};CN={_quoted(writer.name)}:mailto:{writer.email}",
            "COMMENT;LANGUAGE=en-GB:\\n",
            f"UID:{invitation.uid}",
            invitation.summary.replace("SUMMARY", "SUMMARY;LANGUAGE=en-GB", 1),
            _utc("DTSTART", invitation.starts),
            _utc("DTEND", invitation.ends),
            "CLASS:PUBLIC",
            "PRIORITY:5",
            f"DTSTAMP:{at:%Y%m%dT%H%M%SZ}",
            "TRANSP:OPAQUE",
            "STATUS:CONFIRMED",
            f"SEQUENCE:{invitation.sequence}",
            "X-MICROSOFT-CDO-APPT-SEQUENCE:0",
            "X-MICROSOFT-CDO-BUSYSTATUS:BUSY",
        ],
    )
    mark = "_000_OUTLOOK_"
    return (
        _reply_head(invitation, writer, answer, at, "Thread-Topic: invitation\r\nX-MS-Has-Attach:\r\n")
        + f'Content-Type: multipart/alternative;\r\n\tboundary="{mark}"\r\n\r\n'
        f'--{mark}\r\nContent-Type: text/plain; charset="iso-8859-1"\r\n\r\n\r\n'
        f'--{mark}\r\nContent-Type: text/calendar; charset="utf-8"; method=REPLY\r\n'
        f"Content-Transfer-Encoding: base64\r\n\r\n{_base64(calendar)}--{mark}--\r\n"
    ).encode()


def _thunderbird(invitation: Invitation, writer: Writer, answer: str, at: datetime) -> bytes:
    calendar = _calendar(
        "-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN",
        [],
        [
            f"LAST-MODIFIED:{at:%Y%m%dT%H%M%SZ}",
            f"DTSTAMP:{at:%Y%m%dT%H%M%SZ}",
            f"UID:{invitation.uid}",
            invitation.summary,
            f"ORGANIZER;RSVP=TRUE;PARTSTAT=ACCEPTED;ROLE=CHAIR:mailto:{invitation.organizer}",
            f"ATTENDEE;RSVP=TRUE;CN={_quoted(writer.name)};PARTSTAT={_PARTSTAT[answer]};ROLE=REQ-PARTICIPANT"
            f":mailto:{writer.email}",
            _utc("DTSTART", invitation.starts),
            _utc("DTEND", invitation.ends),
            f"SEQUENCE:{invitation.sequence}",
        ],
    )
    mark = "------------bird"
    return (
        _reply_head(invitation, writer, answer, at, "User-Agent: Mozilla Thunderbird\r\n")
        + f'Content-Type: multipart/alternative; boundary="{mark}"\r\n\r\n'
        f"--{mark}\r\nContent-Type: text/plain; charset=UTF-8; format=flowed\r\n\r\n{_SUBJECT[answer]}.\r\n"
        f"--{mark}\r\nContent-Type: text/calendar; method=REPLY; charset=UTF-8\r\n"
        "Content-Transfer-Encoding: 8bit\r\n\r\n"
        f"{calendar}--{mark}--\r\n"
    ).encode()


_PROGRAMS: dict[str, Callable[[Invitation, Writer, str, datetime], bytes]] = {
    "gmail": _gmail,
    "outlook": _outlook,
    "thunderbird": _thunderbird,
}


def _calendar(product: str, head: list[str], event: list[str]) -> str:
    lines = ["BEGIN:VCALENDAR", f"PRODID:{product}", "VERSION:2.0", *head, "METHOD:REPLY", "BEGIN:VEVENT", *event]
    return "".join(f"{_folded(line)}\r\n" for line in [*lines, "END:VEVENT", "END:VCALENDAR"])


def _folded(line: str) -> str:
    # Cut by characters, well below 75 octets: the longest character here has three.
    pieces = [line[start : start + 24] if not line.isascii() else line[start : start + 72] for start in
              range(0, len(line), 72 if line.isascii() else 24)]  # fmt: skip
    return "\r\n ".join(pieces)


def _utc(name: str, line: str) -> str:
    """A time of the invitation in UTC, as programs write it back that keep no zones; one without a zone is in UTC."""
    zone = re.search("TZID=([^:;]+)", line)
    text = line.rpartition(":")[2]
    at = datetime.strptime(text.rstrip("Z"), "%Y%m%dT%H%M%S").replace(tzinfo=ZoneInfo(zone[1]) if zone else UTC)
    return f"{name}:{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _reply_head(invitation: Invitation, writer: Writer, answer: str, at: datetime, more: str) -> str:
    title = invitation.summary.partition(":")[2].replace("\\,", ",")
    return _head(_mailbox(writer), writer.to or invitation.organizer, f"{_SUBJECT[answer]}: {title}", at) + more


def _head(sender: str, to: str, subject: str, at: datetime) -> str:
    # The Message-ID follows from what the mail is, so that the same rehearsal takes in the same mail.
    word = base64.b32encode(f"{sender}{subject}{at.timestamp():.0f}".encode()).decode().lower().strip("=")[-40:]
    return (
        f"Received: from mx.example.net by mail.lancashire.example.org; {format_datetime(at)}\r\n"
        f"From: {sender}\r\nTo: <{to.rpartition('<')[2].strip('>')}>\r\n"
        f"Subject: {Header(subject, 'utf-8').encode(linesep=chr(13) + chr(10))}\r\nDate: {format_datetime(at)}\r\n"
        f"Message-ID: <{word}@mx.example.net>\r\nMIME-Version: 1.0\r\n"
    )


def _mailbox(writer: Writer) -> str:
    name = Header(writer.name, "utf-8").encode(linesep="\r\n") if not writer.name.isascii() else _quoted(writer.name)
    return f"{name} <{writer.email}>" if writer.name else f"<{writer.email}>"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', "'") + '"'


def _base64(text: str) -> str:
    return base64.encodebytes(text.encode()).decode().replace("\n", "\r\n")
