"""What happened to an event: its history, its SEQUENCE, and the calendars that show it. Every change passes here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from events_service import feeds, proposals
from events_service.db.tables import Event, EventChange
from events_service.event_rows import id_of


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after, as JSON values: times as ISO 8601 on the wall of their zone, None where empty."""

    field: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """The fields that differ, of two mappings with the same keys, in their order."""
    return tuple(FieldChange(name, before[name], after[name]) for name in before if before[name] != after[name])


def note_change(
    session: Session,
    event: Event,
    action: str,
    now: datetime,
    detail: Mapping[str, Any] | None = None,
    *,
    anew: bool = False,
    reworded: bool = False,
) -> int:
    """Record a change that was made to `event`, in its own transaction; how many feeds show it.

    `anew` is for changes of when, where or whether: they raise SEQUENCE by one (RFC 5546 section 2.1.4). `reworded` is
    for changes of what else is shown of it: a later DTSTAMP with the SEQUENCE that it has. `detail` is kept for good:
    no personal data in it.
    """
    if anew:
        event.sequence += 1
    if anew or reworded:
        event.changed_at = now
    session.add(event)
    session.add(EventChange(event_id=id_of(event), at=now, action=action, detail=dict(detail or {})))
    session.flush()
    if anew:
        proposals.event_changed(session, event, now)
    return feeds.touch_event(session, event, now)
