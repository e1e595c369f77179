"""What holds for every page: headers, caps, health, robots, the API, and faults that say nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime, timedelta

import pytest
from sqlmodel import select

from events_service import programmes
from events_service.clock import FixedClock
from events_service.config import Settings, shipped
from events_service.db.session import Database
from events_service.db.tables import Person
from events_service.errors import BrokerError
from events_service.web.app import create_app
from tests.web.conftest import NOW, Client, Site


def test_every_page_carries_the_security_headers(site: Site) -> None:
    for path in (site.reply, site.survey, site.unsubscribe, "/events/energy", "/nowhere", "/healthz"):
        headers = site.client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "form-action 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in headers and "server" not in headers


def test_pages_behind_a_token_are_kept_by_no_cache(site: Site) -> None:
    for path in (site.reply, site.survey, site.unsubscribe):
        for answer in (site.client.get(path), site.client.post(path, data={"reply": "accepted", "useful": "5"})):
            assert answer.headers["cache-control"] == "no-store"


def test_the_policy_names_the_pages_own_style_sheet(site: Site) -> None:
    answer = site.client.get("/events/energy")
    styles = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert len(styles) == 1 and "style=" not in answer.text.replace(styles[0], "")
    digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


def test_a_large_body_is_refused_before_it_is_read(site: Site) -> None:
    note = "x" * (64 * 1024)
    answer = site.client.post(site.reply, data={"reply": "accepted", "note": note})
    assert (answer.status_code, answer.text) == (413, "At most 64 KiB may be sent here\n")
    assert site.attendee().reply == "none"


def test_a_body_without_a_length_is_counted(site: Site) -> None:
    async def pieces():  # type: ignore[no-untyped-def]
        for _ in range(70):
            yield b"x" * 1024

    headers = {"content-type": "application/x-www-form-urlencoded"}
    assert site.client.post(site.reply, content=pieces(), headers=headers).status_code == 413


def test_bodies_that_are_no_form_do_no_harm(site: Site) -> None:
    for kind, body in (
        ("multipart/form-data", b"--x"),
        ("multipart/form-data; boundary=x", b"--x\r\nrubbish"),
        ("application/x-www-form-urlencoded", b"\xff\x00=&&&="),
        ("application/json", b'{"reply": "accepted"}'),
    ):
        answer = site.client.post(site.reply, content=body, headers={"content-type": kind})
        assert answer.status_code in (400, 422), kind
    assert site.attendee().reply == "none"


def test_a_form_of_many_fields_is_refused(site: Site) -> None:
    fields = {f"f{number}": "" for number in range(300)}
    assert site.client.post(site.reply, data=fields | {"reply": "accepted"}).status_code == 400
    assert site.attendee().reply == "none"


def test_other_methods_and_addresses(site: Site) -> None:
    assert site.client.request("DELETE", site.reply).status_code == 405
    for path in ("/", "/nowhere", "/docs", "/openapi.json", "/reply/", "/reply", site.reply + "/"):
        assert (site.client.get(path).status_code, site.client.get(path).text) == (404, "Not found\n"), path


def test_health_and_readiness(site: Site) -> None:
    assert site.client.get("/healthz").text == "ok\n"
    ready = site.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "database": "ok", "schema": "ok", "broker": "ok"})
    with site.database.write() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    ready = site.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json() == {"ready": False, "database": "ok", "schema": "failed", "broker": "ok"}


def test_readiness_without_a_broker(sqlite_database: Database, settings: Settings, clock: FixedClock) -> None:
    def gone() -> None:
        raise BrokerError("amqp://user:secret@broker does not answer")

    answer = Client(create_app(sqlite_database, settings, clock, gone)).get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "database": "ok", "schema": "ok", "broker": "failed"}


def test_the_broker_is_asked_once_in_some_seconds_and_then_anew(
    sqlite_database: Database, settings: Settings, clock: FixedClock
) -> None:
    asked: list[datetime] = []
    gone = [True]

    def broker() -> None:
        asked.append(clock())
        if gone[0]:
            raise BrokerError("amqp://broker does not answer")

    client = Client(create_app(sqlite_database, settings, clock, broker))
    assert [client.get("/readyz").status_code for _ in range(5)] == [503] * 5
    gone[0] = False
    clock.at += timedelta(seconds=4.9)
    assert (client.get("/readyz").status_code, len(asked)) == (503, 1)
    clock.at += timedelta(seconds=0.1)
    assert [client.get("/readyz").status_code for _ in range(3)] == [200] * 3
    assert asked == [NOW, NOW + timedelta(seconds=5)]
    # A clock that was set back does not make an answer last.
    clock.at -= timedelta(hours=1)
    client.get("/readyz")
    assert len(asked) == 3


def test_robots_may_import_calendars_and_see_no_token(site: Site) -> None:
    lines = site.client.get("/robots.txt").text.splitlines()
    assert "User-agent: *" in lines and "Disallow: /feeds/" not in lines and "Disallow: /" not in lines
    assert {"Disallow: /reply/", "Disallow: /survey/", "Disallow: /unsubscribe/"} <= set(lines)


def test_a_database_that_fails_is_a_503_without_details(site: Site) -> None:
    with site.database.write() as session:
        session.connection().exec_driver_sql("PRAGMA foreign_keys=OFF")
        session.connection().exec_driver_sql("ALTER TABLE attendee RENAME TO gone")
    answer = site.client.get(site.reply)
    assert answer.status_code == 503 and answer.headers["retry-after"] == "60"
    assert "attendee" not in answer.text and "Nothing was changed" in answer.text


def test_a_fault_of_ours_is_a_500_without_details(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.database.write() as session:
        # A country that no page can show: a fault in the data that the code does not expect.
        session.exec(select(Person)).one().timezone = "UTC"

    def broken(*_: object) -> None:
        raise ZeroDivisionError("the reason is secret")

    monkeypatch.setattr("events_service.web.reply_pages.view", broken)
    answer = Client(site.app, raise_app_exceptions=False).get(site.reply)
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.headers["content-security-policy"]


class TestApi:
    """`/api/v1`."""

    PATHS = ("/api/v1/events", "/api/v1/events/energy", "/api/v1/outcomes/report")

    @pytest.fixture
    def api(self, site: Site, clock: FixedClock) -> Client:
        """The site with a token set and a programme in force."""
        plan = shipped("programmes")["lancashire-2022-2025"]
        with site.database.write() as session:
            programmes.load(session, plan.read_text(), plan.name, NOW)
        settings = site.settings.model_copy(update={"api_token": "a token for tests"})
        return Client(create_app(site.database, settings, clock))

    def test_it_is_off_until_a_token_is_set(self, site: Site) -> None:
        for path in self.PATHS:
            answer = site.client.get(path, headers={"authorization": "Bearer "})
            assert answer.status_code == 403 and "EVENTS_API_TOKEN" in answer.text

    @pytest.mark.parametrize("given", [None, "Bearer wrong", "Basic a token for tests", "Bearer", "Bearer \u00e9"])
    def test_a_wrong_token_opens_nothing(self, api: Client, given: str | None) -> None:
        headers = {} if given is None else {"authorization": given.encode("latin-1")}
        for path in self.PATHS:
            answer = api.get(path, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")

    def test_events_and_report_are_as_the_command_line_gives_them(self, api: Client) -> None:
        headers = {"authorization": "Bearer a token for tests"}
        events = api.get("/api/v1/events", headers=headers).json()
        assert [event["slug"] for event in events] == ["munich", "energy"]
        one = api.get("/api/v1/events/energy", headers=headers).json()
        assert one == events[1]
        assert one["starts"] == "2024-06-04T09:00:00+01:00" and one["attendees"]["invited"] == 0
        assert "targets" in api.get("/api/v1/outcomes/report", headers=headers).json()
        assert api.get("/api/v1/events/nowhere", headers=headers).status_code == 404
