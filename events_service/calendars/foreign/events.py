"""One VEVENT: its times, its rules and its words, placed in a zone but not yet repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from events_service.calendars.foreign.bounds import DATE_COST, EVENT_COST, MAX_DATES, MAX_RULES, Work
from events_service.calendars.foreign.recurrence import Rule, parse_rule
from events_service.calendars.foreign.split import Component
from events_service.calendars.foreign.times import Length, Written, dates_of, read_length, read_time
from events_service.calendars.foreign.zones import Note, Zone, Zones
from events_service.calendars.lines import ContentLine, unescape_text
from events_service.calendars.model import EventStatus
from events_service.errors import FieldError, InputError

MAX_TEXT = 500
MAX_LINK = 2_000
_END = datetime(9998, 1, 1)  # noqa: DTZ001  a wall clock
_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_SPACES = re.compile(r"\s+")
_T = TypeVar("_T")


class Repeat(NamedTuple):
    """A rule, and the last wall-clock time that it may give."""

    rule: Rule
    last: datetime


class Stamp(NamedTuple):
    """A time as it was written, and the zone it is in."""

    written: Written
    zone: Zone


class Words(NamedTuple):
    """What an event says beside its times, as `Found` has it."""

    title: str
    place: str
    url: str | None
    status: EventStatus


@dataclass(frozen=True)
class Event:
    """A VEVENT that was read. Naive times are on the wall of `zone`; `place` is what people call the component.

    `dates` are those of RDATE with their lengths, `without` and `without_days` those of EXDATE. `instead_of` is the
    RECURRENCE-ID of one that stands for an occurrence of a series. `revision` is SEQUENCE and DTSTAMP: the higher one
    is the newer (RFC 5546 2.1.5).
    """

    place: str
    uid: str
    revision: tuple[int, datetime]
    zone: Zone
    start: datetime
    length: Length
    all_day: bool
    repeats: tuple[Repeat, ...]
    dates: tuple[tuple[datetime, Length], ...]
    without: frozenset[datetime]
    without_days: frozenset[datetime]
    instead_of: Stamp | None
    component: Component
    called_off: bool

    @cached_property
    def words(self) -> Words:
        """Read only when they are asked for: most events of a calendar lie in the past."""
        location, status = self.component.text("LOCATION"), self.component.text("STATUS").upper()
        off = self.called_off or status == "CANCELLED"
        return Words(
            _line(self.component.text("SUMMARY")),
            _line(location),
            _link(self.component.text("URL")) or _link(location),
            "CANCELLED" if off else "TENTATIVE" if status == "TENTATIVE" else "CONFIRMED",
        )

    def span(self, start: datetime, length: Length) -> tuple[datetime, datetime]:
        """The instants at which an occurrence that starts at that wall-clock time starts and ends."""
        begins = self.zone.instant(start)
        ends = self.zone.instant(start + timedelta(days=length.days)) if length.days else begins
        return begins, ends + length.rest


def read_event(component: Component, zones: Zones, work: Work, note: Note, *, called_off: bool) -> Event:
    """Read a VEVENT. FieldError, with component and property, where it cannot be used; `note` hears of less."""
    work.charge(EVENT_COST)
    return _Reader(component, zones, work, note).event(called_off)


def wall_in(zone: Zone, written: Written, other: Zone) -> datetime:
    """A time that was written in `other`, on the wall of `zone`."""
    if written.utc:
        return zone.wall(written.wall.replace(tzinfo=UTC))
    return written.wall if zone is other or written.is_date else zone.wall(other.instant(written.wall))


class _Reader:
    def __init__(self, component: Component, zones: Zones, work: Work, note: Note) -> None:
        self.component, self.zones, self.work, self.note = component, zones, work, note

    def event(self, called_off: bool) -> Event:
        component = self.component
        first = component.lines.get("DTSTART")
        if first is None:
            raise self._fault("DTSTART", "is missing")
        start = self._in("DTSTART", lambda: _time(first))
        zone = self.zones.of(start, component.place, "DTSTART")
        moved = component.lines.get("RECURRENCE-ID")
        if moved and moved.param("RANGE"):
            self.note(component.place, "RECURRENCE-ID", "RANGE=THISANDFUTURE is not applied; only this one is changed")
        without, without_days = self._without(zone, start)
        return Event(
            place=component.place,
            uid=_line(component.text("UID")),
            revision=(self._number("SEQUENCE"), self._stamp()),
            zone=zone,
            start=start.wall,
            length=self._length(start, zone),
            all_day=start.is_date,
            # One that stands for an occurrence does not repeat (RFC 5545 3.8.4.4).
            repeats=() if moved else self._repeats(zone),
            dates=() if moved else self._dates(zone, start),
            without=without,
            without_days=without_days,
            instead_of=self._in("RECURRENCE-ID", lambda: self._stamped(moved)) if moved else None,
            component=component,
            called_off=called_off,
        )

    def _fault(self, name: str, why: str) -> FieldError:
        return FieldError("", self.component.place, name, why)

    def _in(self, name: str, read: Callable[[], _T]) -> _T:
        """What `read` gives; its fault is that of the property `name`."""
        try:
            return read()
        except InputError as error:
            raise self._fault(name, str(error)) from error
        except (ValueError, OverflowError) as error:
            raise self._fault(name, "lies beyond the calendar") from error

    def _length(self, start: Written, zone: Zone) -> Length:
        end, duration = self.component.lines.get("DTEND"), self.component.lines.get("DURATION")
        try:
            if end:
                return self._in("DTEND", lambda: self._until_end(end, start, zone))
            if duration:
                return self._in("DURATION", lambda: _duration(duration.value, start))
        except FieldError as error:
            self.note(error.table, error.field, f"{error.why}; it is read as if there was none")
        return Length(1 if start.is_date else 0, timedelta())

    def _until_end(self, line: ContentLine, start: Written, zone: Zone) -> Length:
        end = _time(line)
        if start.is_date:
            return Length(max(1, (end.wall.date() - start.wall.date()).days), timedelta())
        # The same exact duration for every occurrence (RFC 5545 3.8.5.3).
        other = zone if end.is_date else self.zones.of(end, self.component.place, "DTEND")
        rest = other.instant(end.wall) - zone.instant(start.wall)
        if rest < timedelta():
            raise InputError(f"{line.value} is before DTSTART, {start.wall:%Y%m%dT%H%M%S}")
        return Length(0, rest)

    def _repeats(self, zone: Zone) -> tuple[Repeat, ...]:
        lines = self.component.all("RRULE")
        if len(lines) > MAX_RULES:
            raise self._fault("RRULE", f"is there {len(lines)} times; at most {MAX_RULES} are followed")
        if self.component.all("EXRULE"):
            self.note(self.component.place, "EXRULE", "is not applied: RFC 5545 has it no more")
        return self._in("RRULE", lambda: tuple(_repeat(line.value, zone) for line in lines))

    def _dates(self, zone: Zone, start: Written) -> tuple[tuple[datetime, Length], ...]:
        unit = self._length(start, zone) if self.component.all("RDATE") else Length(0, timedelta())

        def read(text: str, line: ContentLine) -> tuple[datetime, Length]:
            # A period says when it ends, too (RFC 5545 3.3.9).
            begin, slash, end = text.partition("/")
            wall = self._wall(begin, line, zone, start)
            if not slash or start.is_date:
                return wall, unit
            if end[:1].upper() == "P":
                return wall, read_length(end)
            return wall, Length(0, max(timedelta(), read_time(end).wall - read_time(begin).wall))

        return tuple(self._each("RDATE", read))

    def _without(self, zone: Zone, start: Written) -> tuple[frozenset[datetime], frozenset[datetime]]:
        def read(text: str, line: ContentLine) -> tuple[datetime, bool]:
            # Some programs write dates where the times of those days are meant.
            if start.is_date or read_time(text).is_date:
                return datetime.combine(read_time(text).wall, time()), True
            return self._wall(text, line, zone, start), False

        found = list(self._each("EXDATE", read))
        return frozenset(at for at, day in found if not day), frozenset(at for at, day in found if day)

    def _each(self, name: str, read: Callable[[str, ContentLine], _T]) -> Iterator[_T]:
        """What `read` makes of every value of a property; those that it cannot read are named and left out."""
        lines = self.component.all(name)
        values = [(text, line) for line in lines for text in dates_of(line)]
        if len(values) > MAX_DATES:
            self.note(self.component.place, name, f"lists {len(values):,} dates; the first {MAX_DATES:,} are read")
        for text, line in values[:MAX_DATES]:
            self.work.charge(DATE_COST)
            try:
                yield read(text, line)
            except (InputError, OverflowError):
                self.note(self.component.place, name, f"{text[:60]!r} is no date that can be used; it is left out")

    def _wall(self, text: str, line: ContentLine, zone: Zone, start: Written) -> datetime:
        """A date of the series on its own wall; a bare date is at the time of day of DTSTART."""
        written = read_time(text, line.param("TZID"))
        if start.is_date or written.is_date:
            return datetime.combine(written.wall, start.wall.time())
        return wall_in(zone, written, self.zones.of(written, self.component.place, line.name))

    def _stamped(self, line: ContentLine) -> Stamp:
        written = _time(line)
        return Stamp(written, self.zones.of(written, self.component.place, line.name))

    def _number(self, name: str) -> int:
        text = self.component.text(name)
        return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0

    def _stamp(self) -> datetime:
        try:
            return read_time(self.component.text("DTSTAMP")).wall.replace(tzinfo=UTC)
        except InputError:
            return _NEVER


def _time(line: ContentLine) -> Written:
    return read_time(line.value, line.param("TZID"))


def _duration(text: str, start: Written) -> Length:
    length = read_length(text)
    if not start.is_date:
        return length
    # A part of a day is a day.
    return Length(max(1, length.days - -length.rest // timedelta(days=1)), timedelta())


def _repeat(text: str, zone: Zone) -> Repeat:
    rule = parse_rule(text)
    if not rule.until:
        return Repeat(rule, _END)
    until = read_time(rule.until)
    if until.is_date:
        return Repeat(rule, datetime.combine(until.wall, time.max))
    return Repeat(rule, wall_in(zone, until, zone) if until.wall < _END else _END)


def _line(text: str) -> str:
    """A TEXT value as one line of plain text, cut at a length that no honest one needs."""
    plain = unescape_text(text[: 4 * MAX_TEXT])
    if not plain.isprintable():
        plain = "".join(char if char.isprintable() else " " for char in plain)
    return _SPACES.sub(" ", plain).strip()[:MAX_TEXT]


def _link(text: str) -> str | None:
    """An http or https address, whole, or none."""
    text = text.strip().strip('"')
    if len(text) > MAX_LINK or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme.lower() in ("http", "https") and parts.hostname and not parts.username else None
