"""`make bench`: finds the benchmarks in `bench_*.py`, runs them one after the other, prints one JSON line for each.

`python -m tests.bench.run [WORD]` runs the benchmark of that name, or those whose name contains it. Figures go to
stdout, everything else to stderr. Exit 1 if one failed, 2 if there is none of that name; one that this machine cannot
run is named and left out.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tests.bench.harness import Benchmark, Unavailable, progress, registered


def load() -> None:
    """Import every module of benchmarks, which registers what is in it."""
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        importlib.import_module(f"tests.bench.{path.stem}")


def run(benchmarks: Sequence[Benchmark], out: TextIO) -> int:
    """Run them in turn, each in a folder of its own, and print the lines to `out`; how many failed."""
    failed = 0
    for benchmark in benchmarks:
        progress(f"{benchmark.name}: running")
        began = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory(prefix="events-bench-") as folder:
                figure = benchmark.measure(Path(folder))
        except Unavailable as reason:
            progress(f"{benchmark.name}: left out: {reason}")
            continue
        except Exception:  # noqa: BLE001 one that fails must not keep the rest from running
            failed += 1
            progress(f"{benchmark.name}: failed\n{traceback.format_exc()}")
            continue
        print(json.dumps(benchmark.line(figure)), file=out, flush=True)
        if missed := benchmark.missed(figure):
            progress(f"{benchmark.name}: {missed}, not what it should be on a quiet machine")
        progress(f"{benchmark.name}: done in {time.perf_counter() - began:.1f} s")
    return failed


def main(words: Sequence[str]) -> int:
    """Run what `words` name, by default everything."""
    load()
    word = words[0] if words else ""
    benchmarks = registered(word)
    if not benchmarks:
        names = ", ".join(benchmark.name for benchmark in registered())
        progress(f"bench: none is named like {word!r}; there are {names}")
        return 2
    return 1 if run(benchmarks, sys.stdout) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
