"""Review points: where each stands, and the records that hold them. A record never changes; a correction is another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from events_service import feeds
from events_service.db.tables import ReviewRecord
from events_service.domain import reviews as points
from events_service.domain.programme import Programme, ReviewPoint
from events_service.errors import ConflictError, InputError, NotFoundError

DECISIONS = ("continue", "refresh", "stop")
MAX_NOTES = 20_000
MAX_LINE = 300
_ROWS = SQLModel.metadata.tables["review_record"]
# A correction comes later, and takes the place of what it corrects.
_HELD = (
    sa.select(_ROWS.c.review_id, _ROWS.c.held_on)
    .where(_ROWS.c.programme_key == sa.bindparam("programme"))
    .order_by(_ROWS.c.ordinal)
)


def held(session: Session, programme_key: str) -> dict[str, date]:
    """The day each recorded review was held, by its id, as its latest record says."""
    return {id: held_on for id, held_on in session.connection().execute(_HELD, {"programme": programme_key})}


def states(session: Session, programme: Programme, now: datetime) -> dict[str, points.ReviewState]:
    """upcoming, open, overdue or held, by review id, in the programme's order."""
    return points.states(programme, held(session, programme.key).keys(), now)


def gate(session: Session, programme: Programme, now: datetime) -> datetime | None:
    """The instant from which events wait for an overdue review: those that begin then or later. None without one."""
    return points.gate(programme, held(session, programme.key).keys(), now)


def find(programme: Programme, id: str) -> ReviewPoint:
    """The review point of that id; NotFoundError names those there are."""
    point = programme.review_point(id)
    if point is None:
        there = ", ".join(point.id for point in programme.review_points) or "none"
        raise NotFoundError("review point", id, f"programme {programme.key} has: {there}")
    return point


def record(
    session: Session,
    programme: Programme,
    id: str,
    *,
    decision: str,
    notes: str,
    present: Sequence[str] = (),
    conditions: Sequence[str] = (),
    held_on: date | None = None,
    corrects: str | None = None,
    now: datetime,
) -> ReviewRecord:
    """Record that a review was held and what it decided. This, and nothing else, releases its gate.

    `held_on` is information: today in the programme's zone, or that of the record it corrects, unless it is given; it
    cannot lie ahead. `corrects` is the number of the latest record, or the review's id, which stands for it.
    ConflictError before the review's window opens, for a second record that corrects nothing, for one that corrects
    what is not the latest, and where somebody else was quicker. InputError for words that cannot be kept.
    """
    point = find(programme, id)
    if decision not in DECISIONS:
        raise InputError(f"decision {decision[:40]!r} is unknown; use one of {', '.join(DECISIONS)}")
    today = programme.timeline.date_of(now)
    if held_on is not None and held_on > today:
        raise InputError(f"held on {held_on}: that day has not come; today is {today}")
    notes = _clean("notes", notes, MAX_NOTES, lines=True)
    present = [_clean("present", name, MAX_LINE) for name in present]
    conditions = [_clean("condition", text, MAX_LINE * 10, lines=True) for text in conditions]
    latest = _latest(session, programme, point, corrects, now)
    made = ReviewRecord(
        programme_key=programme.key,
        review_id=point.id,
        ordinal=latest.ordinal + 1 if latest else 1,
        corrects=latest.id if latest else None,
        decision=decision,
        notes=notes,
        present=present,
        conditions=conditions,
        held_on=held_on or (latest.held_on if latest else today),
        recorded_at=now,
    )
    session.add(made)
    try:
        session.flush()
    except sa.exc.IntegrityError as error:
        raise ConflictError(
            f"{point.id} was recorded by somebody else just now; look at `events review list`"
        ) from error
    feeds.touch_programme(session, now)
    return made


def listing(session: Session, programme: Programme, now: datetime) -> list[dict[str, Any]]:
    """Every review point as JSON values: when it opens and is due, its state, and its records, oldest first."""
    records = _records(session, programme.key)
    return [_as_json(programme, point, records.get(point.id, []), now) for point in programme.review_points]


def as_json(session: Session, programme: Programme, id: str, now: datetime) -> dict[str, Any]:
    """One review point, as `listing` gives it."""
    point = find(programme, id)
    return _as_json(programme, point, _records(session, programme.key).get(point.id, []), now)


def _as_json(programme: Programme, point: ReviewPoint, records: list[ReviewRecord], now: datetime) -> dict[str, Any]:
    latest = records[-1] if records else None
    return {
        "id": point.id,
        "title": point.title,
        "scope": list(point.scope),
        "from_month": point.from_month,
        "due_month": point.due_month,
        "opens_on": programme.timeline.first_day(point.from_month),
        "due_on": points.due_on(programme, point),
        "state": points.state_of(programme, point, [point.id] if records else [], now),
        "held_on": latest.held_on if latest else None,
        "decision": latest.decision if latest else None,
        "records": [
            {
                "id": record.id,
                "corrects": record.corrects,
                "decision": record.decision,
                "notes": record.notes,
                "present": record.present,
                "conditions": record.conditions,
                "held_on": record.held_on,
                "recorded_at": record.recorded_at,
            }
            for record in records
        ],
    }


def _records(session: Session, programme_key: str) -> dict[str, list[ReviewRecord]]:
    found: dict[str, list[ReviewRecord]] = defaultdict(list)
    for one in session.exec(
        select(ReviewRecord).where(ReviewRecord.programme_key == programme_key).order_by(col(ReviewRecord.ordinal))
    ):
        found[one.review_id].append(one)
    return found


def _latest(
    session: Session, programme: Programme, point: ReviewPoint, corrects: str | None, now: datetime
) -> ReviewRecord | None:
    """The record that a new one corrects; None for the first. ConflictError where the two do not fit."""
    records = _records(session, programme.key).get(point.id, [])
    if not records:
        if corrects is not None:
            raise ConflictError(f"{point.id} has no record yet, so there is nothing to correct; leave out --corrects")
        if points.state_of(programme, point, (), now) == "upcoming":
            opens = programme.timeline.first_day(point.from_month)
            raise ConflictError(f"{point.id} cannot be held before its window opens on {opens}")
        return None
    latest = records[-1]
    if corrects is None:
        raise ConflictError(
            f"{point.id} was held on {latest.held_on} (record {latest.id}); to correct it, add --corrects {latest.id}"
        )
    if corrects not in (str(latest.id), point.id):
        raise ConflictError(f"the latest record of {point.id} is {latest.id}, not {corrects[:40]!r}; correct that one")
    return latest


def _clean(field: str, text: str, limit: int, *, lines: bool = False) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise InputError(f"{field}: is empty; write a line")
    if len(text) > limit:
        raise InputError(f"{field}: is {len(text):,} characters long; at most {limit:,} are kept")
    if not all(char.isprintable() or (lines and char in "\n\t") for char in text):
        raise InputError(f"{field}: holds a control character; take it out")
    return text
