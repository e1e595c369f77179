"""Moving an event: its times, its agenda, its messages and every calendar that shows it.

Sessions move by as much wall-clock time as the event's start does, so that a visit at half past nine stays one; each
keeps its length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlmodel import Session

from events_service import agendas, campaign_changes, event_checks, event_rows
from events_service.db.tables import Event
from events_service.domain.events import wall_time
from events_service.domain.violations import Violation
from events_service.errors import ConflictError, InputError, UsageError
from events_service.event_approval import weigh
from events_service.event_history import note_change
from events_service.event_json import in_zone


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move did. `changed` is false where the times are what they were: then nothing else happened.

    `deliveries` and `feeds` are how many of each it touched; `notes` are for the person who moved it.
    """

    changed: bool
    deliveries: int
    feeds: int
    violations: tuple[Violation, ...]
    notes: tuple[str, ...] = ()


def move(
    session: Session,
    event: Event,
    starts: datetime | None,
    ends: datetime | None,
    now: datetime,
    waive: tuple[str, ...] = (),
    reason: str = "",
) -> Moved:
    """Give an event other times: naive ones are on the wall of its zone, aware ones are taken as they are.

    With `starts` alone it keeps its length on the wall; with `ends` alone its start. An approved event is weighed
    again and refused like an approval (RefusedError), with `waive` and `reason` as there; a draft may break rules.
    ConflictError for an event that is over or cancelled, LocalTimeError for a time that the clocks skip, InputError for
    an end that does not come after the start.
    """
    if starts is None and ends is None:
        raise UsageError("a move needs --starts, --ends, or both")
    if event.state not in ("draft", "approved"):
        raise ConflictError(f"{event.slug} is {event.state}; it cannot be moved")
    begins, stops, notes = _new_times(event, starts, ends)
    if (begins, stops) == (event.starts, event.ends):
        return Moved(False, 0, 0, tuple(event_checks.verdict(session, event, now)), ("the times are what they were",))
    facts = replace(event_rows.facts_of(event), starts=begins, ends=stops)
    if event.state == "approved":
        waived, violations = weigh(session, event, now, waive, reason, facts)
    else:
        waived, violations = [], event_checks.verdict(session, event, now, facts)
    before = {"starts": in_zone(event.starts, event.timezone), "ends": in_zone(event.ends, event.timezone)}
    shift = _on_wall(begins, event.timezone) - _on_wall(event.starts, event.timezone)
    redated = facts.dates() != event_rows.facts_of(event).dates()
    event.starts, event.ends = begins, stops
    notes += _outside(agendas.shift(session, event, shift, now))
    after = {"starts": in_zone(begins, event.timezone), "ends": in_zone(stops, event.timezone)}
    what: dict[str, object] = {"before": before, "after": after}
    if waived:
        what |= {"waived": waived, "reason": reason.strip()}
    if redated:
        event.redated_sequence = event.sequence + 1
    shown = note_change(session, event, "moved", now, what, anew=True)
    touched = campaign_changes.event_moved(session, event, now)
    return Moved(True, touched, shown, tuple(violations), tuple(notes))


def _new_times(event: Event, starts: datetime | None, ends: datetime | None) -> tuple[datetime, datetime, list[str]]:
    notes = []
    begins, stops = event.starts, event.ends
    if starts is not None:
        begins, note = wall_time(starts, event.timezone)
        notes += [f"starts: {note}"] if note else []
        if ends is None:
            length = _on_wall(event.ends, event.timezone) - _on_wall(event.starts, event.timezone)
            ends = _on_wall(begins, event.timezone) + length
    if ends is not None:
        stops, note = wall_time(ends, event.timezone)
        notes += [f"ends: {note}"] if note else []
    for field, at in (("starts", begins), ("ends", stops)):
        if not 1970 <= at.year <= 2200:
            raise InputError(f"{field}: {at:%Y-%m-%d} is not in the years 1970 to 2200")
    if stops <= begins:
        first, last = in_zone(begins, event.timezone), in_zone(stops, event.timezone)
        raise InputError(f"{event.slug}: it would end at {last}, not after it starts at {first}")
    return begins, stops, notes


def _outside(outside: int) -> list[str]:
    if not outside:
        return []
    what = "1 session lies" if outside == 1 else f"{outside} sessions lie"
    return [f"{what} outside the event's new times"]


def _on_wall(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
