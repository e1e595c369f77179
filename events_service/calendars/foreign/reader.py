"""A calendar that others wrote, as occurrences: every event that can be read, and a word on every one that cannot."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from events_service.calendars.foreign.bounds import MAX_FOUND, MAX_HORIZON, MAX_UNUSED, Work
from events_service.calendars.foreign.events import Event, read_event
from events_service.calendars.foreign.model import Calendar, Found, Unused
from events_service.calendars.foreign.series import occurrences
from events_service.calendars.foreign.split import Component, Sheet, split
from events_service.calendars.foreign.zones import Zones
from events_service.domain.timeline import is_zone
from events_service.errors import FieldError, InputError

_SLACK = timedelta(days=3)
# Answers and questions between calendars (RFC 5546 1.4): what they hold is on its way to one that has the event.
_NO_EVENTS = frozenset(("REPLY", "REFRESH", "COUNTER", "DECLINECOUNTER"))


def read_events(content: bytes, timezone: str, begin: datetime, until: datetime) -> Calendar:
    """The events of an iCalendar file that lie in part in [begin, until), aware instants.

    Floating times and whole days are placed in `timezone` (IANA) unless the file's X-WR-TIMEZONE names another. What
    was called off is there, as CANCELLED. InputError where the file is no calendar, or has more of something than
    bounds.py allows.
    """
    if not is_zone(timezone):
        raise InputError(f"{timezone[:80]!r} is no IANA time zone, such as Europe/London")
    if until - begin > MAX_HORIZON:
        raise InputError(
            f"{begin:%Y-%m-%d} to {until:%Y-%m-%d} is more than the fifty years that a calendar is read for"
        )
    return _Reader(Work(), begin.astimezone(UTC), until.astimezone(UTC)).read(content, timezone)


class _Reader:
    def __init__(self, work: Work, begin: datetime, until: datetime) -> None:
        self._work, self._begin, self._until = work, begin, until
        self._unused: dict[Unused, None] = {}
        self._uids: Counter[str] = Counter()
        self._days = tuple(f"{at:%Y%m%d}" for at in (begin - _SLACK, until + _SLACK))

    def read(self, content: bytes, timezone: str) -> Calendar:
        parts = split(content, self._work)
        for note in parts.unused:
            self._note(*note)
        for kind, number in parts.others.items():
            self._note(kind, "", f"{number} of them; only events (VEVENT) are read")
        self._uids = Counter(component.text("UID") for sheet in parts.sheets for component in sheet.events)
        series: dict[str, list[Event]] = defaultdict(list)
        for sheet in parts.sheets:
            for event in self._events(sheet, timezone):
                # What has no UID is an event of its own.
                series[event.uid or event.place].append(event)
        found: dict[Found, None] = {}
        for events in series.values():
            if self._exhausted(events[0].place):
                break
            found |= dict.fromkeys(self._occurrences(events))
            if len(found) > MAX_FOUND:
                self._note("VCALENDAR", "", f"has more than {MAX_FOUND:,} occurrences then; the others are left out")
                break
        first = sorted(found, key=lambda each: (each.starts, each.ends, each.title, each.uid))[:MAX_FOUND]
        return Calendar(tuple(first), tuple(self._unused))

    def _note(self, component: str, name: str, why: str) -> None:
        if len(self._unused) < MAX_UNUSED:
            self._unused[Unused(component, name, why)] = None

    def _elsewhere(self, component: Component) -> bool:
        """Whether its dates alone say that it lies outside, as most of a long calendar does."""
        if component.repeated or "RECURRENCE-ID" in component.lines or "DURATION" in component.lines:
            return False
        if self._uids[component.text("UID")] > 1:
            return False
        start = component.text("DTSTART")[:8]
        end = (component.text("DTEND") or start)[:8]
        if not all(len(day) == 8 and day.isascii() and day.isdigit() for day in (start, end)):
            return False
        return start > self._days[1] or max(start, end) < self._days[0]

    def _exhausted(self, place: str) -> bool:
        if not self._work.left:
            self._note(
                place, "", "is left out, with what comes after it: the file takes more work than any of its kind"
            )
        return not self._work.left

    def _events(self, sheet: Sheet, timezone: str) -> list[Event]:
        method = sheet.own.text("METHOD").upper()
        if method in _NO_EVENTS:
            self._note(sheet.own.place, "METHOD", f"{method}: it is an answer to an invitation, and tells of no event")
            return []
        zones = Zones(sheet, timezone, self._until, self._work, self._note)
        events = []
        for component in sheet.events:
            if self._elsewhere(component):
                continue
            if self._exhausted(component.place):
                break
            try:
                events.append(read_event(component, zones, self._work, self._note, called_off=method == "CANCEL"))
            except FieldError as error:
                self._note(error.table, error.field, error.why)
            except InputError as error:
                self._note(component.place, "", str(error))
        return events

    def _occurrences(self, events: list[Event]) -> list[Found]:
        try:
            return list(occurrences(events, self._begin, self._until, self._work, self._note))
        except FieldError as error:
            self._note(error.table, error.field, error.why)
        except InputError as error:
            self._note(events[0].place, "", str(error))
        except OverflowError:
            self._note(events[0].place, "", "lies beyond the calendar")
        return []
