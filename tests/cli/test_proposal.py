"""`events proposal`, and where else an organiser sees what attendees propose."""

from __future__ import annotations

import io
import sys

import pytest

from events_service.config import load_settings
from events_service.db.schema import open_database
from events_service.tokens import mail_token
from tests.cli.conftest import Command
from tests.ledger import given
from tests.test_calendar_mail import DELEGATED, counter
from tests.test_intake import calendar, mail

AT = ("--at", "2023-06-01T09:00Z")
MADE = "20230601T085900Z"


@pytest.fixture
def desk(events: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line; Ada, who is invited to Munich, has proposed a week later, and Bob that Eve comes."""
    settings = load_settings({"EVENTS_SECRET_KEY": "a key for tests, of no use anywhere else"})
    database = open_database("sqlite:///var/events.db")
    with database.write() as session:
        given(session, "ada@example.org", "bob@example.org")
    database.dispose()
    bodies = (
        counter("COMMENT:A week later?", made=MADE),
        calendar(DELEGATED.replace("Bob@", "eve@"), attendee="bob@example.org", made=MADE),
    )
    for number, (body, sender) in enumerate(zip(bodies, ("ada@example.org", "bob@example.org"), strict=True), 1):
        address = f"reply+{mail_token(settings.secret, 'reply', number)}@example.org"
        message = mail(address, body, sender=sender, number=number)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message)))
        assert events("intake", "--json", *AT).json["applied"]
    return events


def test_what_is_open_is_listed_and_seen_where_organisers_look(desk: Command) -> None:
    assert [(one["n"], one["kind"], one["delegate"]) for one in desk("proposal", "list", "--json").json] == [
        (1, "time", None),
        (2, "delegate", "eve@example.org"),
    ]
    said = desk("proposal", "list", "--event", "munich", "--state", "open").out
    assert "2023-10-16 09:00 to 2023-10-19 17:00" in said
    assert "eve@example.org in their place" in said
    assert "2 open: `events proposal list --event munich --state open`" in desk("event", "show", "munich").out
    assert [one["n"] for one in desk("event", "show", "munich", "--json").json["proposals"]] == [1, 2]
    assert "2 open: look at them with `events proposal list --state open`" in desk("doctor").out
    assert "A week later?" in desk("proposal", "show", "1").out
    assert desk("proposal", "list", "--state", "accepted").out == "no proposals\n"


def test_yes_moves_the_event_and_a_dry_run_does_not(desk: Command) -> None:
    tried = desk("proposal", "accept", "1", "--dry-run", *AT)
    assert tried.err.splitlines() == ["would touch 2 deliveries and 0 feeds", "dry run: nothing was changed"]
    assert desk("proposal", "list", "--state", "open", "--json").json[0]["n"] == 1
    done = desk("proposal", "accept", "1", "--json", *AT)
    assert (done.code, done.json["state"], done.json["reason"]) == (0, "accepted", "an organiser accepted it")
    assert desk("event", "show", "munich", "--json").json["starts"] == "2023-10-16T09:00:00+02:00"
    assert "1 open: `events proposal" in desk("event", "show", "munich", *AT).out
    again = desk("proposal", "accept", "1", *AT)
    assert (again.code, again.err) == (1, "error: proposal 1 is accepted already: an organiser accepted it\n")


def test_what_the_programme_refuses_is_exit_3_with_the_violations(
    desk: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings({"EVENTS_SECRET_KEY": "a key for tests, of no use anywhere else"})
    early = counter(times=("DTSTART:20230301T090000Z", "DTEND:20230302T090000Z"), made="20230601T085930Z")
    message = mail(f"reply+{mail_token(settings.secret, 'reply', 1)}@example.org", early, number=3)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message)))
    assert desk("intake", "--json", *AT).json["applied"]
    refused = desk("proposal", "accept", "3", "--json", *AT)
    assert (refused.code, refused.json[0]["code"]) == (3, "outside-window")
    assert desk("proposal", "accept", "3", "--waive", "outside-window", "--reason", "the host asks", *AT).code == 0


def test_no_writes_one_mail_and_a_delegate_takes_a_place(desk: Command) -> None:
    assert desk("proposal", "decline", "1", "--reason", "It is booked", *AT).code == 0
    assert [one["step"] for one in desk("delivery", "list", "--json").json] == ["decline-counter"]
    taken = desk("proposal", "accept", "2", *AT)
    assert taken.err.splitlines()[0] == "note: eve@example.org is on munich as delegate"
    replies = {one["email"]: one["reply"] for one in desk("attendee", "list", "munich", "--json").json}
    assert replies == {"ada@example.org": "none", "bob@example.org": "declined", "eve@example.org": "none"}


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (("show", "9"), 1, "error: no proposal '9'; `events proposal list` shows those there are\n"),
        (("decline", "9"), 1, "error: no proposal '9'; `events proposal list` shows those there are\n"),
        (("list", "--state", "opne"), 2, "error: --state 'opne': use one of open, accepted, declined, withdrawn\n"),
        (("list", "--event", "x"), 1, "error: no event 'x'; `events event list` shows those there are\n"),
        (
            ("accept", "1", "--waive", "outside-window", *AT),
            2,
            "error: a waiver needs a reason: add --reason TEXT\n",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(desk: Command, words: tuple[str, ...], code: int, err: str) -> None:
    said = desk("proposal", *words)
    assert (said.code, said.out, said.err) == (code, "", err)


def test_the_mail_that_came_in_is_listed_with_what_became_of_it(desk: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings({"EVENTS_SECRET_KEY": "a key for tests, of no use anywhere else"})
    address = f"reply+{mail_token(settings.secret, 'reply', 1)}@example.org"
    for message in (mail(address, calendar("DECLINED"), sender="m@evil.example", number=9), b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message)))
        assert desk("intake", *AT).code == 0
    listed = desk("intake", "list", "--event", "munich", "--json").json
    assert [(one["email"], one["said"], one["applied"]) for one in listed] == [
        ("ada@example.org", "counter", True),
        ("bob@example.org", "delegated", True),
        ("ada@example.org", "declined", False),
    ]
    (kept,) = desk("intake", "--json", "list", "--not-applied").json
    assert kept["why"] == "its sender is not its ATTENDEE and does not act for them: forwarded, forged or an alias"
    assert "forwarded, forged or an alias" in desk("intake", "list", "--not-applied").out
    assert desk("intake", "list", "--event", "nope").err.startswith("error: no event 'nope'")
    history = desk("attendee", "history", "munich", "Ada@example.org", "--json").json
    assert [(one["via"], one["reply"], one["applied"]) for one in history] == [
        ("mail", "counter", False),
        ("mail", "declined", False),
    ]
    assert "counter" in desk("attendee", "history", "munich", "ada@example.org").out
    assert desk("attendee", "history", "munich", "eve@example.org").code == 1
