"""How long a rehearsal of three years takes.

Ratio of `rehearsal-5000`: of the same with 500 people, in the same run; at most 12 is asked for, smaller is better.
`rehearsal-500` has no yardstick: under 60 seconds on two cores is asked for.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.bench.harness import EVENTS, Figure, bench, run_command


@bench("rehearsal-500", unit="s")
def rehearsal_500(folder: Path) -> Figure:
    """`events rehearse`, as `make demo` runs it."""
    return Figure(_seconds(500, folder))


@bench("rehearsal-5000", unit="s")
def rehearsal_5000(folder: Path) -> Figure:
    """Ten times the people, and ten times the mail."""
    yardstick = _seconds(500, folder)
    value = _seconds(5000, folder)
    return Figure(value, yardstick, value / yardstick)


def _seconds(people: int, folder: Path) -> float:
    """What one rehearsal says that it took, the start of the interpreter not counted."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENTS_")}
    words = ["rehearse", "--people", str(people), "--out", str(folder / str(people)), "--json"]
    said = json.loads(run_command([str(EVENTS), *words], folder, kept))
    if said["deliveries"]["sent"] < 5 * people:
        raise RuntimeError(f"the rehearsal sent too little: {said['deliveries']}")
    return float(said["seconds"])
