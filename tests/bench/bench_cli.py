"""How long the command line takes to start. Ratio: times the bare interpreter's start; smaller is better."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.harness import EVENTS, Figure, bench, run_command, seconds_of_commands


@bench("cli-help", unit="s")
def cli_help(folder: Path) -> Figure:
    """`events --help`, which touches no database code."""
    return _beside_python(["--help"], folder)


@bench("cli-list", unit="s")
def cli_list(folder: Path) -> Figure:
    """`events event list` on a database that is there and empty."""
    run_command([str(EVENTS), "db", "upgrade"], folder, _environment(folder))
    return _beside_python(["event", "list"], folder)


def _beside_python(words: list[str], folder: Path) -> Figure:
    commands = [[str(EVENTS), *words], [sys.executable, "-c", "pass"]]
    value, yardstick = seconds_of_commands(commands, folder, _environment(folder))
    return Figure(value, yardstick, value / yardstick)


def _environment(folder: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENTS_")}
    return {**kept, "EVENTS_DATA_DIR": str(folder)}
