"""`events programme`: load, show and draw."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Command
from tests.domain.given import LANCASHIRE
from tests.event_texts import write

KEY = "lancashire-2022-2025"
AT = ("--at", "2023-04-02T09:00Z")


def test_the_shipped_programme_loads_by_its_key_and_shows_as_the_contract_says(events: Command) -> None:
    assert events("programme", "load", KEY, *AT).code == 0
    shown = events("programme", "show", "--json", *AT).json
    assert (shown["key"], shown["revision"], shown["start"], shown["months"]) == (KEY, 1, "2022-04-01", 36)
    assert len(shown["themes"]) == 4
    assert [stream["number"] for stream in shown["workstreams"]] == [1, 2, 3, 4]
    assert [(point["id"], point["due_on"], point["state"]) for point in shown["review_points"]] == [
        ("review-12", "2023-04-01", "overdue"),
        ("progress-18", "2023-10-01", "open"),
        ("review-24", "2024-04-01", "upcoming"),
        ("progress-36", "2025-04-01", "upcoming"),
    ]
    assert shown["review_points"][1]["scope"] == [1, 2, 3, 4]
    funding = next(target for target in shown["targets"] if target["key"] == "funding")
    assert (funding["baseline"], funding["target"], funding["actual"]) == (None, 20, None)
    assert events("programme", "show", KEY, "--json", *AT).json == shown
    for_people = events("programme", "show", *AT)
    assert "Curate conferences to promote innovation" in for_people.out


def test_a_second_load_prints_the_difference_and_the_events_that_now_break(events: Command, tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(LANCASHIRE.read_text())
    before = ("--at", "2023-03-01T09:00Z")
    assert events("programme", "load", path, *before).code == 0
    same = events("programme", "load", path, *before)
    assert "is at revision 1 already; nothing changed" in same.out
    events("event", "add", write(tmp_path, slug="m", markets=["FR"], country="FR"), *before)
    path.write_text(
        LANCASHIRE.read_text().replace('country = "FR"', 'country = "ES"').replace('name = "France"', 'name = "Spain"')
    )
    tried = events("programme", "load", path, "--json", "--dry-run", *before).json
    assert tried["revision"] == 2
    assert events("programme", "show", "--json", *before).json["revision"] == 1
    loaded = events("programme", "load", path, "--json", *before).json
    assert (loaded["revision"], len(loaded["differences"])) == (2, 2)
    [broken] = loaded["events_broken"]
    assert (broken["slug"], [one["code"] for one in broken["violations"]]) == ("m", ["market-not-targeted"])
    people = events("programme", "load", KEY, *before)
    assert "revision 3 is in force" in people.out
    assert "market FR: new" in people.out


def test_faulty_files_are_one_clear_line_and_load_nothing(events: Command, tmp_path: Path) -> None:
    plan = LANCASHIRE.read_text()
    for name, text, why in (
        (
            "long.toml",
            plan.replace("months = 36", "months = 37", 1),
            "[programme] months: is 37; a programme runs 36 months",
        ),
        ("key.toml", plan.replace("fte = 2.0", "ftes = 2.0", 1), "[programme] ftes: is no field of a programme file"),
        ("not.toml", "[programme", "is not TOML"),
    ):
        path = tmp_path / name
        path.write_text(text)
        done = events("programme", "load", path, *AT)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert done.err.startswith(f"error: {path}: {why}")
    assert events("programme", "load", "atlantis", *AT).err.startswith("error: atlantis: no file of that name")
    assert "no such file" in events("programme", "load", "atlantis.toml", *AT).err
    assert "no programme 'in force'" in events("programme", "show", *AT).err


def test_the_timeline_is_the_same_bytes_twice(events: Command, tmp_path: Path) -> None:
    events("programme", "load", KEY, *AT)
    events("event", "add", write(tmp_path), *AT)
    for name in ("one.svg", "two.svg", "one.png"):
        assert events("programme", "timeline", "--out", tmp_path / name, *AT).code == 0
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")
    wrong = events("programme", "timeline", "--out", tmp_path / "one.pdf", *AT)
    assert (wrong.code, "written as .svg or .png" in wrong.err) == (2, True)
    assert events("programme", "timeline", "--out", tmp_path / "dry.svg", "--dry-run", *AT).code == 0
    assert not (tmp_path / "dry.svg").exists()
