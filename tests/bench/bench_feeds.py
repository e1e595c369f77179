"""Feeds of 1,000 events: building one, and answering from the kept bytes.

`feed-rebuild` is the time of a tick's rebuild after one event moved; its yardstick builds every event's bytes anew, so
a ratio below 1 is what keeping them saves. The others are requests a second by one client on one connection; their
yardstick is the same server answering two bytes, so the ratio is what of that is left.
"""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import select
from starlette.types import ASGIApp, Receive, Scope, Send

from events_service import feeds
from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.db.tables import Event, EventObject, FeedContent
from events_service.web.app import create_app
from events_service.web.server import make_server
from tests.bench.harness import Figure, bench

EVENTS = 1000
NOW = datetime(2023, 7, 1, 10, 0, tzinfo=UTC)
_ZONES = ("Europe/London", "Europe/Berlin", "America/Toronto", "Asia/Kuala_Lumpur")
_SECONDS = 3.0


@bench("feed-rebuild", unit="s")
def feed_rebuild(folder: Path) -> Figure:
    """A tick after one of 1,000 events moved, beside the same with no event's bytes kept."""
    database, _ = _filled(folder)
    warm, cold = [], []
    for turn in range(1, 10):
        now = NOW + timedelta(minutes=turn)
        with database.write() as session:
            event = session.exec(select(Event).where(Event.slug == "e500")).one()
            event.starts += timedelta(minutes=1)
            event.changed_at = now
            session.add(event)
            feeds.touch_event(session, event, now)
        warm.append(_timed_rebuild(database, now, 1))
        with database.write() as session:
            session.execute(sa.delete(EventObject))
            session.execute(sa.update(FeedContent).values(stale_at=now))
        cold.append(_timed_rebuild(database, now, 0))
    database.dispose()
    value, yardstick = statistics.median(warm), statistics.median(cold)
    return Figure(value, yardstick, value / yardstick)


@bench("feed-get", unit="requests/s")
def feed_get(folder: Path) -> Figure:
    """The plain bytes."""
    return _requests(folder, {"Accept-Encoding": "identity"})


@bench("feed-get-gzip", unit="requests/s")
def feed_get_gzip(folder: Path) -> Figure:
    """The gzipped bytes."""
    return _requests(folder, {"Accept-Encoding": "gzip"})


@bench("feed-304", unit="requests/s")
def feed_304(folder: Path) -> Figure:
    """Nothing has changed."""
    return _requests(folder, {"If-None-Match": "*"})


def _filled(folder: Path) -> tuple[Database, str]:
    """A database with 1,000 public events, and the path of the public feed."""
    database = open_database(f"sqlite:///{folder / 'events.db'}")
    with database.write() as session:
        for number in range(EVENTS):
            starts = NOW + timedelta(days=number % 700, hours=number % 5)
            session.add(
                Event(
                    programme_key="bench",
                    slug=f"e{number}",
                    uid=f"e{number}@events.example.org",
                    kind="conference",
                    title=f"Conference {number} on cyber resilience and critical infrastructure",
                    summary="Talks and visits, with time to meet.\n" * 4,
                    state="approved",
                    visibility="public",
                    starts=starts,
                    ends=starts + timedelta(days=1),
                    timezone=_ZONES[number % len(_ZONES)],
                    venue="Lancaster House",
                    city="Lancaster",
                    country="GB",
                    url=f"https://example.org/e{number}",
                    themes=["cyber"],
                    markets=["DE"],
                    created_at=NOW,
                    changed_at=NOW,
                )
            )
    with database.write() as session:
        _, token = feeds.create(session, "public", "", NOW)
    feeds.rebuild_stale(database, NOW)
    return database, f"/feeds/{token}.ics"


def _timed_rebuild(database: Database, now: datetime, changed: int) -> float:
    began = time.perf_counter()
    found = feeds.rebuild_stale(database, now)
    taken = time.perf_counter() - began
    if found != changed:
        raise RuntimeError(f"{found} feeds changed, not {changed}")
    return taken


def _requests(folder: Path, headers: Mapping[str, str]) -> Figure:
    database, path = _filled(folder)
    settings = Settings(data_dir=folder, secret_key="a key for a benchmark")
    with _serving(create_app(database, settings, FixedClock(NOW))) as port, _serving(_two_bytes) as beside:
        rates = [(_rate(port, path, headers), _rate(beside, path, headers)) for _ in range(3)]
    database.dispose()
    value, yardstick = (statistics.median(column) for column in zip(*rates, strict=True))
    return Figure(value, yardstick, value / yardstick)


def _rate(port: int, path: str, headers: Mapping[str, str]) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    number, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < _SECONDS:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 304):
            raise RuntimeError(f"the server answered {answer.status}")
        number += 1
    connection.close()
    return number / taken


async def _two_bytes(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@contextmanager
def _serving(app: ASGIApp) -> Iterator[int]:
    server = make_server(app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.port
    finally:
        server.should_exit = True
        thread.join(20)
