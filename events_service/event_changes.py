"""Changing an event: its file again over the event that is there, with what differs, who is told, and what shows it.

Where and when it is (start, end, zone, venue, city, country) raises its SEQUENCE and is told to those who were invited;
all else changes what calendars and later messages say, and nobody is told. A venue or city that is only written
otherwise (case, spaces, punctuation) is the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session

from events_service import agendas, campaign_changes, event_checks, event_rows, itinerary_changes
from events_service.agendas import SessionChange
from events_service.db.tables import Event, EventSession
from events_service.domain.violations import Violation
from events_service.errors import ConflictError, EventFileError
from events_service.event_approval import weigh
from events_service.event_history import FieldChange, differences, note_change
from events_service.event_json import in_zone
from events_service.reading.event_files import EventFile
from events_service.reading.event_words import slug_of

_FIXED = ("kind", "hosted_by")
_PLAIN = (
    "title", "summary", "visibility", "timezone", "venue", "city", "country", "region", "url", "themes", "markets",
    "capacity", "budget", "effort_days",
)  # fmt: skip
_WHEN = frozenset({"starts", "ends", "timezone"})
_ORDER = "order of sessions"
_NOT_KEPT = frozenset({"summary", "organiser", _ORDER})
"""What may name people, so that the history has it by name only."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did; nothing at all where `fields` and `sessions` are empty.

    `deliveries` and `feeds` are how many of each it touched.
    """

    fields: tuple[FieldChange, ...]
    sessions: tuple[SessionChange, ...]
    deliveries: int
    feeds: int
    violations: tuple[Violation, ...]

    def difference(self) -> dict[str, Any]:
        """The difference as JSON values."""
        return {
            "event": [asdict(one) for one in self.fields],
            "sessions": [asdict(one) | {"fields": [asdict(field) for field in one.fields]} for one in self.sessions],
        }


def change(
    session: Session,
    event: Event,
    file: EventFile,
    path: object,
    now: datetime,
    waive: Sequence[str] = (),
    reason: str = "",
) -> Changed:
    """Make an event what `file` says; `path` is what errors call the file. What it leaves out is as with a new event.

    An approved event of which the rules see another is weighed again and refused like an approval (RefusedError), with
    `waive` and `reason` as there; a draft may break rules. ConflictError for an event that is over or cancelled,
    EventFileError for a file of another slug, kind or host: an event keeps these.
    """
    if event.state not in ("draft", "approved"):
        raise ConflictError(f"{event.slug} is {event.state}; it cannot be changed")
    _check_the_same(event, file, path)
    facts = replace(file.facts(), slug=event.slug)
    was = event_rows.facts_of(event)
    if event.state == "approved" and facts != was:
        waived, violations = weigh(session, event, now, waive, reason, facts)
    else:
        waived, violations = [], event_checks.verdict(session, event, now, facts)
    before, where, agenda = _said(event), _place(event), agendas.standing(session, event)
    _take(event, file)
    fields = differences(before, _said(event))
    sessions = agendas.rewrite(session, event, file.sessions, now)
    fields += _reordered(agenda, agendas.standing(session, event))
    if not (fields or sessions or waived):
        return Changed((), (), 0, 0, tuple(violations))
    names = {one.field for one in fields}
    anew = bool(names & _WHEN) or _place(event) != where
    if facts.dates() != was.dates():
        event.redated_sequence = event.sequence + 1
    if "title" in names:
        agendas.reworded(session, event, now)
    what = _for_history(fields, sessions)
    if waived:
        what |= {"waived": waived, "reason": reason.strip()}
    shown = note_change(session, event, "changed", now, what, anew=anew, reworded=True)
    if anew:
        touched = campaign_changes.event_moved(session, event, now)
    else:
        touched = itinerary_changes.sessions_changed(session, event, now) if sessions else 0
    return Changed(fields, tuple(sessions), touched, shown, tuple(violations))


def _check_the_same(event: Event, file: EventFile, path: object) -> None:
    made = slug_of(file.title, file.kind, file.starts.astimezone(ZoneInfo(file.timezone)).date())
    if file.slug not in (event.slug, made):
        raise EventFileError(path, "", "slug", f"{file.slug!r} is another's; an event keeps its own, {event.slug!r}")
    for field in _FIXED:
        is_, said = getattr(event, field), getattr(file, field)
        if said != is_:
            why = f"{said!r} is not what {event.slug} is, {is_!r}; add another event, and cancel this one"
            raise EventFileError(path, "", field, why)


def _take(event: Event, file: EventFile) -> None:
    for name in (*_PLAIN, "starts", "ends", "organiser_name", "organiser_email", "material_refreshed"):
        value = getattr(file, name)
        setattr(event, name, list(value) if isinstance(value, tuple) else value)


def _said(event: Event) -> dict[str, Any]:
    name, address = event.organiser_name, event.organiser_email
    refreshed = event.material_refreshed
    return {
        "starts": in_zone(event.starts, event.timezone),
        "ends": in_zone(event.ends, event.timezone),
        **{name: None if getattr(event, name) in ("", []) else getattr(event, name) for name in _PLAIN},
        "organiser": f"{name} <{address}>" if name else address or None,
        "material_refreshed": refreshed.isoformat() if refreshed else None,
    }


def _place(event: Event) -> tuple[str, ...]:
    """Where it is, however that is written."""
    parts = (event.venue, event.city, event.country)
    return tuple("".join(char for char in part.casefold() if char.isalnum()) for part in parts)


def _reordered(before: Sequence[EventSession], after: Sequence[EventSession]) -> tuple[FieldChange, ...]:
    """The order of the sessions that stay, where it is another."""
    first, then = ([one.uid for one in order] for order in (before, after))
    if [uid for uid in first if uid in then] == [uid for uid in then if uid in first]:
        return ()
    return (FieldChange(_ORDER, [one.title for one in before], [one.title for one in after]),)


def _for_history(fields: Sequence[FieldChange], sessions: Sequence[SessionChange]) -> dict[str, Any]:
    kept = [one for one in fields if one.field not in _NOT_KEPT]
    what: dict[str, Any] = {"fields": [one.field for one in fields]}
    if kept:
        what |= {"before": {one.field: one.before for one in kept}, "after": {one.field: one.after for one in kept}}
    if sessions:
        said = [one.what for one in sessions]
        what["sessions"] = {word: said.count(word) for word in ("added", "changed", "cancelled") if word in said}
    return what
