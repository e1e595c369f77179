"""How outcomes add up, and when there is no figure."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.domain.outcomes import KINDS, Asked, Figure, Result, figure, kind_of, other_currencies

NOBODY = Asked()


def test_no_answer_is_no_figure_and_an_answered_zero_is_one() -> None:
    assert figure("lead", [], Asked(10, 0)).value is None
    assert figure("lead", [], NOBODY).value is None
    assert figure("lead", [], Asked(10, 1)).value == 0
    assert figure("funding", [], Asked(10, 0)).value is None


def test_an_outcome_without_a_number_counts_as_one_but_funding_adds_nothing() -> None:
    results = [Result("e", "lead", None), Result("e", "lead", Decimal(3)), Result("e", "contact", Decimal(9))]
    assert figure("lead", results, NOBODY) == Figure("lead", Decimal(4), 2, 0, NOBODY)
    unknown = [Result("e", "funding", None, "GBP")]
    assert figure("funding", unknown, Asked(5, 2)) == Figure("funding", None, 1, 1, Asked(5, 2))
    known = [*unknown, Result("e", "funding", Decimal("1200.50"), "GBP")]
    assert figure("funding", known, NOBODY) == Figure("funding", Decimal("1200.50"), 2, 1, NOBODY)


def test_only_pounds_add_up() -> None:
    results = [
        Result("e", "funding", Decimal(100), "GBP"),
        Result("e", "funding", Decimal(70), "EUR"),
        Result("f", "funding", Decimal(30), "EUR"),
        Result("f", "funding", None, "USD"),
    ]
    assert figure("funding", results, NOBODY).value == 100
    assert other_currencies(results) == {"EUR": (Decimal(100), 2)}


@given(st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 999)), max_size=30))
def test_figures_of_all_kinds_hold_every_number_once(rows: list[tuple[str, int]]) -> None:
    results = [Result("e", kind, Decimal(number), "GBP") for kind, number in rows]
    total = sum((figure(kind, results, NOBODY).value or Decimal(0) for kind in KINDS), Decimal(0))
    assert total == sum(number for _, number in rows)


def test_a_rate_needs_somebody_asked() -> None:
    assert NOBODY.rate is None
    assert (Asked(4, 1) + Asked(4, 3)).rate == 0.5


@pytest.mark.parametrize(
    ("text", "kind"),
    [("lead", "lead"), (" Funding ", "funding"), ("student-enquiry", "enquiry"), ("student enquiry", "enquiry")],
)
def test_kinds_go_by_the_names_people_use(text: str, kind: str) -> None:
    assert kind_of(text) == kind
    assert kind_of("prize") is None
