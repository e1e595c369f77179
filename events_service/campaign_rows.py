"""The deliveries of a campaign as rows: for whom, when due, and what moves or follows when their event changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import outbox
from events_service.db.tables import Attendee, CampaignStep, Event, Person
from events_service.domain.cadence import Cadence, Moment, due_at, expires_at
from events_service.domain.delivery import TOLD, UNSENT, delivery_key
from events_service.event_rows import id_of
from events_service.outbox import ROWS

_ON_IT = col(Attendee.removed_at).is_(None)


def _gone(row: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a delivery is with its recipient's server, as far as is known, or on its way there."""
    return sa.or_(row.c.state.in_(("sent", "bounced")), _in_data(row))


def _in_data(row: sa.FromClause) -> sa.ColumnElement[bool]:
    return sa.and_(row.c.state == "sending", row.c.in_data_at.is_not(None))


MAY_HAVE_GONE = sa.or_(ROWS.c.state.in_(TOLD), _in_data(ROWS), ROWS.c.doubted_at.is_not(None))
"""Of a delivery: whether its recipient has it, or may have it."""
_OFF = ROWS.alias("off")
_UNDONE = sa.exists().where(
    _OFF.c.attendee_id == ROWS.c.attendee_id, _OFF.c.purpose == "uninvited", _OFF.c.id > ROWS.c.id, _gone(_OFF)
)
_HEARD = sa.and_(
    ROWS.c.attendee_id == col(Attendee.id),
    sa.or_(ROWS.c.step_id.is_not(None), ROWS.c.purpose == "update"),
    MAY_HAVE_GONE,
    sa.not_(_UNDONE),
)
"""Of a delivery and an attendee: whether it told them of the event, or may have, and they were not taken off since."""
_KNOW_OF_IT = sa.or_(sa.exists().where(_HEARD), col(Attendee.reply) != "none")
_LAST = sa.select(sa.func.max(ROWS.c.sequence)).where(_HEARD).correlate(Attendee).scalar_subquery()


