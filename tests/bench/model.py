"""What saturates first as a service grows, from what `make bench` measured on one machine.

    make bench > bench.jsonl
    python -m tests.bench.model bench.jsonl

The model is linear: a recipient costs so much of each resource, a resource gives so much a day, and it is full at the
quotient. That holds because nothing in the ledger gets dearer with its size (`ledger-million`). What a benchmark
cannot measure here is an assumption, named in `Load` and `Supply`. Two measured campaigns check it, one process on
SQLite and two on PostgreSQL: how far what they take of the processors explains how fast they were.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DAY = 86_400.0
_COMMITS_OF_A_REPLY = 4
"""Its own, and those of a confirmation that goes alone: claimed, fenced, settled."""
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
"""Recipients a day."""


@dataclass(frozen=True)
class Costs:
    """What was measured. Seconds of a processor (`_cpu`) and bytes are a message's; rates are a second's.

    `_left` is how many processors others on the machine left to a campaign while it was measured. `commits` is how many
    the database made for a message, one of which serves several.
    """

    sqlite_cpu: float
    sqlite_left: float
    postgres_left: float
    worker_cpu: float
    database_cpu: float
    sink_cpu: float
    bytes: float
    sqlite_rate: float
    postgres_rate: float
    processes: int
    commits: float
    commits_rate: float
    ring_rate: float
    feed_rate: float
    web_cpu: float
    row_bytes: float


@dataclass(frozen=True)
class Load:
    """What a recipient brings with them in a day. All of it is assumed.

    Messages go at one local time of day, so a day's recipients are sent to within `window_hours`; three of ten people
    reply, within the same hours; one in ten has a calendar subscribed, which asks every hour of the day.
    """

    window_hours: float = 4.0
    replies: float = 0.3
    subscribers: float = 0.1
    polls_a_day: float = 24.0


@dataclass(frozen=True)
class Supply:
    """One machine of each kind.

    `relay_rate` is what a mail server that keeps its queue on disk takes, in messages a second: an assumption, a
    fifth of postfix's own sink here, which keeps nothing. `network` is a gigabit's bytes a second.
    """

    processors: float = 2.0
    relay_rate: float = 1000.0
    network: float = 125e6


class Limit(NamedTuple):
    """A resource, and how many recipients a day fill one of it."""

    resource: str
    recipients: float


def limits(costs: Costs, load: Load, supply: Supply) -> list[Limit]:
    """Every resource, the one that is full first at the head."""
    window = load.window_hours * 3600
    mail_cpu = costs.worker_cpu + costs.database_cpu
    polls = load.subscribers * load.polls_a_day
    capacity = {
        "one machine's processors, for everything": supply.processors * window
        / (mail_cpu + load.replies * (costs.web_cpu + mail_cpu) + polls / costs.feed_rate * window / DAY),
        "one worker process": window / (costs.worker_cpu * (1 + load.replies)),
        "the database's processors, on a machine of its own": supply.processors * window
        / (costs.database_cpu * (1 + load.replies)),
        "the database's commits, on one disk": window * costs.commits_rate
        / (costs.commits + load.replies * _COMMITS_OF_A_REPLY),
        "one relay": window * supply.relay_rate / (1 + load.replies),
        "the network of one machine": window * supply.network / (costs.bytes * (1 + load.replies)),
        "one scheduler": window * costs.ring_rate,
        "one web process, for replies": window / (load.replies * costs.web_cpu) if load.replies else float("inf"),
        "one web process, for feeds": DAY * costs.feed_rate / polls if polls else float("inf"),
    }  # fmt: skip
    return sorted((Limit(name, most) for name, most in capacity.items()), key=lambda limit: limit.recipients)


def predicted_sqlite(costs: Costs) -> float:
    """Messages a second of one process, which has one processor, or less where the sink takes of it."""
    return min(1 / costs.sqlite_cpu, costs.sqlite_left / (costs.sqlite_cpu + costs.sink_cpu))


def predicted_postgres(costs: Costs) -> float:
    """Messages a second where workers, database and sink share the processors; a worker process has one at most."""
    together = costs.postgres_left / (costs.worker_cpu + costs.database_cpu + costs.sink_cpu)
    return min(together, costs.processes / costs.worker_cpu, costs.commits_rate / costs.commits)


def read(lines: Iterable[str]) -> Costs:
    """The costs from the lines of `make bench`; LookupError names a benchmark that is missing."""
    found = {line["bench"]: line for line in map(json.loads, lines)}

    def figure(bench: str, cost: str = "") -> float:
        line = found.get(bench)
        value = line and (line.get("costs", {}).get(cost) if cost else line["value"])
        if value is None:
            raise LookupError(f"there is no {cost or 'value'} of {bench!r}; run `make bench ONLY={bench}` too")
        return float(value)

    fleet = "campaign-postgres-rabbitmq"
    return Costs(
        sqlite_cpu=figure("campaign-sqlite", "cpu") / 1e6,
        sqlite_left=figure("campaign-sqlite", "processors_left"),
        postgres_left=figure(fleet, "processors_left"),
        worker_cpu=figure(fleet, "worker_cpu") / 1e6,
        database_cpu=figure(fleet, "database_cpu") / 1e6,
        sink_cpu=figure(fleet, "sink_cpu") / 1e6,
        bytes=figure("campaign-sqlite", "bytes"),
        sqlite_rate=figure("campaign-sqlite"),
        postgres_rate=figure(fleet),
        processes=int(figure(fleet, "processes")),
        commits=figure(fleet, "commits"),
        commits_rate=figure(fleet, "commits_per_second"),
        ring_rate=figure("ring-due"),
        feed_rate=figure("feed-304"),
        web_cpu=figure("reply-under-load", "web_cpu") / 1e6,
        row_bytes=figure("ledger-million", "row_bytes"),
    )


def report(costs: Costs, load: Load, supply: Supply) -> str:
    """What a person reads: the check, what saturates in which order, and what each size needs."""
    lines = ["check against what was measured          predicted   measured"]
    for name, guess, seen in (
        ("one process, SQLite", predicted_sqlite(costs), costs.sqlite_rate),
        (f"{costs.processes} processes, PostgreSQL", predicted_postgres(costs), costs.postgres_rate),
    ):
        lines.append(f"  {name:<35} {guess:>9,.0f}/s {seen:>9,.0f}/s  {guess / seen - 1:+.0%}")
    found = limits(costs, load, supply)
    lines += ["", "what is full at how many recipients a day"]
    lines += [f"  {limit.resource:<51} {limit.recipients:>15,.0f}" for limit in found]
    lines += ["", "how much of each that is" + "".join(f"{size:>12,}" for size in SIZES)]
    for limit in found:
        lines.append(f"  {limit.resource:<51}" + "".join(f"{_much(size / limit.recipients):>9}" for size in SIZES))
    rows = 1 + load.replies
    lines += ["", f"ledger: {costs.row_bytes * rows * SIZES[-1] / 1e9:,.0f} GB a day at {SIZES[-1]:,}"]
    return "\n".join(lines)


def _much(share: float) -> str:
    return f"{share:.1%}" if share < 1 else f"{share:,.1f}×"


def main(words: Sequence[str]) -> int:
    """Print the report on the lines of a file, or of standard input; exit 1 where a benchmark is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.model", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", type=Path, help="what `make bench` printed; by default standard input")
    parser.add_argument("--window-hours", type=float, default=Load.window_hours)
    parser.add_argument("--relay-rate", type=float, default=Supply.relay_rate)
    parser.add_argument("--processors", type=float, default=Supply.processors)
    given = parser.parse_args(words)
    try:
        lines = given.file.read_text().splitlines() if given.file else sys.stdin.readlines()
        costs = read(line for line in lines if line.strip())
    except (LookupError, OSError, ValueError) as error:
        print(f"model: {error.args[-1] if isinstance(error, LookupError) else error}", file=sys.stderr)
        return 1
    print(report(costs, Load(given.window_hours), Supply(given.processors, given.relay_rate)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
