"""Months, windows and bands of a programme, as instants.

Month n begins on the same day of the month as the start, n months after it (the 31st shortens to the month's last
day), at midnight in the programme's zone. Windows are half open: the first day of month 24 is outside 12-24.
"""

from __future__ import annotations

import calendar
import difflib
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from events_service.clock import require_aware


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: str) -> bool:
    """Whether `name` is an IANA time zone (not a path, nor whatever else a machine keeps among its zones)."""
    return name in _zones()


def nearest_zone(name: str) -> str | None:
    """The zone that a misspelt name most resembles; None where none is near."""
    near = difflib.get_close_matches(name[:80], sorted(_zones()), n=1)
    return near[0] if near else None


def add_months(start: date, months: int) -> date:
    """The same day of the month `months` later (or earlier), or that month's last day where it has no such day."""
    index = start.year * 12 + start.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(start.day, calendar.monthrange(year, month + 1)[1]))


@lru_cache(maxsize=4096)
def day_begins(day: date, zone: str) -> datetime:
    """The first instant of `day` in `zone`, in UTC.

    Where the clocks skip midnight (Beirut, Havana) the day begins when the skip ends; a day that a zone never had
    begins where the next one does.
    """
    tz = ZoneInfo(zone)
    midnight = datetime.combine(day, time(), tz).astimezone(UTC)
    if midnight.astimezone(tz).replace(tzinfo=None) == datetime.combine(day, time()):
        return midnight
    # Midnight is inside a gap: the instant of the change lies at most a day (Samoa, 2011) before the guess.
    before, after = midnight - timedelta(hours=25), midnight
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        before, after = (before, middle) if middle.astimezone(tz).date() >= day else (middle, after)
    return after


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of the programme: months, dates in the programme's zone, and instants in UTC."""

    from_month: int
    to_month: int
    from_date: date
    to_date: date
    starts: datetime
    ends: datetime

    def holds(self, starts: datetime, ends: datetime) -> bool:
        """Whether no part of [starts, ends) lies outside; an event of no length counts as its instant."""
        return self.starts <= starts < self.ends and ends <= self.ends

    @property
    def last_day(self) -> date:
        """The last date inside."""
        return self.to_date - timedelta(days=1)


@dataclass(frozen=True)
class Timeline:
    """The calendar of one programme. `bands` are (from_month, to_month) pairs that tile it; `zone` is an IANA name."""

    start: date
    months: int
    zone: str
    bands: tuple[tuple[int, int], ...]

    def first_day(self, month: int) -> date:
        """The date on which `month` begins; months before 0 and past the end are allowed."""
        return add_months(self.start, month)

    def begins(self, month: int) -> datetime:
        """The instant, in UTC, at which `month` begins."""
        if 0 <= month <= self.months:
            return self._beginnings[month]
        return day_begins(self.first_day(month), self.zone)

    @cached_property
    def _beginnings(self) -> tuple[datetime, ...]:
        return tuple(day_begins(self.first_day(month), self.zone) for month in range(self.months + 1))

    @cached_property
    def whole(self) -> Window:
        """The programme from its first instant to its end."""
        return self.window(0, self.months)

    def window(self, from_month: int, to_month: int) -> Window:
        """The half-open window of two months."""
        return Window(
            from_month,
            to_month,
            self.first_day(from_month),
            self.first_day(to_month),
            self.begins(from_month),
            self.begins(to_month),
        )

    def date_of(self, instant: datetime) -> date:
        """The date in the programme's zone at an aware instant."""
        return require_aware(instant).astimezone(ZoneInfo(self.zone)).date()

    def month_of(self, instant: datetime) -> int:
        """The 0-based month of an aware instant; negative before the start, `months` or more after the end."""
        at = require_aware(instant)
        if self._beginnings[0] <= at < self._beginnings[-1]:
            return bisect_right(self._beginnings, at) - 1
        day = self.date_of(at)
        month = (day.year - self.start.year) * 12 + day.month - self.start.month
        return month - 1 if self.first_day(month) > day else month

    def band_of(self, month: int) -> tuple[int, int] | None:
        """The band that `month` lies in; None outside the programme."""
        return next((band for band in self.bands if band[0] <= month < band[1]), None)

    def year_of(self, month: int) -> int:
        """The programme year of a month: 1 for months 0-11, 2 from month 12."""
        return month // 12 + 1