def _written(purpose: str, *which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(ROWS.c.attendee_id == col(Attendee.id), ROWS.c.purpose == purpose, *which)


def _are_asked(event: Event) -> sa.ColumnElement[bool]:
    """Who is told that the event is elsewhere, or at another time: those who declined only where its dates are others.

    That is, since they heard of it last, and since they declined. Their reason may be gone then.
    """
    redated = event.redated_sequence
    may_come_now = sa.and_(
        sa.func.coalesce(_LAST, 0) < redated,
        sa.func.coalesce(col(Attendee.reply_sequence), 0) < redated + col(Attendee.sequence_ahead),
    )
    return sa.or_(col(Attendee.reply) != "declined", may_come_now)


def to_update(session: Session, event: Event) -> list[tuple[Attendee, Person]]:
    """Who is told of a change of when or where: who has heard of the event from us, or may have, or has answered.

    What is claimed and not in DATA does not count: its fence sees what became of the event.
    """
    return people_of(session, event, _KNOW_OF_IT, _are_asked(event))


def behind(session: Session, event: Event) -> list[tuple[Attendee, Person]]:
    """Of these, who heard of an older SEQUENCE last, and for whom no update to this one is written."""
    since_back = sa.or_(col(Attendee.returned_at).is_(None), ROWS.c.created_at >= col(Attendee.returned_at))
    written = _written("update", ROWS.c.sequence == event.sequence, since_back)
    return people_of(session, event, event.sequence > _LAST, _are_asked(event), sa.not_(written))


def to_cancel(session: Session, event: Event) -> list[tuple[Attendee, Person]]:
    """Who is told that the event is off, and is not written to yet: who knows of it, whatever they answered.

    Among them who was taken off it and has not heard of that: that letter would say that the event goes on.
    """
    told = _written("uninvited", ROWS.c.created_at >= col(Attendee.removed_at), _gone(ROWS))
    return _people(session, event, sa.or_(_ON_IT, sa.not_(told)), _KNOW_OF_IT, sa.not_(_written("cancellation")))


def to_uninvite(session: Session, event: Event) -> list[tuple[Attendee, Person]]:
    """Who was taken off the event, knows of it, and is not written to about that yet."""
    written = _written("uninvited", ROWS.c.created_at >= col(Attendee.removed_at))
    return _people(session, event, sa.not_(_ON_IT), _KNOW_OF_IT, sa.not_(written))


def people_of(session: Session, event: Event, *where: sa.ColumnElement[bool]) -> list[tuple[Attendee, Person]]:
    """The attendees of an event; not those who were taken off it."""
    return _people(session, event, _ON_IT, *where)


def _people(session: Session, event: Event, *where: sa.ColumnElement[bool]) -> list[tuple[Attendee, Person]]:
    query = select(Attendee, Person).join(Person).where(Attendee.event_id == event.id, *where)
    return list(session.exec(query.order_by(col(Attendee.id))))


def steps_from(campaign_id: int, cadence: Cadence) -> list[CampaignStep]:
    return [
        CampaignStep(
            campaign_id=campaign_id,
            position=position,
            key=step.key,
            template=step.template,
            roles=list(step.audience.roles),
            replies=list(step.audience.replies),
            attendance=step.audience.attendance,
            survey=step.survey,
            wave=step.wave,
            unanswered=step.unanswered,
            anchor=step.at.anchor,
            offset_days=step.at.days,
            at_time=step.at.time,
            on_late=step.late.policy,
            grace_hours=step.late.grace_hours,
            min_gap_days=step.min_gap_days,
            unknown_policy=step.unknown,
            calendar=step.calendar,
            itinerary=step.itinerary,
        )
        for position, step in enumerate(cadence.steps, 1)
    ]


def write(
    session: Session,
    event: Event,
    steps: Sequence[CampaignStep],
    people: Sequence[tuple[Attendee, Person]],
    now: datetime,
) -> int:
    made = [made for step in steps for one in people if (made := row(event, step, *one, now))]
    return outbox.post(session, made)


def row(event: Event, step: CampaignStep, attendee: Attendee, person: Person, now: datetime) -> dict[str, Any] | None:
    if step.roles and attendee.role not in step.roles:
        return None
    return {
        # One who was put back begins anew.
        "key": delivery_key("campaign", id_of(event), step.key, _person(person), attendee.sequence_ahead),
        "purpose": "campaign",
        "event_id": event.id,
        "step_id": step.id,
        "step": step.key,
        "attendee_id": attendee.id,
        "person_id": person.id,
        "mandatory": False,
        "priority": 1,
        "state": "pending",
        "sequence": event.sequence,
        "unknown_policy": step.unknown_policy,
        "fields": {},
        "attempts": 0,
        "created_at": now,
        "changed_at": now,
        **_moments(event, step, person.timezone),
    }


def _moments(event: Event, step: CampaignStep, zone: str) -> dict[str, datetime | None]:
    when = due(event, step, zone)
    late = when + timedelta(hours=step.grace_hours) if step.on_late == "ask" else None
    ends = expires_at(step.anchor, step.offset_days, step.on_late, step.grace_hours, when, event.starts)
    return {"due_at": when, "next_at": when, "late_at": late, "expires_at": ends}


def due(event: Event, step: CampaignStep, zone: str) -> datetime:
    moment = Moment.model_validate({"anchor": step.anchor, "days": step.offset_days, "time": step.at_time})
    return due_at(moment, event.starts, event.ends, event.timezone, zone)


def retime(session: Session, event: Event, now: datetime) -> int:
    """Every unsent row that speaks of an older SEQUENCE gets the moments of this one, a group by step and zone."""
    stale = sa.and_(
        ROWS.c.event_id == event.id, ROWS.c.state.in_(UNSENT), ROWS.c.step_id.is_not(None),
        ROWS.c.sequence != event.sequence,
    )  # fmt: skip
    groups = (
        sa.select(ROWS.c.step_id, col(Person.timezone))
        .join(Person, col(Person.id) == ROWS.c.person_id)
        .where(stale)
        .distinct()
        .order_by(ROWS.c.step_id, col(Person.timezone))
    )
    touched = 0
    for step_id, zone in session.connection().execute(groups).all():
        there = sa.select(col(Person.id)).where(col(Person.timezone) == zone)
        touched += session.connection().execute(
            sa.update(ROWS)
            .where(stale, ROWS.c.step_id == step_id, ROWS.c.person_id.in_(there))
            .values(
                **_moments(event, session.get_one(CampaignStep, step_id), zone),
                sequence=event.sequence, content_id=None, rung_at=None, changed_at=now,
            )
        ).rowcount  # fmt: skip
    return touched


def tell(
    session: Session,
    event: Event,
    purpose: str,
    people: Sequence[tuple[Attendee, Person]],
    now: datetime,
    until: datetime,
) -> int:
    """Write what must be said to these people whatever holds the campaign, once for each SEQUENCE in their calendar."""
    letters: list[dict[str, Any]] = [
        {
            "key": delivery_key(purpose, id_of(event), "-", _person(person), event.sequence + attendee.sequence_ahead),
            "purpose": purpose,
            "event_id": event.id,
            "step": purpose,
            "attendee_id": attendee.id,
            "person_id": person.id,
            "mandatory": True,
            "priority": 1,
            "state": "pending",
            "sequence": event.sequence,
            "due_at": now,
            "next_at": now,
            "expires_at": until,
            "unknown_policy": "resend",
            "fields": {},
            "attempts": 0,
            "created_at": now,
            "changed_at": now,
        }
        for attendee, person in people
    ]
    return outbox.post(session, letters) if until > now else 0


def drop_unsent(session: Session, attendees: Sequence[Attendee], why: str, now: datetime) -> int:
    """Cancel what was not begun of what these attendees would be sent; how many. The verdict stops what is claimed."""
    theirs = ROWS.c.attendee_id.in_([attendee.id for attendee in attendees])
    dropped = sa.update(ROWS).where(theirs, ROWS.c.state.in_(UNSENT))
    values = {"state": "cancelled", "hold_reason": None, "last_error": why, "changed_at": now}
    return session.connection().execute(dropped.values(values)).rowcount


def _person(person: Person) -> int:
    if person.id is None:
        raise ValueError("a person has no number before they are flushed")
    return person.id


def too_soon(session: Session, ids: Sequence[int], now: datetime, wait: timedelta) -> dict[int, datetime]:
    """Of these claimed rows, those whose step keeps a gap that is not over, each with when to try it again.

    The gap counts from the last message sent to the same attendee for this event, or that may have been. While an
    earlier one is still on its way it cannot be told yet, so the row waits for `wait`.
    """
    found = {}
    for id, days, last, waiting in session.connection().execute(_gaps(), {"ids": list(ids)}):
        ends = [last + timedelta(days=days)] if last else []
        until = max([*ends, now + wait] if waiting else ends)
        if until > now:
            found[id] = until
    return found


@lru_cache(maxsize=1)
def _gaps() -> sa.Select[Any]:
    """Of the rows `ids` whose step keeps a gap: its days, when the last message went, whether one is on its way."""
    mine, other = ROWS.alias("mine"), ROWS.alias("other")
    step = sa.inspect(CampaignStep).local_table
    earlier = sa.tuple_(other.c.due_at, other.c.id) < sa.tuple_(mine.c.due_at, mine.c.id)
    on_its_way = sa.and_(other.c.state.in_(("pending", "sending")), earlier)
    gone = other.c.state.in_(("sent", "unknown", "bounced"))
    gone_at = sa.case((gone, sa.func.coalesce(other.c.sent_at, other.c.changed_at)))
    return (
        sa.select(mine.c.id, step.c.min_gap_days, sa.func.max(gone_at), sa.func.max(sa.case((on_its_way, 1), else_=0)))
        .join(step, step.c.id == mine.c.step_id)
        .join(other, sa.and_(other.c.attendee_id == mine.c.attendee_id, other.c.id != mine.c.id))
        .where(
            mine.c.id.in_(sa.bindparam("ids", expanding=True)),
            step.c.min_gap_days > 0,
            other.c.step_id.is_not(None),
            sa.or_(gone, on_its_way),
        )
        .group_by(mine.c.id, step.c.min_gap_days)
    )
