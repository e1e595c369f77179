"""What feeds take from the programmes in force: themes, and the review points as whole days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from sqlmodel import Session, col, select

from events_service.calendars.model import CalendarEvent
from events_service.db.tables import ProgrammeRevision, ReviewRecord
from events_service.domain.programme import Programme
from events_service.domain.programme_file import load_programme
from events_service.domain.reviews import due_on
from events_service.domain.timeline import day_begins


class InForce(NamedTuple):
    """A programme in force, its revision, and when its first revision was loaded."""

    programme: Programme
    revision: ProgrammeRevision
    first: datetime


def known_themes(session: Session) -> list[str]:
    """The keys of the themes of the programmes in force."""
    return [theme.key for one in in_force(session) for theme in one.programme.themes]


def in_force(session: Session) -> list[InForce]:
    """The programmes in force, by their keys."""
    found: dict[str, tuple[ProgrammeRevision, datetime]] = {}
    for revision in session.exec(select(ProgrammeRevision).order_by(col(ProgrammeRevision.revision))):
        first = found[revision.key][1] if revision.key in found else revision.loaded_at
        found[revision.key] = (revision, first)
    return [InForce(_programme(found[key][0].source), *found[key]) for key in sorted(found)]


@lru_cache(maxsize=8)
def _programme(source: str) -> Programme:
    return load_programme(source, "the programme in the database")


def review_points(session: Session, programmes: list[InForce]) -> Iterator[CalendarEvent]:
    """The review points as whole days. They say what was recorded, never what is overdue: that would need a clock."""
    records: dict[tuple[str, str], ReviewRecord] = {}
    for record in session.exec(select(ReviewRecord).order_by(col(ReviewRecord.ordinal))):
        records[record.programme_key, record.review_id] = record
    for programme, revision, first in programmes:
        for point in programme.review_points:
            held = records.get((programme.key, point.id))
            day = due_on(programme, point)
            scope = ", ".join(map(str, point.scope))
            said = f"\n\nHeld on {held.held_on}: {held.decision}" if held else ""
            yield CalendarEvent(
                uid=f"review-{programme.key}-{point.id}",
                sequence=revision.revision - 1,
                summary=f"Review held: {point.title}" if held else f"Review due: {point.title}",
                starts=day_begins(day, programme.timezone),
                ends=day_begins(day + timedelta(days=1), programme.timezone),
                timezone=programme.timezone,
                created=first,
                changed=max(revision.loaded_at, held.recorded_at) if held else revision.loaded_at,
                description=f"{programme.title}: workstream {scope}{said}",
                categories=("review",),
                all_day=True,
                transparent=True,
            )
