"""Feeds: building one of 10,000 events, and answering with one of half a megabyte.

`feed-rebuild` is the time of a tick's rebuild after one of 10,000 events moved; its yardstick is icalendar's own
`Calendar.to_ical()` of the same calendar, taken from a tenth of it, and the ratio says how many times as long that is.
The others are requests a second that wrk gets from `events web` with one process; their yardstick is nginx with one
worker and the same bytes in a file, so the ratio is what of nginx is left.

What is said beside them: `*_cpu` compares the processor's seconds that the two servers took for a request, which a busy
machine changes less; `radicale` and `xandikos` are how many times their rate `feed-get` is.
"""

from __future__ import annotations

import http.client
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa
from icalendar import Calendar
from sqlmodel import col, select

from events_service import feeds
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.db.tables import Event, EventObject, FeedBlock, FeedContent
from events_service.feed_blocks import join
from tests.bench import http_servers
from tests.bench.harness import Figure, bench, progress
from tests.bench.http_servers import Rate, Served, rate

EVENTS = 10_000
SERVED = 760
"""Events of a feed of half a megabyte."""
NOW = datetime(2023, 7, 1, 10, 0, tzinfo=UTC)
_ZONES = ("Europe/London", "Europe/Berlin", "America/Toronto", "Asia/Kuala_Lumpur")
_SECONDS = 2
_ROUNDS = 2


@bench("feed-rebuild", unit="s", least=40)
def feed_rebuild(folder: Path) -> Figure:
    """A tick after one of 10,000 events moved, beside icalendar's serialising of them all.

    `from_kept` and `from_rows` are the whole feed built from nothing but kept bytes of events, and from nothing at all,
    in seconds; `from_kept_ratio` and `from_rows_ratio` how many times as long icalendar takes.
    """
    database, _ = filled(folder, EVENTS)
    warm = [_moved(database, turn) for turn in range(1, 10)]
    from_kept = statistics.median(_from_nothing(database, turn, keeping=True) for turn in range(10, 13))
    from_rows = statistics.median(_from_nothing(database, turn, keeping=False) for turn in range(13, 16))
    yardstick = _to_ical(database) * EVENTS
    database.dispose()
    value = statistics.median(warm)
    costs = {
        "slowest": max(warm),
        "from_kept": from_kept,
        "from_kept_ratio": yardstick / from_kept,
        "from_rows": from_rows,
        "from_rows_ratio": yardstick / from_rows,
    }
    if value > _MOST:
        progress(f"feed-rebuild: {value * 1000:.0f} ms are more than {_MOST * 1000:.0f}")
    return Figure(value, yardstick, yardstick / value, costs)


_MOST = 0.05
"""Seconds that a rebuild after one change should take at most."""


@bench("feed-get", unit="requests/s", least=0.45)
def feed_get(folder: Path) -> Figure:
    """The plain bytes, from nginx, Radicale and xandikos too."""
    found = _beside_nginx(folder, "get", {"Accept-Encoding": "identity"})
    database = open_database(f"sqlite:///{folder / 'live' / 'events.db'}")
    with database.read() as session:
        single = {f"e{number}.ics": body for number, body in enumerate(_singly(_body(database)))}
        assert len(single) == session.scalar(sa.select(sa.func.count()).select_from(Event))
    database.dispose()
    costs = dict(found.costs)
    for name, server in (("radicale", http_servers.radicale), ("xandikos", http_servers.xandikos)):
        (folder / name).mkdir()
        with server(folder / name, single) as served:
            _warm(served)
            costs[name] = found.value / rate(served, _CALENDAR, 4, connections=1).each_second
    return Figure(found.value, found.yardstick, found.ratio, costs)


@bench("feed-get-gzip", unit="requests/s", least=0.2)
def feed_get_gzip(folder: Path) -> Figure:
    """The gzipped bytes."""
    return _beside_nginx(folder, "get-gzip", {"Accept-Encoding": "gzip"})


@bench("feed-304", unit="requests/s", least=0.2)
def feed_304(folder: Path) -> Figure:
    """Nothing has changed."""
    return _beside_nginx(folder, "304", {"If-None-Match": ""})


def filled(folder: Path, count: int) -> tuple[Database, str]:
    """A database with so many public events, and the path of the public feed."""
    database = open_database(f"sqlite:///{folder / 'events.db'}")
    rows = [_event(number) for number in range(count)]
    with database.write() as session:
        session.execute(sa.insert(Event), rows)
        _, token = feeds.create(session, "public", "", NOW)
    feeds.rebuild_stale(database, NOW)
    return database, f"/feeds/{token}.ics"


