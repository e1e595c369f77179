"""Itineraries: which sessions of an event an attendee attends, as they or an organiser say.

By default they attend all but those of leisure, which cost money. What differs from that is kept; every word of it goes
into the same history as replies to the event.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlmodel import Session, select

from events_service import attendees, event_rows, feeds, itinerary_changes
from events_service.attendees import Applied
from events_service.db.tables import Attendee, AttendeeReply, AttendeeSession, Event, EventSession
from events_service.domain.itinerary import attends
from events_service.errors import ConflictError, InputError, UsageError
from events_service.event_json import in_zone
from events_service.itinerary_rows import choices_of, known_by


def listing(session: Session, event: Event, attendee: Attendee) -> list[dict[str, Any]]:
    """The sessions of an event as JSON values, in order, and whether the attendee attends each.

    `n` is what `choose` calls it by. Those that were cancelled are not in it.
    """
    choices = choices_of(session, [_id(attendee)]).get(_id(attendee), {})
    return [
        {
            "n": item.position,
            "title": item.title,
            "starts": in_zone(item.starts, item.timezone),
            "ends": in_zone(item.ends, item.timezone),
            "timezone": item.timezone,
            "kind": item.kind,
            "attends": attends(item.kind, choice.attends if choice else None),
        }
        for item in event_rows.sessions_of(session, event)
        if item.cancelled_at is None
        for choice in [choices.get(item.id or 0)]
    ]


def choose(
    session: Session, event: Event, attendee: Attendee, attend: Collection[int], leave: Collection[int], now: datetime
) -> list[str]:
    """Enter that an attendee attends some sessions and leaves others, by their `n`; what changed, a clause each.

    Whoever was told of them is told of the change. UsageError for a session that is in both, InputError for one that
    the event does not have, ConflictError for an event that is over or cancelled.
    """
    event = event_rows.lock(session, event)
    if both := sorted(set(attend) & set(leave)):
        raise UsageError(f"session {both[0]} is named by both --attend and --leave")
    items = {item.position: item for item in event_rows.sessions_of(session, event) if item.cancelled_at is None}
    for number in [*attend, *leave]:
        if number not in items:
            there = f"it has {', '.join(map(str, items))}" if items else "it has none"
            raise InputError(f"{event.slug} has no session {number}; {there}")
    if why := attendees.closed(event, now):
        raise ConflictError(why.replace("replies to it", "changes to its sessions"))
    said = []
    for number in sorted({*attend, *leave}):
        wanted, item = number in attend, items[number]
        choice = session.get(AttendeeSession, (attendee.id, item.id), with_for_update=True)
        if _keep(session, attendee, item, choice, wanted, now):
            what = f"session {number}: {'attends' if wanted else 'leaves'}"
            answer = "accepted" if wanted else "declined"
            _record(session, attendee, item, answer, "organiser", "", now, Applied(True, what))
            said.append(f"{what}, {item.title}")
    if said:
        _follow(session, event, attendee, now)
    return said


def session_of(session: Session, event: Event, uid: str) -> EventSession | None:
    """The session of an event whose calendar object has that UID."""
    return session.exec(select(EventSession).where(EventSession.event_id == event.id, EventSession.uid == uid)).first()


def replied(
    session: Session,
    attendee: Attendee,
    item: EventSession,
    answer: str,
    now: datetime,
    *,
    note: str = "",
    sequence: int | None = None,
    dtstamp: datetime | None = None,
) -> Applied:
    """Take a calendar reply to a session: declined means that they leave it, accepted and tentative that they attend.

    A reply to an older object than they were sent, or one that is older than what stands, does not win (RFC 5546
    section 2.1.5). Whoever declines in their own calendar needs no CANCEL of it. Every one is on record.
    """
    event = session.get_one(Event, attendee.event_id)
    # Two replies at once must see each other's outcome (SQLite locks as a whole).
    session.refresh(attendee, with_for_update=True)
    moment = min(dtstamp or now, now).replace(microsecond=0)
    sent = _sent(session, attendee, item)
    choice = session.get(AttendeeSession, (attendee.id, item.id), with_for_update=True)
    if why := attendees.closed(event, now) or _stale(item, sent, choice, sequence, moment):
        return _record(session, attendee, item, answer, "mail", note, now, Applied(False, why))
    wanted = answer != "declined"
    changed = _keep(session, attendee, item, choice, wanted, moment)
    if choice := session.get(AttendeeSession, (attendee.id, item.id)):
        choice.declined_sequence = None if wanted else sent
        session.flush()
    if changed:
        _follow(session, event, attendee, now)
    said = f"session {item.position}: {'attends' if wanted else 'leaves'}{'' if changed else ', as before'}"
    return _record(session, attendee, item, answer, "mail", note, now, Applied(changed, said))


def _keep(
    session: Session, attendee: Attendee, item: EventSession, choice: AttendeeSession | None, wanted: bool, at: datetime
) -> bool:
    """Keep a choice beside the one that there is; whether it is another."""
    if attends(item.kind, choice.attends if choice else None) == wanted:
        return False
    if choice is None:
        choice = AttendeeSession(attendee_id=_id(attendee), session_id=item.id or 0, attends=wanted, changed_at=at)
    choice.attends, choice.changed_at = wanted, at
    session.add(choice)
    session.flush()
    return True


def _follow(session: Session, event: Event, attendee: Attendee, now: datetime) -> None:
    itinerary_changes.attendee_changed(session, event, attendee, now)
    feeds.touch_person(session, attendee.person_id, now)


def _sent(session: Session, attendee: Attendee, item: EventSession) -> int | None:
    """The SEQUENCE of the newest object of a session that an attendee has, or may have."""
    known = known_by(session, [_id(attendee)]).get(_id(attendee))
    last = known.last.get(item.id or 0) if known else None
    return last.sequence if last else None


def _stale(
    item: EventSession, sent: int | None, choice: AttendeeSession | None, sequence: int | None, moment: datetime
) -> str | None:
    """Why a reply to a session no longer counts, in one clause; None while it does."""
    if item.cancelled_at is not None:
        return f"session {item.position} was cancelled"
    if sent is None:
        return f"session {item.position} was never sent to them"
    if sequence is not None and sequence < sent:
        return f"stale: it answers revision {sequence} of session {item.position}, they were sent {sent} since"
    if choice is not None and moment < choice.changed_at.replace(microsecond=0):
        return f"stale: made at {moment:%Y-%m-%dT%H:%M:%SZ}, what stands at {choice.changed_at:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _record(
    session: Session,
    attendee: Attendee,
    item: EventSession,
    answer: str,
    via: str,
    note: str,
    now: datetime,
    applied: Applied,
) -> Applied:
    session.add(
        AttendeeReply(
            attendee_id=_id(attendee),
            session_id=item.id,
            at=now,
            via=via,
            reply=answer,
            note=attendees.clean_note(note),
            applied=applied.applied,
            why=applied.why,
        )
    )
    session.flush()
    return applied


def _id(attendee: Attendee) -> int:
    if attendee.id is None:
        raise ValueError("an attendee has no number before they are flushed")
    return attendee.id
