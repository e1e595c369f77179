"""How fast people come in from a file. Ratio: of the same rows written by executemany alone; larger is better."""

from __future__ import annotations

import os
import sqlite3
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

from events_service.db.schema import open_database
from events_service.db.tables import Person
from events_service.people_import import import_people
from events_service.reading.people_files import read_people
from tests.bench.harness import Figure, bench, progress
from tests.services import postgres_database

ROWS = 20_000
ROUNDS = 5
NOW = datetime(2023, 5, 1, tzinfo=UTC)
COUNTRIES = ("GB", "DE", "US", "MY", "FR", "Japan", "India")


@bench("people-import", unit="rows/s")
def people_import(folder: Path) -> Figure:
    """A CSV of 20,000 new people at 500 domains into SQLite, from opening the file to the commit."""
    source = write_people(folder / "people.csv")
    rates, limits = [], []
    for turn in range(ROUNDS):
        rates.append(rate(f"sqlite:///{folder / f'events{turn}.db'}", source))
        limits.append(_limit(folder / f"events{turn}.db", folder / f"limit{turn}.db"))
    value, limit = statistics.median(rates), statistics.median(limits)
    if os.environ.get("EVENTS_TEST_POSTGRES_URL"):
        with postgres_database() as url:
            progress(f"people-import: on PostgreSQL {rate(url, source):,.0f} rows/s")
    return Figure(value, limit, value / limit)


def write_people(path: Path, rows: int = ROWS) -> Path:
    """A file of `rows` people, each with an address, a name, an organisation, a country and a role."""
    lines = ["email,name,organisation,country,role"]
    for number in range(rows):
        domain = f"uni{number % 500}.example"
        country = COUNTRIES[number % len(COUNTRIES)]
        lines.append(f"Person.{number}@{domain},Zoë Person {number},University {number % 500},{country},speaker")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def rate(url: str, source: Path) -> float:
    """Rows a second of one import into the empty database at `url`."""
    database = open_database(url)
    try:
        began = time.perf_counter()
        with database.write() as session:
            done = import_people(session, read_people(source), NOW)
        taken = time.perf_counter() - began
    finally:
        database.dispose()
    if done["bad"] or not done["created"]:
        raise RuntimeError(f"the import went wrong: {done['bad'][:3]}")
    return float(done["created"] / taken)


def _limit(imported: Path, path: Path) -> float:
    """Rows a second of the rows of `imported` written to a table without indexes, in one transaction."""
    with sqlite3.connect(imported) as connection:
        rows = connection.execute(f"SELECT * FROM {Person.__tablename__}").fetchall()
    connection.close()
    target = sqlite3.connect(path)
    target.execute("PRAGMA journal_mode=WAL")
    target.execute(f"CREATE TABLE person ({', '.join(f'c{n}' for n in range(len(rows[0])))})")
    target.commit()
    began = time.perf_counter()
    target.executemany(f"INSERT INTO person VALUES ({', '.join('?' * len(rows[0]))})", rows)
    target.commit()
    taken = time.perf_counter() - began
    target.close()
    return len(rows) / taken
