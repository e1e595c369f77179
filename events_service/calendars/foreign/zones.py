"""The zones of a calendar that others wrote: IANA's by any name they go by, else as the file itself defines them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo, available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from events_service.calendars.foreign.bounds import DATE_COST, MAX_DATES, MAX_HORIZON, MAX_RECURRENCES, MAX_RULES, Work
from events_service.calendars.foreign.recurrence import expand, parse_rule
from events_service.calendars.foreign.split import Component, Sheet
from events_service.calendars.foreign.times import Written, dates_of, read_offset, read_time
from events_service.calendars.lines import unescape_text
from events_service.errors import InputError

MAX_OBSERVANCES = 100
_SHOWN = re.compile(r"\((?:UTC|GMT)[^()]{0,10}\) (.{1,100})")
_AMERICAN = re.compile(r"(Eastern|Central|Mountain|Pacific) Time \(US")
MAX_ONSETS = 2_000
_EARLIEST = datetime(2, 1, 1)  # noqa: DTZ001  a wall clock

Note = Callable[[str, str, str], None]
"""Hears of what could not be used: component, property, why."""


class Zone(Protocol):
    """Turns wall-clock times into instants and back. `name` is the IANA name to show times by, `told` whether the
    calendar itself gave it.
    """

    @property
    def name(self) -> str: ...

    @property
    def told(self) -> bool: ...

    def instant(self, wall: datetime) -> datetime:
        """Aware UTC. A repeated time is the first of the two, a skipped one goes by the offset before (RFC 5545
        3.3.5). OverflowError at the ends of Python's calendar.
        """
        ...

    def wall(self, instant: datetime) -> datetime:
        """Naive. OverflowError as above."""
        ...


class KnownZone(NamedTuple):
    """A zone whose offsets this machine knows."""

    name: str
    told: bool
    tz: tzinfo

    def instant(self, wall: datetime) -> datetime:
        return wall.replace(tzinfo=self.tz).astimezone(UTC)

    def wall(self, instant: datetime) -> datetime:
        return instant.astimezone(self.tz).replace(tzinfo=None)


class _Onset(NamedTuple):
    """From `at` (UTC) on, `after` is the offset; before it was `before`. New times begin at `wall`."""

    at: datetime
    before: timedelta
    after: timedelta
    wall: datetime


class DefinedZone(NamedTuple):
    """A zone as a VTIMEZONE defines it. IANA has no name for it, so its times are shown by the zone `name`."""

    name: str
    told: bool
    onsets: tuple[_Onset, ...]

    def instant(self, wall: datetime) -> datetime:
        place = bisect_right(self.onsets, wall, key=lambda onset: onset.wall)
        return wall.replace(tzinfo=UTC) - self._offset(place)

    def wall(self, instant: datetime) -> datetime:
        place = bisect_right(self.onsets, instant, key=lambda onset: onset.at)
        return (instant + self._offset(place)).replace(tzinfo=None)

    def _offset(self, place: int) -> timedelta:
        return self.onsets[place - 1].after if place else self.onsets[0].before


class Zones:
    """The zones of one VCALENDAR.

    `own` is where its floating times and whole days are: in the zone that its X-WR-TIMEZONE names, else in `fallback`
    (IANA). What cannot be placed is placed there too, and `note` hears of it. Definitions are followed to `until`.
    """

    def __init__(self, sheet: Sheet, fallback: str, until: datetime, work: Work, note: Note) -> None:
        self._definitions: dict[str, Component] = {}
        for component in sheet.zones:
            self._definitions.setdefault(_plain(component.text("TZID")), component)
        self._known: dict[str, Zone] = {}
        self._until, self._work, self._note = until, work, note
        given = _plain(sheet.own.text("X-WR-TIMEZONE"))
        name = zone_name(given)
        if given and not name:
            note(sheet.own.place, "X-WR-TIMEZONE", f"{given[:60]!r} is no time zone; {fallback} is taken")
        self.own = KnownZone(name or fallback, bool(name), ZoneInfo(name or fallback))
        self._utc = KnownZone(name or "UTC", bool(name), UTC)

    def of(self, written: Written, place: str, name: str) -> Zone:
        """The zone of the time in property `name` of the component at `place`."""
        if written.utc:
            return self._utc
        if written.is_date or not written.tzid:
            return self.own
        found = self._known.get(written.tzid)
        if found is None:
            found = self._known[written.tzid] = self._find(_plain(written.tzid), place, name)
        return found

    def _find(self, tzid: str, place: str, name: str) -> Zone:
        definition = self._definitions.get(tzid)
        known = zone_name(tzid) or (zone_name(_plain(definition.text("X-LIC-LOCATION"))) if definition else None)
        if known:
            return KnownZone(known, told=True, tz=ZoneInfo(known))
        taken = f"{self.own.name} is taken for it"
        if definition is None:
            self._note(
                place, name, f"{tzid[:60]!r} is no time zone that is known, nor does the file define it; {taken}"
            )
        else:
            try:
                onsets = _onsets(definition, self._until.replace(tzinfo=None), self._work)
                if onsets:
                    return DefinedZone(self.own.name, told=False, onsets=tuple(onsets))
                self._note(definition.place, "", f"{tzid[:60]!r} has no offsets; {taken}")
            except (InputError, OverflowError) as error:
                self._note(definition.place, "", f"{tzid[:60]!r} cannot be followed: {error}; {taken}")
        return self.own._replace(told=False)


@lru_cache(maxsize=4096)
def zone_name(text: str) -> str | None:
    """The IANA zone that a TZID means; None where nobody knows.

    It may be in another case, be Windows' name or what Windows shows for it, such as `(UTC+01:00) Brussels, Paris`, or
    stand at the end of a path, such as `/mozilla.org/20070129_1/Europe/Rome`.
    """
    names = _names()
    pieces = text[:200].split("/")
    for words in (pieces, pieces[-3:], pieces[-2:]):
        found = names.get("/".join(words).lower())
        if found:
            return found
    if names.get(pieces[-1].lower()) == "UTC":
        return "UTC"
    shown = _SHOWN.fullmatch(text)
    return _shown_zone(shown[1]) if shown else None


def _shown_zone(text: str) -> str | None:
    american = _AMERICAN.match(text)
    if american:
        return _names().get(f"{american[1]} standard time".lower())
    cities = (city.strip().lower().replace(" ", "_") for city in text.split(","))
    return next((_cities()[city] for city in cities if city in _cities()), None)


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    known = {name.lower(): name for name in available_timezones()}
    windows = {name.lower(): zone for name, zone in WINDOWS_TO_OLSON.items() if zone.lower() in known}
    return windows | known


@lru_cache(maxsize=1)
def _cities() -> dict[str, str]:
    """Zones by the city that they are called after."""
    return {name.rpartition("/")[2].lower(): name for name in sorted(available_timezones()) if name.count("/") == 1}


def _onsets(definition: Component, until: datetime, work: Work) -> list[_Onset]:
    """When a VTIMEZONE's offset changes, up to `until`, in order (RFC 5545 3.6.5)."""
    if len(definition.parts) > MAX_OBSERVANCES:
        raise InputError(f"it has more than {MAX_OBSERVANCES} parts")
    found: list[_Onset] = []
    for part in definition.parts:
        first = read_time(part.text("DTSTART")).wall
        before, after = read_offset(part.text("TZOFFSETFROM")), read_offset(part.text("TZOFFSETTO"))
        walls = {first}
        for line in part.all("RRULE")[:MAX_RULES]:
            walls.update(islice(_changes(line.value, first, before, until, work), MAX_RECURRENCES))
        for line in part.all("RDATE"):
            dates = dates_of(line)[:MAX_DATES]
            work.charge(DATE_COST * len(dates))
            walls.update(read_time(text.partition("/")[0]).wall for text in dates)
        if len(walls) > MAX_ONSETS - len(found):
            raise InputError(f"its clocks change more than {MAX_ONSETS:,} times")
        work.charge(DATE_COST * len(walls))
        for wall in walls:
            at = max(wall, _EARLIEST).replace(tzinfo=UTC) - before
            found.append(_Onset(at, before, after, wall + max(timedelta(), after - before)))
    return sorted(found)


def _changes(text: str, first: datetime, before: timedelta, until: datetime, work: Work) -> Iterator[datetime]:
    """The wall-clock times that a rule of a VTIMEZONE gives; UNTIL is in UTC there."""
    rule = parse_rule(text)
    if rule.frequency != "YEARLY":
        raise InputError(f"{text[:60]}: clocks change by a yearly rule")
    if rule.until:
        return expand(rule, first, first, min(until, read_time(rule.until).wall + before), work)
    # Many such rules begin in 1601, or in the year 1.
    return expand(rule, first, max(first, until - MAX_HORIZON - timedelta(days=2 * 366)), until, work)


def _plain(text: str) -> str:
    return unescape_text(text).strip().strip('"').strip()
