"""The ledger's own speed: how fast due rows are found and rung for, and what years of rows in it cost a campaign."""

from __future__ import annotations

import os
import statistics
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from events_service import doorbell
from events_service.db.schema import open_database
from events_service.db.session import Database
from tests import services
from tests.bench import history, running
from tests.bench.harness import Figure, bench, progress
from tests.bench.mission import invitations, invite_again
from tests.bench.postfix import Sink, sink
from tests.bench.running import LETTERS, settings_for
from tests.crowds import crowd

DUE = 20_000
ROUNDS = 5
FEW, MANY = 10_000, 1_000_000
TURNS = 5


@bench("ring-due", unit="rows/s", least=20_000)
def ring_due(folder: Path) -> Figure:
    """Find 20,000 due rows and note on each that a worker was told, to the commit; no yardstick.

    On SQLite and on PostgreSQL; the figure is that of the slower, and `costs` has both.
    """
    rates = {"sqlite": statistics.median(_ring(f"sqlite:///{folder / 'events.db'}"))}
    if os.environ.get("EVENTS_TEST_POSTGRES_URL"):
        with services.postgres_database() as url:
            rates["postgres"] = statistics.median(_ring(url))
    return Figure(min(rates.values()), costs=rates)


def _ring(url: str) -> list[float]:
    database = open_database(url)
    try:
        crowd(database, DUE)
        return [_rung(database, datetime.now(UTC) + timedelta(minutes=turn)) for turn in range(ROUNDS)]
    finally:
        database.dispose()


def _rung(database: Database, now: datetime) -> float:
    began = time.perf_counter()
    with database.write() as session:
        ids = doorbell.ring_due(session, now, limit=DUE, again_after=timedelta(seconds=1))
    taken = time.perf_counter() - began
    if len(ids) != DUE:
        raise RuntimeError(f"{len(ids)} rows were due, not {DUE}")
    return DUE / taken


@bench("ledger-million", unit="messages/s", least=0.9)
def ledger_million(folder: Path) -> Figure:
    """The rate of a campaign with 1,000,000 rows in the ledger; its yardstick is the rate with 10,000.

    On SQLite and on PostgreSQL, in one process, by turns; the figure is that of the database that loses more of it.
    Nine tenths of the rows are settled, a tenth waits for its day.
    """
    kinds = ["SQLite", *(["PostgreSQL"] if os.environ.get("EVENTS_TEST_POSTGRES_URL") else [])]
    with sink(folder) as to:
        figures = [_beside(folder / kind, to, kind) for kind in kinds]
    worst = min(figures, key=lambda figure: figure.ratio or 0)
    return replace(worst, costs=figures[-1].costs)


def _beside(folder: Path, to: Sink, kind: str) -> Figure:
    rates: dict[int, list[float]] = {FEW: [], MANY: []}
    with ExitStack() as stack:
        databases = {}
        for rows in rates:
            (folder / str(rows)).mkdir(parents=True)
            url = f"sqlite:///{folder / str(rows) / 'events.db'}"
            if kind == "PostgreSQL":
                url = stack.enter_context(services.postgres_database())
            databases[rows] = database = open_database(url)
            stack.callback(database.dispose)
            invitations(database, min(LETTERS, 4000))
            history.fill(database, rows)
        for turn in range(TURNS):
            # Whoever goes second finds the machine as the first left it, so they take turns at that.
            for rows in (FEW, MANY) if turn % 2 else (MANY, FEW):
                database = databases[rows]
                if turn:
                    invite_again(database, f"munich-{turn}")
                settings = settings_for(folder / str(rows), to.url)
                sent = running.sent_here(settings, database, to, min(LETTERS, 4000))
                rates[rows].append(sent.rate)
                progress(
                    f"ledger-million: {kind}, {rows:,} rows: {sent.rate:,.0f} messages/s,"
                    f" {sent.cpu['cpu'] * 1e6:,.0f} µs of a processor each; others left {sent.left:.1f} processors"
                )
        costs = {"row_bytes": _bytes(databases[MANY]) / MANY}
    few, many = (statistics.median(rates[rows]) for rows in (FEW, MANY))
    # Neighbours come and go, and fall on the two of one turn alike.
    ratio = statistics.median(large / small for small, large in zip(rates[FEW], rates[MANY], strict=True))
    progress(f"ledger-million: {kind}: {ratio:.2f}; a row and its indexes take {costs['row_bytes']:,.0f} bytes")
    return Figure(many, few, ratio, costs)


def _bytes(database: Database) -> int:
    """What the ledger takes on disk, with its indexes; on SQLite the whole file."""
    size = "SELECT pg_total_relation_size('delivery')"
    if database.is_sqlite:
        size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    with database.read() as session:
        return int(session.execute(sa.text(size)).scalar_one())
