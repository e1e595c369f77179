from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.mail.pace import Pace

RATES = st.sampled_from((0.0, 0.05, 0.5, 1.0, 2.5, 10.0, 100.0))
DOMAINS = ("example.org", "example.com", "example.net")


class Moments:
    """A monotonic clock that is moved by hand; it starts late, as that of a machine that has run for a while."""

    def __init__(self) -> None:
        self.now = 3_000_000.0

    def __call__(self) -> float:
        return self.now


@given(
    RATES,
    RATES,
    st.lists(st.tuples(st.floats(0, 3) | st.just(0.0), st.sampled_from(DOMAINS)), min_size=1, max_size=120),
)
def test_no_stretch_of_time_has_more_than_its_rate_and_a_burst(
    rate: float, domain_rate: float, asked: list[tuple[float, str]]
) -> None:
    clock = Moments()
    pace = Pace(rate, domain_rate, clock)
    went: list[tuple[float, str]] = []
    for gap, domain in asked:
        clock.now += gap
        if not pace.wait(f"ada@{domain}"):
            went.append((clock.now, domain))
    for domain, limit in ((None, rate), *((domain, domain_rate) for domain in DOMAINS)):
        times = [at for at, to in went if domain in (None, to)]
        if limit:
            for first, since in enumerate(times):
                for last, until in enumerate(times[first:], first):
                    assert last - first + 1 <= limit * (until - since) + max(limit, 1) + 0.001
        elif not rate and not domain_rate:
            assert len(went) == len(asked)


@given(RATES.filter(bool), RATES, st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=60))
def test_who_waits_as_long_as_they_were_told_may_go(rate: float, domain_rate: float, domains: list[str]) -> None:
    clock = Moments()
    pace = Pace(rate, domain_rate, clock)
    began = clock.now
    for domain in domains:
        if told := pace.wait(f"ada@{domain}"):
            clock.now += told
            assert pace.wait(f"ada@{domain}") == 0
    # Nobody waits for longer than the slowest rate asks.
    slowest = min(limit for limit in (rate, domain_rate) if limit)
    assert clock.now - began <= len(domains) / slowest + 0.001


@pytest.mark.parametrize(("rate", "burst"), [(0.1, 1), (1, 1), (2.5, 2), (10, 10)])
def test_a_second_s_worth_goes_at_once_and_then_one_after_the_other(rate: float, burst: int) -> None:
    clock = Moments()
    pace = Pace(rate, 0, clock)
    assert [pace.wait("ada@example.org") for _ in range(burst)] == [0] * burst
    seconds = pace.wait("ada@example.org")
    assert 0 < seconds <= 1 / rate + 0.001
    clock.now += seconds
    assert pace.wait("ada@example.org") == 0
    assert pace.wait("ada@example.org") == pytest.approx(1 / rate, abs=0.001)


def test_a_domain_that_must_wait_stops_no_other_and_takes_nothing_from_the_rest() -> None:
    clock = Moments()
    pace = Pace(2, 1, clock)
    assert pace.wait("ada@example.org") == 0
    # Asked in vain, it is not counted: the second of the two that may go at once is there still.
    assert pace.wait("bob@EXAMPLE.org") == pytest.approx(1, abs=0.001)
    assert pace.wait("cem@example.com") == 0
    assert pace.wait("eve@example.net") == pytest.approx(0.5, abs=0.001)


def test_without_rates_nothing_waits() -> None:
    pace = Pace(0, 0, Moments())
    assert {pace.wait("ada@example.org") for _ in range(1000)} == {0}


def test_domains_that_are_not_written_to_are_forgotten() -> None:
    clock = Moments()
    pace = Pace(0, 1, clock)
    for number in range(20_000):
        clock.now += 0.01
        assert pace.wait(f"ada@{number}.example.org") == 0
    assert len(pace._full_by_domain) < 3000
    # The latest is not among those forgotten.
    assert pace.wait("bob@19999.example.org") > 0


def test_threads_share_one_count() -> None:
    pace = Pace(50, 0, Moments())
    begin = threading.Barrier(8)
    went: list[float] = []

    def ask() -> None:
        begin.wait(30)
        went.extend(pace.wait("ada@example.org") for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(went) == 160
    assert went.count(0) == 50
