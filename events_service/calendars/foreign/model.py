"""What comes out of a calendar that others wrote: occurrences, and what could not be used. Plain values."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from events_service.calendars.model import EventStatus


class Found(NamedTuple):
    """One occurrence of an event.

    `starts` and `ends` are aware UTC; they are the same where the calendar gives no end. `timezone` is the IANA name of
    the zone on whose wall they were written; where `zone_told` is False the calendar named none that is known (floating
    times, whole days, times in UTC) and it is the zone that the caller gave, or UTC. With `all_day` the two are
    midnights there, `ends` the one after the last day. Texts are one line each, "" where there is none. `status` is
    CANCELLED for what was called off. `recurring` where it is one of a series.
    """

    title: str
    starts: datetime
    ends: datetime
    timezone: str
    zone_told: bool
    all_day: bool
    place: str
    url: str | None
    uid: str
    status: EventStatus
    recurring: bool


class Unused(NamedTuple):
    """Something that was not, or not wholly, used: the component (`VEVENT 3`, by place in the file), its property, why.

    `property` is "" where it is about the whole component.
    """

    component: str
    property: str
    why: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.component, self.property, self.why)))


class Calendar(NamedTuple):
    """All that a file says of the time asked for: occurrences by start, and what of the file could not be used."""

    found: tuple[Found, ...]
    unused: tuple[Unused, ...]
