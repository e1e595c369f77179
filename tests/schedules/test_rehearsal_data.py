"""The shipped rehearsal as data: its script reads, its events keep the programme's rules where the script says so."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events_service import event_checks
from events_service.config import schedules_dir
from events_service.db.session import Database
from events_service.errors import FieldError, InputError
from events_service.reading import event_files
from schedules.rehearsal.script import read_script, script_for
from tests.planned import load

FOLDER = schedules_dir() / "rehearsals" / "lancashire-2022-2025"
NOW = datetime(2023, 1, 9, 10, tzinfo=UTC)


def test_every_event_is_named_by_its_file_and_used_by_the_script() -> None:
    script = script_for("lancashire-2022-2025")
    added = {name for step in script.steps for name in step.events}
    assert added == {path.stem for path in (FOLDER / "events").iterdir()}
    assert {step.event for step in script.steps if step.do == "launch"} == added
    for name in added:
        path = script.event_file(name)
        assert event_files.read(path, path.read_text(encoding="utf-8")).slug == name


def test_two_events_break_a_rule_and_all_together_keep_the_budget(sqlite_database: Database) -> None:
    files = [event_files.read(path, path.read_text(encoding="utf-8")) for path in sorted((FOLDER / "events").iterdir())]
    with sqlite_database.write() as session:
        programme = load(session)
        found = event_checks.proposed(session, programme, [file.facts() for file in files], NOW)
    errors = {
        file.slug: [one.code for one in violations if one.severity == "error"]
        for file, violations in zip(files, found, strict=True)
    }
    assert {slug: codes for slug, codes in errors.items() if codes} == {
        "tokyo-2023-11": ["market-not-targeted"],
        "lancaster-2024-03": ["outside-window"],
    }
    stand = [file for file in files if file.slug not in ("tokyo-2023-11", "knoxville-2024-01")]
    assert sum(file.budget or 0 for file in stand) <= 30_000
    assert sum(file.effort_days or 0 for file in stand) <= 4 * 18
    assert {theme for file in stand for theme in file.themes} == {"cyber", "health", "energy", "mobility"}
    away = [file for file in stand if file.kind == "mission" or file.hosted_by == "joined"]
    assert {market for file in away for market in file.markets} == {"DE", "US", "MY", "FR", "CA", "DK"}
    assert all(file.organiser_email.endswith(".example.org") for file in files)
    assert sum(item.kind == "leisure" for file in stand for item in file.sessions) >= 6


def test_the_institutions_are_ror_s(shared: Path) -> None:
    with gzip.open(shared / "data" / "ror-institutions-gb-de-my-us.json.gz") as file:
        known = {
            record["id"].removeprefix("https://ror.org/"): (
                {name["value"] for name in record["names"]},
                {place["geonames_details"]["country_code"] for place in record["locations"]},
            )
            for record in json.load(file)
        }
    with (FOLDER / "institutions.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 20
    for row in rows:
        names, countries = known[row["ror"]]
        assert row["name"] in names
        assert row["country"] in countries


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('programme = "x"\n[[steps]]\nat = 2023-01-01T09:00:00\ndo = "dance"\n', r"script.toml: \[steps #1\] do: "),
        ('programme = "x"\n[[steps]]\nat = 2023-01-01T09:00:00Z\ndo = "people"\n', "take no offset"),
        ('programme = "x"\nsteps = []\nsong = 1\n', "script.toml: song: "),
        (
            'programme = "x"\n[[steps]]\nat = 2023-01-01T09:00:00\ndo = "launch"\ncast = ["eve"]\n',
            "no eve among the cast",
        ),
    ],
)
def test_a_faulty_script_says_where(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "script.toml"
    path.write_text(text)
    with pytest.raises(FieldError, match=why):
        read_script(path)


def test_what_is_no_toml_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "script.toml").write_text("a = ")
    for name in ("script.toml", "none.toml"):
        with pytest.raises(InputError, match=f"{name}: cannot be read"):
            read_script(tmp_path / name)
