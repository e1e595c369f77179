"""Finding events, locking them, and what is kept beside their row. Writes nothing; every use case may call it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from events_service.db.tables import Event, EventSession, Waiver
from events_service.domain.events import EventFacts
from events_service.errors import NotFoundError

STATES = ("draft", "approved", "done", "cancelled")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: those that fit every field that is set, and lie in part between `since` and `until` (instants)."""

    programme: str | None = None
    state: str | None = None
    kind: str | None = None
    market: str | None = None
    theme: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def find(session: Session, slug: str, *, lock: bool = False) -> Event:
    """The event of that slug; NotFoundError. `lock` holds its row as `lock` does."""
    query = select(Event).where(Event.slug == slug)
    event = session.exec(_locking(query) if lock else query).first()
    if event is None:
        raise NotFoundError("event", slug[:100], "`events event list` shows those there are")
    return event


def lock(session: Session, event: Event) -> Event:
    """The event as it stands now, its row held until the transaction ends (PostgreSQL; SQLite locks as a whole).

    Whatever changes an event, starts its campaign or puts people on it does so first, and before it locks other rows.
    """
    return session.exec(_LOCKED, params={"event": event.id}).one()


def _locking(query: SelectOfScalar[Event]) -> SelectOfScalar[Event]:
    # FOR NO KEY UPDATE: workers, whose deliveries refer to the event, neither wait for it nor are waited for.
    return query.with_for_update(key_share=True).execution_options(populate_existing=True)


_LOCKED = _locking(select(Event).where(Event.id == sa.bindparam("event")))


def select_events(session: Session, wanted: Filter | None = None) -> list[Event]:
    """The events that `wanted` lets through, by start."""
    wanted = wanted or Filter()
    query = select(Event).order_by(col(Event.starts), col(Event.slug))
    if wanted.programme:
        query = query.where(Event.programme_key == wanted.programme)
    if wanted.state:
        query = query.where(Event.state == wanted.state)
    if wanted.kind:
        query = query.where(Event.kind == wanted.kind)
    if wanted.since:
        query = query.where(Event.ends > wanted.since)
    if wanted.until:
        query = query.where(Event.starts < wanted.until)
    return [
        event
        for event in session.exec(query)
        if (not wanted.market or wanted.market in event.markets) and (not wanted.theme or wanted.theme in event.themes)
    ]


def id_of(event: Event) -> int:
    """The number of a stored event."""
    if event.id is None:
        raise ValueError(f"event {event.slug} has no number yet; flush it first")
    return event.id


def sessions_of(session: Session, event: Event) -> list[EventSession]:
    """An event's agenda, in the file's order; behind it what was taken off, with `cancelled_at` set."""
    return list(
        session.exec(select(EventSession).where(EventSession.event_id == event.id).order_by(col(EventSession.position)))
    )


def waivers_of(session: Session, ids: Iterable[int]) -> dict[int, list[Waiver]]:
    """The waivers of many events, by event; an event without one is not in it."""
    found: dict[int, list[Waiver]] = defaultdict(list)
    for waiver in session.exec(select(Waiver).where(col(Waiver.event_id).in_(list(ids))).order_by(col(Waiver.id))):
        found[waiver.event_id].append(waiver)
    return found


def facts_of(event: Event) -> EventFacts:
    """A stored event as the rules see it."""
    return EventFacts(
        slug=event.slug,
        kind=event.kind,
        hosted_by=event.hosted_by,
        themes=tuple(event.themes),
        markets=tuple(event.markets),
        starts=event.starts,
        ends=event.ends,
        timezone=event.timezone,
        country=event.country,
        region=event.region,
        material_refreshed=event.material_refreshed,
        budget=event.budget,
        effort_days=event.effort_days,
        organiser_email=event.organiser_email,
    )
