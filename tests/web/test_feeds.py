"""The feeds' route: addresses, revocation, kept bytes, and that a GET writes nothing."""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from events_service import feeds
from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Event, Feed, FeedContent
from events_service.web.app import create_app
from tests.attendance import make_event
from tests.calendars.readers import with_icalendar
from tests.web.conftest import NOW, Client, Site


def subscribe(database: Database, kind: str = "public", of: str = "") -> tuple[int, str]:
    """A new feed's id and path."""
    with database.write() as session:
        made, token = feeds.create(session, kind, of, NOW)
        return made.id or 0, f"/feeds/{token}.ics"


def test_a_feed_is_a_calendar_that_needs_no_accept_header(site: Site) -> None:
    _, path = subscribe(site.database)
    answer = site.client.get(path, headers={"accept": ""})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert [str(event["SUMMARY"]) for event in with_icalendar(answer.content).walk("VEVENT")] == [
        "Energy storage <conference>"
    ]


def test_it_is_the_same_calendar_in_every_form(site: Site) -> None:
    _, path = subscribe(site.database)
    with site.database.read() as session:
        kept = session.exec(select(FeedContent)).one()
    plain = site.client.get(path, headers={"accept-encoding": "identity"})
    assert plain.headers["etag"] == f'"{kept.etag}"' and "content-encoding" not in plain.headers
    for coding in ("gzip", "br"):
        packed = site.client.get(path, headers={"accept-encoding": coding})
        assert packed.headers["content-encoding"] == coding
        assert int(packed.headers["content-length"]) < len(plain.content)
        assert packed.content == plain.content


def test_a_head_has_the_headers_of_a_get_and_no_body(site: Site) -> None:
    _, path = subscribe(site.database)
    get, head = site.client.get(path), site.client.head(path)
    assert head.headers == get.headers and head.content == b"" and get.content


def test_what_has_not_changed_is_304(site: Site) -> None:
    _, path = subscribe(site.database)
    first = site.client.get(path)
    again = site.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    since = site.client.get(path, headers={"if-modified-since": first.headers["last-modified"]})
    assert since.status_code == 304


def test_a_change_is_seen_after_the_tick(site: Site) -> None:
    _, path = subscribe(site.database)
    first = site.client.get(path)
    with site.database.write() as session:
        event = session.exec(select(Event).where(Event.slug == "energy")).one()
        event.title, event.changed_at = "Moved", NOW + timedelta(hours=1)
        session.add(event)
        feeds.touch_event(session, event, NOW + timedelta(hours=1))
    assert site.client.get(path).content == first.content
    feeds.rebuild_stale(site.database, NOW + timedelta(hours=1))
    second = site.client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert second.status_code == 200 and b"SUMMARY:Moved\r\n" in second.content


