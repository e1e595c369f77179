"""What a page says of an event: times as people write them, in the event's zone and in the reader's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_date, get_timezone_name

from events_service.db.tables import Event, EventSession
from events_service.feed_contents import place

_LOCALE = "en_GB"
_DAY = "EEEE d MMMM y"


@dataclass(frozen=True, slots=True)
class Item:
    """A session on the page: its times on the wall of its own zone."""

    title: str
    times: str
    kind: str
    where: str
    url: str | None


@dataclass(frozen=True, slots=True)
class EventView:
    """An event in words. `starts` and `ends` are ISO 8601 for `<time>`; `own_when` is "" where it says the same."""

    title: str
    kind: str
    summary: str
    when: str
    zone: str
    own_when: str
    own_zone: str
    starts: str
    ends: str
    where: str
    url: str | None
    organiser: str
    cancelled: bool
    past: bool
    days: tuple[tuple[str, tuple[Item, ...]], ...]


def view(event: Event, sessions: Iterable[EventSession], now: datetime, reader_zone: str = "UTC") -> EventView:
    """The event in words at `now`. `reader_zone` is the IANA zone of the reader; UTC stands for one nobody knows."""
    starts, ends = _local(event.starts, event.timezone), _local(event.ends, event.timezone)
    own_when = own_zone = ""
    if reader_zone != "UTC" and (own := _local(event.starts, reader_zone)).utcoffset() != starts.utcoffset():
        own_when, own_zone = _span(own, _local(event.ends, reader_zone)), _zone(own, reader_zone)
    return EventView(
        title=event.title,
        kind=event.kind,
        summary=event.summary,
        when=_span(starts, ends),
        zone=_zone(starts, event.timezone),
        own_when=own_when,
        own_zone=own_zone,
        starts=starts.isoformat(),
        ends=ends.isoformat(),
        where=place(event.venue, event.city, event.country),
        url=event.url if event.url and event.url.startswith(("https://", "http://")) else None,
        organiser=event.organiser_name,
        cancelled=event.state == "cancelled",
        past=event.state == "done" or event.ends <= now,
        days=_days(sessions),
    )


def _days(sessions: Iterable[EventSession]) -> tuple[tuple[str, tuple[Item, ...]], ...]:
    ordered = sorted(sessions, key=lambda item: (item.starts, item.position))
    by_day = groupby(ordered, key=lambda item: _local(item.starts, item.timezone).date())
    return tuple((_day(day), tuple(_item(item) for item in items)) for day, items in by_day)


def _item(item: EventSession) -> Item:
    starts, ends = _local(item.starts, item.timezone), _local(item.ends, item.timezone)
    same_day = starts.date() == ends.date()
    times = f"{starts:%H:%M}–{ends:%H:%M}" if same_day else f"{starts:%H:%M} to {_day(ends)}, {ends:%H:%M}"
    url = item.url if item.url and item.url.startswith(("https://", "http://")) else None
    return Item(item.title, times, item.kind, place(item.venue, item.city, item.country), url)


def _span(starts: datetime, ends: datetime) -> str:
    if starts.date() == ends.date():
        return f"{_day(starts)}, {starts:%H:%M}–{ends:%H:%M}"
    return f"{_day(starts)}, {starts:%H:%M} to {_day(ends)}, {ends:%H:%M}"


def _day(day: date) -> str:
    return format_date(day, _DAY, locale=_LOCALE)


def _zone(at: datetime, zone: str) -> str:
    return f"{get_timezone_name(at, locale=_LOCALE)} ({zone.replace('_', ' ')})"


def _local(at: datetime, zone: str) -> datetime:
    try:
        return at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return at
