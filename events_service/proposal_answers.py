"""What an organiser says to a proposal: yes moves the event or takes the delegate, no is told by mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from events_service import attendees, calendar_answers, campaign_rows, event_moves, event_rows, people, proposals
from events_service.db.tables import Attendee, Event, Person, Proposal
from events_service.errors import ConflictError, NotFoundError

BY_ORGANISER = "an organiser accepted it"


@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer did: the deliveries and feeds that it touched, and notes for the person who gave it."""

    deliveries: int = 0
    feeds: int = 0
    notes: tuple[str, ...] = ()


def accept(
    session: Session, number: int, now: datetime, waive: Sequence[str] = (), reason: str = ""
) -> tuple[Proposal, Answered]:
    """Do what was proposed, and settle it. NotFoundError, ConflictError for one that is settled.

    A time moves the event as `event_moves.move` does, with its rules and refusals (RefusedError); everybody who was
    told gets the new times, whoever proposed them too, also if they had declined. A delegate gets a place in the
    attendee's role, and the attendee's own is then declined.
    """
    proposal, event, attendee, person = _open(session, number, now)
    if proposal.kind == "delegate":
        return proposal, _take_delegate(session, proposal, event, attendee, now)
    moved = event_moves.move(session, event, proposal.starts, proposal.ends, now, tuple(waive), reason)
    touched = moved.deliveries
    if moved.changed and event.state == "approved":
        touched += campaign_rows.tell(session, event, "update", [(attendee, person)], now, event.ends)
    proposals.settle(session, proposal, "accepted", reason.strip() or BY_ORGANISER, now)
    return proposal, Answered(touched, moved.feeds, moved.notes)


def decline(session: Session, number: int, reason: str, now: datetime) -> Proposal:
    """Say no to what was proposed. Whoever proposed a time is told by mail, once; of a delegate nobody is.

    NotFoundError, ConflictError for one that is settled.
    """
    proposal, event, attendee, _person = _open(session, number, now)
    proposals.settle(session, proposal, "declined", attendees.clean_note(reason), now)
    if proposal.kind == "time":
        calendar_answers.decline(session, event, attendee, proposal, now)
    return proposal


def _open(session: Session, number: int, now: datetime) -> tuple[Proposal, Event, Attendee, Person]:
    """An open proposal with all that it is about, held until the transaction ends: the event first, as everywhere."""
    attendee = session.get_one(Attendee, proposals.find(session, number).attendee_id)
    event = event_rows.lock(session, session.get_one(Event, attendee.event_id))
    proposal = proposals.find(session, number, lock=True)
    if proposal.state != "open":
        raise ConflictError(f"proposal {number} is {proposal.state} already: {proposal.reason or 'no reason given'}")
    if why := attendees.closed(event, now):
        raise ConflictError(why)
    if attendee.person_id is None:
        raise NotFoundError("proposal", number, "whoever made it was erased")
    return proposal, event, attendee, session.get_one(Person, attendee.person_id)


def _take_delegate(session: Session, proposal: Proposal, event: Event, attendee: Attendee, now: datetime) -> Answered:
    delegate = people.find_or_make(session, proposal.delegate, attendee.role, "delegate of somebody invited", now)
    place = attendees.add(session, event, delegate, attendee.role, now)
    attendees.set_reply(session, attendee, "declined", via="organiser", note=attendee.reply_note, now=now)
    proposals.settle(session, proposal, "accepted", BY_ORGANISER, now)
    return Answered(notes=(f"{delegate.email} is on {event.slug} as {place.role}",))
