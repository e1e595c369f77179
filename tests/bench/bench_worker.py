"""The memory of a worker process while far more is due than it can send at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.bench import running
from tests.bench.harness import Figure, bench, progress
from tests.bench.mission import invitations
from tests.bench.postfix import sink
from tests.crowds import counts

DUE = int(os.environ.get("EVENTS_BENCH_DUE", "100000"))
SECONDS = 30.0


@bench("worker-memory", unit="MB")
def worker_memory(folder: Path) -> Figure:
    """The most that a worker process held in 30 seconds of sending, with 100,000 rows due; no yardstick.

    Its ratio is of the last third's most to the first third's: 1 is flat.
    """
    with sink(folder) as to, running.fleet(folder / "live", to) as fleet:
        idle = fleet.resident()
        invitations(fleet.database, DUE)
        running.wait_until(lambda: to.messages > 0, lambda: f"the first message; {fleet.workers.said[-500:]}")
        seen = []
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends and to.messages < DUE:
            seen.append(fleet.resident())
            time.sleep(0.1)
        sent = counts(fleet.database).get("sent", 0)
    third = len(seen) // 3
    first, last = max(seen[:third]), max(seen[-third:])
    progress(
        f"worker-memory: {idle / 1e6:,.0f} MB before, {first / 1e6:,.0f} at first, {last / 1e6:,.0f} at the end;"
        f" {sent:,} of {DUE:,} were sent by then"
    )
    return Figure(max(seen) / 1e6, None, last / first)
