"""The ledger's own speed: how fast due rows are found and rung for."""

from __future__ import annotations

import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from events_service import doorbell
from events_service.db.schema import open_database
from events_service.db.session import Database
from tests.bench.harness import Figure, bench, progress
from tests.crowds import crowd
from tests.services import postgres_database

DUE = 20_000
ROUNDS = 5


@bench("ring-due", unit="rows/s")
def ring_due(folder: Path) -> Figure:
    """Find 20,000 due rows and note on each that a worker was told, to the commit; no yardstick."""
    value = statistics.median(_ring(f"sqlite:///{folder / 'events.db'}"))
    if os.environ.get("EVENTS_TEST_POSTGRES_URL"):
        with postgres_database() as url:
            progress(f"ring-due: on PostgreSQL {statistics.median(_ring(url)):,.0f} rows/s")
    return Figure(value)


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
