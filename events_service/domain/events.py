"""An event as the rules see it, and wall-clock times as instants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from events_service.clock import require_aware
from events_service.domain.timeline import is_zone, nearest_zone
from events_service.errors import InputError, LocalTimeError


@dataclass(frozen=True, slots=True)
class EventFacts:
    """What the rules need to know of an event. `starts` and `ends` are aware UTC; `timezone` says where it happens.

    `markets` are where a mission or a joined event is, and whom a hosted conference is for. `country` is ISO 3166-1 of
    the place ('' where there is none), `region` ISO 3166-2. `budget` is whole pounds, `effort_days` working days of our
    own people; None where unknown, which is never taken as 0. Raises InputError if it ends before it starts.
    """

    slug: str
    kind: str
    hosted_by: str
    themes: tuple[str, ...]
    markets: tuple[str, ...]
    starts: datetime
    ends: datetime
    timezone: str
    country: str = ""
    region: str | None = None
    material_refreshed: date | None = None
    budget: int | None = None
    effort_days: float | None = None
    organiser_email: str = ""

    def __post_init__(self) -> None:
        if require_aware(self.ends) < require_aware(self.starts):
            raise InputError(f"event {self.slug!r}: ends {self.ends} before it starts {self.starts}; swap them")

    def dates(self) -> tuple[date, date]:
        """Its first and last date on the wall of its own zone; an end at midnight belongs to the day before."""
        tz = ZoneInfo(self.timezone)
        last = max(self.starts, self.ends - timedelta(microseconds=1))
        return self.starts.astimezone(tz).date(), last.astimezone(tz).date()


def wall_time(at: datetime, timezone: str) -> tuple[datetime, str | None]:
    """The instant, in UTC, of a wall-clock time in an IANA zone, and a note where the wall shows that time twice.

    A repeated time is taken as the first of the two, and the note says so. One that the clocks skip raises
    LocalTimeError, an unknown zone InputError. A time that carries an offset of its own is taken as it is.
    """
    if not is_zone(timezone):
        near = nearest_zone(timezone)
        raise InputError(
            f"{timezone[:80]!r} is no IANA time zone"
            + (f"; did you mean {near}?" if near else ", such as Europe/London")
        )
    if at.tzinfo is not None:
        return at.astimezone(UTC), None
    tz = ZoneInfo(timezone)
    first, second = at.replace(tzinfo=tz, fold=0), at.replace(tzinfo=tz, fold=1)
    try:
        instant = first.astimezone(UTC)
    except OverflowError as error:
        raise LocalTimeError(f"{at:%Y-%m-%d %H:%M} is too far away to place on a calendar") from error
    before, after = first.utcoffset(), second.utcoffset()
    if before is None or after is None or before == after:
        return instant, None
    if after > before:
        later = at + (after - before)
        raise LocalTimeError(
            f"{at:%Y-%m-%d %H:%M} does not exist in {timezone}: the clocks skip it; use {later:%Y-%m-%d %H:%M}"
        )
    return instant, (
        f"{at:%Y-%m-%d %H:%M} happens twice in {timezone} as the clocks go back; the first was taken ({first:%H:%M%z})"
    )
