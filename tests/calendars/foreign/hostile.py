"""Calendars made to hurt whoever reads them: for each bound the worst that gets past it, or just does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Made = Callable[[], bytes]


def calendar(*lines: str | bytes) -> bytes:
    """A VCALENDAR of these lines."""
    body = [line if isinstance(line, bytes) else line.encode() for line in lines]
    return b"\r\n".join((b"BEGIN:VCALENDAR", b"VERSION:2.0", *body, b"END:VCALENDAR", b""))


def event(*lines: str | bytes, start: str = "DTSTART:20230102T090000Z") -> list[str | bytes]:
    """The lines of a VEVENT."""
    return ["BEGIN:VEVENT", start, *lines, "END:VEVENT"]


def _rule(rule: str, start: str = "DTSTART:20230102T090000Z") -> Made:
    return lambda: calendar(*event(f"RRULE:{rule}", start=start))


def _many(number: int, lines: Callable[[int], Iterable[str | bytes]]) -> Made:
    return lambda: calendar(*(line for at in range(number) for line in lines(at)))


def _zone(*observance: str, times: int = 1, start: str = "DTSTART:19700101T000000") -> Made:
    part = ("BEGIN:STANDARD", start, "TZOFFSETFROM:+0100", "TZOFFSETTO:+0200", *observance, "END:STANDARD")
    return lambda: calendar(
        "BEGIN:VTIMEZONE", "TZID:Own", *part * times, "END:VTIMEZONE",
        *event(start="DTSTART;TZID=Own:20230102T090000"),
    )  # fmt: skip


def _digits(numbers: Iterable[int]) -> str:
    return ",".join(map(str, numbers))


_NEVER = "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
_TIMES = f"BYHOUR={_digits(range(10))};BYMINUTE={_digits(range(10))}"
_NTHS = ",".join(f"{nth}{day}" for nth in range(-9, 10) if nth for day in ("MO", "TU", "WE", "TH", "FR", "SA", "SU"))
_DATES = [f"{1900 + at // 336}{at // 28 % 12 + 1:02}{at % 28 + 1:02}T090000Z" for at in range(100_000)]

HOSTILE: dict[str, Made] = {
    "secondly": _rule("FREQ=SECONDLY"),
    "minutely, a thousand million times": _rule("FREQ=MINUTELY;COUNT=999999999"),
    "hourly": _rule("FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30"),
    "daily, a thousand million times": _rule("FREQ=DAILY;COUNT=999999999"),
    "daily from the first year on, counted": _rule("FREQ=DAILY;COUNT=999999999", "DTSTART:00010101T000000Z"),
    "yearly from the first year on": _rule("FREQ=YEARLY", "DTSTART:00010101T000000Z"),
    "weekly from the first day on": _rule("FREQ=WEEKLY;WKST=SU", "DTSTART:00010101T000000Z"),
    "in the last year": _rule("FREQ=DAILY", "DTSTART:99991231T235959Z"),
    "up to the last moment": _rule("FREQ=YEARLY;UNTIL=99991231T235959Z"),
    "never": _rule(_NEVER),
    "never, counted": _rule(f"{_NEVER};COUNT=1000", "DTSTART:19000101T000000Z"),
    "until before its start": _rule("FREQ=DAILY;UNTIL=20200101T000000Z"),
    "a vast interval": _rule("FREQ=YEARLY;INTERVAL=999999999"),
    "an interval of nought": _rule("FREQ=DAILY;INTERVAL=0"),
    "a number of 100,000 digits": _rule("FREQ=DAILY;COUNT=" + "9" * 100_000),
    "all seconds of a day": _rule(
        f"FREQ=DAILY;BYHOUR={_digits(range(24))};BYMINUTE={_digits(range(60))};BYSECOND={_digits(range(60))}"
    ),
    "as many times a day as are read": _rule(f"FREQ=DAILY;{_TIMES}"),
    "as many times a day as are read, all but one set aside": _rule(f"FREQ=YEARLY;BYDAY=MO,TU;{_TIMES};BYSETPOS=-1"),
    "every part at once": _rule(
        f"FREQ=YEARLY;BYMONTH={_digits(range(1, 13))};BYYEARDAY=-1;BYWEEKNO={_digits(range(1, 54))}"
        f";BYMONTHDAY={_digits(range(1, 32))};BYDAY={_NTHS};{_TIMES}"
    ),
    "a rule of 40,000 characters": _rule("FREQ=DAILY;" + "X=1;" * 10_000),
    "a rule of nothing but marks": _rule(";" * 1_900),
    "two hundred rules": lambda: calendar(*event(*["RRULE:FREQ=DAILY"] * 200)),
    "rules that never match, in every event": _many(5_000, lambda at: event(f"UID:{at}", f"RRULE:{_NEVER}")),
    "rules that match daily, in every event": _many(5_000, lambda at: event(f"UID:{at}", "RRULE:FREQ=DAILY")),
    "yearly rules that look at every day": _many(
        5_000, lambda at: event(f"UID:{at}", "RRULE:FREQ=YEARLY;BYYEARDAY=366;BYWEEKNO=7")
    ),
    "a hundred thousand dates in a line": lambda: calendar(*event("RDATE:" + ",".join(_DATES))),
    "a hundred thousand dates in 200 lines": lambda: calendar(
        *event(*("RDATE:" + ",".join(_DATES[at : at + 500]) for at in range(0, 100_000, 500)))
    ),
    "a hundred thousand dates left out": lambda: calendar(
        *event("RRULE:FREQ=DAILY", *("EXDATE:" + ",".join(_DATES[at : at + 2_000]) for at in range(0, 100_000, 2_000)))
    ),
    "as many dates as are read, in every event": _many(
        250, lambda at: event(f"UID:{at}", *["RDATE:" + ",".join(_DATES[40_000:42_000])] * 1)
    ),
    "two thousand versions of an event": _many(2_000, lambda at: event("UID:1", f"SEQUENCE:{at}", "RRULE:FREQ=DAILY")),
    "two thousand that stand for one of a series": lambda: calendar(
        *event("UID:1", "RRULE:FREQ=DAILY"),
        *(line for at in _DATES[:2_000] for line in event("UID:1", f"RECURRENCE-ID;VALUE=DATE:{at[:8]}")),
    ),
    "components 10,000 deep": lambda: calendar(*["BEGIN:VALARM"] * 9_000),
    "events within events": lambda: calendar(*["BEGIN:VEVENT"] * 9_000),
    "calendars within calendars": lambda: b"BEGIN:VCALENDAR\n" * 9_000,
    "a hundred thousand components": lambda: b"BEGIN:VEVENT\nEND:VEVENT\n" * 100_000,
    "a million lines": lambda: calendar(*event(), *["X-A:1"] * 1_000_000),
    "nothing but line ends": lambda: b"BEGIN:VCALENDAR" + b"\n" * 9_900_000,
    "as many lines as are read": lambda: calendar(*["BEGIN:VEVENT"], *["UID:1"] * 390_000),
    "as many lines as are read, all of them dates": _many(
        1_900, lambda at: ["BEGIN:VEVENT", *["RDATE;A=1;B=2:20230101"] * 200]
    ),
    "as many lines as are read, all of them folds": lambda: b"BEGIN:VCALENDAR\n" + b"X\n " * 199_000,
    "one line of 9 MB": lambda: calendar(*event("SUMMARY:" + "x" * 9_000_000)),
    "one line of 9 MB, folded": lambda: calendar(*event("SUMMARY:" + "\r\n ".join(["x" * 73] * 123_000))),
    "one line of 9 MB of parameters": lambda: calendar(*event("SUMMARY" + ";A=1" * 2_200_000 + ":x")),
    "quotes that are never closed": _many(200, lambda at: event('SUMMARY;A="' + ";:" * 24_000)),
    "quotes in every line": _many(9_000, lambda at: event('SUMMARY;A="' + ":" * 900 + '":x')),
    "escapes": _many(200, lambda at: event("SUMMARY:" + "\\" * 49_000)),
    "a recursion of X- properties": lambda: calendar(*event(*[f"X-A{at};X-A{at}=X-A{at}:X" for at in range(90_000)])),
    "a definition without an end": _zone("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU"),
    "a definition that goes on for a thousand million years": _zone("RRULE:FREQ=YEARLY;COUNT=1000000000"),
    "a definition by the second": _zone("RRULE:FREQ=SECONDLY"),
    "a definition by the day": _zone("RRULE:FREQ=DAILY;COUNT=1000000000"),
    "a definition from the first year on": _zone("RRULE:FREQ=YEARLY;BYDAY=MO", start="DTSTART:00010101T000000"),
    "a definition in a hundred parts": _zone(f"RRULE:FREQ=YEARLY;BYDAY={_NTHS}", times=100),
    "a definition of many dates": _zone(*["RDATE:" + ",".join(at[:-1] for at in _DATES[:2_900])] * 100),
    "a definition in 9,000 parts": _zone(times=9_000),
    "a definition by itself": _zone(start="DTSTART;TZID=Own:19700101T000000"),
    "a definition within itself": lambda: calendar(
        *["BEGIN:VTIMEZONE", "TZID:Own", "BEGIN:STANDARD"] * 3_000, *event(start="DTSTART;TZID=Own:20230102T090000")
    ),
    "offsets of four days": _zone("TZOFFSETTO:+9959", "TZOFFSETFROM:-9959"),
    "a definition at the ends of time": _zone(start="DTSTART:00010101T000000"),
    "five thousand zones that nobody knows": _many(
        5_000, lambda at: event(f"UID:{at}", start=f"DTSTART;TZID=Zone/{at}:20230102T090000")
    ),
    "a zone that is a path": lambda: calendar(*event(start="DTSTART;TZID=../../../etc/passwd:20230102T090000")),
    "a zone of 40,000 slashes": lambda: calendar(*event(start=f"DTSTART;TZID={'/' * 40_000}:20230102T090000")),
    "a duration beyond the calendar": lambda: calendar(*event("DURATION:P9999W99999D", "RRULE:FREQ=DAILY")),
    "an end beyond the calendar": lambda: calendar(*event("DTEND:99991231T235959Z", "RRULE:FREQ=DAILY")),
    "a duration of a million digits": lambda: calendar(*event("DURATION:P" + "9" * 40_000 + "W")),
    "NULs": lambda: calendar(*event(b"SUMMARY:a\0b\0\0")) + b"\0" * 5_000_000,
    "half of a UTF-16 character": lambda: calendar(*event()).decode().encode("utf-16") + b"\xd8",
    "9 MB of UTF-16": lambda: calendar(*event("X:" + "x" * 4_400_000)).decode().encode("utf-16"),
    "9 MB that is no text": lambda: b"BEGIN:VCALENDAR\n" + bytes(range(128, 256)) * 70_000,
    "more bytes than are read": lambda: b"x" * 10_000_001,
}  # fmt: skip
"""By name: what makes the file."""
