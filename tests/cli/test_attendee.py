"""`events attendee`: adding, listing, entering replies, checking in."""

from __future__ import annotations

import pytest
from sqlmodel import select

from events_service.db.schema import open_database
from events_service.db.tables import Event
from tests.attendance import make_event, make_person
from tests.cli.conftest import Command
from tests.delegates import agenda

AT = ("--at", "2023-09-01T10:00Z")
ADA = "ada@example.org"


@pytest.fixture
def desk(events: Command) -> Command:
    """The command line, with a mission and a person."""
    database = open_database("sqlite:///var/events.db")
    with database.write() as session:
        make_event(session)
        make_person(session)
    database.dispose()
    return events


def test_a_person_is_added_replies_and_comes(desk: Command) -> None:
    added = desk("attendee", "add", "munich", " Ada@Example.org", "--role", "speaker", "--json", *AT)
    assert added.code == 0
    assert added.json == [
        {
            "email": ADA,
            "name": "Ada",
            "role": "speaker",
            "reply": "none",
            "replied_at": None,
            "via": None,
            "note": "",
            "attended": None,
            "removed_at": None,
            "removal_reason": None,
            "institution": None,
        }
    ]
    replied = desk("attendee", "reply", "munich", "ADA@example.org", "accepted", "--note", "by phone", "--json", *AT)
    assert (replied.json[0]["reply"], replied.json[0]["via"], replied.json[0]["note"]) == (
        "accepted",
        "organiser",
        "by phone",
    )
    assert replied.json[0]["replied_at"] == "2023-09-01T10:00:00+00:00"
    assert replied.err == "now accepted\n"
    assert desk("attendee", "checkin", "munich", ADA, "--at", "2023-10-09T07:00Z").code == 0
    listed = desk("attendee", "list", "munich", "--json")
    assert [(row["email"], row["reply"], row["attended"]) for row in listed.json] == [(ADA, "accepted", True)]
    assert ADA in desk("attendee", "list", "munich").out


def test_a_dry_run_adds_nobody(desk: Command) -> None:
    assert desk("attendee", "add", "munich", ADA, "--dry-run", "--json", *AT).json[0]["email"] == ADA
    assert desk("attendee", "list", "munich", "--json").json == []


def test_somebody_is_taken_off_and_put_back(desk: Command) -> None:
    desk("attendee", "add", "munich", ADA, *AT)
    desk("attendee", "reply", "munich", ADA, "accepted", *AT)
    dry = desk("attendee", "remove", "munich", ADA, "--dry-run", "--json", *AT)
    assert (dry.code, dry.err) == (0, "would be told: 1\ndry run: nothing was changed\n")
    assert [row["email"] for row in desk("attendee", "list", "munich", "--json").json] == [ADA]
    done = desk("attendee", "remove", "munich", " ADA@example.org", "--reason", "the bus is full", "--json", *AT)
    assert (done.code, done.err) == (0, "will be told: 1\n")
    assert (done.json[0]["removed_at"], done.json[0]["removal_reason"]) == (
        "2023-09-01T10:00:00+00:00",
        "the bus is full",
    )
    assert desk("attendee", "list", "munich", "--json").json == []
    assert "the bus is full" in desk("attendee", "list", "munich", "--removed").out
    for words in (("remove",), ("reply", "accepted"), ("checkin",)):
        again = desk("attendee", words[0], "munich", ADA, *words[1:], *AT)
        assert (again.code, again.err.count("\n")) == (1, 1)
        assert again.err.startswith(
            "error: ada@example.org was taken off munich on 2023-09-01; `events attendee add munich"
        )
    back = desk("attendee", "add", "munich", ADA, "--json", *AT)
    assert (back.json[0]["reply"], back.json[0]["removed_at"]) == ("none", None)
    assert desk("attendee", "list", "munich", "--removed", "--json").json == []


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("remove", "munich", ADA), 1, "error: no attendee 'ada@example.org'"),
        (("remove", "porto", ADA), 1, "porto"),
        (("add", "porto", ADA), 1, "porto"),
        (("add", "munich", "bob@example.org"), 1, "bob@example.org"),
        (("add", "munich", ADA, "--role", "chef"), 1, "error: role 'chef' is unknown; use one of delegate"),
        (("reply", "munich", ADA, "accepted"), 1, "error: no attendee 'ada@example.org'; `events attendee add munich"),
        (("reply", "munich", ADA, "perhaps"), 2, "error: 'perhaps' is no reply; use one of accepted, tentative"),
        (("checkin", "munich", "not an address"), 1, "error: "),
    ],
)
def test_what_cannot_be_done_is_one_line(desk: Command, words: tuple[str, ...], code: int, line: str) -> None:
    done = desk("attendee", *words, *AT)
    assert (done.code, done.out) == (code, "")
    assert line in done.err
    assert done.err.count("\n") == 1


def test_sessions_are_shown_and_chosen(desk: Command) -> None:
    database = open_database("sqlite:///var/events.db")
    with database.write() as session:
        agenda(session, session.exec(select(Event)).one())
    database.dispose()
    desk("attendee", "add", "munich", ADA, *AT)
    shown = desk("attendee", "sessions", "munich", " Ada@example.org", "--json")
    assert (shown.code, shown.err) == (0, "")
    assert shown.json[3] == {
        "n": 4,
        "title": "A day in the Alps",
        "starts": "2023-10-13T09:00:00+02:00",
        "ends": "2023-10-13T11:00:00+02:00",
        "timezone": "Europe/Berlin",
        "kind": "leisure",
        "attends": False,
    }
    tried = desk("attendee", "sessions", "munich", ADA, "--attend", 4, "--leave", 1, "--leave", 2, "--dry-run", *AT)
    assert tried.err.splitlines()[-1] == "dry run: nothing was changed"
    chosen = desk("attendee", "sessions", "munich", ADA, "--attend", 4, "--leave", 1, "--leave", 2, "--json", *AT)
    assert [one["attends"] for one in chosen.json] == [False, False, True, True]
    assert chosen.err == (
        "session 1: leaves, Welcome; session 2: leaves, Visit: cyber range; session 4: attends, A day in the Alps\n"
    )
    assert desk("attendee", "sessions", "munich", ADA, "--leave", 1, *AT).err == "nothing changed: it was so already\n"
    assert "A day in the Alps" in desk("attendee", "sessions", "munich", ADA).out
    desk("attendee", "reply", "munich", ADA, "declined", *AT)
    later = desk("attendee", "sessions", "munich", ADA, "--attend", 1, *AT)
    assert "ada@example.org has declined munich, so this counts once they accept it\n" in later.err


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("--leave", 1), 1, "error: munich has no session 1; it has none"),
        (("--leave", 1, "--attend", 1), 2, "error: session 1 is named by both --attend and --leave"),
    ],
)
def test_sessions_that_cannot_be_chosen_are_one_line(
    desk: Command, words: tuple[object, ...], code: int, line: str
) -> None:
    desk("attendee", "add", "munich", ADA, *AT)
    done = desk("attendee", "sessions", "munich", ADA, *words, *AT)
    assert (done.code, done.out, done.err) == (code, "", f"{line}\n")


def test_a_reply_to_a_past_event_is_refused_on_one_line(desk: Command) -> None:
    desk("attendee", "add", "munich", ADA, *AT)
    late = desk("attendee", "reply", "munich", ADA, "declined", "--at", "2023-10-12T15:00Z")
    assert (late.code, late.out) == (1, "")
    assert late.err == "error: munich ended on 2023-10-12; replies to it no longer count\n"
    assert desk("attendee", "list", "munich", "--json").json[0]["reply"] == "none"
