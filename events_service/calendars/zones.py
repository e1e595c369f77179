"""VTIMEZONE components that every reader agrees on: yearly rules out of the zone's own file, for the years in use.

Readers differ on long RDATE lists and on rules that began long ago, so a component begins the year before the first
event and says no more than it must (RFC 5545 3.6.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from events_service.calendars.lines import content_line
from events_service.calendars.tzif import Onset, PosixRule, YearlyDate, ZoneFile, days_in_month, read_zone

_WEEKDAYS = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_UTC_NAMES = frozenset(
    name
    for plain in ("UTC", "UCT", "GMT", "GMT0", "GMT+0", "GMT-0", "Zulu", "Universal", "Greenwich")
    for name in (plain, f"Etc/{plain}")
)
_DAY = 86_400


class ZoneUse(NamedTuple):
    """A zone, and the first and last local date on which an event needs it."""

    tzid: str
    first: date
    last: date


def is_utc(tzid: str) -> bool:
    """Whether a zone is UTC by another name: its times are written with Z, and it needs no VTIMEZONE."""
    return tzid in _UTC_NAMES


def vtimezone(tzid: str, first: date, last: date) -> bytes | None:
    """A VTIMEZONE that is right for local times from `first` to `last`; None where times must be written in UTC.

    It is made of yearly rules where the zone keeps to the rule of its TZif footer over those years (it then stays right
    after `last` too), else of one onset a line. `tzid` is an IANA name; InputError for another.
    """
    return None if is_utc(tzid) else _vtimezone(tzid, min(first, last).year, max(first, last).year)


def vtimezones(uses: Iterable[ZoneUse]) -> bytes:
    """The VTIMEZONEs that a calendar needs, one a zone, in order of name."""
    spans: dict[str, tuple[date, date]] = {}
    for tzid, first, last in uses:
        known = spans.get(tzid, (first, last))
        spans[tzid] = (min(first, known[0]), max(last, known[1]))
    return b"".join(vtimezone(tzid, *spans[tzid]) or b"" for tzid in sorted(spans))


@lru_cache(maxsize=1024)
def _vtimezone(tzid: str, first_year: int, last_year: int) -> bytes:
    zone = read_zone(tzid)
    begins = int(datetime(first_year - 1, 1, 1, tzinfo=UTC).timestamp())
    ends = int(datetime(last_year, 12, 31, tzinfo=UTC).timestamp()) + 3 * _DAY
    onsets = zone.between(begins, ends)
    body = _by_rule(zone, zone.rule, onsets, begins, ends) if zone.rule else None
    if body is None:
        body = _by_list(zone, onsets, begins)
    return b"BEGIN:VTIMEZONE\r\n" + content_line("TZID", tzid) + body + b"END:VTIMEZONE\r\n"


def _by_rule(zone: ZoneFile, rule: PosixRule, onsets: tuple[Onset, ...], begins: int, ends: int) -> bytes | None:
    """Yearly rules, if they give just these onsets and can be said in an RRULE."""
    years = range(datetime.fromtimestamp(begins, UTC).year, datetime.fromtimestamp(ends, UTC).year + 1)
    expected = [onset for year in years for onset in rule.onsets(year) if begins <= onset.at < ends]
    if [(o.at, o.before, o.after) for o in onsets] != [(o.at, o.before, o.after) for o in expected]:
        return None
    if rule.summer is None or rule.begins is None or rule.ends is None:
        if zone.offset_at(begins)[0] != rule.standard:
            return None
        return _observance(Onset(-rule.standard, rule.standard, rule.standard, rule.standard_name), daylight=False)
    onset_in_first_year = {onset.after: onset for onset in reversed(expected)}
    parts = []
    for yearly, offset in ((rule.begins, rule.summer), (rule.ends, rule.standard)):
        recurrence = _rrule(yearly)
        if recurrence is None:
            return None
        onset = onset_in_first_year[offset]
        parts.append((onset, _observance(onset, onset.after > onset.before, f"RRULE:{recurrence}")))
    return b"".join(part for _, part in sorted(parts, key=lambda pair: pair[0].at))


def _by_list(zone: ZoneFile, onsets: tuple[Onset, ...], begins: int) -> bytes:
    """One observance for the time before the first onset, one for each pair of offsets with its onsets one a line."""
    offset, name = zone.offset_at(begins - 1)
    body = _observance(Onset(begins - offset, offset, offset, name), daylight=False)
    groups: dict[tuple[int, int, str], list[Onset]] = {}
    for onset in onsets:
        groups.setdefault((onset.before, onset.after, onset.name), []).append(onset)
    for group in groups.values():
        # The first stands as RDATE too: ical.js takes no account of DTSTART where there is an RDATE.
        dates = (f"RDATE:{_local(onset)}" for onset in group)
        body += _observance(group[0], group[0].after > group[0].before, *dates)
    return body


def _rrule(yearly: YearlyDate) -> str | None:
    """The rule as an RRULE; None where its hours carry it over the end of a month."""
    days = yearly.seconds // _DAY
    if not days:
        week = -1 if yearly.week == 5 else yearly.week
        return f"FREQ=YEARLY;BYMONTH={yearly.month};BYDAY={week}{_WEEKDAYS[yearly.weekday]}"
    length = days_in_month(2023, yearly.month)
    if yearly.month == 2:
        return None
    first = (length - 6 if yearly.week == 5 else 7 * yearly.week - 6) + days
    if first < 1 or first + 6 > length:
        return None
    weekday = _WEEKDAYS[(yearly.weekday + days) % 7]
    monthdays = ",".join(str(day) for day in range(first, first + 7))
    return f"FREQ=YEARLY;BYMONTH={yearly.month};BYMONTHDAY={monthdays};BYDAY={weekday}"


def _observance(onset: Onset, daylight: bool, *recurrences: str) -> bytes:
    kind = "DAYLIGHT" if daylight else "STANDARD"
    lines = [
        f"BEGIN:{kind}",
        f"DTSTART:{_local(onset)}",
        f"TZOFFSETFROM:{_offset(onset.before)}",
        f"TZOFFSETTO:{_offset(onset.after)}",
        f"TZNAME:{onset.name}",
        *recurrences,
        f"END:{kind}",
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def _local(onset: Onset) -> str:
    return f"{onset.local:%Y%m%dT%H%M%S}"


def _offset(seconds: int) -> str:
    sign = "-" if seconds < 0 else "+"
    hours, rest = divmod(abs(seconds), 3600)
    text = f"{sign}{hours:02}{rest // 60:02}"
    return f"{text}{rest % 60:02}" if rest % 60 else text


def needs(tzid: str, starts: datetime, ends: datetime) -> ZoneUse:
    """The use that an event from `starts` to `ends` makes of its zone, a day wider on both sides."""
    day = timedelta(days=1)
    return ZoneUse(tzid, (starts.astimezone(UTC) - day).date(), (ends.astimezone(UTC) + day).date())