def _event(number: int) -> dict[str, object]:
    starts = NOW + timedelta(days=number % 700, hours=number % 5)
    event = Event(
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
    return event.model_dump(exclude={"id"})


def _moved(database: Database, turn: int) -> float:
    now = NOW + timedelta(minutes=turn)
    with database.write() as session:
        event = session.exec(select(Event).where(Event.slug == f"e{EVENTS // 2}")).one()
        event.starts += timedelta(minutes=1)
        event.changed_at = now
        session.add(event)
        feeds.touch_event(session, event, now)
    return _timed(lambda: feeds.rebuild_stale(database, now), 1)


def _from_nothing(database: Database, turn: int, *, keeping: bool) -> float:
    now = NOW + timedelta(minutes=turn)
    with database.write() as session:
        session.execute(sa.delete(FeedBlock))
        if not keeping:
            session.execute(sa.delete(EventObject))
        session.execute(sa.update(FeedContent).values(stale_at=now, all_stale=True))
    return _timed(lambda: feeds.rebuild_stale(database, now), 0)


def _timed(act: Callable[[], int], changed: int) -> float:
    began = time.perf_counter()
    found = act()
    taken = time.perf_counter() - began
    if found != changed:
        raise RuntimeError(f"{found} feeds changed, not {changed}")
    return taken


def _to_ical(database: Database) -> float:
    """The seconds that icalendar takes to serialise one event of the calendar."""
    singly = _singly(_body(database))[: EVENTS // 10]
    calendar = Calendar.from_ical(b"".join([_HEAD, *(_event_of(one) for one in singly), _END]))
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        calendar.to_ical()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) / len(singly)


_CALENDAR = {"Accept": "text/calendar"}
"""Without it xandikos sends a page for people."""
_HEAD = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//EN\r\n"
_END = b"END:VCALENDAR\r\n"


def _body(database: Database) -> bytes:
    with database.read() as session:
        blocks = session.exec(select(FeedBlock).order_by(col(FeedBlock.number)))
        return join((block.body, block.deflated) for block in blocks)[0]


def _event_of(calendar: bytes) -> bytes:
    return calendar[calendar.index(b"BEGIN:VEVENT") : -len(_END)]


def _singly(body: bytes) -> list[bytes]:
    """Each event as a calendar of its own, with the zones of all."""
    zones = body[body.index(b"BEGIN:VTIMEZONE") : body.index(b"BEGIN:VEVENT")]
    events = body[body.index(b"BEGIN:VEVENT") : -len(_END)].split(b"BEGIN:VEVENT")[1:]
    return [b"%bBEGIN:VEVENT%b" % (_HEAD + zones, event) + _END for event in events]


def _beside_nginx(folder: Path, name: str, headers: Mapping[str, str]) -> Figure:
    (folder / "live").mkdir()
    database, path = filled(folder / "live", SERVED)
    body = _body(database)
    database.dispose()
    with ExitStack() as stack:
        beside = stack.enter_context(http_servers.nginx(folder / "nginx", body))
        ours = stack.enter_context(http_servers.service(folder / "live", path))
        asked = {server: _with_etag(server, headers) for server in (ours, beside)}
        rounds = [[rate(server, asked[server], _SECONDS) for server in (ours, beside)] for _ in range(_ROUNDS)]
    mine, theirs = (_median([pair[place] for pair in rounds]) for place in (0, 1))
    progress(
        f"feed-{name}: {len(body):,} bytes; {mine.processor * 1e6:.0f} µs of the processor for a request,"
        f" nginx {theirs.processor * 1e6:.0f} µs"
    )
    costs = {"cpu": theirs.processor / mine.processor}
    return Figure(mine.each_second, theirs.each_second, mine.each_second / theirs.each_second, costs)


def _median(rates: list[Rate]) -> Rate:
    return Rate(statistics.median(one.each_second for one in rates), statistics.median(one.processor for one in rates))


def _with_etag(served: Served, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers, with the server's own ETag where one is asked for; a first request, so that all is in memory."""
    etag = _warm(served)
    return {name: etag if name == "If-None-Match" else value for name, value in headers.items()}


def _warm(served: Served) -> str:
    address = urlsplit(served.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    connection.request("GET", address.path, headers=_CALENDAR)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 200 or b"BEGIN:VEVENT" not in content:
        raise RuntimeError(f"{served.url} answered {answer.status}: {content[:200]!r}")
    return answer.headers.get("ETag", "")
