from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from events_service import institutions, programmes
from events_service.config import shipped
from events_service.db.session import Database
from events_service.db.tables import Institution, InstitutionDomain, InstitutionTarget
from events_service.errors import FileError, InputError, NotFoundError
from events_service.reading.institution_files import BadRecord, InstitutionRecord, read_institutions

NOW = datetime(2023, 5, 1, 9, tzinfo=UTC)


def record(number: int = 1, **changes: Any) -> InstitutionRecord:
    name = changes.pop("name", f"University {number}")
    values: dict[str, Any] = {
        "ror": f"0{number:08d}",
        "name": name,
        "names": (name,),
        "country": "DE",
        "city": "Köln",
        "region": "DE-NW",
        "types": ("education",),
        "website": f"https://uni{number}.example",
        "status": "active",
        "domains": frozenset({f"uni{number}.example"}),
    }
    return InstitutionRecord(**{**values, **changes})


def partial(**changes: Any) -> InstitutionRecord:
    empty: dict[str, Any] = {"city": None, "region": None, "types": (), "website": None, "domains": frozenset()}
    return record(**{"ror": None, "partial": True, **empty, **changes})


def load(database: Database, records: list[InstitutionRecord | BadRecord], **words: Any) -> dict[str, Any]:
    now = words.pop("now", NOW)
    with database.write() as session:
        return institutions.import_records(session, records, now, **words)


def counts(created: int = 0, updated: int = 0, unchanged: int = 0) -> dict[str, Any]:
    return {"created": created, "updated": updated, "unchanged": unchanged, "bad": []}


def test_importing_twice_changes_nothing(database: Database) -> None:
    records: list[InstitutionRecord | BadRecord] = [record(n) for n in range(2500)]
    assert load(database, records) == counts(created=2500)
    assert load(database, records, now=NOW + timedelta(days=1)) == counts(unchanged=2500)
    with database.read() as session:
        assert {row.changed_at for row in session.exec(select(Institution))} == {NOW}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Renamed"},
        {"city": None},
        {"types": ("education", "funder")},
        {"website": None},
        {"status": "withdrawn"},
        {"domains": frozenset({"uni1.example", "more.example"})},
        {"domains": frozenset()},
    ],
)
def test_what_changed_is_updated(database: Database, change: dict[str, Any]) -> None:
    load(database, [record(1), record(2)])
    changed = record(1, **change)
    later = NOW + timedelta(days=1)
    assert load(database, [changed, record(2)], now=later) == counts(updated=1, unchanged=1)
    assert load(database, [changed, record(2)]) == counts(unchanged=2)
    with database.read() as session:
        row = institutions.find(session, "000000001")
        assert (row.name, row.city, row.types, row.website, row.status, row.changed_at) == (
            changed.name,
            changed.city,
            list(changed.types),
            changed.website,
            changed.status,
            later,
        )
        domains = session.exec(select(InstitutionDomain).where(InstitutionDomain.institution_id == row.id))
        assert {domain.domain for domain in domains} == changed.domains


def test_country_keeps_only_its_own(database: Database) -> None:
    assert load(database, [record(1), record(2, country="GB"), record(3, country=None)], country="GB") == counts(
        created=1
    )


def test_bad_records_are_named_and_the_rest_imported(database: Database) -> None:
    done = load(database, [BadRecord(1, "id", "has none"), record(2)])
    assert done == {**counts(created=1), "bad": [{"row": 1, "field": "id", "why": "has none"}]}


def test_an_institution_given_twice_is_one(database: Database) -> None:
    assert load(database, [record(1), record(1, name="Last")]) == counts(created=1)
    with database.read() as session:
        assert [row["name"] for row in institutions.listing(session)] == ["Last"]


def test_a_partial_record_adds_and_takes_nothing_away(database: Database) -> None:
    load(database, [record(1)])
    own = partial(name="University 1", website="https://other.example", domains=frozenset({"other.example"}))
    assert load(database, [own]) == counts(updated=1)
    assert load(database, [own]) == counts(unchanged=1)
    with database.read() as session:
        row = institutions.find(session, "000000001")
        assert (row.city, row.types, row.website) == ("Köln", ["education"], "https://other.example")
        assert {d.domain for d in session.exec(select(InstitutionDomain))} == {"uni1.example", "other.example"}
    assert load(database, [partial(name="University 1", country="GB")]) == counts(created=1)
    assert load(database, [partial(name="University 1", country="GB")]) == counts(unchanged=1)


def test_a_faulty_file_imports_nothing(database: Database, tmp_path: Path) -> None:
    good = {"id": "https://ror.org/000000001", "names": [{"value": "One", "types": ["ror_display"]}]}
    path = tmp_path / "cut.json"
    path.write_text(json.dumps([{**good, "id": f"0{n:08d}"} for n in range(1500)])[:-20])
    with pytest.raises(FileError, match="after record 1,499"), database.write() as session:
        institutions.import_records(session, read_institutions(path), NOW)
    with database.read() as session:
        assert institutions.listing(session) == []


