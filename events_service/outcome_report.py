"""The outcome report: what came of the programme by event, market, theme and year, against its targets.

It is a pure function of the facts that were gathered: the same rows and the same now give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from events_service.config import templates_dir
from events_service.db.tables import Event
from events_service.domain.outcomes import KINDS, Asked, Figure, Result
from events_service.domain.programme import Target
from events_service.outcome_facts import Facts, actual, apart, as_number, by_event, in_market, target_people

Group = dict[str, Any]

READING = (
    "Every figure adds up what people answered and what organisers recorded. Beside it stands how many were asked and"
    " how many answered: a figure is never more complete than that.",
    "No answer is not a zero. Where nobody has answered and nothing was recorded, no figure is given.",
    "An event for several markets or themes counts under each of them, so these may add up to more than the whole.",
    "A year is the year of the programme in which the event began, also for what came of it later.",
    "Only pounds add up. Funding in other currencies, and funding of an unknown amount, is named apart.",
    "Two people may report the same result; nobody can tell from the answers alone.",
)

FIGURE_COLUMNS = ("value", "unit", "outcomes", "unvalued", "asked", "answered", "rate")


def document(facts: Facts) -> dict[str, Any]:
    """The report as JSON values. A figure that is not known is null, with how many were asked beside it."""
    programme, results = facts.programme, facts.results
    per_event = by_event(facts)
    return {
        "programme": {"key": programme.key, "title": programme.title, "currency": programme.currency},
        "as_of": facts.now.astimezone(ZoneInfo(programme.timezone)).isoformat(timespec="minutes"),
        "targets": [_target(facts, target) for target in programme.targets],
        "total": _group(facts, facts.events, results, key="all", title="The whole programme"),
        "by_event": [_event(facts, event, per_event[event.slug]) for event in facts.events],
        "by_market": [
            _group(
                facts,
                [event for event in facts.events if market.country in event.markets],
                filter(in_market(facts, market.country), results),
                key=market.country,
                title=market.name,
            )
            for market in programme.markets
        ],
        "by_theme": [
            _group(
                facts,
                [event for event in facts.events if theme.key in event.themes],
                filter(_in_theme(facts, theme.key), results),
                key=theme.key,
                title=theme.title,
            )
            for theme in programme.themes
        ],
        "by_year": [_year(facts, year) for year in range(1, -(-programme.months // 12) + 1)],
        "other_currencies": [
            {"currency": currency, "value": as_number(value), "outcomes": number}
            for currency, (value, number) in apart(facts).items()
        ],
        "reading": list(READING),
    }


def html(report: dict[str, Any]) -> str:
    """The report as one page that needs nothing else: no script, no remote image, fit for print."""
    return _page().render(report=report, kinds=KINDS, widest=widest(report))


def rows(report: dict[str, Any]) -> list[tuple[str, list[str], list[list[Any]]]]:
    """The report as sheets: a name, columns, and rows whose cells are text, numbers or None."""
    targets = [
        [t["title"], t["baseline"], t["target"], t["unit"], t["actual"], t["state"], t["asked"], t["answered"]]
        for t in report["targets"]
    ]
    columns = ["by", "key", "title", "kind", *FIGURE_COLUMNS]
    figures = [
        [by, group["key"], group["title"], kind, *(f[name] for name in FIGURE_COLUMNS)]
        for by, group in _groups(report)
        for kind, f in group["figures"].items()
    ]
    apart_rows = [
        ["currency", o["currency"], "not added up", "funding", o["value"], o["currency"], o["outcomes"], *[None] * 4]
        for o in report["other_currencies"]
    ]
    return [
        ("figures", columns, figures + apart_rows),
        ("targets", ["target", "baseline", "goal", "unit", "actual", "state", "asked", "answered"], targets),
    ]


def widest(report: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The greatest value of each kind in each table, which its bars are drawn against."""
    return {
        by: {kind: max((float(g["figures"][kind]["value"] or 0) for g in report[by]), default=0.0) for kind in KINDS}
        for by in ("by_event", "by_market", "by_theme", "by_year")
    }


def _groups(report: dict[str, Any]) -> Iterable[tuple[str, Group]]:
    yield "all", report["total"]
    for by in ("by_year", "by_market", "by_theme", "by_event"):
        for group in report[by]:
            yield by.removeprefix("by_"), group


