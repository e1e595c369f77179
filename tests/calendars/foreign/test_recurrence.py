"""Recurrence rules, against python-dateutil, which knows nothing of ours, and the examples of RFC 5545."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from dateutil.rrule import rrulestr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events_service.calendars.foreign.bounds import Work
from events_service.calendars.foreign.recurrence import expand, parse_rule
from events_service.errors import InputError
from tests.event_texts import wall

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LAST = wall("2027-12-31T23:59:59")


def given_by(rule: str, first: datetime, begin: datetime | None = None, last: datetime = LAST) -> list[datetime]:
    """What we make of a rule."""
    return list(expand(parse_rule(rule), first, begin or first, last, Work()))


def several(values: st.SearchStrategy[int], most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=most, unique=True).map(lambda found: ",".join(map(str, found)))


def either_way(most: int) -> st.SearchStrategy[int]:
    return st.integers(-most, most).filter(bool)


def weekdays(least: int = 1) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(DAYS), min_size=least, max_size=5, unique=True).map(",".join)


def nth_weekdays(most: int) -> st.SearchStrategy[str]:
    one = st.tuples(either_way(most), st.sampled_from(DAYS)).map(lambda pair: f"{pair[0]}{pair[1]}")
    return st.lists(one, min_size=1, max_size=3, unique=True).map(",".join)


def parts(**named: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Parts of a rule that stand together."""
    return st.fixed_dictionaries(dict(named)).map(
        lambda found: "".join(f";{name}={value}" for name, value in found.items())
    )


MONTHS = several(st.integers(1, 12))
MONTHDAYS = several(either_way(28))
# dateutil looks for ever where a rule matches nothing, so each of these matches something within a few years.
BY_FREQUENCY = {
    "YEARLY": st.one_of(
        st.just(""),
        parts(BYMONTH=MONTHS),
        parts(BYMONTHDAY=MONTHDAYS),
        parts(BYMONTH=MONTHS, BYMONTHDAY=MONTHDAYS),
        parts(BYMONTH=MONTHS, BYDAY=weekdays()),
        parts(BYMONTH=MONTHS, BYDAY=nth_weekdays(4)),
        parts(BYDAY=weekdays()),
        parts(BYDAY=nth_weekdays(52)),
        parts(BYMONTHDAY=MONTHDAYS, BYDAY=weekdays()),
        parts(BYYEARDAY=several(either_way(365))),
        parts(BYWEEKNO=several(st.integers(1, 52)), BYDAY=weekdays()),
        parts(BYWEEKNO=st.just("-1"), BYDAY=weekdays()),
        parts(BYMONTH=MONTHS, BYDAY=weekdays(2), BYSETPOS=several(either_way(8))),
    ),
    "MONTHLY": st.one_of(
        st.just(""),
        parts(BYMONTHDAY=several(either_way(31))),
        parts(BYDAY=weekdays()),
        parts(BYDAY=nth_weekdays(5)),
        parts(BYMONTHDAY=MONTHDAYS, BYDAY=weekdays()),
        parts(BYDAY=weekdays(2), BYSETPOS=several(either_way(8))),
    ),
    "WEEKLY": st.one_of(
        st.just(""),
        parts(BYDAY=weekdays()),
        parts(BYDAY=weekdays(), WKST=st.sampled_from(DAYS)),
        parts(BYMONTH=MONTHS, BYDAY=weekdays()),
        # No BYSETPOS: dateutil begins the first week with DTSTART.
    ),
    "DAILY": st.one_of(st.just(""), parts(BYMONTH=MONTHS), parts(BYMONTHDAY=MONTHDAYS), parts(BYDAY=weekdays())),
}
TIMES = st.one_of(
    st.just(""),
    parts(BYHOUR=several(st.integers(0, 23))),
    parts(BYHOUR=several(st.integers(0, 23)), BYMINUTE=several(st.integers(0, 59)), BYSECOND=st.just("0,30")),
)
STARTS = st.datetimes(wall("2016-01-01"), wall("2022-12-31")).map(lambda at: at.replace(microsecond=0))


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(sorted(BY_FREQUENCY)))
    interval = draw(st.integers(1, 3))
    return f"FREQ={frequency};INTERVAL={interval}{draw(BY_FREQUENCY[frequency])}{draw(TIMES)}"


@settings(max_examples=250)
@given(rules(), STARTS, st.one_of(st.none(), st.integers(1, 60)), st.integers(0, 1500))
@example("FREQ=YEARLY;INTERVAL=1", wall("2016-02-29T09:00"), 5, 0)
@example("FREQ=MONTHLY;INTERVAL=1", wall("2016-01-31T09:00"), None, 1000)
@example("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU", wall("2017-08-05T09:00"), None, 0)
def test_every_date_is_dateutil_s(rule: str, first: datetime, count: int | None, later: int) -> None:
    begin = first + timedelta(days=later)
    last = begin + timedelta(days=1200)
    expected = [first]
    for at in rrulestr(f"{rule};UNTIL={last:%Y%m%dT%H%M%S}", dtstart=first):
        if len(expected) == count:
            break
        expected += [at] if at > first else []
    counted = f"{rule};COUNT={count}" if count else rule
    assert given_by(counted, first, begin, last) == [at for at in expected if begin <= at <= last]


