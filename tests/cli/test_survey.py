"""`events survey`: what is asked, and the answers, on the screen and in files."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events_service import surveys
from events_service.db.schema import open_database
from tests.attendance import make_attendee, make_campaign, make_delivery, make_event
from tests.cli.conftest import Command


@pytest.fixture
def desk(events: Command) -> Command:
    """The command line, with a mission that asked two people, one of whom answered."""
    database = open_database("sqlite:///var/events.db")
    with database.write() as session:
        event = make_event(session)
        step = make_campaign(session, event, {"90": "outcomes"})["90"]
        for email in ("ada@example.org", "bob@example.org"):
            attendee = make_attendee(session, event, email)
            make_delivery(session, attendee, step)
        answers = {"contacts": "2", "funding": "£1,000.50", "story": "=cmd|' /C calc'!A0"}
        surveys.submit(session, attendee.id or 0, "90", answers, datetime(2024, 1, 10, 9, tzinfo=UTC))
    database.dispose()
    return events


def test_show_gives_the_waves_and_who_answered(desk: Command) -> None:
    (wave,) = desk("survey", "show", "munich", "--json").json
    assert (wave["wave"], wave["survey"], wave["asked"], wave["answered"]) == ("90", "outcomes", 2, 1)
    assert "What came of it?" in desk("survey", "show", "munich").out


def test_responses_are_listed_and_written(desk: Command) -> None:
    (row,) = desk("survey", "responses", "munich", "--json").json
    assert row["email"] == "bob@example.org"
    assert row["answers"] == {"contacts": 2, "funding": 1000.5, "story": "=cmd|' /C calc'!A0"}
    assert desk("survey", "responses", "munich", "--out", "r.csv").err == "answer sets written to r.csv: 1\n"
    with Path("r.csv").open(encoding="utf-8-sig", newline="") as file:
        (written,) = csv.DictReader(file)
    assert (written["contacts"], written["funding"], written["story"]) == ("2", "1000.5", "'=cmd|' /C calc'!A0")
    assert desk("survey", "responses", "munich", "--out", "r.xlsx").code == 0
    assert desk("survey", "responses", "porto").code == 1
