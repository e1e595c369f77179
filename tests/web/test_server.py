"""The real server on a loopback port: what is sent on the wire, what is logged, and a port that is taken."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlmodel import select

from events_service.db.tables import Feed
from events_service.errors import EventsError
from events_service.web.app import create_app
from events_service.web.server import Server, make_server
from tests.processes import PATIENCE
from tests.web.conftest import NOW, Site
from tests.web.test_feeds import subscribe


@contextmanager
def serving(site: Site) -> Iterator[Server]:
    """The site behind a real server; on leaving it is stopped, and its lifespan has ended."""
    server = make_server(site.app, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.005)
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


def ask(port: int, method: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_feeds_on_the_wire(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    feed_id, path = subscribe(site.database)
    with caplog.at_level(logging.DEBUG), serving(site) as server:
        plain, body = ask(server.port, "GET", path)
        assert plain.status == 200 and body.startswith(b"BEGIN:VCALENDAR\r\n")
        assert plain.headers["Content-Length"] == str(len(body)) and plain.headers["Content-Encoding"] is None
        zipped, small = ask(server.port, "GET", path, accept_encoding="gzip")
        assert zipped.headers["Content-Encoding"] == "gzip" and small[:2] == b"\x1f\x8b"
        assert zipped.headers["Content-Length"] == str(len(small)) and zipped.headers["Vary"] == "Accept-Encoding"
        head, nothing = ask(server.port, "HEAD", path)
        assert (head.status, nothing, head.headers["Content-Length"]) == (200, b"", str(len(body)))
        same, nothing = ask(server.port, "GET", path, if_none_match=str(plain.headers["ETag"]))
        assert (same.status, nothing, same.headers["ETag"]) == (304, b"", plain.headers["ETag"])
        assert plain.headers["Server"] is None
        page, text = ask(server.port, "HEAD", site.reply)
        assert (page.status, text) == (200, b"")
        with site.database.read() as session:
            assert session.get_one(Feed, feed_id).last_used is None
    token = path.removeprefix("/feeds/").removesuffix(".ics")
    assert token not in caplog.text and site.reply.removeprefix("/reply/") not in caplog.text
    with site.database.read() as session:
        assert [row.last_used for row in session.exec(select(Feed))] == [NOW]


def test_a_fault_that_nobody_thought_of_does_not_end_the_noting_of_use(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    _feed_id, path = subscribe(site.database)
    often = site.settings.model_copy(update={"tick_seconds": 0.02})
    quick = replace(site, app=create_app(site.database, often, site.clock))
    with site.database.write() as session:
        session.connection().exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE UPDATE ON feed BEGIN SELECT RAISE(ABORT, 'by ada@example.org'); END"
        )
    said = ""
    with serving(quick) as server:
        assert ask(server.port, "GET", path)[0].status == 200
        until = time.monotonic() + 20
        while "last use" not in said and time.monotonic() < until:
            time.sleep(0.01)
            said += "".join(capsys.readouterr())
        assert "IntegrityError" in said and "ada" not in said
        with site.database.write() as session:
            session.connection().exec_driver_sql("DROP TRIGGER refuse")
        while time.monotonic() < until:
            time.sleep(0.01)
            with site.database.read() as session:
                if session.exec(select(Feed.last_used)).one() == NOW:
                    break
        # Before the server stops: that would write it too.
        with site.database.read() as session:
            assert session.exec(select(Feed.last_used)).one() == NOW


def test_short_answers_do_not_wait_for_the_clients_acknowledgement(site: Site) -> None:
    with serving(site) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        began = time.perf_counter()
        for _ in range(50):
            connection.request("GET", "/feeds/none.ics")
            connection.getresponse().read()
        taken = time.perf_counter() - began
        connection.close()
    assert taken < 1.5, "40 ms each: Nagle's algorithm is on"


def test_a_taken_port_is_one_clear_line(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EventsError) as refused:
            make_server(site.app, "127.0.0.1", port)
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port}: address already in use; stop what is there or choose another --port"
    )


def test_a_port_that_is_none(site: Site) -> None:
    with pytest.raises(EventsError, match="a port is 0 to 65535"):
        make_server(site.app, "127.0.0.1", 70000)


def test_one_that_was_told_to_stop_before_it_listened_for_signals_stops(site: Site) -> None:
    stopped = threading.Event()
    stopped.set()
    server = make_server(site.app, "127.0.0.1", 0)
    thread = threading.Thread(target=lambda: server.run(stopped=stopped), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()