def test_a_revoked_address_is_the_same_404_as_one_that_never_was(site: Site) -> None:
    feed_id, path = subscribe(site.database)
    _, other = subscribe(site.database)
    assert site.client.get(path).status_code == 200
    with site.database.write() as session:
        feeds.revoke(session, feed_id, NOW)
    revoked, unknown = site.client.get(path), site.client.get("/feeds/" + "a" * 32 + ".ics")
    assert (revoked.status_code, revoked.text) == (404, "Not found\n")
    assert (unknown.status_code, unknown.text, unknown.headers) == (404, "Not found\n", revoked.headers)
    assert site.client.get(other).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/feeds/",
        "/feeds/x.ics",
        "/feeds/x",
        "/feeds/{token}/",
        "/feeds/{token}.ics/",
        "/feeds/{token}.ICS",
        "/feeds/{token}.ics.gz",
        "/feeds//{token}.ics",
        "/feeds/%00.ics",
        "/feeds/" + "a" * 5000 + ".ics",
        "/feeds/../healthz.ics",
        "/feeds/{token}'.ics",
    ],
)
def test_other_paths_are_404(site: Site, path: str) -> None:
    _, address = subscribe(site.database)
    token = address.removeprefix("/feeds/").removesuffix(".ics")
    answer = site.client.get(path.format(token=token))
    assert (answer.status_code, answer.text) == (404, "Not found\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_only_get_and_head(site: Site, method: str) -> None:
    _, path = subscribe(site.database)
    answer = site.client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


def test_it_serves_from_either_database(database: Database, settings: Settings, clock: FixedClock) -> None:
    with database.write() as session:
        make_event(session, "open", visibility="public")
    feed_id, path = subscribe(database)
    client = Client(create_app(database, settings, clock))
    first = client.get(path)
    assert first.status_code == 200 and first.content.count(b"BEGIN:VEVENT") == 1
    assert client.get(path, headers={"if-none-match": first.headers["etag"]}).status_code == 304
    with database.write() as session:
        feeds.revoke(session, feed_id, NOW)
    assert client.get(path).status_code == 404


def test_a_get_writes_nothing(site: Site, tmp_path: Path) -> None:
    _, path = subscribe(site.database)
    with site.database.read() as session:
        before = session.connection().exec_driver_sql("PRAGMA data_version").scalar()
        site.client.get(path)
        site.client.get(path, headers={"if-none-match": "*"})
        assert session.connection().exec_driver_sql("PRAGMA data_version").scalar() == before
        assert session.exec(select(Feed)).one().last_used is None


def test_a_database_that_fails_is_a_503(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    _, path = subscribe(site.database)
    with site.database.write() as session:
        session.connection().exec_driver_sql("DROP TABLE feed_content")
    with caplog.at_level(logging.DEBUG):
        answer = site.client.get(path)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert "feed_content" not in answer.text


def test_many_feeds_do_not_fill_the_memory(
    sqlite_database: Database, settings: Settings, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events_service.web.feeds._CACHE_BYTES", 1500)
    markets = ("DE", "DK", "CA", "US", "MY")
    paths = [subscribe(sqlite_database, "market", market)[1] for market in markets]
    client = Client(create_app(sqlite_database, settings, clock))
    for _ in range(2):
        for path in paths:
            assert client.get(path).status_code == 200
    kept = client._app._feeds._kept  # type: ignore[attr-defined]
    assert 1 <= len(kept) < len(markets)
    assert list(kept)[-1] == len(markets)


def test_a_rebuild_of_a_large_feed_keeps_nobody_waiting(
    database: Database, settings: Settings, clock: FixedClock
) -> None:
    """While its transaction is open, with everything written, both feeds answer as they were."""
    with database.write() as session:
        make_event(session, "open", visibility="public")
    _, public = subscribe(database)
    _, other = subscribe(database, "event", "open")
    client = Client(create_app(database, settings, clock))
    feeds.rebuild_stale(database, NOW)
    before = {path: client.get(path).content for path in (public, other)}
    with database.write() as session:
        event = session.exec(select(Event)).one()
        event.title, event.changed_at = "Renamed", NOW + timedelta(hours=1)
        session.add(event)
        feeds.touch_event(session, event, NOW + timedelta(hours=1))
        for content in session.exec(select(FeedContent)).all():
            assert feeds._rebuild(session, content, NOW + timedelta(hours=1))
        # A process that has nothing in memory reads the revision that is in force.
        for fresh in (client, Client(create_app(database, settings, clock))):
            assert {path: fresh.get(path).content for path in before} == before
    assert all(b"SUMMARY:Renamed\r\n" in client.get(path).content for path in before)


def test_many_who_ask_at_once_after_a_change_are_one_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    _, path = subscribe(site.database)
    route = site.app._feeds  # type: ignore[attr-defined]
    reads = []
    load = route._load

    def counted(content_id: int) -> object:
        reads.append(threading.current_thread())
        return load(content_id)

    monkeypatch.setattr(route, "_load", counted)

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(site.app), base_url="http://localhost") as client:
            return [answer.status_code for answer in await asyncio.gather(*(client.get(path) for _ in range(20)))]

    assert asyncio.run(ask()) == [200] * 20
    # Not in the event loop's thread: a large body would stop all others.
    assert len(reads) == 1 and reads[0] is not threading.current_thread()
