"""Recurrence rules (RFC 5545 3.3.10), given date by date from where the time asked for begins.

Days are looked at one after another, each charged to the file's account, so that a rule that matches nothing costs no
more than one that matches every day. Nothing is looked at that lies after the time asked for, and nothing before it
except where a COUNT has to be counted.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import product
from typing import NamedTuple

from events_service.calendars.foreign.bounds import MAX_RULE, MAX_SERIES_WORK, MAX_TIMES_A_DAY, Work
from events_service.domain.timeline import add_months
from events_service.errors import InputError

_WEEKDAYS = {name: number for number, name in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
_FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY")
_BYDAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?\d{1,9}")
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LAST_YEAR = 9998
"""The last for which all that is looked at is a date that Python has."""


class Rule(NamedTuple):
    """An RRULE that can be followed.

    `times_in_all` is COUNT, `until` as it was written; `weekdays` are (nth or 0, 0 for Monday).
    """

    frequency: str
    interval: int
    times_in_all: int | None
    until: str
    week_start: int
    months: frozenset[int]
    weeks: frozenset[int]
    yeardays: frozenset[int]
    monthdays: frozenset[int]
    weekdays: frozenset[tuple[int, int]]
    times: tuple[tuple[int, ...], ...]
    positions: tuple[int, ...]


def parse_rule(text: str) -> Rule:
    """Read the value of an RRULE. InputError, which names the rule, where it cannot be followed."""
    if len(text) > MAX_RULE:
        raise InputError(f"the rule has {len(text):,} characters; at most {MAX_RULE:,} of one are read")
    parts = {}
    for piece in text.upper().rstrip(";").split(";"):
        name, equals, value = piece.partition("=")
        if not equals:
            raise _unfit(text, f"{piece[:40]!r} is no part of a rule")
        parts[name.strip()] = value.strip()
    frequency = parts.get("FREQ", "")
    if frequency in ("SECONDLY", "MINUTELY", "HOURLY"):
        raise _unfit(text, "what repeats more than once a day is no event that people join")
    if frequency not in _FREQUENCIES:
        raise _unfit(text, f"FREQ is {frequency[:40]!r}" if frequency else "FREQ is missing")
    if parts.get("RSCALE", "GREGORIAN") != "GREGORIAN" or parts.get("SKIP", "OMIT") != "OMIT":
        raise _unfit(text, "of RFC 7529, only RSCALE=GREGORIAN and SKIP=OMIT are followed")
    times = (_numbers(parts, "BYHOUR", 0, 23), _numbers(parts, "BYMINUTE", 0, 59), _numbers(parts, "BYSECOND", 0, 60))
    many = max(1, len(times[0])) * max(1, len(times[1])) * max(1, len(times[2]))
    if many > MAX_TIMES_A_DAY:
        raise _unfit(text, f"{many:,} times a day; at most {MAX_TIMES_A_DAY} are read")
    counts = _numbers(parts, "COUNT", 1, 999_999_999)
    return Rule(
        frequency=frequency,
        interval=(_numbers(parts, "INTERVAL", 1, 999_999_999) or (1,))[0],
        times_in_all=counts[0] if counts else None,
        until=parts.get("UNTIL", ""),
        week_start=_WEEKDAYS.get(parts.get("WKST", "MO"), 0),
        months=frozenset(_numbers(parts, "BYMONTH", 1, 12)),
        weeks=frozenset(_numbers(parts, "BYWEEKNO", -53, 53)),
        yeardays=frozenset(_numbers(parts, "BYYEARDAY", -366, 366)),
        monthdays=frozenset(_numbers(parts, "BYMONTHDAY", -31, 31)),
        weekdays=frozenset(_weekdays(parts)),
        times=times,
        positions=_numbers(parts, "BYSETPOS", -366 * MAX_TIMES_A_DAY, 366 * MAX_TIMES_A_DAY),
    )


def expand(rule: Rule, first: datetime, begin: datetime, last: datetime, work: Work) -> Iterator[datetime]:
    """The rule's wall-clock times in [begin, last], in order, `first` (DTSTART) among them.

    All times are naive and of the zone of `first`, `last` is no later than the rule's UNTIL. `first` counts as the
    first whether the rule gives it or not (RFC 5545 3.8.5.3). InputError where the account is used up, or more days
    than MAX_SERIES_WORK would have to be looked at.
    """
    if last < first:
        return
    if first >= begin:
        yield first
    rule = _completed(rule, first)
    times = _times(rule, first)
    left = None if rule.times_in_all is None else rule.times_in_all - 1
    # A COUNT has to be counted from the first on.
    from_day = (first if left is not None else max(first, begin)).date()
    parts = sum(map(bool, (rule.weekdays, rule.monthdays, rule.yeardays, rule.weeks)))
    spent = 0
    for opens, closes in _periods(rule, first.date(), from_day, last.date()):
        if left == 0:
            return
        days = (closes - opens).days + 1
        cost = 2 + min(days, 31 * len(rule.months) if rule.months else days) * (parts + len(times))
        spent += cost
        if spent > MAX_SERIES_WORK:
            raise InputError("more days than the programme's would have to be looked at to follow its rule")
        work.charge(cost)
        for at in _of_period(rule, opens, closes, times):
            if at <= first or left == 0:
                continue
            if at > last:
                return
            if left is not None:
                left -= 1
            if at >= begin:
                yield at


def _of_period(rule: Rule, opens: date, closes: date, times: list[time]) -> Iterator[datetime]:
    days = _days(rule, opens, closes)
    if not rule.positions:
        return (datetime.combine(day, at) for day in days for at in times)
    whole = [(day, at) for day in days for at in times]
    places = {place - 1 if place > 0 else len(whole) + place for place in rule.positions}
    return (datetime.combine(*whole[place]) for place in sorted(places) if 0 <= place < len(whole))


def _completed(rule: Rule, first: datetime) -> Rule:
    """What a rule does not say, DTSTART says for it (RFC 5545 3.3.10)."""
    if rule.frequency in ("WEEKLY", "DAILY") or rule.weeks:
        # There the number of a weekday means nothing.
        rule = rule._replace(weekdays=frozenset((0, weekday) for _, weekday in rule.weekdays))
    if rule.weekdays or rule.monthdays or rule.yeardays:
        return rule
    weekday = frozenset({(0, first.weekday())})
    if rule.weeks or rule.frequency == "WEEKLY":
        return rule._replace(weekdays=weekday)
    if rule.frequency == "YEARLY":
        return rule._replace(months=rule.months or frozenset({first.month}), monthdays=frozenset({first.day}))
    return rule._replace(monthdays=frozenset({first.day})) if rule.frequency == "MONTHLY" else rule


def _times(rule: Rule, first: datetime) -> list[time]:
    hours, minutes, seconds = (
        given or (own,) for given, own in zip(rule.times, (first.hour, first.minute, first.second), strict=True)
    )
    # A leap second is the one before it, as everywhere in Python.
    return [time(*parts) for parts in sorted(set(product(hours, minutes, (min(second, 59) for second in seconds))))]


def _periods(rule: Rule, first: date, begin: date, last: date) -> Iterator[tuple[date, date]]:
    """First and last day of each year, month, week or day that the rule looks at, from the one with `begin` on."""
    step = rule.interval
    if rule.frequency == "YEARLY":
        skipped = max(0, (begin.year - first.year) // step)
        for year in range(first.year + skipped * step, min(last.year, _LAST_YEAR) + 1, step):
            yield date(year, 1, 1), date(year, 12, 31)
    elif rule.frequency == "MONTHLY":
        start = first.year * 12 + first.month - 1
        start += max(0, (begin.year * 12 + begin.month - 1 - start) // step) * step
        for month in range(start, min(last.year, _LAST_YEAR) * 12 + last.month, step):
            opens = date(month // 12, month % 12 + 1, 1)
            yield opens, add_months(opens, 1) - timedelta(days=1)
    else:
        length = 7 if rule.frequency == "WEEKLY" else 1
        start = first.toordinal() - ((first.weekday() - rule.week_start) % 7 if length == 7 else 0)
        start += max(0, (begin.toordinal() - start) // (length * step)) * length * step
        for day in range(max(start, 1), min(last, date(_LAST_YEAR, 12, 31)).toordinal() + 1, length * step):
            yield date.fromordinal(day), date.fromordinal(day + length - 1)


def _days(rule: Rule, opens: date, closes: date) -> Iterator[date]:
    """The days of a period that pass every part of the rule."""
    day, end = opens.toordinal(), closes.toordinal()
    while day <= end:
        at = date.fromordinal(day)
        if rule.months and at.month not in rule.months:
            day += _length(at) - at.day + 1
            continue
        if _fits(rule, at):
            yield at
        day += 1


def _fits(rule: Rule, day: date) -> bool:
    if rule.weekdays and rule.weekdays.isdisjoint(_weekday_names(rule, day)):
        return False
    if rule.monthdays and day.day not in rule.monthdays and day.day - _length(day) - 1 not in rule.monthdays:
        return False
    if rule.yeardays:
        before, after = _in_year(day)
        if before + 1 not in rule.yeardays and -after - 1 not in rule.yeardays:
            return False
    return not rule.weeks or not rule.weeks.isdisjoint(_week_numbers(day, rule.week_start))


def _weekday_names(rule: Rule, day: date) -> tuple[tuple[int, int], ...]:
    """What BYDAY may call it: its weekday, and the how-manieth such day of the month or year, from either end."""
    weekday = day.weekday()
    if rule.frequency == "YEARLY" and not rule.months:
        before, after = _in_year(day)
    else:
        before, after = day.day - 1, _length(day) - day.day
    return (0, weekday), (before // 7 + 1, weekday), (-(after // 7) - 1, weekday)


def _length(day: date) -> int:
    """How many days its month has."""
    return 29 if day.month == 2 and calendar.isleap(day.year) else _LENGTHS[day.month]


def _in_year(day: date) -> tuple[int, int]:
    """How many days of its year lie before and after it."""
    before = day.toordinal() - date(day.year, 1, 1).toordinal()
    return before, 364 + calendar.isleap(day.year) - before


def _week_numbers(day: date, week_start: int) -> tuple[int, int]:
    """The number of the week that holds `day`, from the year's beginning and from its end: week 1 is the first with
    four days in the year (RFC 5545 3.3.10).
    """
    fourth = day.toordinal() - (day.weekday() - week_start) % 7 + 3
    year = date.fromordinal(fourth).year
    number = (fourth - date(year, 1, 1).toordinal()) // 7 + 1
    after = (date(year, 12, 31).toordinal() - fourth) // 7
    return number, -after - 1


def _numbers(parts: dict[str, str], name: str, low: int, high: int) -> tuple[int, ...]:
    """The whole numbers of a part, in order, each once."""
    found = []
    for word in filter(None, map(str.strip, parts.get(name, "").split(","))):
        number = int(word) if _NUMBER.fullmatch(word) else None
        if number is None or not low <= number <= high or (number == 0 and low < 0):
            raise InputError(f"{name}={parts[name][:60]}: {word[:20]!r} is not in {low} to {high}")
        found.append(number)
    return tuple(sorted(set(found)))


def _weekdays(parts: dict[str, str]) -> Iterator[tuple[int, int]]:
    for word in filter(None, map(str.strip, parts.get("BYDAY", "").split(","))):
        match = _BYDAY.fullmatch(word)
        if not match:
            raise InputError(f"BYDAY={parts['BYDAY'][:60]}: {word[:20]!r} is no weekday such as MO or -1FR")
        yield int(match[1] or 0), _WEEKDAYS[match[2]]


def _unfit(text: str, why: str) -> InputError:
    return InputError(f"{text[:100]}: {why}")
