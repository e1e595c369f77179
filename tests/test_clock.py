"""The two ways to know the time, and reading one from the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from events_service.clock import FixedClock, parse_instant, require_aware, system_clock
from events_service.errors import UsageError


def test_a_fixed_clock_stands_where_it_was_set() -> None:
    at = datetime(2024, 5, 1, 11, tzinfo=timezone(timedelta(hours=2)))
    clock = FixedClock(at)
    assert clock() == clock() == datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert system_clock().tzinfo is UTC


@pytest.mark.parametrize("text", ["2024-05-01T09:00Z", "2024-05-01T10:00+01:00", "2024-05-01 04:00:00-05:00"])
def test_an_instant_is_read_with_its_offset(text: str) -> None:
    assert parse_instant(text) == datetime(2024, 5, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "why"),
    [("2024-05-01T09:00", "has no offset"), ("2024-05-01", "has no offset"), ("tomorrow", "is not an ISO 8601 time"),
     ("2024-02-30T09:00Z", "is not an ISO 8601 time"), ("0001-01-01T00:00+14:00", "is not from 1970 to 2199"),
     ("9999-12-31T23:59-14:00", "is not from 1970 to 2199"), ("1969-12-31T23:59Z", "is not from 1970 to 2199"),
     ("2200-01-01T00:00Z", "is not from 1970 to 2199")],
)  # fmt: skip
def test_anything_else_is_wrong_usage(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_instant(text)


def test_a_naive_time_in_the_code_is_an_error() -> None:
    with pytest.raises(ValueError, match="without an offset"):
        require_aware(datetime(2024, 5, 1, 9))  # noqa: DTZ001
