"""What the programme allows: eleven rules, each with a code, a sentence, the dates it would allow, and its severity.

Pure: the same programme, event, context and date give the same violations in the same order, in whatever order the
event lists its markets or themes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime, timedelta
from typing import NamedTuple

from events_service.domain import reviews
from events_service.domain.events import EventFacts
from events_service.domain.holidays import DayOff, days_off
from events_service.domain.programme import Programme
from events_service.domain.timeline import Window
from events_service.domain.violations import Allowed, Booking, RuleContext, Severity, Violation, refuses

__all__ = [
    "CODES", "RULES", "WAIVABLE", "Allowed", "Booking", "Rule", "RuleContext", "Violation", "check",
    "material_refreshed", "refuses",
]  # fmt: skip


class _Finding(NamedTuple):
    message: str
    allowed: Allowed | None = None


class _Case(NamedTuple):
    programme: Programme
    event: EventFacts
    context: RuleContext
    now: datetime


class Rule(NamedTuple):
    """A rule as a person reads it: `when` says what breaks it. `at_approval` ones are asked only then."""

    code: str
    severity: Severity
    waivable: bool
    when: str
    find: Callable[[_Case], _Finding | None]
    at_approval: bool = False


def check(
    programme: Programme,
    event: EventFacts,
    context: RuleContext,
    now: datetime,
    waivers: Collection[str] = (),
    *,
    approving: bool = False,
) -> list[Violation]:
    """Every rule that `event` breaks at `now` (aware), at most one violation a rule, in the order of RULES.

    `waivers` are the codes lifted for this event. `approving` asks too what is asked only when an event is approved or
    its campaign starts: whether an overdue review stops it.
    """
    case = _Case(programme, event, context, now)
    found = []
    for rule in RULES:
        if rule.at_approval and not approving:
            continue
        finding = rule.find(case)
        if finding is not None:
            waived = rule.waivable and rule.code in waivers
            found.append(Violation(rule.code, rule.severity, finding.message, finding.allowed, rule.waivable, waived))
    return found


def _outside_programme(case: _Case) -> _Finding | None:
    whole = case.programme.timeline.whole
    if whole.holds(case.event.starts, case.event.ends):
        return None
    return _Finding(
        f"{_when(case)}, outside the programme, which runs from {whole.from_date} to {whole.last_day}", _dates(whole)
    )


def _outside_window(case: _Case) -> _Finding | None:
    stream, activity, window = case.programme.holding(case.event.kind, case.event.hosted_by)
    if window.holds(case.event.starts, case.event.ends):
        return None
    what = "an event that others run" if case.event.hosted_by == "joined" else f"a {case.event.kind} of ours"
    return _Finding(
        f"{_when(case)}; {what} belongs to {activity.title!r} of workstream {stream.number}, months"
        f" {window.from_month}-{window.to_month}, from {window.from_date} to {window.last_day}",
        _dates(window),
    )


def _market_not_targeted(case: _Case) -> _Finding | None:
    strangers = [market for market in sorted(set(case.event.markets)) if case.programme.market(market) is None]
    if not strangers:
        return None
    known = ", ".join(market.country for market in case.programme.markets) or "none"
    return _Finding(f"{_listed(strangers, 'market')} not among the programme's: {known}")


def _market_not_in_phase(case: _Case) -> _Finding | None:
    timeline = case.programme.timeline
    named = [case.programme.market(country) for country in sorted(set(case.event.markets))]
    early = [market for market in named if market and case.event.starts < timeline.begins(market.from_month)]
    if not early:
        return None
    phases = "; ".join(
        f"{market.name} ({market.country}) is in focus from month {market.from_month},"
        f" {timeline.first_day(market.from_month)}"
        for market in early
    )
    begins = timeline.first_day(max(market.from_month for market in early))
    return _Finding(f"{_when(case)}, too early: {phases}", Allowed(begins, timeline.whole.to_date))


def _theme_unknown(case: _Case) -> _Finding | None:
    strangers = [theme for theme in sorted(set(case.event.themes)) if case.programme.theme(theme) is None]
    if not strangers:
        return None
    known = ", ".join(theme.key for theme in case.programme.themes)
    return _Finding(f"{_listed(strangers, 'theme')} not among the programme's: {known}")


def _review_overdue(case: _Case) -> _Finding | None:
    late = reviews.gated_by(case.programme, case.context.reviews_held.keys(), case.now, case.event.starts)
    if not late:
        return None
    points = "; ".join(
        f"{point.title!r} ({point.id}) was due on {reviews.due_on(case.programme, point)}" for point in late
    )
    return _Finding(f"overdue: {points}; record it, and what begins after it can go on")


def _material_stale(case: _Case) -> _Finding | None:
    last = reviews.last_held(case.context.reviews_held)
    refreshed = material_refreshed(case.programme, case.event.material_refreshed, case.event.themes)
    # Material whose age nobody gave is unknown, not stale.
    if last is None or refreshed is None or refreshed >= last[1]:
        return None
    return _Finding(
        f"its material was last refreshed on {refreshed}, before the review {last[0]} of {last[1]}; refresh it"
    )


def material_refreshed(programme: Programme, own: date | None, themes: Iterable[str]) -> date | None:
    """When an event's material was last refreshed: as it says itself, else the oldest of its themes; None: unknown."""
    if own is not None:
        return own
    known = [programme.theme(key) for key in themes]
    return min((theme.material_refreshed for theme in known if theme and theme.material_refreshed), default=None)


