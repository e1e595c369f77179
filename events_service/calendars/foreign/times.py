"""Dates, times and durations as calendars write them (RFC 5545 3.3.4 to 3.3.9): cut apart, not yet placed in a zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from events_service.calendars.lines import ContentLine
from events_service.errors import InputError

_TIME = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d):?(\d\d)?(Z?))?", re.IGNORECASE | re.ASCII)
_DURATION = re.compile(
    r"([+-]?)P(?=.)(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?",
    re.IGNORECASE | re.ASCII,
)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d):?(\d\d)?", re.ASCII)


class Written(NamedTuple):
    """A date or time as it was written: naive, with what stands beside it about its zone. A date is its midnight."""

    wall: datetime
    is_date: bool
    utc: bool
    tzid: str


class Length(NamedTuple):
    """A duration: days go by the calendar, the rest by the clock (RFC 5545 3.3.6)."""

    days: int
    rest: timedelta


def read_time(text: str, tzid: str = "") -> Written:
    """A DATE or DATE-TIME. InputError for what is none."""
    match = _TIME.fullmatch(text.strip())
    if not match:
        raise InputError(f"{text[:60]!r} is no date or time")
    year, month, day, hour, minute, second, z = match.groups()
    try:
        # A leap second is the one before it, as everywhere in Python.
        clock = (int(hour or 0), int(minute or 0), min(int(second or 0), 59))
        wall = datetime(int(year), int(month), int(day), *clock)  # noqa: DTZ001  it is a wall clock
    except ValueError as error:
        raise InputError(f"{text[:60]!r} is not on the calendar") from error
    return Written(wall, hour is None, bool(z), "" if z else tzid)


def dates_of(line: ContentLine) -> list[str]:
    """The values of a line that may have several, unread."""
    return [value for value in map(str.strip, line.value.split(",")) if value]


def read_length(text: str) -> Length:
    """A DURATION that is not negative. InputError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if not match or match[1] == "-":
        raise InputError(f"{text[:60]!r} is no duration that an event can have")
    weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups()[1:])
    return Length(weeks * 7 + days, timedelta(hours=hours, minutes=minutes, seconds=seconds))


def read_offset(text: str) -> timedelta:
    """A UTC-OFFSET of less than a day. InputError."""
    match = _OFFSET.fullmatch(text.strip())
    if not match or int(match[2]) > 23 or int(match[3]) > 59:
        raise InputError(f"{text[:60]!r} is no offset from UTC")
    seconds = int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4] or 0)
    return timedelta(seconds=-seconds if match[1] == "-" else seconds)
