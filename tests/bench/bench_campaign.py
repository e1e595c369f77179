"""How fast due rows are found and rung for, and how fast a campaign goes out.

Ratio of the campaigns: of postfix's smtp-source in the same run, messages of the same size into the same smtp-sink over
eight connections; larger is better. EVENTS_BENCH_LETTERS (20,000) makes a run shorter.
"""

from __future__ import annotations

import logging
import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from events_service import doorbell
from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.logs import configure_logs
from schedules.service import work
from tests.bench.harness import Figure, bench, progress
from tests.bench.mission import invitations
from tests.bench.postfix import Sink, Yardstick, sink
from tests.bench.stages import Stages, timed
from tests.crowds import counts, crowd
from tests.services import postgres_database

DUE = 20_000
LETTERS = int(os.environ.get("EVENTS_BENCH_LETTERS", "20000"))
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


@bench("campaign-sqlite", unit="messages/s")
def campaign_sqlite(folder: Path) -> Figure:
    """A campaign on SQLite, from due rows to smtp-sink, by the broker in this process."""
    stages = _stages(folder / "stages")
    progress(f"campaign-sqlite: {stages}")
    with sink(folder) as to:
        yardstick = Yardstick(to, stages.size)
        yardstick.take()
        value = _campaign(folder / "campaign", to, LETTERS)
        yardstick.take()
    return Figure(value, yardstick.rate, value / yardstick.rate)


def _stages(folder: Path) -> Stages:
    """What a message costs by stage, seen on a tenth of the letters."""
    folder.mkdir()
    with sink(folder) as to, timed() as stages:
        _campaign(folder, to, max(LETTERS // 10, 500))
    return stages


def _campaign(folder: Path, to: Sink, letters: int) -> float:
    """Messages a second."""
    settings = Settings(
        data_dir=folder, smtp_url=to.url, secret_key="a key for benchmarks", mail_from="Desk <events@example.org>"
    )
    configure_logs(settings, logging.WARNING)
    database = open_database(settings.resolved_database_url)
    before = to.messages
    try:
        invitations(database, letters)
        began = time.perf_counter()
        tally = work(settings, database, None, until_idle=True)
        taken = time.perf_counter() - began
        if counts(database) != {"sent": letters} or to.messages - before != letters:
            raise RuntimeError(f"not everything was sent: {tally}; the sink has {to.messages - before}")
    finally:
        database.dispose()
    return letters / taken
