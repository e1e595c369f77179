"""How many events the programme's rules look at in a second."""

from __future__ import annotations

import statistics
import time
from datetime import date, timedelta
from pathlib import Path

from events_service.domain.events import EventFacts
from events_service.domain.rules import RuleContext, check
from tests.bench.harness import Figure, bench
from tests.domain.given import conference, event, lancashire, utc

EVENTS = 2000
ROUNDS = 5


@bench("rules", unit="events/s")
def rules(folder: Path) -> Figure:
    """All rules over 2,000 events from before the shipped programme to after it; no yardstick."""
    programme = lancashire()
    events = [_event(number) for number in range(EVENTS)]
    context = RuleContext(reviews_held={"review-12": date(2023, 4, 3)}, target_institutions={"DE": 3})
    now = utc("2024-05-01T09:00")
    times = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        codes = {found.code for facts in events for found in check(programme, facts, context, now, approving=True)}
        times.append(time.perf_counter() - began)
        if not {"outside-programme", "outside-window", "review-overdue", "holiday-clash"} <= codes:
            raise RuntimeError(f"these events break too few of the rules: {sorted(codes)}")
    # The first round fills what is kept: holidays by country and year.
    return Figure(EVENTS / statistics.median(times[1:]))


def _event(number: int) -> EventFacts:
    starts = date(2022, 1, 3) + timedelta(days=number * 1300 // EVENTS)
    ends = starts + timedelta(days=number % 5)
    make = conference if number % 3 == 0 else event
    return make(f"{starts}T09:00", f"{ends}T17:00", slug=f"e{number}")
