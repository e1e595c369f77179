"""What is left to do around an event, as VTODOs in the organisers' feed.

Derived from what stands in the database whenever the feed is built; nothing is stored, so nothing can go stale.

| task | there is one | due | done |
| --- | --- | --- | --- |
| check in attendees | somebody accepted, and nobody was checked in by the end | a week later | by the first check-in |
| record outcomes | none was recorded by the end | two weeks later | by the first outcome |
| answer for a step | a step that asks is late and has unsent messages | when the event begins | by the answer |
| refresh material | it is older than the last held review, and the event is not over | when it begins | by doing so |

The first two stay for 30 days after they are done. Of the others nobody notes when they were done, so they just go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from events_service.calendars.model import CalendarEvent
from events_service.db.tables import Attendee, Campaign, CampaignStep, Delivery, Event, Outcome, ReviewRecord
from events_service.domain import reviews, rules
from events_service.domain.delivery import UNSENT
from events_service.feed_programmes import InForce

DONE_FOR = timedelta(days=30)
"""How long a task stays once it is done."""
CHECK_IN_WITHIN = timedelta(days=7)
RECORD_WITHIN = timedelta(days=14)


@dataclass(slots=True)
class Todo:
    """An event's tasks at a moment, and the moments at which time alone changes them."""

    tasks: list[CalendarEvent] = field(default_factory=list)
    expiries: list[datetime] = field(default_factory=list)


class _Asking(NamedTuple):
    """A step that asks an organiser what to do when it is late, since when its first message is, and until when any is
    of use."""

    step_id: int
    key: str
    late_at: datetime
    until: datetime | None


def tasks(
    session: Session, chosen: sa.ColumnElement[bool], programmes: Sequence[InForce], now: datetime
) -> dict[int, Todo]:
    """What is left to do at `now`, by the event's number, for the events that are `chosen`."""
    by_key = {one.programme.key: one.programme for one in programmes}
    held = _held(session)
    asking = _asking(session, chosen, now)
    found: dict[int, Todo] = {}
    for event in _events(session, chosen):
        todo = Todo()
        for task in _after_the_end(event, now, todo):
            _add(todo, task, now)
        for step in asking.get(event.id, ()):
            if step.late_at <= now:
                todo.tasks.append(_answer(event, step))
            todo.expiries += [at for at in (step.late_at, step.until) if at is not None and at > now]
        last = reviews.last_held(held.get(event.programme_key, {}))
        programme = by_key.get(event.programme_key)
        if last and programme and now < event.ends:
            refreshed = rules.material_refreshed(programme, event.material_refreshed, event.themes)
            if refreshed is not None and refreshed < last[1]:
                todo.tasks.append(_refresh(event, refreshed, *last))
        if todo.tasks or todo.expiries:
            found[event.id] = todo
    return found


def _after_the_end(event: Any, now: datetime, todo: Todo) -> Iterator[CalendarEvent]:
    if now < event.ends:
        todo.expiries.append(event.ends)
        return
    if event.accepted and (event.came is None or event.came > event.ends):
        number = f"{event.accepted} {'person' if event.accepted == 1 else 'people'}"
        yield _task(
            event,
            "check-in",
            f"Check in attendees: {event.title}",
            f"{number} accepted, and nobody is recorded as having come.\nevents attendee checkin {event.slug} EMAIL",
            event.ends,
            event.ends + CHECK_IN_WITHIN,
            event.came,
        )
    if event.recorded is None or event.recorded > event.ends:
        yield _task(
            event,
            "outcomes",
            f"Record outcomes: {event.title}",
            f"Say what came of it, even if it is little.\nevents outcome add {event.slug} --kind K --note TEXT",
            event.ends,
            event.ends + RECORD_WITHIN,
            event.recorded,
        )


def _answer(event: Any, step: _Asking) -> CalendarEvent:
    due = max(event.starts, step.late_at)
    said = (
        f"Its messages are late: say whether they still go.\nevents campaign answer {event.slug} {step.key} send|skip"
    )
    title = f"Answer for the step {step.key}: {event.title}"
    return _task(event, f"answer-{step.step_id}", title, said, step.late_at, due, None)


