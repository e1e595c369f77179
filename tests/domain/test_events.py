"""Wall-clock times as instants, and the dates of an event."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.domain.events import wall_time
from events_service.errors import InputError, LocalTimeError
from tests.domain.given import event, naive, utc


def test_an_ordinary_time() -> None:
    assert wall_time(naive("2023-10-09T09:00"), "Europe/Berlin") == (utc("2023-10-09T07:00"), None)
    assert wall_time(naive("2023-12-09T09:00"), "Europe/Berlin") == (utc("2023-12-09T08:00"), None)


def test_a_skipped_time_is_refused() -> None:
    with pytest.raises(LocalTimeError) as caught:
        wall_time(naive("2023-03-26T01:30"), "Europe/London")
    assert str(caught.value) == (
        "2023-03-26 01:30 does not exist in Europe/London: the clocks skip it; use 2023-03-26 02:30"
    )


def test_a_whole_skipped_day_is_refused() -> None:
    with pytest.raises(LocalTimeError, match="2011-12-31 05:00"):
        wall_time(naive("2011-12-30T05:00"), "Pacific/Apia")


def test_a_repeated_time_is_the_first_and_says_so() -> None:
    instant, note = wall_time(naive("2023-10-29T01:30"), "Europe/London")
    assert instant == utc("2023-10-29T00:30")
    assert note == (
        "2023-10-29 01:30 happens twice in Europe/London as the clocks go back; the first was taken (01:30+0100)"
    )


def test_the_edges_of_a_change_are_ordinary() -> None:
    assert wall_time(naive("2023-03-26T02:00"), "Europe/London") == (utc("2023-03-26T01:00"), None)
    assert wall_time(naive("2023-03-26T00:59"), "Europe/London") == (utc("2023-03-26T00:59"), None)
    assert wall_time(naive("2023-10-29T02:00"), "Europe/London") == (utc("2023-10-29T02:00"), None)


def test_an_offset_is_taken_as_it_is() -> None:
    at = datetime(2023, 3, 26, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    assert wall_time(at, "Europe/London") == (utc("2023-03-25T20:30"), None)


@pytest.mark.parametrize(
    ("zone", "hint"),
    [("Europe/Lodnon", "did you mean Europe/London?"), ("Mars!!", "such as Europe/London"), ("", "such")],
)
def test_an_unknown_zone_is_refused(zone: str, hint: str) -> None:
    with pytest.raises(InputError, match="no IANA time zone") as caught:
        wall_time(naive("2023-03-26T01:30"), zone)
    assert hint in str(caught.value)


def test_the_first_year_of_all_is_refused_in_one_line() -> None:
    with pytest.raises(LocalTimeError, match="too far away"):
        wall_time(naive("0001-01-01T00:00"), "Asia/Tokyo")


@given(
    st.datetimes(naive("2000-01-01T00:00"), naive("2060-01-01T00:00")),
    st.sampled_from(("Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Africa/Casablanca")),
)
def test_what_is_taken_reads_back_as_it_was_written(at: datetime, zone: str) -> None:
    try:
        instant, note = wall_time(at, zone)
    except LocalTimeError:
        there_and_back = at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).astimezone(ZoneInfo(zone))
        assert there_and_back.replace(tzinfo=None) != at
        return
    assert instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == at
    assert (note is None) == (at.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(UTC) == instant)


def test_the_dates_of_an_event_are_those_of_its_own_wall() -> None:
    flight = event("2023-10-09T09:00", "2023-10-11T01:00", timezone="Asia/Kuala_Lumpur")
    assert flight.dates() == (date(2023, 10, 9), date(2023, 10, 11))


def test_an_end_at_midnight_belongs_to_the_day_before() -> None:
    assert event("2023-10-09T09:00", "2023-10-10T00:00").dates() == (date(2023, 10, 9), date(2023, 10, 9))
    assert event("2023-10-09T00:00", "2023-10-09T00:00").dates() == (date(2023, 10, 9), date(2023, 10, 9))


def test_an_event_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(InputError, match="before it starts"):
        event("2023-10-09T09:00", "2023-10-09T08:59")
