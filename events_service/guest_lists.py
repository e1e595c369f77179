"""Who is on the guest list of an event, as counts and as JSON values. Whoever was taken off it is in neither."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service.db.tables import Attendee, Event, Institution, Person


def counts(session: Session, event_id: int) -> dict[str, int]:
    """How many are invited, and of these accepted, declined, tentative, none: the four add up to invited."""
    return counts_of(session, [event_id])[event_id]


def counts_of(session: Session, event_ids: Iterable[int]) -> dict[int, dict[str, int]]:
    """`counts` of many events in one query; an event without attendees has zeros."""
    made = {id: {"invited": 0, "accepted": 0, "declined": 0, "tentative": 0, "none": 0} for id in event_ids}
    rows = session.execute(
        sa.select(col(Attendee.event_id), col(Attendee.reply), sa.func.count())
        .where(col(Attendee.event_id).in_(list(made)), col(Attendee.removed_at).is_(None))
        .group_by(col(Attendee.event_id), col(Attendee.reply))
    )
    for event_id, reply, number in rows:
        made[event_id][reply] = number
        made[event_id]["invited"] += number
    return made


def listing(session: Session, event: Event, *, removed: bool = False) -> list[dict[str, Any]]:
    """The attendees of an event, by address, as JSON values; attended is true, or null where it is not known.

    Those who were erased are counted by `counts`, and not listed. Those who were taken off are neither; with `removed`
    they, and nobody else, are listed.
    """
    off = col(Attendee.removed_at)
    rows = session.exec(
        select(Attendee, Person, col(Institution.name))
        .join(Person, col(Attendee.person_id) == col(Person.id))
        .outerjoin(Institution, col(Person.institution_id) == col(Institution.id))
        .where(Attendee.event_id == event.id, off.is_not(None) if removed else off.is_(None))
        .order_by(col(Person.email))
    )
    return [_as_json(attendee, person, institution) for attendee, person, institution in rows]


def as_json(session: Session, attendee: Attendee) -> dict[str, Any]:
    """One attendee, as `listing` gives it."""
    person = session.get_one(Person, attendee.person_id)
    institution = session.get(Institution, person.institution_id) if person.institution_id else None
    return _as_json(attendee, person, institution.name if institution else None)


def _as_json(attendee: Attendee, person: Person, institution: str | None) -> dict[str, Any]:
    return {
        "email": person.email,
        "name": person.name,
        "role": attendee.role,
        "reply": attendee.reply,
        "replied_at": attendee.replied_at,
        "via": attendee.reply_via,
        "note": attendee.reply_note,
        "attended": attendee.attended,
        "removed_at": attendee.removed_at,
        "removal_reason": attendee.removal_reason,
        "institution": institution or person.organisation or None,
    }
