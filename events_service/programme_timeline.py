"""The picture of a programme with the events that are on it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlmodel import Session

from events_service import event_rows, reviews
from events_service.domain.programme import Programme
from events_service.pictures.timeline import TimelineEvent, draw_timeline


def draw(session: Session, programme: Programme, now: datetime, path: Path) -> int:
    """Draw `programme` at `now` to `path`, .svg or .png by its suffix; how many events are on it.

    The same database and now give the same bytes. UsageError for another suffix, FileError where it cannot be written.
    """
    events = [
        TimelineEvent(
            title=event.title,
            kind=event.kind,
            hosted_by=event.hosted_by,
            state=event.state,
            starts=event.starts,
            ends=event.ends,
            timezone=event.timezone,
            markets=tuple(event.markets),
        )
        for event in event_rows.select_events(session, event_rows.Filter(programme=programme.key))
    ]
    draw_timeline(programme, reviews.states(session, programme, now), events, now, path)
    return len(events)
