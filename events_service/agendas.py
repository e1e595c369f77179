"""An event's agenda as rows: written with the event, moved with it, written anew, and crossed out item by item.

A session keeps its UID for good. Its SEQUENCE starts at 0 and rises by one when its start, end, zone, place or status
changes (RFC 5546 section 2.1.4), for nothing else. It has its event's status, so an approval and a cancellation raise
those of all that stand. One that is taken off the agenda stays as a row, cancelled for good: should the file list it
again, it is a new one, as nobody can tell who has seen the old one go.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlmodel import Session

from events_service.db.tables import Event, EventSession
from events_service.domain.agenda import match
from events_service.event_history import FieldChange, differences
from events_service.event_rows import id_of, sessions_of
from events_service.reading.event_files import SessionTable

_UIDS = uuid.UUID("b1d9b9c2-3f0e-5d53-8a4e-2f6f7f0f5a60")
_FIELDS = ("title", "starts", "ends", "timezone", "kind", "venue", "city", "country", "url", "partner", "price")
_NOTHING: dict[str, Any] = dict.fromkeys(_FIELDS)
_RAISING = frozenset({"starts", "ends", "timezone", "venue", "city", "country"})


@dataclass(frozen=True, slots=True)
class SessionChange:
    """What became of one session. `fields` are what differs; of one that was added, what it is."""

    what: Literal["added", "changed", "cancelled"]
    title: str
    uid: str
    fields: tuple[FieldChange, ...] = ()


def write(session: Session, event: Event, items: Sequence[SessionTable], now: datetime) -> None:
    """Keep the agenda of an event that is new. Its UIDs follow from the event's, which must be a UUID."""
    for position, item in enumerate(items, 1):
        uid = uuid.uuid5(uuid.UUID(event.uid), str(position))
        session.add(_made(event, item, position, str(uid), now))


def standing(session: Session, event: Event) -> list[EventSession]:
    """The sessions that are on the agenda, in its order."""
    return [item for item in sessions_of(session, event) if item.cancelled_at is None]


def rewrite(session: Session, event: Event, items: Sequence[SessionTable], now: datetime) -> list[SessionChange]:
    """Make the agenda what `items` say; what was added, changed and cancelled, in the agenda's order.

    `domain.agenda.match` says which session is which. Where only the order differs, nothing is said to have changed.
    """
    rows = sessions_of(session, event)
    before = [row for row in rows if row.cancelled_at is None]
    kept = {place: before[found] for place, found in match(before, items).items()}
    gone = [row for row in before if row not in kept.values()]
    changes, agenda, numbered = [], [], len(rows)
    for place, item in enumerate(items):
        row = kept.get(place)
        if row is None:
            # Rows are never deleted, so how many there are was no other's number.
            row = _made(event, item, 0, str(uuid.uuid5(_UIDS, f"{event.uid}/{numbered}")), now)
            numbered += 1
            changes.append(SessionChange("added", row.title, row.uid, differences(_NOTHING, _said(row))))
        elif fields := _change(row, item, now):
            changes.append(SessionChange("changed", row.title, row.uid, fields))
        agenda.append(row)
    for row in gone:
        _raise_sequence(row, now)
        row.cancelled_at = now
        changes.append(SessionChange("cancelled", row.title, row.uid))
    _place(session, [*agenda, *gone, *(row for row in rows if row.cancelled_at is not None and row not in gone)])
    return changes


def shift(session: Session, event: Event, by: timedelta, now: datetime) -> int:
    """Move the sessions by so much on the wall; how many then lie outside the event, leisure left out of account."""
    outside = 0
    for item in standing(session, event):
        if by:
            length = item.ends - item.starts
            # A wall time that the clocks skip becomes the one as long after midnight (fold 0), an hour on.
            wall = item.starts.astimezone(ZoneInfo(item.timezone)).replace(tzinfo=None) + by
            item.starts = wall.replace(tzinfo=ZoneInfo(item.timezone), fold=0).astimezone(UTC)
            item.ends = item.starts + length
            _raise_sequence(item, now)
            session.add(item)
        outside += item.kind != "leisure" and not (event.starts <= item.starts and item.ends <= event.ends)
    return outside


def status_changed(session: Session, event: Event, now: datetime) -> None:
    """The event's status, which is that of its sessions, has changed."""
    for item in standing(session, event):
        _raise_sequence(item, now)
        session.add(item)


def reworded(session: Session, event: Event, now: datetime) -> None:
    """The event's title, which stands in the entries of its sessions, has changed: a later DTSTAMP, no SEQUENCE."""
    for item in standing(session, event):
        item.changed_at = now
        session.add(item)


def _made(event: Event, item: SessionTable, position: int, uid: str, now: datetime) -> EventSession:
    return EventSession(**item.model_dump(), event_id=id_of(event), position=position, uid=uid, changed_at=now)


def _change(row: EventSession, item: SessionTable, now: datetime) -> tuple[FieldChange, ...]:
    before = _said(row)
    for name, value in item.model_dump().items():
        setattr(row, name, value)
    fields = differences(before, _said(row))
    if any(one.field in _RAISING for one in fields):
        _raise_sequence(row, now)
    elif fields:
        row.changed_at = now
    return fields


def _raise_sequence(row: EventSession, now: datetime) -> None:
    row.sequence, row.changed_at = row.sequence + 1, now


def _said(row: EventSession) -> dict[str, Any]:
    said = {name: getattr(row, name) or None for name in _FIELDS}
    zone = ZoneInfo(row.timezone)
    return said | {name: getattr(row, name).astimezone(zone).isoformat() for name in ("starts", "ends")}


def _place(session: Session, rows: Sequence[EventSession]) -> None:
    """Number them from 1 in that order. No two rows may share a number meanwhile, so those there are first let go."""
    if [row.position for row in rows] != list(range(1, len(rows) + 1)):
        for row in rows:
            if row.id is not None:
                row.position = -row.id
                session.add(row)
        session.flush()
    for position, row in enumerate(rows, 1):
        row.position = position
        session.add(row)
    session.flush()