def _refresh(event: Any, refreshed: date, review: str, held_on: date) -> CalendarEvent:
    said = f"It was last refreshed on {refreshed}, before the review {review} of {held_on}."
    began = min(event.starts, datetime.combine(held_on, datetime.min.time(), event.starts.tzinfo))
    return _task(event, "material", f"Refresh the material: {event.title}", said, began, event.starts, None)


def _task(
    event: Any,
    which: str,
    title: str,
    said: str,
    since: datetime,
    due: datetime,
    completed: datetime | None,
) -> CalendarEvent:
    return CalendarEvent(
        uid=f"{which}-{event.uid}",
        sequence=event.sequence,
        summary=title,
        starts=since,
        ends=due,
        timezone="UTC",
        created=since,
        changed=max(event.changed_at, since, completed or since),
        description=said,
        categories=("task",),
        related_to=event.uid,
        kind="VTODO",
        completed=completed,
    )


def _add(todo: Todo, task: CalendarEvent, now: datetime) -> None:
    """Add a task, unless it was done long ago."""
    if task.completed is not None:
        if task.completed + DONE_FOR <= now:
            return
        todo.expiries.append(task.completed + DONE_FOR)
    todo.tasks.append(task)


def _events(session: Session, chosen: sa.ColumnElement[bool]) -> Iterator[Any]:
    """The events that stand, with how many accepted, when the first was checked in, and the first outcome recorded."""
    its_places = col(Attendee.event_id) == col(Event.id)
    accepted = sa.select(sa.func.count()).where(its_places, col(Attendee.reply) == "accepted")
    came = sa.select(sa.func.min(col(Attendee.attended_at))).where(its_places, col(Attendee.attended).is_(True))
    recorded = sa.select(sa.func.min(col(Outcome.recorded_at))).where(col(Outcome.event_id) == col(Event.id))
    query = sa.select(
        col(Event.id), col(Event.programme_key), col(Event.uid), col(Event.slug), col(Event.title), col(Event.starts),
        col(Event.ends), col(Event.sequence), col(Event.changed_at), col(Event.material_refreshed), col(Event.themes),
        accepted.scalar_subquery().label("accepted"), came.scalar_subquery().label("came"),
        recorded.scalar_subquery().label("recorded"),
    )  # fmt: skip
    return iter(session.execute(query.where(chosen, col(Event.state).in_(("approved", "done")))))


def _asking(session: Session, chosen: sa.ColumnElement[bool], now: datetime) -> dict[int, list[_Asking]]:
    """By event the steps that ask, are not answered and have unsent messages that are late or will be."""
    late_at, until = sa.func.min(col(Delivery.late_at)), sa.func.max(col(Delivery.expires_at))
    of_use = sa.or_(col(Delivery.expires_at).is_(None), col(Delivery.expires_at) > now)
    rows = session.execute(
        sa.select(col(Event.id), col(CampaignStep.id), col(CampaignStep.key), late_at, until)
        .join(Campaign, col(Campaign.event_id) == col(Event.id))
        .join(CampaignStep, col(CampaignStep.campaign_id) == col(Campaign.id))
        .join(Delivery, col(Delivery.step_id) == col(CampaignStep.id))
        .where(chosen, col(CampaignStep.on_late) == "ask", col(CampaignStep.answer).is_(None))
        .where(col(Delivery.state).in_(UNSENT), col(Delivery.late_at).is_not(None), of_use)
        .group_by(col(Event.id), col(CampaignStep.id), col(CampaignStep.key))
        .order_by(col(CampaignStep.id))
    )
    found: dict[int, list[_Asking]] = {}
    for event_id, *step in rows:
        found.setdefault(event_id, []).append(_Asking(*step))
    return found


def _held(session: Session) -> dict[str, dict[str, date]]:
    """By programme, the day each recorded review was held, as its latest record says."""
    found: dict[str, dict[str, date]] = {}
    query = sa.select(col(ReviewRecord.programme_key), col(ReviewRecord.review_id), col(ReviewRecord.held_on))
    for key, review, held_on in session.execute(query.order_by(col(ReviewRecord.ordinal))):
        found.setdefault(key, {})[review] = held_on
    return found
