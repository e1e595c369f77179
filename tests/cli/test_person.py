"""`events person`: what it prints, and how it ends."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa

from tests.cli.conftest import Command, Outcome
from tests.event_texts import MUNICH, toml

PROGRAMME = Path(__file__).parents[2] / "schedules" / "programmes" / "lancashire-2022-2025.toml"


def people(folder: Path, *lines: str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def faults(done: Outcome) -> list[str]:
    return done.err.splitlines()


def test_import_twice_list_and_search(events: Command, tmp_path: Path) -> None:
    path = people(tmp_path, "Email;Country;Name;Shoe", "Ann@Example.org;germany;Änn;40", "bob@example.org;;;")
    trial = events("person", "import", path, "--dry-run", "--json")
    assert (trial.code, trial.json["created"]) == (0, 2)
    assert events("person", "list", "--json").json == []
    done = events("person", "import", path, "--json")
    assert done.code == 0
    assert {name: done.json[name] for name in ("created", "updated", "unchanged", "bad")} == {
        "created": 2,
        "updated": 0,
        "unchanged": 0,
        "bad": [],
    }
    assert faults(done) == ["left alone, as no column of ours: Shoe"]
    assert events("person", "import", path, "--json").json["unchanged"] == 2
    (ann,) = events("person", "list", "--search", "ANN", "--json").json
    assert (ann["email"], ann["country"], ann["locale"], ann["timezone"]) == (
        "ann@example.org",
        "DE",
        "de-DE",
        "Europe/Berlin",
    )
    table = events("person", "list")
    assert "ann@example.org" in table.out
    assert "Europe/Berlin" in table.out


def test_three_bad_rows_in_ten_thousand(events: Command, tmp_path: Path) -> None:
    lines = [f"person{n}@example.org,GB" for n in range(10_000)]
    lines[10], lines[5_000], lines[9_999] = "person10,GB", "p@example.org,Atlantis", ",GB"
    path = people(tmp_path, "email,country", *lines)
    strict = events("person", "import", path, "--strict", "--json")
    assert strict.code == 1
    assert (strict.json["created"], len(strict.json["bad"])) == (0, 3)
    assert faults(strict)[-1] == f"error: {path}: 3 bad rows; nothing was imported (--strict)"
    assert events("person", "list", "--json").json == []
    done = events("person", "import", path, "--json")
    assert done.code == 1
    assert done.json["created"] == 9_997
    assert [(bad["row"], bad["field"]) for bad in done.json["bad"]] == [
        (12, "email"),
        (5002, "country"),
        (10001, "email"),
    ]
    assert faults(done) == [
        *(f"row {bad['row']}: {bad['field']}: {bad['why']}" for bad in done.json["bad"]),
        f"error: {path}: 3 bad rows; the rest were imported",
    ]


def test_with_an_event(events: Command, tmp_path: Path) -> None:
    event = tmp_path / "munich.toml"
    event.write_text(toml(MUNICH))
    assert events("programme", "load", PROGRAMME).code == 0
    added = events("event", "add", event, "--json").json
    slug = added[0]["slug"]
    path = people(tmp_path, "email,role", "ann@example.org,speaker", "bob@example.org,")
    assert (
        events("person", "import", path, "--event", slug, "--json", "--at", "2023-04-01T09:00Z").json["attendees"] == 2
    )
    listed = events("attendee", "list", slug, "--json").json
    assert [(row["email"], row["role"]) for row in listed] == [
        ("ann@example.org", "speaker"),
        ("bob@example.org", "delegate"),
    ]
    missing = events("person", "import", path, "--event", "nowhere")
    assert missing.code == 1
    assert len(faults(missing)) == 1


@pytest.mark.parametrize(
    ("name", "body", "why"),
    [
        ("p.csv", b"", "is empty"),
        ("p.csv", "email,name\na@example.org,Zo\xeb\n".encode("latin-1"), "row 2: byte 0xEB is not UTF-8"),
        ("p.xlsx", b"email\na@example.org\n", "is not an XLSX workbook"),
        ("p.csv", b"name\nAnn\n", "row 1: no column 'email'"),
    ],
)
def test_unusable_files(events: Command, tmp_path: Path, name: str, body: bytes, why: str) -> None:
    path = tmp_path / name
    path.write_bytes(body)
    done = events("person", "import", path)
    assert (done.code, done.out, len(faults(done))) == (1, "", 1)
    assert done.err.startswith(f"error: {path}: {why}")


def test_a_hundred_megabytes_and_a_workbook_named_csv(events: Command, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(100_000_000)
    assert faults(events("person", "import", large)) == [f"error: {large}: has 100 MB; the limit is 50 MB, so split it"]
    book = openpyxl.Workbook()
    book.save(tmp_path / "people.xlsx")
    renamed = (tmp_path / "people.xlsx").rename(tmp_path / "people.csv")
    assert "is an XLSX workbook or another archive, whatever its name says" in events("person", "import", renamed).err


def test_a_formula(events: Command, tmp_path: Path) -> None:
    done = events("person", "import", people(tmp_path, "email,name", "a@example.org,=1+1", "b@example.org,-Bob"))
    assert done.code == 1
    assert faults(done)[0] == "row 2: name: is a formula; write its value instead"
    assert [row["name"] for row in events("person", "list", "--json").json] == ["-Bob"]


def test_export_erase_and_unsuppress(events: Command, tmp_path: Path) -> None:
    events("person", "import", people(tmp_path, "email,name", "ann@example.org,Ann Markerperson"))
    document = events("person", "export", "ANN@example.org").json
    assert document["person"]["name"] == "Ann Markerperson"
    none = events("person", "unsuppress", "ann@example.org", "--reason", "asked")
    assert (none.code, none.err) == (1, "error: ann@example.org is not suppressed; nothing was changed\n")
    assert events("person", "unsuppress", "ann@example.org").code == 2
    assert "would be erased" in events("person", "erase", "ann@example.org", "--dry-run").out
    assert len(events("person", "list", "--json").json) == 1
    done = events("person", "erase", "Ann@example.org", "--json")
    assert (done.code, done.json["email"], done.json["mentions"]) == (0, "ann@example.org", [])
    for path in (tmp_path / "var").glob("events.db*"):
        assert b"ann@example.org" not in path.read_bytes()
        assert b"Markerperson" not in path.read_bytes()
    for verb in ("export", "erase"):
        gone = events("person", verb, "ann@example.org")
        assert (gone.code, len(faults(gone))) == (1, 1)
        assert "no person 'ann@example.org'" in gone.err


@contextmanager
def at_each_scan(act: Callable[[Any], object]) -> Iterator[list[str]]:
    """Before each statement that reads texts `act` is given its cursor. Those statements."""
    scans: list[str] = []

    def look(_connection: object, cursor: Any, statement: str, *_rest: object) -> None:
        if statement.startswith("SELECT") and "LIKE '%' ||" in statement:
            scans.append(statement)
            act(cursor)

    sa.event.listen(sa.Engine, "before_cursor_execute", look)
    try:
        yield scans
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", look)


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_an_erasure_keeps_no_writer_waiting_while_it_reads_all_texts(
    planned: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """Somebody else writes at each of its steps, what it looks for among it."""
    event = tmp_path / "event.toml"
    event.write_text(toml(MUNICH))
    planned("event", "add", event)
    planned("person", "import", people(tmp_path, "email,name", "ann@example.org,Ann Markerperson"))
    written: list[int] = []

    def write(_cursor: Any) -> None:
        with closing(sqlite3.connect(tmp_path / "var/events.db", isolation_level=None, timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
            title = f"Dinner with Ann Markerperson, {len(written)}"
            written.append(other.execute("UPDATE event SET title = ?", [title]).rowcount)
            other.execute("COMMIT")

    if words:
        # It says what is there when it begins.
        write(None)
    with at_each_scan(lambda cursor: None if one_row(scans[-1]) else write(cursor)) as scans:
        done = planned("person", "erase", "ann@example.org", "--json", *words)
    assert (done.code, done.json["mentions"]) == (0, [{"table": "event", "id": 1}])
    assert done.err.startswith("still named in what an organiser wrote: event 1; edit it by hand\n")
    assert len(written) > 10 and set(written) == {1}
    # Within the erasure, which a dry run takes back, single rows alone are read.
    assert sum(map(one_row, scans)) == (2 if words else 0)


def one_row(statement: str) -> bool:
    """Whether it reads a single row, by its number."""
    return ".id = ?" in statement


def test_an_erasure_that_could_not_read_all_texts_says_that_it_was_done(planned: Command, tmp_path: Path) -> None:
    planned("person", "import", people(tmp_path, "email,name", "ann@example.org,Ann Markerperson"))

    def interrupt(cursor: Any) -> None:
        answers = iter([1])
        cursor.connection.set_progress_handler(lambda: next(answers, 0), 1)

    with at_each_scan(interrupt):
        done = planned("person", "erase", "ann@example.org")
    assert (done.code, done.out) == (1, "")
    first, second = done.err.splitlines()
    assert first.startswith("ann@example.org is erased; only where")
    assert second.startswith("error: ") and "interrupted" in second
    assert "no person" in planned("person", "export", "ann@example.org").err
