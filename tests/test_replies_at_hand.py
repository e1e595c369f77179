"""Every reply, counter and request at hand, sent to an attendee's reply address: what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

from sqlmodel import Session, select

from events_service import intake
from events_service.calendars.replies import read_calendar_mail
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, Event, Person, Proposal
from events_service.tokens import mail_token
from tests.attendance import make_attendee, make_event

JUERGEN = "juergen@example.com"
NOW = datetime(2026, 1, 15, tzinfo=UTC)
STARTS, ENDS = datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 10, 30, tzinfo=UTC)


class Case(NamedTuple):
    """Whose address a mail comes to, and what becomes of it: kind, if it was applied, why, and their reply then."""

    attendee: str
    kind: str
    applied: bool
    why: str
    reply: str = "none"


def _applied(attendee: str, reply: str) -> Case:
    return Case(attendee, "reply", True, f"now {reply}", reply)


def _refused(attendee: str, why: str, kind: str = "reply") -> Case:
    return Case(attendee, kind, False, why)


FORGED = "its sender is not its ATTENDEE and does not act for them: forwarded, forged or an alias"
INSTANCE = "it answers for one instance of a series, and the event is none"
CASES = {
    "made-apple-decline": _applied(JUERGEN, "declined"),
    "made-attachment-only": _applied(JUERGEN, "accepted"),
    "made-cancel-from-attendee": _refused(JUERGEN, "a calendar with METHOD 'CANCEL' is no reply; left alone", "other"),
    "made-delegated": Case(
        JUERGEN, "reply", True, "now tentative; proposal 0: delegated, which an organiser decides", "tentative"
    ),
    "made-exchange-accept-no-organizer": _applied(JUERGEN, "accepted"),
    "made-forged-attendee": _refused(JUERGEN, FORGED),
    "made-google-accept": _applied(JUERGEN, "accepted"),
    "made-latin1": _applied(JUERGEN, "accepted"),
    "made-no-method-parameter": _applied(JUERGEN, "accepted"),
    "made-older-dtstamp": _applied(JUERGEN, "declined"),
    "made-outlook-counter": Case(
        JUERGEN,
        "proposal",
        True,
        "proposal 0: 2026-03-02T15:00:00+01:00 to 2026-03-02T16:30:00+01:00; an organiser decides",
    ),
    "made-request-from-stranger": _refused(
        JUERGEN, "a calendar with METHOD 'REQUEST' is no reply; left alone", "other"
    ),
    "made-thunderbird-tentative": _applied(JUERGEN, "tentative"),
    "made-two-attendees": _applied(JUERGEN, "accepted"),
    "libical-complex-mime-error": _refused(JUERGEN, "no calendar in it; left alone", "other"),
    # Free and busy times, not an event.
    "libical-2446-23-request": _refused("b@example.com", "no calendar in it; left alone", "other"),
    "ical4j-incoming-6-reply": _applied("x@example.com", "accepted"),
    "ical4j-incoming-9-counter": Case(
        "c@example.com",
        "proposal",
        True,
        "proposal 0: 1997-07-01T21:00:00+02:00 to 1997-07-01T23:00:00+02:00; an organiser decides",
    ),
    "libical-incoming-12-counter": Case(
        "c@example.com",
        "proposal",
        True,
        "proposal 0: 1997-07-01T21:00:00+02:00 to 1997-07-01T23:00:00+02:00; an organiser decides",
    ),
    "libical-2446-16-reply": Case(
        "c@example.com",
        "reply",
        True,
        "now tentative; proposal 0: delegated, which an organiser decides",
        "tentative",
    ),
    "libical-restriction-3-reply": Case(
        "c@example.com",
        "reply",
        True,
        "now tentative; proposal 0: delegated, which an organiser decides",
        "tentative",
    ),
    "libical-2446-41-reply": _refused("b@example.com", "PARTSTAT 'NEEDS-ACTION' is no answer"),
    "libical-2446-43-reply": _applied("b@example.com", "accepted"),
    "libical-2446-45-reply": _refused("b@example.com", "PARTSTAT 'IN-PROCESS' is no answer"),
    "libical-2446-49-reply": _refused("b@example.com", INSTANCE),
    "libical-2446-51-refresh": Case("a@example.com", "refresh", True, "the present object goes to them once more"),
    "libical-incoming-5-reply": _applied("b@example.com", "accepted"),
    "libical-incoming-8-reply": _applied("c@example.com", "declined"),
    "libical-incoming-10-reply": _applied("y@example.com", "declined"),
    "sabre-BrokerAttendeeReply-2-reply": _refused("one@example.org", INSTANCE),
    "sabre-BrokerProcessReply-2-reply": _applied("foo@example.org", "accepted"),
    "sabre-BrokerProcessReply-5-reply": _refused(
        "foo@example.org", "its ATTENDEE is not whom this address was given to: forwarded, forged or an alias"
    ),
    "sabre-BrokerProcessReply-7-reply": _refused("foo@example.org", INSTANCE),
    "sabre-BrokerProcessReply-9-reply": _refused("foo@example.org", INSTANCE),
    "sabre-BrokerProcessReply-11-reply": _refused("crasher@example.org", INSTANCE),
}
_NO_REPLIES = ("request", "cancel", "add", "publish")


def _mail(path: Path, sender: str) -> bytes:
    """What came: a mail as it is, a calendar in a mail of the attendee's."""
    if path.suffix == ".eml":
        return path.read_bytes()
    message = EmailMessage()
    message["From"], message["Message-ID"] = sender, f"<{path.stem}@example.com>"
    message.set_content("See the calendar.")
    message.add_attachment(path.read_bytes(), maintype="text", subtype="calendar")
    return message.as_bytes()


