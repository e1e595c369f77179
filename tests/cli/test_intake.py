"""`events intake`: one e-mail on stdin, one line or document on stdout, and exit 0 whatever it was."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from pathlib import Path

import pytest
from sqlmodel import select

from events_service.config import load_settings
from events_service.db.schema import open_database
from events_service.db.tables import Attendee, Delivery, Event
from events_service.tokens import mail_token
from tests.attendance import make_attendee, make_campaign, make_delivery, make_event
from tests.cli.conftest import Command
from tests.test_bounces import NAMED, T
from tests.test_bounces import mail as bounced
from tests.test_intake import calendar, mail


@pytest.fixture
def address(events: Command) -> str:
    """The reply address of Ada, who is invited to a mission."""
    settings = load_settings({"EVENTS_SECRET_KEY": "a key for tests, of no use anywhere else"})
    database = open_database("sqlite:///var/events.db")
    with database.write() as session:
        attendee = make_attendee(session, make_event(session))
        number = attendee.id or 0
    database.dispose()
    return f"reply+{mail_token(settings.secret, 'reply', number)}@{settings.resolved_mail_domain}"


def put(monkeypatch: pytest.MonkeyPatch, message: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message)))


def test_a_reply_on_stdin_is_applied_once(
    events: Command, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    message = mail(address, calendar())
    put(monkeypatch, message)
    first = events("intake", "--json", "--at", "2023-09-01T10:00Z")
    assert (first.code, json.loads(first.out)) == (0, {"kind": "reply", "applied": True, "why": "now accepted"})
    put(monkeypatch, message)
    again = events("intake", "--at", "2023-09-01T10:01Z")
    assert (again.code, again.out) == (0, "reply, not applied: the same mail was taken before\n")
    assert events("attendee", "list", "munich", "--json").json[0]["reply"] == "accepted"


def test_a_dry_run_changes_nothing(events: Command, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, mail(address, calendar()))
    assert events("intake", "--dry-run", "--json", "--at", "2023-09-01T10:00Z").json["applied"] is True
    assert events("attendee", "list", "munich", "--json").json[0]["reply"] == "none"


def test_a_bounce_on_stdin_stops_its_address(events: Command, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database("sqlite:///var/events.db")
    with database.write() as session:
        attendee = session.exec(select(Attendee)).one()
        event = session.get_one(Event, attendee.event_id)
        step = make_campaign(session, event, {"90": "outcomes"})["90"]
        number = make_delivery(session, attendee, step, message_id=NAMED, state="sending", in_data_at=T).id
    put(monkeypatch, bounced("postfix-no-such-user"))
    early = events("intake", "--json")
    assert (early.code, early.out) == (1, "")
    assert early.err == f"error: delivery {number} is being sent at this moment; give the bounce again in a minute\n"
    with database.write() as session:
        session.get_one(Delivery, number).state = "sent"
    database.dispose()
    put(monkeypatch, bounced("postfix-no-such-user"))
    done = events("intake", "--json", "--at", "2023-09-01T10:00Z")
    assert done.code == 0
    assert (done.json["kind"], done.json["applied"]) == ("bounce", True)
    assert done.json["why"].endswith("; no more mail to this address")
    assert "bounced, since 2023-09-01" in events("person", "list").out
    assert events("person", "list", "--json").json[0]["suppressed_at"] == "2023-09-01T10:00:00+00:00"
    (kept,) = events("person", "export", "ada@example.org").json["suppressions"]
    assert (kept["reason"], kept["suppressed_at"]) == ("bounced", "2023-09-01T10:00:00+00:00")
    lifted = events("person", "unsuppress", "ada@example.org", "--reason", "a new mailbox")
    assert (lifted.code, lifted.out) == (0, "ada@example.org: lifted bounced\n")
    assert events("person", "list", "--json").json[0]["suppressed"] == []


def test_a_mail_that_cannot_be_kept_fails(events: Command, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect("var/events.db") as connection:
        connection.execute("ALTER TABLE intake RENAME TO elsewhere")
    connection.close()
    put(monkeypatch, mail(address, calendar()))
    failed = events("intake", "--json")
    assert (failed.code, failed.out) == (1, "")
    assert failed.err.startswith("error: database ")
    assert failed.err.count("\n") == 1


def test_what_is_nothing_of_ours_is_left_alone(events: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, b"Subject: [bold]hello[/bold]\n\nbuy now")
    done = events("intake")
    assert (done.code, done.out) == (0, "other, not applied: no calendar in it; left alone\n")
