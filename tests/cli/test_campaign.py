"""`events campaign` and the commands that send: tick and work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import processes
from tests.cli.conftest import Command
from tests.event_texts import SLUG, write

FEBRUARY = ("--at", "2023-02-15T09:00Z")
MARCH = ("--at", "2023-03-01T09:00Z")
INVITED = ("--at", "2023-08-07T09:00Z")
STATES = ("held", "pending", "sending", "sent", "failed", "unknown", "bounced", "suppressed", "cancelled", "expired")


@pytest.fixture
def munich(planned: Command, tmp_path: Path) -> Command:
    """The mission to Munich, approved, its reviews held, with Ada and Bob on it."""
    assert planned("event", "add", write(tmp_path), *MARCH).code == 0
    assert planned("event", "approve", SLUG, *MARCH).code == 0
    people = tmp_path / "people.csv"
    people.write_text("email,name,country\nada@example.org,Ada,GB\nbob@example.org,Bob,DE\n")
    assert planned("person", "import", people, "--event", SLUG, *MARCH).code == 0
    words = ("--decision", "continue", "--notes", "On course.")
    assert planned("review", "record", "review-12", *words, *MARCH).code == 0
    return planned


@pytest.fixture
def running(munich: Command) -> Command:
    assert munich("campaign", "start", SLUG, *MARCH).code == 0
    return munich


def test_a_plan_is_what_a_start_does(munich: Command) -> None:
    plan = munich("campaign", "plan", SLUG, "--json", *MARCH)
    assert (plan.code, plan.err) == (0, "")
    dry = munich("campaign", "start", SLUG, "--json", "--dry-run", *MARCH)
    assert munich("campaign", "status", SLUG, "--json").code == 1
    started = munich("campaign", "start", SLUG, "--json", *MARCH)
    assert dry.json == started.json
    assert plan.json["steps"] == started.json["steps"]
    first = started.json["steps"][0]
    assert set(first) >= {"step", "due_at", "policy", *STATES}
    assert (first["step"], first["policy"], first["pending"]) == ("save-the-date", "skip", 2)
    assert first["due_at"] == "2023-07-03T07:00:00+00:00"
    assert munich("campaign", "status", SLUG, "--json").json == started.json
    again = munich("campaign", "start", SLUG, *MARCH)
    assert (again.code, again.out) == (1, "")
    assert again.err == f"error: {SLUG} has a campaign already; `events campaign status {SLUG}` shows it\n"


def test_people_read_a_table(running: Command) -> None:
    shown = running("campaign", "status", SLUG).out
    lines = [line.split() for line in shown.splitlines() if line.strip().startswith(("invitation", "reminder-1"))]
    assert [(line[0], line[-1]) for line in lines] == [("invitation", "2"), ("reminder-1", "2")]
    assert "Mon 07 Aug 2023" in shown
    assert "\N{REPLACEMENT CHARACTER}" not in shown


def test_behind_a_gate_the_violations_are_the_output(munich: Command) -> None:
    refused = munich("campaign", "start", SLUG, "--json", "--at", "2023-10-03T09:00Z")
    assert refused.code == 3
    [violation] = [one for one in refused.json if one["code"] == "review-overdue"]
    assert (violation["severity"], violation["waivable"]) == ("error", False)
    assert refused.err.startswith("refused: ")
    assert munich("campaign", "status", SLUG).code == 1


def test_a_preview_is_the_letter(munich: Command) -> None:
    shown = munich("campaign", "preview", SLUG, "invitation", "ADA@example.org", "--json", *MARCH)
    assert (shown.code, shown.json["to"]) == (0, "Ada <ada@example.org>")
    assert "BEGIN:VCALENDAR" in shown.json["calendar"]
    assert shown.json["text"].startswith("Dear Ada,")
    assert munich("delivery", "list", "--json").json == []
    human = munich("campaign", "preview", SLUG, "invitation", "ada@example.org", *MARCH).out
    assert human.startswith("from:")
    assert "(with a calendar request)" in human
    for words, why in (
        (("invitation", "nobody@example.org"), "no attendee 'nobody@example.org'"),
        (("party", "ada@example.org"), "no step 'party'; there are save-the-date, invitation"),
    ):
        failed = munich("campaign", "preview", SLUG, *words, *MARCH)
        assert (failed.code, failed.out) == (1, "")
        assert why in failed.err


def test_hold_and_release(running: Command) -> None:
    held = running("campaign", "hold", SLUG, "--json", *MARCH).json
    assert {step["held"] for step in held["steps"]} == {2}
    assert held["hold_reasons"] == {"organiser": 22}
    assert "22 held: organiser" in running("campaign", "status", SLUG).out
    assert running("work", "--json", *INVITED).json["sent"] == 0
    assert {step["held"] for step in running("campaign", "release", SLUG, "--json", *MARCH).json["steps"]} == {0}
    assert running("campaign", "release", SLUG, *MARCH).code == 1


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("start", "nowhere"), 1, "no event 'nowhere'"),
        (("start", SLUG, "--cadence", "party"), 1, "no cadence 'party'; there are conference, joined, mission"),
        (("hold", SLUG), 1, "no campaign"),
        (("answer", SLUG, "invitation", "send"), 1, "no campaign"),
        (("answer", SLUG, "invitation", "maybe"), 2, "say send or skip"),
        (("start",), 2, "Missing argument"),
        (("plan", SLUG, "--at", "2023-03-01T09:00"), 2, "has no offset"),
        (("plan", SLUG, "--at", "soon"), 2, "is not an ISO 8601 time"),
        (("party", SLUG), 2, "No such command"),
    ],
)
def test_wrong_words_are_one_clear_line(munich: Command, words: tuple[str, ...], code: int, why: str) -> None:
    at = () if "--at" in words else MARCH
    failed = munich("campaign", *words, *at)
    assert (failed.code, failed.out) == (code, "")
    assert why in failed.err


def test_tick_says_what_it_did_and_a_dry_run_does_none_of_it(running: Command) -> None:
    late = ("--at", "2023-08-20T09:00Z")
    dry = running("tick", "--json", "--dry-run", *late)
    assert (dry.code, dry.err) == (0, "dry run: nothing was changed\n")
    assert {"materialised": 0, "released": 0, "expired": 2, "rung": 0}.items() <= dry.json.items()
    assert running("tick", "--json", *late).json["expired"] == 2
    assert running("tick", "--json", *late).json["expired"] == 0
    assert "expired" in running("tick", *late).out


def test_work_sends_what_is_due_and_a_dry_run_sends_nothing(running: Command, tmp_path: Path) -> None:
    dry = running("work", "--until-idle", "--json", "--dry-run", *INVITED)
    assert (dry.code, dry.json["sent"], dry.json["due"]) == (0, 0, 2)
    assert not (tmp_path / "var/mail").exists()
    done = running("work", "--until-idle", "--json", *INVITED)
    assert done.json == {"sent": 2, "failed": 0, "unknown": 0, "retried": 0, "put_aside": 0}
    assert len(list((tmp_path / "var/mail/new").iterdir())) == 2
    assert running("work", "--until-idle", "--json", *INVITED).json["sent"] == 0
    assert "sent" in running("work", *INVITED).out


def test_a_mail_server_that_is_not_there_is_said_and_nothing_is_lost(running: Command, tmp_path: Path) -> None:
    done = processes.run(tmp_path, "work", "--until-idle", "--json", *INVITED, smtp_url="smtp://127.0.0.1:1")
    assert (done.returncode, json.loads(done.stdout)["retried"]) == (0, 2)
    [line] = done.stderr.splitlines()
    assert "no mail can be sent" in line
    assert "SMTP 127.0.0.1:1: Connection refused" in line
    waiting = running("delivery", "list", "--state", "pending", "--json").json[0]
    assert waiting["last_error"].startswith("SMTP 127.0.0.1:1: ")
    assert running("work", "--until-idle", "--json", "--at", "2023-08-07T10:00Z").json["sent"] == 2


def test_one_document_and_nothing_else_is_on_stdout(running: Command) -> None:
    for words in (("campaign", "status", SLUG), ("delivery", "list"), ("tick",), ("work",), ("doctor",)):
        json.loads(running("--json", *words).out)
