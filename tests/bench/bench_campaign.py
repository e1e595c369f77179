"""How fast due rows are found and rung for, and how fast a campaign goes out.

Ratio of `campaign-sqlite`: of the same bytes written to files in the same folder, each waited for; larger is better.
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
from tests.crowds import counts, crowd
from tests.services import postgres_database

DUE = 20_000
LETTERS = 2_000
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
    """A campaign of 2,000 invitations on SQLite, from due rows to files in a maildir, in one process."""
    settings = Settings(data_dir=folder, secret_key="a key for benchmarks", mail_from="events@example.org")
    configure_logs(settings, logging.WARNING)
    database = open_database(settings.resolved_database_url)
    try:
        crowd(database, LETTERS)
        began = time.perf_counter()
        tally = work(settings, database, None, until_idle=True)
        value = LETTERS / (time.perf_counter() - began)
        if counts(database) != {"sent": LETTERS}:
            raise RuntimeError(f"not everything was sent: {tally}")
    finally:
        database.dispose()
    limit = _limit(folder)
    return Figure(value, limit, value / limit)


def _limit(folder: Path) -> float:
    """Files a second: what the campaign wrote, written again and waited for one by one."""
    letters = [path.read_bytes() for path in (folder / "mail/new").iterdir()]
    target = folder / "again"
    target.mkdir()
    began = time.perf_counter()
    for number, data in enumerate(letters):
        with (target / str(number)).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    return len(letters) / (time.perf_counter() - began)
