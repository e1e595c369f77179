"""What must hold across the tables of a programme, beyond the type of each field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from events_service.domain.markets import is_country
from events_service.domain.timeline import is_zone, nearest_zone

if TYPE_CHECKING:
    from events_service.domain.programme import Programme, Workstream

PROGRAMME_MONTHS = 36
HELD_KINDS = ("mission", "conference", "joined")


class Fault(NamedTuple):
    """One thing wrong: the table (with its 1-based place where there are several), the field, and what to do."""

    table: str
    field: str
    why: str


def faults(programme: Programme) -> Iterator[Fault]:
    """Everything that is wrong with a programme whose fields are each of the right type, in the file's order."""
    yield from _length(programme)
    yield from _names(programme)
    yield from _markets(programme)
    for place, stream in enumerate(programme.workstreams, 1):
        yield from _activities(programme, place, stream)
    yield from _held_kinds(programme)
    yield from _reviews(programme)
    yield from _targets(programme)


def _length(programme: Programme) -> Iterator[Fault]:
    if programme.months != PROGRAMME_MONTHS:
        yield Fault("programme", "months", f"is {programme.months}; a programme runs {PROGRAMME_MONTHS} months")
    if not 1970 <= programme.start.year <= 2200:
        yield Fault("programme", "start", f"{programme.start} is not in the years 1970 to 2200")
    if not is_zone(programme.timezone):
        near = nearest_zone(programme.timezone) or "Europe/London"
        yield Fault("programme", "timezone", f"{programme.timezone!r} is no IANA time zone, such as {near}")
    if not is_country(programme.country):
        yield Fault("programme", "country", f"{programme.country!r} is no ISO 3166-1 code")
    if programme.region and not programme.region.startswith(f"{programme.country}-"):
        yield Fault("programme", "region", f"{programme.region!r} is not in {programme.country}")
    edges = [0, *(to for _, to in programme.bands)]
    tiles = all(band[0] == edge and band[1] > edge for band, edge in zip(programme.bands, edges, strict=False))
    if not tiles or edges[-1] != programme.months:
        yield Fault("programme", "bands", f"must follow one another from 0 to {programme.months} without a gap")


def _twice(table: str, field: str, values: Iterable[object]) -> Iterator[Fault]:
    seen: dict[object, int] = {}
    for place, value in enumerate(values, 1):
        if value in seen:
            yield Fault(f"{table} #{place}", field, f"{value!r} is there twice; #{seen[value]} has it already")
        seen.setdefault(value, place)


def _names(programme: Programme) -> Iterator[Fault]:
    yield from _twice("themes", "key", (theme.key for theme in programme.themes))
    yield from _twice("themes", "title", (theme.title for theme in programme.themes))
    yield from _twice("sectors", "name", (sector.name for sector in programme.sectors))
    yield from _twice("markets", "country", (market.country for market in programme.markets))
    yield from _twice("workstreams", "number", (stream.number for stream in programme.workstreams))
    yield from _twice("review_points", "id", (point.id for point in programme.review_points))
    yield from _twice("targets", "key", (target.key for target in programme.targets))
    yield from _twice("places", "name", (place.name for place in programme.places))
    for table, rows in (
        ("themes", programme.themes),
        ("workstreams", programme.workstreams),
    ):
        if not rows:
            yield Fault(table, "", "there is none; a programme needs at least one")
    themes = {theme.key for theme in programme.themes}
    for key in programme.focus.themes:
        if key not in themes:
            yield Fault("focus", "themes", f"{key!r} is no theme of this programme: {', '.join(sorted(themes))}")
    yield from _past_end(programme, "focus", "until_month", programme.focus.until_month)
    if len(set(programme.focus.themes)) < len(programme.focus.themes):
        yield Fault("focus", "themes", "names a theme twice")


def _past_end(programme: Programme, table: str, field: str, month: int) -> Iterator[Fault]:
    if month > programme.months:
        yield Fault(table, field, f"{month} is past the end, month {programme.months}")


def _markets(programme: Programme) -> Iterator[Fault]:
    for place, market in enumerate(programme.markets, 1):
        table = f"markets #{place}"
        if not is_country(market.country):
            yield Fault(table, "country", f"{market.country!r} is no ISO 3166-1 code")
        if market.from_month >= programme.months:
            yield Fault(table, "from_month", f"{market.from_month} is past the last month, {programme.months - 1}")


def _activities(programme: Programme, place: int, stream: Workstream) -> Iterator[Fault]:
    where = f"workstreams #{place}"
    yield from _twice(f"{where}.activities", "title", (activity.title for activity in stream.activities))
    for number, activity in enumerate(stream.activities, 1):
        table = f"{where}.activities #{number}"
        yield from _past_end(programme, table, "to_month", activity.to_month)
        if activity.to_month <= activity.from_month:
            yield Fault(table, "to_month", f"{activity.to_month} does not come after from_month {activity.from_month}")
    ordered = sorted(enumerate(stream.activities, 1), key=lambda pair: (pair[1].from_month, pair[1].to_month, pair[0]))
    for (_, one), (number, other) in pairwise(ordered):
        if other.from_month < one.to_month:
            yield Fault(
                f"{where}.activities #{number}",
                "from_month",
                f"months {other.from_month}-{other.to_month} overlap {one.from_month}-{one.to_month} of {one.title!r}",
            )


def _held_kinds(programme: Programme) -> Iterator[Fault]:
    holders: dict[str, str] = {}
    for place, stream in enumerate(programme.workstreams, 1):
        for number, activity in enumerate(stream.activities, 1):
            for kind in activity.holds:
                if kind in holders:
                    table = f"workstreams #{place}.activities #{number}"
                    yield Fault(table, "holds", f"{kind!r} events are held by {holders[kind]!r} already")
                holders.setdefault(kind, activity.title)
    for wanted in HELD_KINDS:
        if wanted not in holders:
            yield Fault("workstreams", "activities.holds", f"no activity holds {wanted!r} events; give it to one")


def _reviews(programme: Programme) -> Iterator[Fault]:
    streams = {stream.number for stream in programme.workstreams}
    for place, point in enumerate(programme.review_points, 1):
        table = f"review_points #{place}"
        yield from _past_end(programme, table, "due_month", point.due_month)
        if point.due_month <= point.from_month:
            yield Fault(table, "due_month", f"{point.due_month} does not come after from_month {point.from_month}")
        if not point.scope or sorted(set(point.scope)) != list(point.scope):
            yield Fault(table, "scope", "must list workstreams in rising order, each once")
        for number in point.scope:
            if number not in streams:
                yield Fault(table, "scope", f"there is no workstream {number}")


def _targets(programme: Programme) -> Iterator[Fault]:
    streams = {stream.number for stream in programme.workstreams}
    for place, target in enumerate(programme.targets, 1):
        table = f"targets #{place}"
        if target.workstream is not None and target.workstream not in streams:
            yield Fault(table, "workstream", f"there is no workstream {target.workstream}")
        if target.measure.of == "outcomes" and not target.measure.kinds:
            yield Fault(table, "measure.kinds", "names no kind of outcome")
        if target.measure.growth and target.measure.add != "sum":
            yield Fault(table, "measure.growth", "is a percentage of a sum; set add to 'sum'")
