"""What a benchmark is, and how two commands are timed beside each other."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

EVENTS = Path(sys.executable).parent / "events"


@dataclass(frozen=True)
class Figure:
    """What a benchmark measured, in its unit; `yardstick` is what the machine itself does then, `ratio` compares them.

    Both are None where there is nothing to compare with. Each benchmark says which way its ratio goes. `costs` is what
    the model of `model.py` wants to know beside the value.
    """

    value: float
    yardstick: float | None = None
    ratio: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """One named benchmark. `measure` gets a folder of its own, empty.

    Its figure is the ratio where there is one, else the value; it should be `least` at least, or `most` at most. A busy
    machine may miss that without a fault of ours, so it is said and fails nothing.
    """

    name: str
    unit: str
    measure: Callable[[Path], Figure]
    least: float | None = None
    most: float | None = None

    def missed(self, figure: Figure) -> str:
        """What its figure should have been, in words; "" where it is."""
        found = figure.value if figure.ratio is None else figure.ratio
        if self.least is not None and found < self.least:
            return f"{found:.3g} is less than {self.least:g}"
        if self.most is not None and found > self.most:
            return f"{found:.3g} is more than {self.most:g}"
        return ""

    def line(self, figure: Figure) -> dict[str, Any]:
        """The JSON line that is printed, to four significant digits."""
        line: dict[str, Any] = {
            "bench": self.name,
            "value": _rounded(figure.value),
            "unit": self.unit,
            "yardstick": _rounded(figure.yardstick),
            "ratio": _rounded(figure.ratio),
        }
        if figure.costs:
            line["costs"] = {name: _rounded(cost) for name, cost in figure.costs.items()}
        return line


class Unavailable(Exception):  # noqa: N818
    """A benchmark cannot be run here; the message says what it lacks."""


_registry: dict[str, Benchmark] = {}


def bench(
    name: str, *, unit: str, least: float | None = None, most: float | None = None
) -> Callable[[Callable[[Path], Figure]], Callable[[Path], Figure]]:
    """Register the decorated function as the benchmark `name`; ValueError if that name is taken."""

    def register(measure: Callable[[Path], Figure]) -> Callable[[Path], Figure]:
        if name in _registry:
            raise ValueError(f"two benchmarks are named {name!r}")
        _registry[name] = Benchmark(name, unit, measure, least, most)
        return measure

    return register


def registered(word: str = "") -> list[Benchmark]:
    """Those that are registered, by name: the one named `word`, else all whose name contains it."""
    if word in _registry:
        return [_registry[word]]
    return [_registry[name] for name in sorted(_registry) if word in name]


def progress(message: str, stream: TextIO | None = None) -> None:
    """One line for the person who watches, on stderr."""
    print(message, file=stream or sys.stderr, flush=True)


def run_command(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """Run a command in `folder`: what it printed, or RuntimeError with what it said if it fails."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def seconds_of_commands(
    commands: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str], rounds: int = 9
) -> list[float]:
    """The median seconds of each command, run in turns so that what else the machine does falls on all alike.

    A first round goes unmeasured, so that none pays for a cold disk. RuntimeError, with what it said, if one fails.
    """
    times: list[list[float]] = [[] for _ in commands]
    for turn in range(rounds + 1):
        for taken, command in zip(times, commands, strict=True):
            began = time.perf_counter()
            run_command(command, folder, environment)
            if turn:
                taken.append(time.perf_counter() - began)
    return [statistics.median(taken) for taken in times]


def forced_write(folder: Path, times: int = 50) -> float:
    """The seconds that the disk takes to write 4 KB and say so: the median of so many.

    Whatever survives a power cut waits for this at least once, so it stands beside the figures of whatever does.
    """
    taken = []
    with (folder / "forced").open("wb") as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