def _group(facts: Facts, events: Sequence[Event], results: Iterable[Result], *, key: str, title: str) -> Group:
    came = [facts.came[event.slug] for event in events if event.slug in facts.came]
    attended = sum(number for _, number in came)
    return {
        "key": key,
        "title": title,
        "events": len(events),
        "accepted": sum(number for number, _ in came),
        # Nobody checked in may mean that nobody took names: not known, rather than none.
        "attended": attended or None,
        "responses": _asked(facts.asked(events, None)),
        "figures": {one.kind: _figure(facts, one) for one in facts.figures(events, results)},
    }


def _event(facts: Facts, event: Event, results: Sequence[Result]) -> Group:
    month = facts.programme.timeline.month_of(event.starts)
    return {
        **_group(facts, [event], results, key=event.slug, title=event.title),
        "kind": event.kind,
        "hosted_by": event.hosted_by,
        "state": event.state,
        "starts": event.starts.astimezone(ZoneInfo(event.timezone)).isoformat(),
        "month": month,
        "year": facts.programme.timeline.year_of(month),
        "themes": list(event.themes),
        "markets": list(event.markets),
    }


def _year(facts: Facts, year: int) -> Group:
    timeline = facts.programme.timeline
    ours = [event for event in facts.events if timeline.year_of(timeline.month_of(event.starts)) == year]
    slugs = {event.slug for event in ours}
    results = [result for result in facts.results if result.event in slugs]
    return _group(facts, ours, results, key=str(year), title=f"Year {year}")


def _target(facts: Facts, target: Target) -> dict[str, Any]:
    value = actual(facts, target)
    people = target_people(facts, target)
    return {
        "key": target.key,
        "title": target.title,
        "baseline": target.baseline,
        "target": target.target,
        "unit": target.unit,
        "actual": value,
        "state": "open" if value is None else ("reached" if value >= target.target else "under way"),
        "note": target.note,
        "why_open": _why_open(target, people) if value is None else None,
        **(_asked(people) if people else {"asked": None, "answered": None, "rate": None}),
    }


def _why_open(target: Target, people: Asked | None) -> str:
    if target.measure.of == "record":
        return "recorded by hand, and not recorded yet"
    if target.measure.of == "events":
        return "nobody has been checked in at an event yet"
    if target.measure.growth and not target.baseline:
        return "no baseline is set to measure it against"
    return "no answers yet" if people and people.asked else "nobody has been asked yet"


def _figure(facts: Facts, one: Figure) -> dict[str, Any]:
    return {
        "value": None if one.value is None else as_number(one.value),
        "unit": facts.programme.currency if one.kind == "funding" else "count",
        "outcomes": one.rows,
        "unvalued": one.unvalued,
        **_asked(one.people),
    }


def _asked(people: Asked) -> dict[str, Any]:
    rate = people.rate
    return {
        "asked": people.asked,
        "answered": people.answered,
        "rate": None if rate is None else round(rate, 3),
    }


def _in_theme(facts: Facts, key: str) -> Callable[[Result], bool]:
    return lambda result: key in facts.event_of(result).themes


@lru_cache(maxsize=1)
def _page() -> Template:
    environment = Environment(
        loader=FileSystemLoader(templates_dir() / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["amount"] = amount
    environment.filters["percent"] = percent
    environment.filters["day"] = day
    return environment.get_template("report.html")


def amount(value: float | Decimal | None, unit: str = "count") -> str:
    """A figure as people read it: 1,200 or £1,200.50; a dash where it is not known."""
    if value is None:
        return "–"
    shown = f"{int(value):,}" if value == int(value) else (f"{value:,g}" if unit == "count" else f"{value:,.2f}")
    return f"£{shown}" if unit == "GBP" else (shown if unit == "count" else f"{unit} {shown}")


def percent(rate: float | None) -> str:
    """A share of 0 to 1 as a whole percentage; a dash where it is not known."""
    return "–" if rate is None else f"{rate * 100:.0f}%"


def day(iso: str) -> str:
    """An ISO time as 9 Oct 2023."""
    year, month, date = iso[:10].split("-")
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{int(date)} {names[int(month) - 1]} {year}"
