"""The eleven rules: each alone, at its edges, and over anything at all."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events_service.domain.events import EventFacts
from events_service.domain.programme import Programme
from events_service.domain.rules import CODES, RULES, WAIVABLE, Booking, RuleContext, Violation, check, refuses
from tests.domain.given import conference, event, lancashire, late_market, naive, utc, wall

NOW = wall("2023-03-01T09:00")
KNOWN = RuleContext(target_institutions={"DE": 2, "US": 1, "MY": 1, "FR": 1, "CA": 1, "DK": 1, "GB": 1})


def found(
    facts: EventFacts, context: RuleContext = KNOWN, programme: Programme | None = None, **asked: Any
) -> dict[str, Violation]:
    return {v.code: v for v in check(programme or lancashire(), facts, context, asked.pop("now", NOW), **asked)}


def codes(
    facts: EventFacts, context: RuleContext = KNOWN, programme: Programme | None = None, **asked: Any
) -> set[str]:
    return set(found(facts, context, programme, **asked))


def test_the_rules_are_the_eleven_of_the_design() -> None:
    assert [(rule.code, rule.severity, rule.waivable) for rule in RULES] == [
        ("outside-programme", "error", False),
        ("outside-window", "error", True),
        ("market-not-targeted", "error", True),
        ("market-not-in-phase", "error", True),
        ("theme-unknown", "error", False),
        ("review-overdue", "error", False),
        ("material-stale", "warning", False),
        ("no-target-institution", "warning", False),
        ("holiday-clash", "warning", False),
        ("double-booked", "warning", False),
        ("over-budget", "warning", False),
    ]
    assert frozenset({"outside-window", "market-not-targeted", "market-not-in-phase"}) == WAIVABLE


def test_an_event_that_the_programme_allows_breaks_nothing() -> None:
    assert check(lancashire(), event("2023-10-09T09:00", "2023-10-12T17:00"), KNOWN, NOW, approving=True) == []


# --- outside-programme, outside-window ---


@pytest.mark.parametrize(
    ("starts", "ends", "broken"),
    [
        ("2023-03-31T09:00", "2023-03-31T17:00", {"outside-window"}),
        ("2023-03-31T23:00", "2023-04-01T09:00", {"outside-window"}),
        ("2023-04-01T00:00", "2023-04-01T09:00", set()),
        ("2024-03-31T09:00", "2024-04-01T00:00", set()),
        ("2024-03-31T09:00", "2024-04-01T00:01", {"outside-window"}),
        ("2024-04-01T00:00", "2024-04-01T09:00", {"outside-window"}),
        ("2022-03-31T23:59", "2022-04-01T09:00", {"outside-programme", "outside-window", "market-not-in-phase"}),
        ("2025-03-31T09:00", "2025-04-01T00:00", {"outside-window"}),
        ("2025-03-31T09:00", "2025-04-01T00:01", {"outside-programme", "outside-window"}),
    ],
)
def test_a_mission_by_the_day(starts: str, ends: str, broken: set[str]) -> None:
    mission = event(starts, ends, timezone="Europe/London")
    assert codes(mission) - {"holiday-clash"} == broken


@pytest.mark.parametrize(
    ("starts", "ends", "broken"),
    [
        ("2024-03-31T23:59", "2024-04-02T09:00", {"outside-window"}),
        ("2024-04-01T00:00", "2024-04-02T09:00", set()),
        ("2025-03-31T09:00", "2025-04-01T00:00", set()),
        ("2025-03-31T09:00", "2025-04-01T01:00", {"outside-programme", "outside-window"}),
    ],
)
def test_a_conference_of_ours_by_the_day(starts: str, ends: str, broken: set[str]) -> None:
    assert codes(conference(starts, ends)) - {"holiday-clash"} == broken


def test_what_others_run_goes_by_the_window_of_missions() -> None:
    joined = conference("2023-11-08T09:00", "2023-11-09T17:00", hosted_by="joined", markets=("DE",))
    assert codes(joined) == set()
    late = conference("2024-11-06T09:00", "2024-11-07T17:00", hosted_by="joined", markets=("DE",))
    assert codes(late) == {"outside-window"}
    assert "an event that others run" in found(late)["outside-window"].message


def test_the_window_is_that_of_the_programmes_zone_not_the_events() -> None:
    # In Kuala Lumpur it is already 1 April when the last hour of March begins in Lancashire.
    mission = event("2023-04-01T06:30", "2023-04-03T17:00", timezone="Asia/Kuala_Lumpur", country="MY", markets=("MY",))
    assert "outside-window" in codes(mission)
    mission = event("2024-04-01T05:00", "2024-04-01T07:00", timezone="Asia/Kuala_Lumpur", country="MY", markets=("MY",))
    assert "outside-window" not in codes(mission)


def test_the_dates_that_would_be_allowed() -> None:
    broken = found(event("2025-03-31T09:00", "2025-04-01T09:00"))
    assert broken["outside-programme"].as_json() == {
        "code": "outside-programme",
        "severity": "error",
        "message": (
            "it runs from 2025-03-31 to 2025-04-01, outside the programme, which runs from 2022-04-01 to 2025-03-31"
        ),
        "allowed": {"from": "2022-04-01", "to": "2025-04-01"},
        "waivable": False,
        "waived": False,
    }
    assert broken["outside-window"].as_json() == {
        "code": "outside-window",
        "severity": "error",
        "message": (
            "it runs from 2025-03-31 to 2025-04-01; a mission of ours belongs to 'Join missions and events in target"
            " markets' of workstream 3, months 12-24, from 2023-04-01 to 2024-03-31"
        ),
        "allowed": {"from": "2023-04-01", "to": "2024-04-01"},
        "waivable": True,
        "waived": False,
    }


# --- markets and themes ---


def test_every_market_must_be_named() -> None:
    broken = found(event("2023-10-09T09:00", "2023-10-12T17:00", markets=("DE", "CH", "BR")))
    assert broken["market-not-targeted"].message == (
        "markets BR, CH are not among the programme's: DE, US, MY, FR, CA, DK"
    )
    assert broken["market-not-targeted"].allowed is None


def test_a_market_out_of_phase_never_stands_alone_in_the_shipped_programme() -> None:
    broken = found(event("2022-10-10T09:00", "2022-10-12T17:00", country="FR", markets=("FR",)))
    assert set(broken) == {"outside-window", "market-not-in-phase"}
    assert broken["market-not-in-phase"].as_json()["allowed"] == {"from": "2023-04-01", "to": "2025-04-01"}
    assert codes(event("2022-10-10T09:00", "2022-10-12T17:00")) == {"outside-window"}


@pytest.mark.parametrize(
    ("starts", "broken"),
    [("2025-01-30T23:59", {"market-not-in-phase"}), ("2025-01-31T00:00", set()), ("2025-01-31T09:00", set())],
)
def test_a_market_out_of_phase_alone(starts: str, broken: set[str]) -> None:
    trip = event(
        starts, "2025-01-31T17:00", timezone="America/New_York", country="FR", markets=("FR", "GB"), themes=("water",)
    )
    assert codes(trip, programme=late_market(), now=utc("2024-06-01T09:00")) == broken


def test_a_market_out_of_phase_says_when_it_is_in() -> None:
    trip = event("2024-06-03T09:00", "2024-06-04T17:00", country="FR", markets=("GB", "FR"), themes=("water",))
    violation = found(trip, programme=late_market())["market-not-in-phase"]
    assert violation.message == (
        "it runs from 2024-06-03 to 2024-06-04, too early: France (FR) is in focus from month 12, 2025-01-31"
    )
    assert violation.as_json()["allowed"] == {"from": "2025-01-31", "to": "2027-01-31"}


def test_a_conference_of_ours_may_be_for_no_market() -> None:
    assert codes(conference("2024-10-09T09:00", "2024-10-10T17:00")) == set()
    assert codes(conference("2024-10-09T09:00", "2024-10-10T17:00", markets=("BR",))) == {"market-not-targeted"}


def test_a_theme_that_nobody_named() -> None:
    broken = found(event("2023-10-09T09:00", "2023-10-12T17:00", themes=("cyber", "fishing")))
    assert {code: v.message for code, v in broken.items()} == {
        "theme-unknown": "theme fishing is not among the programme's: cyber, mobility, energy, health"
    }


# --- review-overdue ---


def test_an_overdue_review_stops_approval_and_nothing_else() -> None:
    mission = event("2023-10-09T09:00", "2023-10-12T17:00")
    late = wall("2023-04-02T00:00")
    assert codes(mission, now=late) == set()
    assert codes(mission, now=late - timedelta(seconds=1), approving=True) == set()
    broken = found(mission, now=late, approving=True)
    assert {code: v.message for code, v in broken.items()} == {
        "review-overdue": (
            "overdue: 'Review' (review-12) was due on 2023-04-01; record it, and what begins after it can go on"
        )
    }
    assert refuses(broken.values())


def test_recording_the_review_lets_it_go_on() -> None:
    mission = event("2023-10-09T09:00", "2023-10-12T17:00")
    held = RuleContext(reviews_held={"review-12": date(2023, 5, 2)}, target_institutions={"DE": 1})
    assert codes(mission, held, now=wall("2023-05-02T09:00"), approving=True) == set()


def test_an_event_on_the_due_day_is_not_stopped() -> None:
    late = wall("2023-10-05T09:00")
    on_the_day = event("2023-10-01T09:00", "2023-10-04T17:00", timezone="Europe/London")
    held = RuleContext(reviews_held={"review-12": date(2023, 3, 2)}, target_institutions={"DE": 1})
    assert "review-overdue" not in codes(on_the_day, held, now=late, approving=True)
    day_after = event("2023-10-02T00:00", "2023-10-04T17:00", timezone="Europe/London")
    assert "review-overdue" in codes(day_after, held, now=late, approving=True)


# --- warnings ---


def test_stale_material() -> None:
    held = RuleContext(
        reviews_held={"review-12": date(2023, 3, 20), "progress-18": date(2023, 9, 12)}, target_institutions={"DE": 1}
    )

    def stale(refreshed: date | None) -> set[str]:
        return codes(event("2023-10-09T09:00", "2023-10-12T17:00", material_refreshed=refreshed), held)

    assert stale(date(2023, 9, 11)) == {"material-stale"}
    assert stale(date(2023, 9, 12)) == set()
    assert stale(None) == set()
    assert codes(event("2023-10-09T09:00", "2023-10-12T17:00", material_refreshed=date(2020, 1, 1))) == set()


def test_the_material_of_a_theme_speaks_for_an_event_without_its_own() -> None:
    held = RuleContext(reviews_held={"first": date(2025, 2, 1)}, target_institutions={"GB": 1})
    trip: dict[str, Any] = {"country": "GB", "markets": ("GB",), "timezone": "Europe/London"}
    times = ("2025-04-08T09:00", "2025-04-09T17:00")
    assert codes(event(*times, themes=("soil",), **trip), held, late_market()) == set()
    broken = found(event(*times, themes=("soil", "water"), **trip), held, late_market())
    assert {code: v.message for code, v in broken.items()} == {
        "material-stale": (
            "its material was last refreshed on 2024-06-01, before the review first of 2025-02-01; refresh it"
        )
    }
    fresh = event(*times, themes=("water",), material_refreshed=date(2025, 3, 1), **trip)
    assert codes(fresh, held, late_market()) == set()


def test_a_mission_to_a_market_with_no_target_institution() -> None:
    context = RuleContext(target_institutions={"DE": 3, "DK": 0})
    broken = found(event("2023-10-09T09:00", "2023-10-12T17:00", markets=("FR", "DE", "DK")), context)
    assert {code: v.message for code, v in broken.items()} == {
        "no-target-institution": (
            "no target institution is identified in DK, FR; mark one with `events institution target`"
        )
    }
    assert codes(conference("2024-10-09T09:00", "2024-10-10T17:00", markets=("FR",)), context) == set()


def test_a_holiday_where_it_is() -> None:
    broken = found(event("2023-10-02T09:00", "2023-10-04T17:00"))
    assert {code: v.message for code, v in broken.items()} == {
        "holiday-clash": "falls on Tue 2023-10-03 German Unity Day (DE)"
    }
    assert codes(event("2024-01-08T09:00", "2024-01-09T17:00", region="DE-BY")) == set()


def test_the_region_of_the_place_counts_and_lancashire_is_in_england() -> None:
    epiphany = ("2023-06-08T09:00", "2023-06-08T17:00")  # Corpus Christi, kept in Bavaria
    assert codes(event(*epiphany, region="DE-BY")) == {"holiday-clash"}
    assert codes(event(*epiphany, region="DE-BE")) == set()
    august = ("2024-08-26T09:00", "2024-08-26T17:00")
    assert codes(conference(*august, region=None)) == {"holiday-clash"}
    assert codes(conference(*august, region="GB-EDH")) == set()


def test_a_holiday_for_whom_it_is_and_a_weekend_named_once() -> None:
    broken = found(conference("2024-07-04T09:00", "2024-07-06T17:00", markets=("US", "DE")))
    assert broken["holiday-clash"].message == (
        "falls on Thu 2024-07-04 Independence Day (US); Sat 2024-07-06 weekend (DE, GB, US)"
    )


def test_a_long_list_of_days_is_cut() -> None:
    message = found(event("2023-12-01T09:00", "2024-01-02T17:00"))["holiday-clash"].message
    assert message.endswith("and 7 more")


def test_an_estimated_holiday_says_so() -> None:
    programme = lancashire().model_copy(update={"start": date(2026, 4, 1)})
    trip = event("2028-02-28T09:00", "2028-02-28T17:00", timezone="Asia/Kuala_Lumpur", country="MY", markets=("MY",))
    assert "(estimated)" in found(trip, programme=programme)["holiday-clash"].message


def test_somebody_is_elsewhere_then() -> None:
    mission = event("2023-10-09T09:00", "2023-10-12T17:00")
    hour = timedelta(hours=1)
    bookings = (
        Booking("Ann", "aachen", mission.ends, mission.ends + hour),
        Booking("Bea", "berlin", mission.ends - hour, mission.ends + hour),
        Booking("Cai", "cologne", mission.starts - hour, mission.starts),
        Booking("Dan", "dresden", mission.starts - hour, mission.starts + hour),
        Booking("Eve", "munich", mission.starts, mission.ends),
        Booking("Bea", "berlin", mission.ends - hour, mission.ends + hour),
    )
    context = RuleContext(target_institutions={"DE": 1}, bookings=bookings)
    assert {code: v.message for code, v in found(mission, context).items()} == {
        "double-booked": "at another event then: Bea at berlin; Dan at dresden"
    }


def test_money_and_time() -> None:
    context = RuleContext(target_institutions={"DE": 1}, spent_budget=25_000, spent_effort_days=60)

    def broken(**changes: Any) -> dict[str, Violation]:
        return found(event("2023-10-09T09:00", "2023-10-12T17:00", **changes), context)

    assert set(broken(budget=5_000, effort_days=12)) == set()
    assert set(broken()) == set()
    assert broken(budget=5_001)["over-budget"].message == (
        "workstream 3, Events and Missions: its 5,001 GBP bring the total to 30,001 of 30,000"
    )
    assert broken(effort_days=13.5)["over-budget"].message == (
        "workstream 3, Events and Missions: its 13.5 days bring the total to 4.1 of 4 person-months"
    )
    assert broken(budget=6_000, effort_days=30)["over-budget"].message.count("bring the total") == 2


# --- waivers, order ---


def test_a_waiver_lifts_its_own_rule_only() -> None:
    mission = event("2022-10-10T09:00", "2022-10-12T17:00", markets=("DE", "BR"))
    assert [v.waived for v in check(lancashire(), mission, KNOWN, NOW)][:2] == [False, False]
    some = check(lancashire(), mission, KNOWN, NOW, {"outside-window"})
    assert {v.code: v.waived for v in some if v.severity == "error"} == {
        "outside-window": True,
        "market-not-targeted": False,
    }
    assert refuses(some)
    assert not refuses(check(lancashire(), mission, KNOWN, NOW, {"outside-window", "market-not-targeted"}))


def test_a_waiver_cannot_lift_what_is_not_waivable() -> None:
    mission = event("2021-10-11T09:00", "2021-10-12T17:00", themes=("fishing",))
    late = wall("2023-05-01T09:00")
    found_ones = check(lancashire(), mission, KNOWN, late, CODES, approving=True)
    assert {v.code for v in found_ones if not v.waived} == {"outside-programme", "theme-unknown"}
    later = event("2023-10-09T09:00", "2023-10-12T17:00")
    assert refuses(check(lancashire(), later, KNOWN, late, CODES, approving=True))


def test_a_warning_refuses_nothing() -> None:
    assert not refuses(check(lancashire(), event("2023-10-02T09:00", "2023-10-04T17:00"), RuleContext(), NOW))


instants = st.datetimes(naive("2021-10-01T00:00"), naive("2025-10-01T00:00")).map(lambda at: utc(at.isoformat()))
markets = st.lists(st.sampled_from(["DE", "US", "MY", "FR", "CA", "DK", "BR", "CH"]), max_size=4)
themes = st.lists(st.sampled_from(["cyber", "mobility", "energy", "health", "fishing"]), min_size=1, max_size=3)


@st.composite
def any_event(draw: st.DrawFn) -> EventFacts:
    starts = draw(instants)
    return EventFacts(
        slug="any",
        kind=draw(st.sampled_from(["mission", "conference"])),
        hosted_by=draw(st.sampled_from(["us", "joined"])),
        themes=tuple(draw(themes)),
        markets=tuple(draw(markets)),
        starts=starts,
        ends=starts + timedelta(minutes=draw(st.integers(0, 60 * 24 * 9))),
        timezone=draw(st.sampled_from(["Europe/London", "Asia/Kuala_Lumpur", "America/Los_Angeles"])),
        country=draw(st.sampled_from(["", "GB", "DE", "MY", "US"])),
        budget=draw(st.none() | st.integers(0, 50_000)),
        material_refreshed=draw(st.none() | st.dates(date(2022, 1, 1), date(2025, 1, 1))),
    )


@given(any_event(), st.sampled_from([lancashire(), late_market()]))
def test_an_accepted_event_lies_inside_its_window(facts: EventFacts, programme: Programme) -> None:
    violations = check(programme, facts, KNOWN, NOW, approving=True)
    _, _, window = programme.holding(facts.kind, facts.hosted_by)
    inside = window.starts <= facts.starts < window.ends and facts.ends <= window.ends
    assert inside == ("outside-window" not in {v.code for v in violations})
    if not refuses(violations):
        assert inside
        assert all(programme.market(market) for market in facts.markets)
        assert all(programme.theme(theme) for theme in facts.themes)


@example(event("2022-06-01T09:00", "2022-06-02T17:00", markets=("FR", "BR", "DK", "CH"), themes=("x", "y")), NOW, set())
@given(any_event(), instants, st.sets(st.sampled_from(CODES)))
def test_the_verdict_is_the_same_in_whatever_order_things_come(
    facts: EventFacts, now: datetime, waivers: set[str]
) -> None:
    bookings = [Booking(name, "elsewhere", facts.starts, facts.ends + timedelta(hours=1)) for name in "abcdefgh"]
    held = {"review-12": date(2023, 4, 1), "progress-18": date(2023, 4, 1)}

    def verdict(step: int) -> list[dict[str, Any]]:
        context = RuleContext(reviews_held=dict(list(held.items())[::step]), bookings=bookings[::step])
        shown = replace(facts, markets=facts.markets[::step], themes=facts.themes[::step])
        lifted = sorted(waivers)[::step]
        return [v.as_json() for v in check(lancashire(), shown, context, now, lifted, approving=True)]

    first = verdict(1)
    assert verdict(-1) == first
    assert json.loads(json.dumps(first)) == first
    order = [violation["code"] for violation in first]
    assert order == [code for code in CODES if code in order]


@given(any_event(), instants)
def test_every_violation_is_one_line_and_its_allowed_dates_are_ordered(facts: EventFacts, now: datetime) -> None:
    for violation in check(lancashire(), facts, RuleContext(), now, approving=True):
        assert "\n" not in violation.message
        assert len(violation.message) < 600
        assert violation.allowed is None or violation.allowed.from_date < violation.allowed.until