def _arrives(session: Session, path: Path, settings: Settings, case: Case, number: int) -> Case:
    """Take it for an event of its UID, to which its attendee is invited."""
    content = _mail(path, case.attendee)
    said = read_calendar_mail(content).replies
    event = make_event(
        session, f"event-{number}", uid=f"{path.stem}-event", starts=STARTS, ends=ENDS, timezone="Europe/Berlin"
    )
    # Many of the collection share a UID, which is one event's own.
    session.flush()
    taken_uid = said[0].uid if said else event.uid
    for other in session.exec(select(Event).where(Event.uid == taken_uid)):
        other.uid = f"{other.uid}-{other.id}"
        session.add(other)
    session.flush()
    event.uid = taken_uid
    session.add(event)
    person = session.exec(select(Person).where(Person.email == case.attendee)).first()
    if person is None:
        attendee = make_attendee(session, event, case.attendee)
    else:
        attendee = Attendee(event_id=event.id or 0, person_id=person.id, added_at=NOW)
        session.add(attendee)
    session.flush()
    token = mail_token(settings.secret, "reply", attendee.id or 0)
    taken = intake.take(session, f"Delivered-To: reply+{token}@example.org\r\n".encode() + content, settings, NOW)
    proposal = session.exec(select(Proposal).where(Proposal.attendee_id == attendee.id)).first()
    why = taken.why.replace(f"proposal {proposal.id}:", "proposal 0:") if proposal else taken.why
    return Case(case.attendee, taken.kind, taken.applied, why, attendee.reply)


def test_each_of_them_is_read_or_refused_with_the_reason(
    sqlite_database: Database, settings: Settings, shared: Path
) -> None:
    paths = sorted((shared / "data/ics/replies").iterdir())
    assert len(paths) > 80
    expected, found = {}, {}
    with sqlite_database.write() as session:
        for number, path in enumerate(paths):
            case = CASES.get(path.stem)
            if case is None:
                method = path.stem.rpartition("-")[2].partition("_")[0]
                method = "request" if path.stem.startswith(("ncmail", "libical-complex")) else method
                assert method in _NO_REPLIES, path.name
                why = f"a calendar with METHOD {method.upper()!r} is no reply; left alone"
                case = _refused("guest@example.com", why, "other")
            expected[path.name] = case
            found[path.name] = _arrives(session, path, settings, case, number)
    assert found == expected