@pytest.mark.parametrize(
    ("rule", "first", "expected"),
    [
        # RFC 5545 3.8.5.3, where dateutil reads otherwise or is no help.
        ("FREQ=YEARLY;BYDAY=20MO;COUNT=3", "1997-05-19", ["1997-05-19", "1998-05-18", "1999-05-17"]),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO;COUNT=3", "1997-05-12", ["1997-05-12", "1998-05-11", "1999-05-17"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=3", "1998-02-13", ["1998-02-13", "1998-03-13", "1998-11-13"]),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05",
         ["1997-08-05", "1997-08-10", "1997-08-19", "1997-08-24"]),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05",
         ["1997-08-05", "1997-08-17", "1997-08-19", "1997-08-31"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2;COUNT=3", "1997-09-29",
         ["1997-09-29", "1997-10-30", "1997-11-27"]),
        # What the rule does not say, DTSTART says: here its weekday.
        ("FREQ=YEARLY;BYWEEKNO=20;COUNT=2", "1997-05-14", ["1997-05-14", "1998-05-13"]),
        # A weekday with a number and one without, side by side.
        ("FREQ=MONTHLY;BYDAY=1MO,SU;COUNT=6", "2024-01-01",
         ["2024-01-01", "2024-01-07", "2024-01-14", "2024-01-21", "2024-01-28", "2024-02-04"]),
        # Where the rule does not give DTSTART, it counts all the same.
        ("FREQ=WEEKLY;BYDAY=MO;COUNT=2", "2024-01-03", ["2024-01-03", "2024-01-08"]),
        ("FREQ=DAILY;INTERVAL=999999999", "2024-01-03", ["2024-01-03"]),
        ("freq=daily;count=2;", "2024-01-03", ["2024-01-03", "2024-01-04"]),
    ],
)  # fmt: skip
def test_what_the_rfc_says(rule: str, first: str, expected: list[str]) -> None:
    assert given_by(rule, wall(f"{first}T09:00")) == [wall(f"{day}T09:00") for day in expected]


@pytest.mark.parametrize("frequency", ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
def test_years_at_either_end_of_the_calendar_are_no_fault(frequency: str) -> None:
    whole = (wall("0001-01-01"), wall("9999-12-31T23:59"))
    assert given_by(f"FREQ={frequency};WKST=SU", whole[0], wall("2024-01-01"), wall("2024-12-31"))
    assert given_by(f"FREQ={frequency}", whole[1], whole[1], whole[1]) == [whole[1]]
    assert given_by(f"FREQ={frequency}", wall("2024-01-01"), wall("9998-01-01"), whole[1])


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("FREQ=HOURLY", "what repeats more than once a day"),
        ("FREQ=SECONDLY;COUNT=9", "what repeats more than once a day"),
        ("FREQ=FORTNIGHTLY", "FREQ is 'FORTNIGHTLY'"),
        ("COUNT=3", "FREQ is missing"),
        ("FREQ=DAILY;COUNT=0", "COUNT=0: '0' is not in 1 to"),
        ("FREQ=DAILY;INTERVAL=x", "INTERVAL=X: 'X' is not in 1 to"),
        ("FREQ=YEARLY;BYMONTHDAY=0", "BYMONTHDAY=0: '0' is not in -31 to 31"),
        ("FREQ=YEARLY;BYDAY=XX", "'XX' is no weekday such as MO or -1FR"),
        ("FREQ=YEARLY;RSCALE=CHINESE", "only RSCALE=GREGORIAN"),
        ("FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11;BYMINUTE=0,1,2,3,4,5,6,7,8", "108 times a day; at most 100"),
        ("whatever", "'WHATEVER' is no part of a rule"),
        ("", "'' is no part of a rule"),
        ("FREQ=DAILY;" + "X=1;" * 500, "at most 2,000 of one are read"),
    ],
)
def test_a_rule_that_cannot_be_followed_says_why(rule: str, why: str) -> None:
    with pytest.raises(InputError) as raised:
        parse_rule(rule)
    assert why in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_rule_is_not_followed_for_longer_than_any_that_people_write() -> None:
    work = Work()
    with pytest.raises(InputError, match="more days"):
        list(expand(parse_rule("FREQ=DAILY;COUNT=999999"), wall("1600-01-01"), wall("2024-01-01"), LAST, work))
    assert work.left > Work().left - 110_000
    assert list(expand(parse_rule("FREQ=DAILY"), wall("1600-01-01"), LAST - timedelta(days=1), LAST, work))


@settings(max_examples=300)
@given(st.text(alphabet="FREQ=YALDINWKMOTHBSPU;,-+0123456789", max_size=60).map(lambda text: f"FREQ=DAILY;{text}"))
def test_nothing_but_an_input_error_comes_of_any_text(rule: str) -> None:
    try:
        found = given_by(rule, wall("2024-01-01"), last=wall("2024-03-01"))
    except InputError:
        return
    assert found == sorted(found)
