"""`events outcome`: recording, listing, and the report in its forms."""

from __future__ import annotations

import csv
from pathlib import Path

import openpyxl
import pytest

from events_service.db.schema import open_database
from tests.attendance import make_event
from tests.cli.conftest import Command

AT = ("--at", "2024-01-10T09:00Z")


@pytest.fixture
def desk(events: Command) -> Command:
    """The command line, with the shipped programme and a mission that was."""
    assert events("programme", "load", "lancashire-2022-2025", "--at", "2022-04-01T09:00Z").code == 0
    database = open_database("sqlite:///var/events.db")
    with database.write() as session:
        make_event(session, state="done")
    database.dispose()
    return events


def test_outcomes_are_recorded_and_listed(desk: Command) -> None:
    added = desk("outcome", "add", "munich", "--kind", "funding", "--value", "1200.50", "--note", "=won", "--json", *AT)
    assert added.code == 0
    assert [(row["kind"], row["value"], row["currency"]) for row in added.json] == [("funding", 1200.5, "GBP")]
    desk("outcome", "add", "munich", "--kind", "lead", "--note", "one", *AT)
    assert [row["kind"] for row in desk("outcome", "list", "--json").json] == ["funding", "lead"]
    assert [row["value"] for row in desk("outcome", "list", "--kind", "lead", "--json").json] == [None]
    written = desk("outcome", "list", "--kind", "funding", "--out", "o.csv")
    assert (written.code, written.out, written.err) == (0, "", "1 outcomes written to o.csv\n")
    with Path("o.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["note"] for row in csv.DictReader(file)] == ["'=won"]
    assert desk("outcome", "list", "--out", "o.xlsx").code == 0
    assert openpyxl.load_workbook("o.xlsx").active.max_row == 3


def test_a_faulty_word_is_one_line_and_records_nothing(desk: Command) -> None:
    wrong = desk("outcome", "add", "munich", "--kind", "prize", "--note", "x", *AT)
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (1, "", 1)
    assert "error: --kind 'prize': no kind of outcome" in wrong.err
    assert desk("outcome", "list", "--out", "o.pdf").code == 2
    assert desk("outcome", "list", "--json").json == []


def test_the_report_is_json_a_table_a_page_and_sheets(desk: Command) -> None:
    desk("outcome", "add", "munich", "--kind", "lead", "--value", "2", "--note", "two", *AT)
    report = desk("outcome", "report", "--json", *AT).json
    assert report["by_event"][0]["figures"]["lead"] == {
        "value": 2,
        "unit": "count",
        "outcomes": 1,
        "unvalued": 0,
        "asked": 0,
        "answered": 0,
        "rate": None,
    }
    assert report["by_event"][0]["figures"]["contact"]["value"] is None
    table = desk("outcome", "report", *AT)
    assert "No answer is not a zero." in table.out
    for name, start in (("r.html", b"<!doctype html>"), ("r.csv", b"\xef\xbb\xbfby,key"), ("r.xlsx", b"PK")):
        bodies = []
        for _ in range(2):
            assert desk("outcome", "report", "--out", name, *AT).code == 0
            bodies.append(Path(name).read_bytes())
        assert bodies[0] == bodies[1]
        assert bodies[0].startswith(start)


def test_a_dry_run_writes_no_file(desk: Command) -> None:
    assert desk("outcome", "report", "--out", "r.html", "--dry-run", *AT).code == 0
    assert not Path("r.html").exists()


def test_the_programme_shows_where_its_targets_stand(desk: Command) -> None:
    desk("outcome", "add", "munich", "--kind", "lead", "--note", "one", *AT)
    targets = desk("programme", "show", "--json", *AT).json["targets"]
    assert {target["key"]: target["actual"] for target in targets} == {
        "funding": None,
        "partnerships": None,
        "roadmap": None,
        "events": None,
        "leads": 1,
    }
