"""Who is at which event: invited, what they replied, whether they came.

Every reply has a moment: a link's is when it was pressed, a calendar reply's is its DTSTAMP. The attendee's own latest
act wins, whichever way it came. An organiser's entry applies at once, and does not move that moment: an act of the
attendee's own that arrives later wins over it, unless it is older than the own act that we had before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import campaigns, confirmations, event_rows, feeds, itinerary_changes, proposals, removals
from events_service.db.tables import Attendee, AttendeeReply, Event, Person
from events_service.domain.cadence import ROLES
from events_service.errors import ConflictError, InputError, NotFoundError

REPLIES = ("accepted", "tentative", "declined")
MAX_NOTE = 2000
_BATCH = 500
EARLIEST_CHECK_IN = timedelta(days=1)
"""People register the evening before; a check-in long before the event is a slip of the hand."""


_THERE = select(Attendee).where(
    Attendee.event_id == sa.bindparam("event"), Attendee.person_id == sa.bindparam("person")
)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a reply: whether it changed what stands, and why or why not, in one clause.

    `waited_for` are the ids of deliveries that whoever replied waits for: its confirmation. `stale` where a newer act
    of their own stands.
    """

    applied: bool
    why: str
    waited_for: tuple[int, ...] = ()
    stale: bool = field(default=False, compare=False)


def add(session: Session, event: Event, person: Person, role: str | None, now: datetime) -> Attendee:
    """Put a person on an event; with no role, the person's own. Who is there already stays, but for a new role.

    Who was taken off it is put back. A campaign that runs plans its messages for a new attendee in the same
    transaction. InputError for an unknown role, ConflictError for a cancelled event. A past event takes people too:
    somebody may have walked in.
    """
    # A campaign that is starting at this moment either sees the new attendee or is seen by us.
    event = event_rows.lock(session, event)
    _check_open_to(event, role)
    made, attendee = _get_or_make(session, event, person, role or person.role, now)
    if made:
        campaigns.attendee_added(session, attendee, now)
        feeds.touch_person(session, attendee.person_id, now)
    elif attendee.removed_at is not None:
        attendee.role = role or attendee.role
        removals.put_back(session, event, [attendee], now)
    elif role is not None and attendee.role != role:
        attendee.role = role
        session.add(attendee)
        session.flush()
        # Steps that are for the new role alone were not planned for the old one; the others are there already.
        campaigns.attendee_added(session, attendee, now)
    return attendee


def add_many(
    session: Session, event: Event, persons: Sequence[tuple[Person, str | None]], now: datetime
) -> list[Attendee]:
    """`add` for many persons, each with a role or None, in a few statements; those who were not on it before.

    A person who is named twice takes the role named last.
    """
    event = event_rows.lock(session, event)
    for _, role in persons:
        _check_open_to(event, role)
    wanted = {_id(person): (person, role) for person, role in persons}
    there: dict[int, Attendee] = {}
    numbers = list(wanted)
    for start in range(0, len(numbers), _BATCH):
        batch = numbers[start : start + _BATCH]
        found = select(Attendee).where(Attendee.event_id == event.id, col(Attendee.person_id).in_(batch))
        there |= {a.person_id: a for a in session.exec(found) if a.person_id is not None}
    made = [
        Attendee(event_id=_id(event), person_id=number, role=role or person.role, added_at=now)
        for number, (person, role) in wanted.items()
        if number not in there
    ]
    try:
        with session.begin_nested():
            session.add_all(made)
    except sa.exc.IntegrityError:
        # Another process is adding some of the same persons: one by one, each is there or is made.
        before = {number for number, attendee in there.items() if attendee.removed_at is None}
        added = [add(session, event, person, role, now) for person, role in wanted.values()]
        return [one for one in added if one.person_id not in before and now in (one.added_at, one.returned_at)]
    for number, attendee in there.items():
        if role := wanted[number][1]:
            attendee.role = role
    session.flush()
    if made:
        campaigns.attendees_added(session, event, made, now)
        for attendee in made:
            feeds.touch_person(session, attendee.person_id, now)
    if returning := [attendee for attendee in there.values() if attendee.removed_at is not None]:
        removals.put_back(session, event, returning, now)
    return [*made, *returning]


