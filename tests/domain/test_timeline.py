"""Months as instants: awkward starts, leap years, clock changes, half-open windows."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.domain.timeline import Timeline, add_months, day_begins, is_zone, nearest_zone
from tests.domain.given import lancashire, late_market, naive, utc, wall

ZONES = ("Europe/London", "America/New_York", "Asia/Kuala_Lumpur", "Asia/Beirut", "America/Havana", "Pacific/Chatham")
starts = st.dates(date(1990, 1, 1), date(2080, 12, 31))
late_starts = starts.filter(lambda day: day.day >= 29)
zones = st.sampled_from(ZONES)


def timeline(start: date, zone: str = "Europe/London") -> Timeline:
    return Timeline(start, 36, zone, tuple((month, month + 6) for month in range(0, 36, 6)))


@pytest.mark.parametrize(
    ("start", "months", "expected"),
    [
        (date(2022, 4, 1), 12, date(2023, 4, 1)),
        (date(2022, 4, 1), 36, date(2025, 4, 1)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2023, 1, 31), 1, date(2023, 2, 28)),
        (date(2023, 1, 29), 13, date(2024, 2, 29)),
        (date(2024, 1, 31), 2, date(2024, 3, 31)),
        (date(2024, 1, 31), 3, date(2024, 4, 30)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2024, 2, 29), 48, date(2028, 2, 29)),
        (date(2022, 4, 1), -1, date(2022, 3, 1)),
        (date(2022, 3, 31), -1, date(2022, 2, 28)),
        (date(2022, 1, 15), -13, date(2020, 12, 15)),
    ],
)
def test_adding_months(start: date, months: int, expected: date) -> None:
    assert add_months(start, months) == expected


@given(starts, st.integers(-40, 76))
def test_a_month_begins_on_the_day_of_the_start_or_the_last_of_the_month(start: date, months: int) -> None:
    day = add_months(start, months)
    assert (day.year * 12 + day.month) - (start.year * 12 + start.month) == months
    assert day.day == min(start.day, calendar.monthrange(day.year, day.month)[1])


@given(late_starts, st.integers(0, 35), zones)
def test_months_tile_the_programme(start: date, month: int, zone: str) -> None:
    plan = timeline(start, zone)
    begins, ends = plan.begins(month), plan.begins(month + 1)
    assert timedelta(days=27, hours=20) < ends - begins < timedelta(days=31, hours=4)
    assert plan.month_of(begins) == month
    assert plan.month_of(ends - timedelta(microseconds=1)) == month
    assert plan.month_of(ends) == month + 1


@given(starts, st.integers(-400, 1600), st.integers(0, 86_399), zones)
def test_the_month_of_any_instant_is_the_last_that_has_begun(start: date, days: int, seconds: int, zone: str) -> None:
    plan = timeline(start, zone)
    instant = datetime.combine(start, time(), UTC) + timedelta(days=days, seconds=seconds)
    month = plan.month_of(instant)
    assert plan.begins(month) <= instant < plan.begins(month + 1)


@given(starts, zones)
def test_a_day_begins_where_its_date_begins(day: date, zone: str) -> None:
    begins = day_begins(day, zone)
    assert begins.astimezone(ZoneInfo(zone)).date() == day
    assert (begins - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() < day


def test_a_day_whose_midnight_the_clocks_skip() -> None:
    assert day_begins(date(2022, 3, 27), "Asia/Beirut") == utc("2022-03-26T22:00")
    assert day_begins(date(2022, 3, 27), "Asia/Beirut").astimezone(ZoneInfo("Asia/Beirut")).hour == 1


def test_a_day_whose_first_half_hour_the_clocks_skip() -> None:
    # At 23:30 the clocks went to 00:30: https://data.iana.org/time-zones/tzdb/northamerica, Toronto 1919.
    assert day_begins(date(1919, 3, 31), "America/Toronto") == utc("1919-03-31T04:30")


def test_a_day_that_a_zone_never_had_begins_with_the_next() -> None:
    assert day_begins(date(2011, 12, 30), "Pacific/Apia") == utc("2011-12-30T10:00")
    assert day_begins(date(2011, 12, 31), "Pacific/Apia") == utc("2011-12-30T10:00")


def test_the_shipped_programme_by_the_day() -> None:
    plan = lancashire().timeline
    assert plan.month_of(wall("2023-03-31T23:59")) == 11
    assert plan.month_of(wall("2023-04-01T00:00")) == 12
    assert plan.first_day(24) == date(2024, 4, 1)
    assert plan.window(12, 24).last_day == date(2024, 3, 31)
    assert plan.whole.last_day == date(2025, 3, 31)
    assert plan.month_of(wall("2022-03-31T23:59")) == -1
    assert plan.month_of(wall("2025-04-01T00:00")) == 36


def test_midnight_is_the_programmes_own_in_summer_time() -> None:
    assert lancashire().timeline.begins(12) == utc("2023-03-31T23:00")
    assert lancashire().timeline.begins(9) == utc("2023-01-01T00:00")
    assert late_market().timeline.begins(1) == utc("2024-02-29T05:00")


def test_windows_are_half_open() -> None:
    window = lancashire().timeline.window(12, 24)
    first, end = wall("2023-04-01T00:00"), wall("2024-04-01T00:00")
    hour = timedelta(hours=1)
    assert (window.starts, window.ends) == (first, end)
    assert window.holds(first, end)
    assert window.holds(end - hour, end)
    assert not window.holds(first - timedelta(microseconds=1), first + hour)
    assert not window.holds(end - hour, end + timedelta(microseconds=1))
    assert window.holds(first, first)
    assert not window.holds(end, end)


def test_bands_and_years() -> None:
    plan = lancashire().timeline
    assert [plan.band_of(month) for month in (0, 5, 6, 35)] == [(0, 6), (0, 6), (6, 12), (30, 36)]
    assert plan.band_of(36) is None
    assert plan.band_of(-1) is None
    assert [plan.year_of(month) for month in (0, 11, 12, 35)] == [1, 1, 2, 3]


def test_a_naive_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="without an offset"):
        lancashire().timeline.month_of(naive("2023-04-01T00:00"))


def test_zones_by_name() -> None:
    assert is_zone("Europe/London")
    assert not is_zone("Europe/Lodnon")
    assert not is_zone("../../etc/passwd")
    assert nearest_zone("Europe/Lodnon") == "Europe/London"
    assert nearest_zone("?????") is None
