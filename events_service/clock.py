"""The only place that reads the clock.

Two clocks exist (see ARCHITECTURE.md): *now*, read here once at an edge and passed in everywhere else, and the
database's own, which decides leases and nothing else.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from events_service.errors import UsageError

_YEARS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC))


class Clock(Protocol):
    """Gives now, an aware datetime in UTC."""

    def __call__(self) -> datetime: ...


def system_clock() -> datetime:
    """Now, in UTC, from the machine's clock."""
    return datetime.now(UTC)


class FixedClock:
    """A clock that stands where it was set: for `--at`, rehearsals and tests."""

    def __init__(self, at: datetime) -> None:
        self.at = require_aware(at)

    def __call__(self) -> datetime:
        return self.at


def require_aware(at: datetime) -> datetime:
    """`at` in UTC; a naive time is a programming error and raises ValueError."""
    if at.tzinfo is None:
        raise ValueError(f"a time without an offset was passed in: {at.isoformat()}")
    return at.astimezone(UTC)


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 time with offset, as `--at` takes it; UsageError if it is malformed or naive."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not an ISO 8601 time; write it like 2024-05-01T09:00Z") from error
    if at.tzinfo is None:
        raise UsageError(f"{text!r} has no offset; write it like 2024-05-01T09:00Z or 2024-05-01T10:00+01:00")
    if not _YEARS[0] <= at.replace(tzinfo=UTC) < _YEARS[1]:
        # Nearer the ends of the calendar, a day more or less is no time at all.
        raise UsageError(f"{text!r} is not from 1970 to 2199; no programme runs then")
    return at.astimezone(UTC)