def _check_open_to(event: Event, role: str | None) -> None:
    if role is not None and role not in ROLES:
        raise InputError(f"role {role[:40]!r} is unknown; use one of {', '.join(ROLES)}")
    if event.state == "cancelled":
        raise ConflictError(f"{event.slug} was cancelled; nobody can be added to it")


def _get_or_make(session: Session, event: Event, person: Person, role: str, now: datetime) -> tuple[bool, Attendee]:
    both = {"event": event.id, "person": person.id}
    found = session.exec(_THERE, params=both).first()
    if found is not None:
        return False, found
    attendee = Attendee(event_id=_id(event), person_id=_id(person), role=role, added_at=now)
    try:
        with session.begin_nested():
            session.add(attendee)
    except sa.exc.IntegrityError:
        # Another process added the same person between our look and our insert.
        return False, session.exec(_THERE, params=both).one()
    return True, attendee


def find(session: Session, event: Event, email: str) -> Attendee:
    """The attendee with that (normalised) address at that event; NotFoundError, ConflictError for one taken off."""
    attendee = session.exec(
        select(Attendee).join(Person).where(Attendee.event_id == event.id, Person.email == email)
    ).first()
    if attendee is None:
        raise NotFoundError("attendee", email, f"`events attendee add {event.slug} {email}` adds them")
    if attendee.removed_at is not None:
        raise ConflictError(
            f"{email} was taken off {event.slug} on {attendee.removed_at:%Y-%m-%d};"
            f" `events attendee add {event.slug} {email}` puts them back"
        )
    return attendee


def closed(event: Event, now: datetime) -> str | None:
    """Why replies to an event no longer count, as one line; None while they do."""
    if event.state == "cancelled":
        return f"{event.slug} was cancelled; replies to it no longer count"
    if event.state == "done" or event.ends <= now:
        return f"{event.slug} ended on {event.ends:%Y-%m-%d}; replies to it no longer count"
    return None


def set_reply(
    session: Session,
    attendee: Attendee,
    reply: str,
    *,
    via: str,
    note: str,
    now: datetime,
    sequence: int | None = None,
    dtstamp: datetime | None = None,
) -> Applied:
    """Record a reply (accepted, tentative or declined) and, unless it is stale or says nothing new, apply it.

    `via` is link, mail or organiser. `sequence` and `dtstamp` are a calendar reply's: a lower SEQUENCE, then an older
    DTSTAMP, than those of the attendee's own act that stands does not win (RFC 5546 section 2.1.5). ConflictError for
    an event that is past or cancelled, and for who was taken off it: nothing is recorded then, and the caller tells
    whoever replied (`refused` records it where nobody is there to tell). NotFoundError for somebody who was erased.
    """
    if reply not in REPLIES:
        raise InputError(f"reply {reply[:40]!r} is unknown; use one of {', '.join(REPLIES)}")
    if attendee.person_id is None:
        raise NotFoundError("attendee", attendee.id, "they asked to be erased")
    event = session.get_one(Event, attendee.event_id)
    if why := closed(event, now):
        raise ConflictError(why)
    # Two replies at once must see each other's outcome: the row is read again under a lock (SQLite locks as a whole).
    session.refresh(attendee, with_for_update=True)
    if why := removals.standing(event, attendee):
        raise ConflictError(why)
    note = clean_note(note)
    # A second is what DTSTAMP can tell apart; a clock that runs ahead must not outlast every later reply.
    moment = min(dtstamp or now, now).replace(microsecond=0)
    own = via != "organiser"
    if own and (why := _stale(attendee, sequence, moment)):
        return _record(session, attendee, reply, via, note, now, Applied(False, why, stale=True))
    shown = event.sequence + attendee.sequence_ahead
    same = attendee.reply == reply and note in ("", attendee.reply_note)
    if own:
        attendee.reply_dtstamp = moment
        if via == "link":
            attendee.reply_sequence = shown
        elif sequence is not None:
            attendee.reply_sequence = min(sequence, shown)
        if reply == "accepted":
            proposals.accepted_as_it_is(session, attendee, moment, now)
    if same:
        session.add(attendee)
        return _record(session, attendee, reply, via, note, now, Applied(False, f"was {reply} already"))
    changed = attendee.reply != reply
    attendee.reply, attendee.reply_note, attendee.reply_via, attendee.replied_at = reply, note, via, now
    session.add(attendee)
    applied = _record(session, attendee, reply, via, note, now, Applied(True, f"now {reply}"))
    if changed:
        campaigns.reply_changed(session, attendee, now)
        feeds.touch_person(session, attendee.person_id, now)
        applied = replace(applied, waited_for=confirmations.reply_changed(session, event, attendee, via, now))
        itinerary_changes.reply_changed(session, event, attendee, now)
    return applied


