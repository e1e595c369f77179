"""Mail that comes in: calendar replies here, bounces and complaints in `bounces`. What it is not is noted, and left.

A calendar reply is believed only if the address it was sent to holds the token of one attendee, its ATTENDEE is that
attendee's address, and its sender is that address too or acts for it (SENT-BY). A forwarded invitation, a forgery and
an alias look alike: none of them is applied, all are on record. Of a mail's text only a reply's comment is kept, and
of a bounce its words without the addresses in them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import attendees, bounces, itineraries, people
from events_service.attendees import Applied
from events_service.calendars.model import Reply
from events_service.calendars.replies import MAX_MESSAGE_BYTES as MAX_MESSAGE_BYTES
from events_service.calendars.replies import CalendarMail, read_calendar_mail
from events_service.config import Settings
from events_service.db.tables import Attendee, Event, EventSession, Intake, Person
from events_service.errors import ConflictError, InputError
from events_service.mail.bounds import bounded
from events_service.mail.guesses import guess_report
from events_service.mail.reports import read_report
from events_service.mail.words import without_addresses
from events_service.tokens import open_mail_token

MAX_READ = MAX_MESSAGE_BYTES + 1
"""How much of a mail to read at most: one byte more than is taken, so that a longer one is seen to be too long."""

_REPLIES = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "tentative"}
_TRACE = (b"from:", b"to:", b"message-id:", b"date:", b"subject:")


def take(session: Session, message: bytes, settings: Settings, now: datetime) -> Intake:
    """Read one e-mail and do what it calls for; the row says what it was, and what was done.

    It never raises for what a mail says: whatever cannot be used is `applied=False` with the reason. The same mail
    again is answered with a row that is not kept, and changes nothing. ConflictError, and nothing kept, for a bounce
    of a message that is in DATA at this moment: give it again later.
    """
    taken = Intake(digest=digest(message), kind="other", applied=False, received_at=now)
    try:
        with session.begin_nested():
            session.add(taken)
    except sa.exc.IntegrityError:
        before = session.exec(select(Intake).where(Intake.digest == taken.digest)).one()
        return Intake(
            digest=before.digest, kind=before.kind, applied=False, why="the same mail was taken before", received_at=now
        )
    try:
        readable = bounded(message)
        mail = read_calendar_mail(readable)
    except InputError as error:
        taken.why = str(error)
    else:
        _take_read(session, mail, readable, taken, settings, now)
    taken.why = "".join(char for char in without_addresses(taken.why) if char.isprintable())
    session.add(taken)
    session.flush()
    return taken


def _take_read(
    session: Session, mail: CalendarMail, message: bytes, taken: Intake, settings: Settings, now: datetime
) -> None:
    report = read_report(message) or (None if mail.method else guess_report(message))
    if report is not None:
        bounces.take_report(session, report, mail.recipients, taken, settings, now)
    elif mail.bounce:
        taken.kind, taken.why = "bounce", "it names no recipient's status; left alone"
    elif mail.auto_replied or (mail.auto_submitted and mail.method != "REPLY"):
        taken.kind, taken.why = "auto", "an automatic message; left alone"
    else:
        _take_mail(session, mail, taken, settings, now)


def digest(message: bytes) -> str:
    """What makes a mail the same again: From, To, Message-ID, Date, Subject and body, not what servers wrote on it."""
    whole = message.replace(b"\r\n", b"\n")
    head, _, body = whole.partition(b"\n\n")
    lines = head.replace(b"\n ", b" ").replace(b"\n\t", b" ").split(b"\n")
    kept = sorted(line for line in lines if line.lower().startswith(_TRACE))
    return hashlib.sha256(b"\n".join([*kept, b"", body])).hexdigest()


def _take_mail(session: Session, mail: CalendarMail, taken: Intake, settings: Settings, now: datetime) -> None:
    attendee, has_token = _addressee(session, mail, settings)
    taken.attendee_id = attendee.id if attendee else None
    if not mail.replies:
        taken.why = "no calendar in it; left alone"
    elif mail.method != "REPLY":
        taken.why = f"a calendar with METHOD {mail.method[:20]!r} is no reply; left alone"
    else:
        taken.kind = "reply"
        results = [_take_reply(session, mail, reply, attendee, has_token, now) for reply in mail.replies]
        taken.applied = any(result.applied for result in results)
        taken.why = "; ".join(dict.fromkeys(r.why for r in results if r.applied == taken.applied))
    _take_as_proof(session, mail, attendee if has_token else None, taken, now)


def _take_as_proof(
    session: Session, mail: CalendarMail, attendee: Attendee | None, taken: Intake, now: datetime
) -> None:
    """What somebody answers has arrived, whatever they say.

    Its Message-ID names the message. The reply address alone does so where only one message can have told it.
    """
    answered = bounces.doubtful(session, mail.answers_to)
    if not answered and attendee is not None:
        answered = bounces.only_one_told(session, attendee.id)
    if bounces.arrived(session, [row.id for row in answered if row.id], now):
        taken.why = f"{taken.why}; it answers {answered[0].step}, which has arrived then"
        if taken.kind == "other":
            taken.applied, taken.delivery_id = True, answered[0].id
            taken.attendee_id = answered[0].attendee_id


def _addressee(session: Session, mail: CalendarMail, settings: Settings) -> tuple[Attendee | None, bool]:
    """Whose reply this would be, and whether the address it was sent to proves it."""
    for recipient in mail.recipients:
        local, _, _ = recipient.rpartition("@")
        name, _, token = local.partition("+")
        parts = open_mail_token(settings.secret, "reply", token) if name.lower() == "reply" else None
        if parts is not None and len(parts) == 1 and parts[0].isdigit():
            attendee = session.get(Attendee, int(parts[0]))
            return (attendee, True) if attendee and attendee.person_id is not None else (None, True)
    for reply in mail.replies:
        found = session.exec(
            select(Attendee)
            .join(Event, col(Attendee.event_id) == col(Event.id))
            .join(Person, col(Attendee.person_id) == col(Person.id))
            .where(Event.uid == reply.uid, Person.email == _normal(mail.sender))
        ).first()
        if found is not None:
            return found, False
    return None, False


def _take_reply(
    session: Session, mail: CalendarMail, reply: Reply, attendee: Attendee | None, has_token: bool, now: datetime
) -> Applied:
    if attendee is None:
        return Applied(False, "from nobody we invited, or a reply address that is not ours")
    event = session.get_one(Event, attendee.event_id)
    person = session.get_one(Person, attendee.person_id)
    answer = _REPLIES.get(reply.partstat)
    item = itineraries.session_of(session, event, reply.uid) if reply.uid != event.uid else None
    if why := _distrusted(mail, reply, item or event, person, has_token) or (
        f"PARTSTAT {reply.partstat[:20]!r} is no answer" if answer is None else None
    ):
        return attendees.refused(session, attendee, answer or reply.partstat[:20].lower(), "mail", "", why, now)
    if item is not None:
        return itineraries.replied(
            session,
            attendee,
            item,
            answer or "",
            now,
            note=reply.comment,
            sequence=reply.sequence,
            dtstamp=reply.dtstamp,
        )
    try:
        return attendees.set_reply(
            session,
            attendee,
            answer or "",
            via="mail",
            note=reply.comment,
            now=now,
            sequence=reply.sequence,
            dtstamp=reply.dtstamp,
        )
    except ConflictError as error:
        return attendees.refused(session, attendee, answer or "", "mail", reply.comment, str(error), now)


def _distrusted(
    mail: CalendarMail, reply: Reply, about: Event | EventSession, person: Person, has_token: bool
) -> str | None:
    """Why a reply to an event or to one of its sessions is not believed, in one clause; None where it is."""
    if not has_token:
        return "not sent to the attendee's own reply address, so nothing vouches for its sender"
    if reply.uid != about.uid:
        return "its UID is not that of the event"
    if reply.recurrence_id is not None or reply.recurrence_id_text:
        return "it answers for one instance of a series, and the event is none"
    if _normal(reply.attendee) != person.email:
        return "its ATTENDEE is not whom this address was given to: forwarded, forged or an alias"
    if _normal(mail.sender) != person.email and (not mail.sender or mail.sender != reply.sent_by):
        return "its sender is not its ATTENDEE and does not act for them: forwarded, forged or an alias"
    return None


def _normal(address: str) -> str:
    """An address as people's are kept (case, international domains); what is no address stays as it is."""
    try:
        return people.normalise_email(address)
    except InputError:
        return address
