"""When something is, in words: by whose clock, in which language."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_datetime, format_timedelta, get_timezone_name

_DAY, _DAY_AND_YEAR, _TIME = "EEEE d MMMM", "EEEE d MMMM y", "HH:mm"
_NUMBERS = ("", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when, aware, and the zone whose wall clock was meant."""

    starts: datetime
    ends: datetime
    timezone: str


def when(span: Span, locale: str, timezone: str | None = None, *, zone: bool = True) -> str:
    """A span in words: one day, or from one to another, by the wall clock of `timezone` (default: the span's own).

    English is British; other languages get their own order of a date. Without `zone` it does not say whose clock.

    >>> from datetime import UTC
    >>> when(Span(datetime(2023, 10, 9, 7, tzinfo=UTC), datetime(2023, 10, 9, 15, tzinfo=UTC), "Europe/Berlin"), "en")
    'Monday 9 October 2023, 09:00 to 17:00 (Berlin time, UTC+2)'
    """
    there = ZoneInfo(timezone or span.timezone)
    starts, ends = span.starts.astimezone(there), span.ends.astimezone(there)
    english = locale.split("_")[0] == "en"
    first = _clock(starts, locale, year=starts.year != ends.year or starts.date() == ends.date() or not english)
    last = format_datetime(ends, _TIME, locale=locale)
    if starts.date() != ends.date():
        last = _clock(ends, locale, year=True)
    joined = f"{first} to {last}" if english else f"{first} – {last}"
    return f"{joined} ({_zone_words(starts, ends, locale)})" if zone else joined


def day(at: datetime, timezone: str, locale: str) -> str:
    """The date by the wall clock of a zone, such as `9 October 2023`."""
    there = at.astimezone(ZoneInfo(timezone))
    return format_datetime(there, "d MMMM y", locale=locale) if locale == "en" else format_date(there, "long", locale)


def since(days: int, locale: str) -> str:
    """How long that is in words: months of thirty days, twelve of them a year.

    >>> since(90, "en"), since(180, "en"), since(365, "en"), since(90, "de")
    ('three months', 'six months', 'a year', '3 Monate')
    """
    if locale.split("_")[0] != "en":
        return str(format_timedelta(timedelta(days=days), granularity="day", threshold=1.5, locale=locale))
    months = round(days / 30.4)
    if months >= 12:
        return "a year" if months < 18 else f"{round(months / 12)} years"
    if months > 1:
        return f"{_NUMBERS[months]} months"
    return "a day" if days <= 1 else f"{days} days"


def _clock(at: datetime, locale: str, *, year: bool) -> str:
    if locale.split("_")[0] == "en":
        return format_datetime(at, f"{_DAY_AND_YEAR if year else _DAY}, {_TIME}", locale=locale)
    return f"{format_date(at, 'full', locale)}, {format_datetime(at, _TIME, locale=locale)}"


def _zone_words(starts: datetime, ends: datetime, locale: str) -> str:
    """`Berlin time, UTC+2`; over a clock change, when no one offset is true, `Berlin time`."""
    city = str(starts.tzinfo).rsplit("/", 1)[-1].replace("_", " ")
    offset = starts.utcoffset()
    if city == "UTC":
        return city
    same = offset is not None and offset == ends.utcoffset()
    if locale.split("_")[0] == "en":
        name = f"{city} time"
    elif same:
        name = get_timezone_name(starts, "long", locale=locale)
    else:
        name = get_timezone_name(starts.tzinfo, "long", locale=locale)
    return f"{name}, {_offset(offset)}" if same and offset is not None else name


def _offset(offset: timedelta) -> str:
    """`UTC`, `UTC+2` or `UTC-3:30`.

    >>> _offset(timedelta(hours=-3.5))
    'UTC-3:30'
    """
    minutes = int(offset.total_seconds()) // 60
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours}" + (f":{rest:02d}" if rest else "")