def refused(session: Session, attendee: Attendee, reply: str, via: str, note: str, why: str, now: datetime) -> Applied:
    """Record a reply that changes nothing, for the history: nobody is there to be told at once."""
    return _record(session, attendee, reply, via, clean_note(note), now, Applied(False, why))


def check_in(session: Session, attendee: Attendee, now: datetime) -> None:
    """Record that the attendee came. A second check-in changes nothing.

    Nobody is ever marked absent: attended is True or unknown. ConflictError if the event was cancelled, or begins more
    than a day from now, and for who was taken off it.
    """
    event = session.get_one(Event, attendee.event_id)
    if attendee.removed_at is not None:
        raise ConflictError(f"they were taken off {event.slug}; `events attendee add` puts them back")
    if event.state == "cancelled":
        raise ConflictError(f"{event.slug} was cancelled; nobody can check in")
    if now < event.starts - EARLIEST_CHECK_IN:
        raise ConflictError(f"{event.slug} begins on {event.starts:%Y-%m-%d}; check-in opens a day before")
    if not attendee.attended:
        attendee.attended, attendee.attended_at = True, now
        session.add(attendee)
        session.flush()
        if now > event.ends:
            feeds.touch_tasks(session, attendee.event_id, now)


def clean_note(note: str) -> str:
    """A note as it is kept: lines of printable text, at most 2,000 characters."""
    text = note.replace("\r\n", "\n").replace("\r", "\n")[: 2 * MAX_NOTE]
    return "".join(char for char in text if char == "\n" or char.isprintable()).strip()[:MAX_NOTE]


def _stale(attendee: Attendee, sequence: int | None, moment: datetime) -> str | None:
    stood = attendee.reply_sequence
    if sequence is not None and stood is not None and sequence < stood:
        return f"stale: it answers revision {sequence} of the event, the reply that stands answered {stood}"
    newer = sequence is not None and stood is not None and sequence > stood
    if not newer and attendee.reply_dtstamp is not None and moment < attendee.reply_dtstamp:
        stands = attendee.reply_dtstamp
        return f"stale: made at {moment:%Y-%m-%dT%H:%M:%SZ}, the reply that stands at {stands:%Y-%m-%dT%H:%M:%SZ}"
    return None


def _record(
    session: Session, attendee: Attendee, reply: str, via: str, note: str, now: datetime, applied: Applied
) -> Applied:
    session.add(
        AttendeeReply(
            attendee_id=_id(attendee), at=now, via=via, reply=reply, note=note, applied=applied.applied, why=applied.why
        )
    )
    session.flush()
    return applied


def _id(row: Event | Person | Attendee) -> int:
    if row.id is None:
        raise ValueError(f"{type(row).__name__} has no number yet; flush it first")
    return row.id
