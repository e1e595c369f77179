"""Where a review point stands at a moment, and what an overdue one stops.

A review is open from its window's first month, due on the first day of its due month, may be held on that day, and is
overdue from the next midnight in the programme's zone. Recording it is what holds it, and alone releases its gate.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import Literal

from events_service.clock import require_aware
from events_service.domain.programme import Programme, ReviewPoint
from events_service.domain.timeline import day_begins

ReviewState = Literal["upcoming", "open", "overdue", "held"]


def due_on(programme: Programme, point: ReviewPoint) -> date:
    """The day a review is due, in the programme's zone."""
    return programme.timeline.first_day(point.due_month)


def opens_at(programme: Programme, point: ReviewPoint) -> datetime:
    """The instant its window begins, in UTC."""
    return programme.timeline.begins(point.from_month)


def overdue_from(programme: Programme, point: ReviewPoint) -> datetime:
    """The midnight after its due day, in UTC. Events that begin then or later are "after the due date"."""
    return day_begins(due_on(programme, point) + timedelta(days=1), programme.timezone)


def state_of(programme: Programme, point: ReviewPoint, held_ids: Collection[str], now: datetime) -> ReviewState:
    """The state of one review point at `now` (aware); `held_ids` are those with a record."""
    at = require_aware(now)
    if point.id in held_ids:
        return "held"
    if at >= overdue_from(programme, point):
        return "overdue"
    return "open" if at >= opens_at(programme, point) else "upcoming"


def states(programme: Programme, held_ids: Collection[str], now: datetime) -> dict[str, ReviewState]:
    """The state of every review point at `now`, by id, in the file's order."""
    return {point.id: state_of(programme, point, held_ids, now) for point in programme.review_points}


def overdue(programme: Programme, held_ids: Collection[str], now: datetime) -> list[ReviewPoint]:
    """The review points overdue at `now`, the earliest due first."""
    late = [point for point in programme.review_points if state_of(programme, point, held_ids, now) == "overdue"]
    return sorted(late, key=lambda point: (point.due_month, point.id))


def gate(programme: Programme, held_ids: Collection[str], now: datetime) -> datetime | None:
    """The instant from which events are gated at `now`: one that begins then or later waits for a review.

    None while no review is overdue. Every overdue review gates every event, whatever its scope: all events belong to
    the one plan.
    """
    late = overdue(programme, held_ids, now)
    return overdue_from(programme, late[0]) if late else None


def gated_by(programme: Programme, held_ids: Collection[str], now: datetime, starts: datetime) -> list[ReviewPoint]:
    """The overdue review points that stop an event which begins at `starts`, the earliest due first."""
    begins = require_aware(starts)
    return [point for point in overdue(programme, held_ids, now) if begins >= overdue_from(programme, point)]


def last_held(held: Mapping[str, date]) -> tuple[str, date] | None:
    """Which review was held last, and when; None before the first. `held` gives the day each was held, by id."""
    if not held:
        return None
    latest = max(held, key=lambda id: (held[id], id))
    return latest, held[latest]
