from __future__ import annotations

from pathlib import Path

import openpyxl
import pytest

from events_service.errors import FileError
from events_service.reading.people_files import BadRow, PersonRow, read_people


def people_csv(folder: Path, *lines: str) -> Path:
    path = folder / "people.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_every_column_is_put_into_its_kept_form(tmp_path: Path) -> None:
    path = people_csv(
        tmp_path,
        "Role;TIMEZONE;locale;Country;ROR;organisation;Name;Email;source;Shoe size",
        "Speaker;europe/berlin;de_DE;germany;https://ror.org/05kkv3f82;Acme;  Zoe\u0308  X ;Z@Müller.example;Fair;40",
    )
    found = read_people(path)
    assert found.people == {
        "z@xn--mller-kva.example": PersonRow(
            2,
            "z@xn--mller-kva.example",
            "Zoë X",
            "Acme",
            "05kkv3f82",
            "DE",
            "de-DE",
            "Europe/Berlin",
            "speaker",
            "Fair",
        )
    }
    assert (found.bad, found.merged, found.unknown_columns) == ([], 0, ["Shoe size"])


def test_rows_of_one_address_become_one_person(tmp_path: Path) -> None:
    path = people_csv(
        tmp_path, "email,name,country,role", "a@example.org,Ann,GB,", "b@example.org,,,", "A@EXAMPLE.org,,DE,host"
    )
    found = read_people(path)
    assert list(found.people.values()) == [
        PersonRow(2, "a@example.org", name="Ann", country="DE", role="host"),
        PersonRow(3, "b@example.org"),
    ]
    assert found.merged == 1


@pytest.mark.parametrize(
    ("line", "field", "why"),
    [
        (",Ann,,,,", "email", "is empty"),
        ("ann,Ann,,,,", "email", "'ann' is not an e-mail address"),
        ("=ann@example.org,,,,,", "email", "is a formula; write its value instead"),
        ("+ann@example.org,,,,,", "email", "begins with '+', as a formula does"),
        ("@ann@example.org,,,,,", "email", "begins with '@'"),
        ('a@example.org,"=HYPERLINK(""x"")",,,,', "name", "is a formula; write its value instead"),
        ("a@example.org,A\x00nn,,,,", "name", "has a control character (U+0000); remove it"),
        ("a@example.org," + "x" * 201 + ",,,,", "name", "has 201 characters; the limit is 200"),
        ("a@example.org,,Atlantis,,,", "country", "no country 'Atlantis'"),
        ("a@example.org,,,Klingon,,", "locale", "no locale 'Klingon'"),
        ("a@example.org,,,,Mars/Base,", "timezone", "no time zone 'Mars/Base'"),
        ("a@example.org,,,,,guest", "role", "'guest' is no role; use one of delegate, speaker"),
        ("a@example.org,Ann, Acme,,,,,x", "country", "has 8 cells, the first row 6"),
        ("a@example.org,Ann,,,,,x", "", "has 7 cells, the first row 6; put quotes around commas in a cell"),
        ("ann,,XX,,,", "email", "; country: no country 'XX'"),
    ],
)
def test_a_bad_row_says_what_and_stops_only_itself(tmp_path: Path, line: str, field: str, why: str) -> None:
    path = people_csv(
        tmp_path, "email,name,country,locale,timezone,role", "x@example.org,,,,,", line, "y@example.org,,,,,"
    )
    found = read_people(path)
    assert [(bad.row, bad.field) for bad in found.bad] == [(3, field)]
    assert why in found.bad[0].why
    assert "\n" not in found.bad[0].why
    assert list(found.people) == ["x@example.org", "y@example.org"]


def test_line_breaks_and_odd_spaces_become_one_space(tmp_path: Path) -> None:
    path = people_csv(tmp_path, "email,name", 'a@example.org,"Ann\r\n  Lee\u00a0X\t"', "b@example.org,-Bob")
    assert [row.name for row in read_people(path).people.values()] == ["Ann Lee X", "-Bob"]


def test_a_workbook_with_a_formula(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["email", "name"], ["a@example.org", "Ann"], ["b@example.org", '=CONCAT("B","ob")']):
        sheet.append(row)
    book.save(tmp_path / "people.xlsx")
    found = read_people(tmp_path / "people.xlsx")
    assert list(found.people) == ["a@example.org"]
    assert found.bad == [BadRow(3, "name", "is a formula; write its value instead")]


def test_three_bad_rows_in_ten_thousand(tmp_path: Path) -> None:
    lines = [f"person{n}@example.org,Person {n}" for n in range(10_000)]
    for number in (0, 4_999, 9_999):
        lines[number] = f"person{number},Person {number}"
    found = read_people(people_csv(tmp_path, "email,name", *lines))
    assert [bad.row for bad in found.bad] == [2, 5_001, 10_001]
    assert len(found.people) == 9_997


def test_a_file_without_addresses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="row 1: no column 'email'; the columns found are: mail, name"):
        read_people(people_csv(tmp_path, "mail,name", "a@example.org,Ann"))
