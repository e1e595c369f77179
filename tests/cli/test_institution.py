"""`events institution`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command
from tests.reading.test_institution_files import LANCASTER


def dump(path: Path, *records: object) -> Path:
    path.write_text(json.dumps(records))
    return path


def test_import_list_and_target(events: Command, tmp_path: Path, shared: Path) -> None:
    path = shared / "data" / "ror-institutions-gb-de-my-us.json.gz"
    assert events("institution", "import", path, "--country", "my", "--json", "--dry-run").json["created"] > 0
    assert events("institution", "list", "--json").json == []
    done = events("institution", "import", path, "--country", "Malaysia", "--json")
    assert (done.code, done.json["bad"]) == (0, [])
    again = events("institution", "import", path, "--country", "MY", "--json").json
    assert again == {"created": 0, "updated": 0, "unchanged": done.json["created"], "bad": []}
    rows = events("institution", "list", "--country", "my", "--json").json
    assert len(rows) == done.json["created"]
    assert {row["country"] for row in rows} == {"MY"}
    (malaya,) = events("institution", "list", "--search", "UNIVERSITI malaya", "--json").json[:1]
    assert events("institution", "target", malaya["ror"], "--theme", "cyber").code == 1
    programme = Path(__file__).parents[2] / "schedules" / "programmes" / "lancashire-2022-2025.toml"
    assert events("programme", "load", programme).code == 0
    for ref in (malaya["ror"], f"https://ror.org/{malaya['ror']}", malaya["id"]):
        marked = events("institution", "target", ref, "--theme", "cyber", "--json")
        assert marked.json == {**malaya, "targets": ["cyber"]}
    assert events("institution", "list", "--targets", "--json").json == [marked.json]
    unknown = events("institution", "target", malaya["ror"], "--theme", "poetry")
    assert unknown.code == 1
    assert unknown.err.startswith("error: theme 'poetry' is not in programme lancashire-2022-2025; use one of ")


def test_a_bad_record_is_named_and_the_rest_imported(events: Command, tmp_path: Path) -> None:
    done = events("institution", "import", dump(tmp_path / "r.json", LANCASTER, {**LANCASTER, "names": []}))
    assert done.code == 1
    assert done.err.splitlines() == [
        "row 2: names: has no name",
        f"error: {tmp_path / 'r.json'}: 1 of its institutions could not be used; the rest were imported",
    ]
    assert len(events("institution", "list", "--json").json) == 1


def test_faulty_files_import_nothing(events: Command, tmp_path: Path) -> None:
    whole = dump(tmp_path / "whole.json", *[{**LANCASTER, "id": f"https://ror.org/0{n:08d}"} for n in range(10)])
    cut = tmp_path / "cut.json"
    cut.write_text(whole.read_text()[: whole.stat().st_size // 2])
    old = dump(tmp_path / "v1.json", {"id": "https://ror.org/04f2nsd36", "name": "Lancaster University"})
    for path, why in (
        (cut, "ends or breaks after record 5"),
        (old, "is of ROR's schema 1"),
        (tmp_path / "no", "cannot"),
    ):
        done = events("institution", "import", path, "--json")
        assert (done.code, done.out) == (1, "")
        assert len(done.err.splitlines()) == 1
        assert done.err.startswith(f"error: {path}: {why}")
    assert events("institution", "list", "--json").json == []


def test_wrong_words(events: Command) -> None:
    done = events("institution", "list", "--country", "Atlantis")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "--country: no country 'Atlantis'" in done.err