def test_find_takes_a_ror_id_in_any_form_and_our_number(database: Database) -> None:
    load(database, [record(1, ror="04f2nsd36")])
    with database.read() as session:
        found = institutions.find(session, "04f2nsd36")
        assert institutions.find(session, "https://ror.org/04f2nsd36").id == found.id
        assert institutions.find(session, str(found.id)).id == found.id
        for ref in ("999", "000000009", "nonsense", "", "9" * 40):
            with pytest.raises(NotFoundError, match="no institution"):
                institutions.find(session, ref)


def test_search_minds_neither_case_nor_accents(database: Database) -> None:
    names = ("Universität Köln", "Uni of Cologne", "UoC 100%_x")
    load(database, [record(1, name=names[0], names=names), record(2, name="Straße Ærø", city="Ulm")])

    def found(search: str) -> list[str]:
        with database.read() as session:
            return [row["name"] for row in institutions.listing(session, search=search)]

    for search in ("koln", "KÖLN", "universitat koln", "cologne OF", "100%_", ""):
        assert names[0] in found(search), search
    for search in ("STRASSE", "aero ulm", "Straße"):
        assert found(search) == ["Straße Ærø"], search
    assert found("100x") == []
    assert found("k_ln") == []


def test_list_by_country_and_target(database: Database) -> None:
    load(database, [record(2, name="B"), record(1, name="A"), record(3, name="C", country="GB")])
    with database.write() as session:
        programmes.load(session, shipped("programmes")["lancashire-2022-2025"].read_text(), "programme", NOW)
        key = programmes.current(session).themes[0].key
        row = institutions.target(session, "000000001", key, NOW)
        assert row == {
            "id": row["id"],
            "ror": "000000001",
            "name": "A",
            "country": "DE",
            "city": "Köln",
            "types": ["education"],
            "website": "https://uni1.example",
            "targets": [key],
        }
        assert institutions.target(session, "000000001", key, NOW + timedelta(days=1)) == row
        assert [mark.marked_at for mark in session.exec(select(InstitutionTarget))] == [NOW]
    with database.read() as session:
        assert [(row["name"], row["targets"]) for row in institutions.listing(session, "DE")] == [
            ("A", [key]),
            ("B", []),
        ]
        assert institutions.listing(session, targeted=True) == [row]
    with database.write() as session:
        assert institutions.target(session, "000000001", key, NOW, remove=True)["targets"] == []


def test_a_target_needs_a_theme_of_the_programme(sqlite_database: Database) -> None:
    load(sqlite_database, [record(1)])
    with sqlite_database.write() as session:
        with pytest.raises(NotFoundError):
            institutions.target(session, "000000001", "cyber", NOW)
        programmes.load(session, shipped("programmes")["lancashire-2022-2025"].read_text(), "programme", NOW)
        with pytest.raises(InputError, match="theme 'poetry' is not in programme lancashire-2022-2025; use one of "):
            institutions.target(session, "000000001", "poetry", NOW)


MEASURE = """
import re, sys
from datetime import UTC, datetime
from pathlib import Path
from events_service import institutions
from events_service.db.schema import open_database
from events_service.reading.institution_files import read_institutions
database = open_database(sys.argv[1])
with database.write() as session:
    done = institutions.import_records(session, read_institutions(Path(sys.argv[2])), datetime(2023, 5, 1, tzinfo=UTC))
# Not getrusage: its peak is also that of the process this one was forked from.
print(done["created"], re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_a_full_dump_of_ror_takes_less_than_200_mb(sqlite_database: Database, tmp_path: Path, repository: Path) -> None:
    path = tmp_path / "ror.json.gz"
    names = [{"value": f"Institute NUMBER of somewhere {n}", "types": ["label"]} for n in range(3)]
    details = {"name": "City", "country_code": "US", "country_subdivision_code": "CA"}
    one = json.dumps(
        {
            "id": "https://ror.org/0NUMBER",
            "names": names,
            "locations": [{"geonames_id": 1, "geonames_details": details}],
            "links": [{"type": "website", "value": "https://www.iNUMBER.example/"}],
            "external_ids": [{"type": "isni", "all": ["0000 0000 0000 0000"] * 5}] * 4,
            "relationships": [{"label": "x" * 80, "id": "https://ror.org/000000000"}] * 6,
            "types": ["education"],
            "status": "active",
        }
    )
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("[" + one.replace("NUMBER", f"{0:08d}"))
        for number in range(1, 110_000):
            file.write("," + one.replace("NUMBER", f"{number:08d}"))
        file.write("]")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, sqlite_database.url.render_as_string(), str(path)],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=True,
    )
    created, kilobytes = map(int, done.stdout.split())
    assert created == 110_000
    assert kilobytes < 200_000
