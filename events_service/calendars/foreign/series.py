"""A series: all VEVENTs of one UID, as the occurrences that lie in the time asked for (RFC 5545 3.8.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from itertools import islice

from events_service.calendars.foreign.bounds import FOUND_COST, MAX_RECURRENCES, Work
from events_service.calendars.foreign.events import Event, wall_in
from events_service.calendars.foreign.model import Found
from events_service.calendars.foreign.recurrence import expand
from events_service.calendars.foreign.times import Length
from events_service.calendars.foreign.zones import Note
from events_service.errors import FieldError, InputError

_EARLIEST = datetime(2, 1, 1)  # noqa: DTZ001  a wall clock
_SLACK = timedelta(days=2)


def occurrences(events: Sequence[Event], begin: datetime, until: datetime, work: Work, note: Note) -> Iterator[Found]:
    """What of the series lies, in part at least, in [begin, until).

    The newest version of each event counts. FieldError where a rule cannot be followed to its end.
    """
    masters = _newest([event for event in events if event.instead_of is None], note)
    changed = _changed([event for event in events if event.instead_of is not None])
    for master in masters:
        dates = _dates(master, begin, until, work, note)
        for event in changed:
            _take_out(dates, event, master)
        for start, length in sorted(dates.items()):
            yield from _found(master, start, length, begin, until, work)
    for event in changed:
        yield from _found(event, event.start, event.length, begin, until, work)


def _newest(masters: list[Event], note: Note) -> list[Event]:
    """Those of the highest revision (RFC 5546 2.1.5); two alike are two events, whatever their UID says."""
    highest = max((event.revision for event in masters), default=None)
    for event in masters:
        if event.revision != highest:
            note(event.place, "", "is an older version of another event of the file, and not used")
    return [event for event in masters if event.revision == highest]


def _changed(events: list[Event]) -> list[Event]:
    newest: dict[object, Event] = {}
    for event in events:
        which = event.instead_of and event.instead_of.written
        known = newest.get(which)
        if known is None or event.revision >= known.revision:
            newest[which] = event
    return list(newest.values())


def _dates(event: Event, begin: datetime, until: datetime, work: Work, note: Note) -> dict[datetime, Length]:
    """When the series starts, on its own wall, as far as it can reach into the time asked for; EXDATEs are out."""
    last = event.zone.wall(until)
    reach = max([event.length, *(length for _, length in event.dates)], key=_about)
    first = event.zone.wall(begin) - _SLACK
    first -= min(_about(reach), first - _EARLIEST)
    dates = {} if event.repeats else {event.start: event.length}
    for repeat in event.repeats:
        try:
            starts = list(
                islice(expand(repeat.rule, event.start, first, min(last, repeat.last), work), MAX_RECURRENCES + 1)
            )
        except InputError as error:
            raise FieldError("", event.place, "RRULE", str(error)) from error
        dates |= dict.fromkeys(starts, event.length)
    dates |= dict(event.dates)
    kept = {
        start: length
        for start, length in dates.items()
        if start not in event.without and datetime.combine(start, time()) not in event.without_days
    }
    if len(kept) > MAX_RECURRENCES:
        note(event.place, "", f"repeats more often than {MAX_RECURRENCES:,} times; the first so many are read")
        return dict(sorted(kept.items())[:MAX_RECURRENCES])
    return kept


def _about(length: Length) -> timedelta:
    return timedelta(days=length.days) + length.rest


def _take_out(dates: dict[datetime, Length], event: Event, master: Event) -> None:
    """Take out the occurrence that `event` stands for. A date means the occurrence of that day."""
    if event.instead_of is None:
        return
    written, zone = event.instead_of
    wall = wall_in(master.zone, written, zone)
    if dates.pop(wall, None) is None and (written.is_date or master.all_day):
        day = written.wall.date()
        for start in [start for start in dates if start.date() == day]:
            del dates[start]


def _found(
    event: Event, start: datetime, length: Length, begin: datetime, until: datetime, work: Work
) -> Iterator[Found]:
    work.charge(FOUND_COST)
    starts, ends = event.span(start, length)
    if starts < until and (ends > begin or starts == ends >= begin):
        words = event.words
        yield Found(
            title=words.title,
            starts=starts,
            ends=ends,
            timezone=event.zone.name,
            zone_told=event.zone.told,
            all_day=event.all_day,
            place=words.place,
            url=words.url,
            uid=event.uid,
            status=words.status,
            recurring=bool(event.repeats or event.dates or event.instead_of),
        )
