"""A calendar that others wrote, as occurrences: every event that can be read, and a word on every one that cannot."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from events_service.calendars.foreign.bounds import MAX_FOUND, MAX_HORIZON, MAX_UNUSED, Work
from events_service.calendars.foreign.events import Event, read_event
from events_service.calendars.foreign.model import Calendar, Found, Unused
from events_service.calendars.foreign.series import occurrences
from events_service.calendars.foreign.split import Sheet, split
from events_service.calendars.foreign.zones import Zones
from events_service.domain.timeline import is_zone
from events_service.errors import FieldError, InputError

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

    def read(self, content: bytes, timezone: str) -> Calendar:
        parts = split(content, self._work)
        for note in parts.unused:
            self._note(*note)
        for kind, number in parts.others.items():
            self._note(kind, "", f"{number} of them; only events (VEVENT) are read")
        series: dict[object, list[Event]] = defaultdict(list)
        for sheet in parts.sheets:
            for event in self._events(sheet, timezone):
                # What has no UID is an event of its own.
                series[event.uid or event.place].append(event)
        found: dict[Found, None] = {}
        for events in series.values():
            found |= dict.fromkeys(self._occurrences(events))
            if len(found) > MAX_FOUND:
                self._note("VCALENDAR", "", f"has more than {MAX_FOUND:,} occurrences then; the others are left out")
                break
        first = sorted(found, key=lambda each: (each.starts, each.ends, each.title, each.uid))[:MAX_FOUND]
        return Calendar(tuple(first), tuple(self._unused))

    def _note(self, component: str, name: str, why: str) -> None:
        if len(self._unused) < MAX_UNUSED:
            self._unused[Unused(component, name, why)] = None

    def _events(self, sheet: Sheet, timezone: str) -> list[Event]:
        method = sheet.own.text("METHOD").upper()
        if method in _NO_EVENTS:
            self._note(sheet.own.place, "METHOD", f"{method}: it is an answer to an invitation, and tells of no event")
            return []
        zones = Zones(sheet, timezone, self._until, self._work, self._note)
        events = []
        for component in sheet.events:
            try:
                event = read_event(component, zones, self._work, self._note)
            except FieldError as error:
                self._note(error.table, error.field, error.why)
            except InputError as error:
                self._note(component.place, "", str(error))
            else:
                events.append(event.called_off() if method == "CANCEL" else event)
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
