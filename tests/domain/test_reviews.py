"""The states of a review point, and what an overdue one stops."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.domain import reviews
from events_service.domain.programme import ReviewPoint
from tests.domain.given import lancashire, late_market, naive, utc, wall

IDS = ("review-12", "progress-18", "review-24", "progress-36")


def point(id: str) -> ReviewPoint:
    found = lancashire().review_point(id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ("2022-09-30T23:59:59", "upcoming"),
        ("2022-10-01T00:00", "open"),
        ("2023-03-31T12:00", "open"),
        ("2023-04-01T00:00", "open"),
        ("2023-04-01T23:59:59", "open"),
        ("2023-04-02T00:00", "overdue"),
        ("2025-06-01T00:00", "overdue"),
    ],
)
def test_a_review_point_by_the_clock(now: str, state: str) -> None:
    assert reviews.state_of(lancashire(), point("review-12"), (), wall(now)) == state


@pytest.mark.parametrize("now", ["2022-04-01T00:00", "2023-01-01T00:00", "2024-01-01T00:00"])
def test_a_recorded_review_is_held_whenever_it_was_recorded(now: str) -> None:
    assert reviews.state_of(lancashire(), point("review-12"), {"review-12"}, wall(now)) == "held"


def test_midnight_is_the_programmes() -> None:
    assert reviews.overdue_from(lancashire(), point("review-12")) == utc("2023-04-01T23:00")
    (first,) = late_market().review_points
    assert reviews.due_on(late_market(), first) == date(2025, 2, 28)
    assert reviews.overdue_from(late_market(), first) == utc("2025-03-01T05:00")


def test_all_states_at_once() -> None:
    assert reviews.states(lancashire(), {"review-12"}, wall("2023-11-01T09:00")) == {
        "review-12": "held",
        "progress-18": "overdue",
        "review-24": "open",
        "progress-36": "upcoming",
    }


def test_the_gate_stands_at_the_earliest_overdue_review() -> None:
    programme = lancashire()
    before, late = wall("2023-04-01T23:59"), wall("2023-12-01T09:00")
    assert reviews.gate(programme, (), before) is None
    assert reviews.gate(programme, (), late) == wall("2023-04-02T00:00")
    assert reviews.gate(programme, {"review-12"}, late) == wall("2023-10-02T00:00")
    assert reviews.gate(programme, {"progress-18"}, late) == wall("2023-04-02T00:00")
    assert reviews.gate(programme, {"review-12", "progress-18"}, late) is None


def test_what_begins_on_the_due_day_is_not_after_it() -> None:
    late = wall("2023-04-02T09:00")
    assert reviews.gated_by(lancashire(), (), late, wall("2023-04-01T23:59")) == []
    assert reviews.gated_by(lancashire(), (), late, wall("2023-04-02T00:00")) == [point("review-12")]


def test_all_reviews_that_gate_are_named_the_earliest_first() -> None:
    late = wall("2024-06-01T09:00")
    assert [p.id for p in reviews.gated_by(lancashire(), (), late, late)] == ["review-12", "progress-18", "review-24"]
    assert [p.id for p in reviews.gated_by(lancashire(), (), late, wall("2024-01-01T09:00"))] == [
        "review-12",
        "progress-18",
    ]


def test_the_last_held_review() -> None:
    assert reviews.last_held({}) is None
    assert reviews.last_held({"progress-18": date(2023, 9, 1), "review-12": date(2023, 9, 30)}) == (
        "review-12",
        date(2023, 9, 30),
    )


@given(
    st.sets(st.sampled_from(IDS)),
    st.datetimes(naive("2022-01-01T00:00"), naive("2026-01-01T00:00")),
    st.integers(0, 900),
)
def test_holding_a_review_is_all_that_releases_its_gate(held: set[str], clock: datetime, days: int) -> None:
    programme = lancashire()
    now = wall(clock.isoformat()) if clock.hour > 2 else wall(clock.replace(hour=12).isoformat())
    gate = reviews.gate(programme, held, now)
    late = reviews.overdue(programme, held, now)
    # Waiting releases nothing.
    later = reviews.gate(programme, held, now + timedelta(days=days))
    if gate is not None:
        assert later == gate
        # Nor does any other review; the one that stands in the way does.
        for other in set(IDS) - held - {late[0].id}:
            assert reviews.gate(programme, held | {other}, now) == gate
        released = reviews.gate(programme, held | {late[0].id}, now)
        assert released is None or released > gate
    assert (gate is None) == (not late)


@given(
    st.sets(st.sampled_from(IDS)),
    st.datetimes(naive("2022-01-01T00:00"), naive("2026-01-01T00:00")),
    st.integers(0, 900),
)
def test_a_state_only_moves_forward(held: set[str], clock: datetime, days: int) -> None:
    order = ["upcoming", "open", "overdue"]
    now = utc(clock.isoformat())
    for review in lancashire().review_points:
        first = reviews.state_of(lancashire(), review, held, now)
        then = reviews.state_of(lancashire(), review, held, now + timedelta(days=days))
        assert (first == "held") == (review.id in held) == (then == "held")
        if first != "held":
            assert order.index(first) <= order.index(then)