def _no_target_institution(case: _Case) -> _Finding | None:
    if case.event.kind != "mission":
        return None
    known = case.context.target_institutions
    bare = [market for market in sorted(set(case.event.markets)) if not known.get(market)]
    if not bare:
        return None
    return _Finding(
        f"no target institution is identified in {', '.join(bare)}; mark one with `events institution target`"
    )


def _holiday_clash(case: _Case) -> _Finding | None:
    first, last = case.event.dates()
    found: dict[tuple[date, str], list[str]] = {}
    for country in sorted({case.event.country, *case.event.markets} - {""}):
        for off in days_off(country, _region(case, country), first, last):
            found.setdefault((off.day, _named(off)), []).append(country)
    if not found:
        return None
    lines = [f"{day:%a} {day} {name} ({', '.join(countries)})" for (day, name), countries in sorted(found.items())]
    return _Finding(f"falls on {_few(lines)}")


def _region(case: _Case, country: str) -> str | None:
    if case.event.country == country and case.event.region:
        return case.event.region
    return case.programme.region if case.programme.country == country else None


def _named(off: DayOff) -> str:
    return off.name or "weekend"


def _double_booked(case: _Case) -> _Finding | None:
    event = case.event
    clashes = sorted(
        {
            f"{booking.person} at {booking.event}"
            for booking in case.context.bookings
            if booking.event != event.slug and booking.starts < event.ends and event.starts < booking.ends
        }
    )
    return _Finding(f"at another event then: {_few(clashes)}") if clashes else None


def _over_budget(case: _Case) -> _Finding | None:
    programme, event, context = case.programme, case.event, case.context
    stream, _, _ = programme.holding(event.kind, event.hosted_by)
    over = []
    if event.budget and context.spent_budget + event.budget > stream.cost:
        total = context.spent_budget + event.budget
        over.append(f"its {event.budget:,} {programme.currency} bring the total to {total:,.0f} of {stream.cost:,}")
    days = stream.person_months * programme.working_days_per_month
    if event.effort_days and context.spent_effort_days + event.effort_days > days:
        months = (context.spent_effort_days + event.effort_days) / programme.working_days_per_month
        over.append(
            f"its {event.effort_days:g} days bring the total to {months:.1f} of {stream.person_months:g} person-months"
        )
    return _Finding(f"workstream {stream.number}, {stream.title}: {'; '.join(over)}") if over else None


def _when(case: _Case) -> str:
    timeline = case.programme.timeline
    first = timeline.date_of(case.event.starts)
    last = timeline.date_of(max(case.event.starts, case.event.ends - timedelta(microseconds=1)))
    return f"it is on {first}" if first == last else f"it runs from {first} to {last}"


def _dates(window: Window) -> Allowed:
    return Allowed(window.from_date, window.to_date)


def _listed(names: list[str], noun: str) -> str:
    return f"{noun} {names[0]} is" if len(names) == 1 else f"{noun}s {', '.join(names)} are"


def _few(lines: list[str], most: int = 6) -> str:
    more = f" and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more


RULES = (
    Rule("outside-programme", "error", False, "any part of it lies outside months 0-36", _outside_programme),
    Rule("outside-window", "error", True, "any part of it lies outside its activity's window", _outside_window),
    Rule("market-not-targeted", "error", True, "the programme does not name a market of it", _market_not_targeted),
    Rule("market-not-in-phase", "error", True, "a market of it is not yet in focus", _market_not_in_phase),
    Rule("theme-unknown", "error", False, "the programme does not name a theme of it", _theme_unknown),
    Rule("review-overdue", "error", False, "it begins after the due date of an overdue review", _review_overdue, True),
    Rule("material-stale", "warning", False, "its material is older than the last held review", _material_stale),
    Rule("no-target-institution", "warning", False, "a market has no target institution", _no_target_institution),
    Rule("holiday-clash", "warning", False, "a public holiday or weekend where it is, or for whom", _holiday_clash),
    Rule("double-booked", "warning", False, "an attendee or organiser is at another event then", _double_booked),
    Rule("over-budget", "warning", False, "the workstream's money or person-months are exceeded", _over_budget),
)

CODES = tuple(rule.code for rule in RULES)
WAIVABLE = frozenset(rule.code for rule in RULES if rule.waivable)
