"""`events rehearse`: what the composition root calls."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from events_service import programmes
from events_service.domain.programme_file import load_programme
from events_service.errors import UsageError
from events_service.reading.text_files import read_text
from schedules.rehearsal import folder, report
from schedules.rehearsal.runner import Progress, Rehearsal, Rehearsed
from schedules.rehearsal.script import script_for
from schedules.rehearsal.summary import Summary

DEFAULT = "lancashire-2022-2025"
_COLLECT_AFTER = 20_000
Watching = Callable[[int], AbstractContextManager[Callable[[Progress], None]]]
"""Given the months of a programme, what is told how far it is."""


def rehearse(programme: str, people: int, seed: int, out: Path, watching: Watching) -> tuple[Summary, Rehearsed, float]:
    """Rehearse a programme, named by the key of one that ships or by its file, in the folder `out`.

    UsageError for fewer people than the cast, FileError for a folder that holds something else, InputError where no
    rehearsal ships for the programme. Gives what it came to, and how many seconds it took.
    """
    began = time.perf_counter()
    text, name = _programme_text(programme)
    plan = load_programme(text, name)
    script = script_for(plan.key)
    if people < len(script.cast):
        raise UsageError(f"--people {people}: the script has a cast of {len(script.cast)}; take that many or more")
    folder.prepare(out)
    rehearsal = Rehearsal(out, text, name, script, people, seed)
    with watching(plan.months) as progress, _seldom_collecting():
        done = rehearsal.run(progress)
    try:
        summary = report.write(done, out, seed)
    finally:
        done.database.dispose()
    return summary, done, time.perf_counter() - began


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Look for objects that hold each other once in 20,000 new ones, not 700: few do, and a rehearsal makes many."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _programme_text(programme: str) -> tuple[str, str]:
    path = Path(programme)
    if path.suffix.lower() != ".toml":
        return programmes.shipped_text(programme), f"programme {programme}"
    return read_text(path), programme
