"""What a calendar program sends for an attendee: a reply, other times (COUNTER), a delegate, or a wish for the object.

It is believed only if the address it was sent to holds the token of one attendee, its ATTENDEE is that attendee's
address, and its sender is that address too or acts for it (SENT-BY); where signatures are looked at, the sender's
domain must have signed it. A forwarded invitation, a forgery and an alias look alike: none is applied, all are on
record.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import attendees, calendar_answers, event_rows, itineraries, people, proposals, removals
from events_service.attendees import Applied
from events_service.calendars.model import Reply
from events_service.calendars.replies import CalendarMail
from events_service.config import Settings
from events_service.db.tables import Attendee, Event, EventSession, Intake, Person
from events_service.errors import ConflictError, InputError
from events_service.event_json import in_zone
from events_service.mail.signatures import Proof, wanted
from events_service.proposals import Proposed
from events_service.tokens import open_mail_token

_REPLIES = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "tentative", "DELEGATED": "tentative"}
"""What each PARTSTAT counts as. Who delegates has answered, and whether somebody comes in their place is undecided."""
_TAKES = {"REPLY": "reply", "COUNTER": "proposal", "REFRESH": "refresh"}
"""The methods that attendees send (RFC 5546 1.4), and the kind of mail that each makes."""
KINDS = tuple(_TAKES.values())
_PLACES = (
    select(Attendee, Event, Person)
    .join(Event, col(Attendee.event_id) == col(Event.id))
    .join(Person, col(Attendee.person_id) == col(Person.id))
)
_NAMED = _PLACES.where(Attendee.id == sa.bindparam("attendee"))
_NOBODY = "from nobody we invited, or a reply address that is not ours"


class Place(NamedTuple):
    """An attendee, with the event and the person that their place joins."""

    attendee: Attendee
    event: Event
    person: Person


def addressee(session: Session, mail: CalendarMail, settings: Settings) -> tuple[Place | None, bool]:
    """Whose mail this would be, and whether the address it was sent to proves it."""
    for recipient in mail.recipients:
        local, _, _ = recipient.rpartition("@")
        name, _, token = local.partition("+")
        parts = open_mail_token(settings.secret, "reply", token) if name.lower() == "reply" else None
        if parts is not None and len(parts) == 1 and parts[0].isdigit():
            named = session.exec(_NAMED, params={"attendee": int(parts[0])}).first()
            return (Place(*named), True) if named else (None, True)
    for reply in mail.replies:
        found = session.exec(_PLACES.where(Event.uid == reply.uid, Person.email == _normal(mail.sender))).first()
        if found is not None:
            return Place(*found), False
    return None, False


def take(
    session: Session,
    mail: CalendarMail,
    place: Place | None,
    has_token: bool,
    taken: Intake,
    settings: Settings,
    proof: Proof | None,
    now: datetime,
) -> None:
    """Do what the calendar in a mail calls for, and note on `taken` what that was."""
    if not mail.replies:
        taken.why = "no calendar in it; left alone"
        return
    if mail.method not in _TAKES:
        said = f"with METHOD {mail.method[:20]!r}" if mail.method else "without METHOD"
        taken.why = f"a calendar {said} is no reply; left alone"
        return
    taken.kind = _TAKES[mail.method]
    if place is None:
        taken.why = _NOBODY
        return
    taking = _Taking(session, mail, place, has_token, settings, proof, taken, now)
    own = _own(mail, place.person)
    taken.said = ", ".join(dict.fromkeys(_said(mail, reply) for reply in own))[:100]
    results = [taking.take(reply) for reply in own]
    taken.applied = any(result.applied for result in results)
    taken.why = "; ".join(dict.fromkeys(r.why for r in results if r.applied == taken.applied))


def _own(mail: CalendarMail, person: Person) -> list[Reply]:
    """What a mail says of the person, without the guest list that some repeat; all, where it does not name them.

    A COUNTER or a REFRESH is one thing, however many it names.
    """
    own = [reply for reply in mail.replies if _normal(reply.attendee) == person.email] or list(mail.replies)
    return own if mail.method == "REPLY" else own[:1]


def _said(mail: CalendarMail, reply: Reply) -> str:
    return (reply.partstat if mail.method == "REPLY" else mail.method)[:20].lower()


class _Taking:
    """One calendar mail of one attendee's, being taken."""

    def __init__(
        self,
        session: Session,
        mail: CalendarMail,
        place: Place,
        has_token: bool,
        settings: Settings,
        proof: Proof | None,
        taken: Intake,
        now: datetime,
    ) -> None:
        self._session, self._mail, self._taken, self._now = session, mail, taken, now
        self._attendee, self._event, self._person = place
        self._has_token, self._settings, self._proof = has_token, settings, proof

    def take(self, reply: Reply) -> Applied:
        """Do what one component says; what is not believed is on record."""
        item = self._item(reply)
        if why := self._distrusted(reply, item or self._event):
            return self._refused(reply, why)
        if item is not None:
            return self._take_session(reply, item)
        if self._mail.method == "COUNTER":
            return self._take_counter(reply)
        if self._mail.method == "REFRESH":
            return self._take_refresh(reply)
        return self._take_reply(reply)

    def _item(self, reply: Reply) -> EventSession | None:
        """The session that a reply is about, if it is about one."""
        if self._mail.method != "REPLY" or reply.uid in ("", self._event.uid):
            return None
        return itineraries.session_of(self._session, self._event, reply.uid)

    def _take_session(self, reply: Reply, item: EventSession) -> Applied:
        answer = _REPLIES.get(reply.partstat)
        if answer is None:
            return self._refused(reply, f"PARTSTAT {reply.partstat[:20]!r} is no answer")
        if why := removals.standing(self._event, self._attendee):
            return self._refused(reply, why)
        return itineraries.replied(
            self._session, self._attendee, item, answer, self._now,
            note=reply.comment, sequence=reply.sequence, dtstamp=reply.dtstamp,
        )  # fmt: skip

    def _take_reply(self, reply: Reply) -> Applied:
        answer = _REPLIES.get(reply.partstat)
        if answer is None:
            return self._refused(reply, f"PARTSTAT {reply.partstat[:20]!r} is no answer")
        delegates = reply.partstat == "DELEGATED"
        if delegates:
            # What a delegate is proposed to is locked before the attendee, as everywhere.
            self._event = event_rows.lock(self._session, self._event)
        note = "\n".join(filter(None, ["Delegated." if delegates else "", reply.comment]))
        try:
            applied = attendees.set_reply(
                self._session, self._attendee, answer, via="mail", note=note, now=self._now,
                sequence=reply.sequence, dtstamp=reply.dtstamp,
            )  # fmt: skip
        except ConflictError as error:
            return self._refused(reply, str(error))
        if not delegates or applied.stale:
            return applied
        return self._take_delegate(reply, applied)

    def _take_delegate(self, reply: Reply, applied: Applied) -> Applied:
        """Put whom they name on the organiser's list. Nobody is invited by what somebody else writes."""
        delegate = next(filter(None, map(_address, reply.delegated_to)), "")
        if not delegate:
            return Applied(applied.applied, f"{applied.why}; delegated to nobody that it names")
        proposed = Proposed("delegate", reply.sequence, reply.dtstamp, delegate=delegate, comment=reply.comment)
        row = proposals.record(self._session, self._attendee, self._event, proposed, "", self._now)
        if row.state != "open":
            return Applied(applied.applied, f"{applied.why}; {row.reason}")
        return Applied(True, f"{applied.why}; proposal {row.id}: delegated, which an organiser decides")

    def _take_counter(self, reply: Reply) -> Applied:
        """A proposal is no reply, whatever PARTSTAT it says (RFC 5546 3.2.7): the one that stands stays."""
        self._event = event = event_rows.lock(self._session, self._event)
        self._session.refresh(self._attendee, with_for_update=True)
        if reply.starts is None:
            return self._refused(reply, "it proposes no time that can be read")
        if reply.ends is not None and reply.ends <= reply.starts:
            return self._refused(reply, "it proposes an end that does not come after the start")
        if (reply.starts, reply.ends or event.ends) == (event.starts, event.ends):
            return self._refused(reply, "it proposes the times that the event has")
        comment = attendees.clean_note(reply.comment)
        proposed = Proposed("time", reply.sequence, reply.dtstamp, reply.starts, reply.ends, comment=comment)
        closed = attendees.closed(event, self._now) or removals.standing(event, self._attendee) or ""
        row = proposals.record(self._session, self._attendee, event, proposed, closed, self._now)
        times = [in_zone(at, event.timezone) for at in (row.starts, row.ends) if at]
        why = row.reason or f"proposal {row.id}: {' to '.join(times)}; an organiser decides"
        self._refused(reply, why)
        return Applied(row.state == "open", why)

    def _take_refresh(self, reply: Reply) -> Applied:
        self._session.refresh(self._attendee, with_for_update=True)
        why = calendar_answers.refresh(self._session, self._event, self._attendee, self._taken.id or 0, self._now)
        said = why or "the present object goes to them once more"
        self._refused(reply, said)
        return Applied(why is None, said)

    def _refused(self, reply: Reply, why: str) -> Applied:
        """Keep it in the attendee's history: it leaves their reply as it was."""
        said = _REPLIES.get(reply.partstat) if self._mail.method == "REPLY" else None
        said = said or _said(self._mail, reply)
        return attendees.refused(self._session, self._attendee, said, "mail", reply.comment, why, self._now)

    def _distrusted(self, reply: Reply, about: Event | EventSession) -> str | None:
        """Why it is not believed, in one clause; None where it is. It is `about` the event or one of its sessions."""
        own = _normal(reply.attendee) == self._person.email
        sender = self._mail.sender
        if not self._has_token:
            return "not sent to the attendee's own reply address, so nothing vouches for its sender"
        # Without a UID the address says which event it is: it belongs to one attendee's place at one.
        if reply.uid and reply.uid != about.uid:
            return "its UID is not that of the event"
        # What is no series has one instance, which some programs name.
        instance = reply.recurrence_id is not None or bool(reply.recurrence_id_text)
        if instance and reply.recurrence_id != about.starts:
            return "it answers for one instance of a series, and the event is none"
        if not own and (self._mail.method == "REPLY" or reply.attendee):
            return "its ATTENDEE is not whom this address was given to: forwarded, forged or an alias"
        if _normal(sender) != self._person.email and (not sender or sender != reply.sent_by):
            return "its sender is not its ATTENDEE and does not act for them: forwarded, forged or an alias"
        if wanted(self._settings):
            return self._proof.doubt if self._proof else "its signature was not looked at"
        return None


def _normal(address: str) -> str:
    """An address as people's are kept (case, international domains); what is no address stays as it is."""
    return _address(address) or address


def _address(address: str) -> str:
    """An address as people's are kept; "" for what is none."""
    try:
        return people.normalise_email(address)
    except InputError:
        return ""
