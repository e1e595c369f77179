from __future__ import annotations

import io
import random
import re
import zipfile
from pathlib import Path

import openpyxl
import pytest

from events_service.errors import FileError
from events_service.reading.spreadsheets import LIMIT_BYTES, read_sheet

KNOWN = ("email", "name", "country")


def rows_of(path: Path) -> list[tuple[int, list[str]]]:
    return list(read_sheet(path, KNOWN, ("email",)).rows)


def csv_file(folder: Path, body: str | bytes, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return path


def workbook(folder: Path, rows: list[list[object]], name: str = "people.xlsx") -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(row)
    book.create_sheet("Other").append(["not", "read"])
    book.save(folder / "made.xlsx")
    return (folder / "made.xlsx").rename(folder / name)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_of_every_usual_shape(tmp_path: Path, separator: str, mark: str, ending: str) -> None:
    lines = [["Name", " EMAIL ", "shoe size"], ['"Zoë, x;y"', "z@example.org", "40"], ["", "a@example.org", ""]]
    path = csv_file(tmp_path, mark + ending.join(separator.join(line) for line in lines))
    sheet = read_sheet(path, KNOWN, ("email",))
    assert sheet.columns == {"name": 0, "email": 1}
    assert sheet.unknown == ["shoe size"]
    assert list(sheet.rows) == [(2, ["Zoë, x;y", "z@example.org", "40"]), (3, ["", "a@example.org", ""])]


def test_row_numbers_are_those_a_spreadsheet_shows(tmp_path: Path) -> None:
    path = csv_file(tmp_path, '\nemail,name\na@example.org,"two\nlines"\n,\n\nb@example.org\n')
    assert rows_of(path) == [(3, ["a@example.org", "two\nlines"]), (6, ["b@example.org", ""])]


def test_a_workbook_gives_text_and_marks_formulas(tmp_path: Path) -> None:
    path = workbook(
        tmp_path, [["Email", "Name", "Note"], ["a@example.org", 42, 1.5], [], ["b@example.org", '=CONCAT("x")', None]]
    )
    sheet = read_sheet(path, KNOWN, ("email",))
    assert sheet.columns == {"email": 0, "name": 1}
    assert list(sheet.rows) == [(2, ["a@example.org", "42", "1.5"]), (4, ["b@example.org", "=", ""])]


def test_a_formula_is_found_beside_its_last_value(tmp_path: Path) -> None:
    made = workbook(tmp_path, [["email", "name"], ["a@example.org", "=1+1"]])
    path = tmp_path / "calculated.xlsx"
    with zipfile.ZipFile(made) as source, zipfile.ZipFile(path, "w") as target:
        for part in source.namelist():
            body = source.read(part)
            target.writestr(part, re.sub(rb"<v ?/>|<v></v>", b"<v>2</v>", body))
    assert rows_of(path) == [(2, ["a@example.org", "=2"])]


def test_a_workbook_whose_table_begins_elsewhere(tmp_path: Path) -> None:
    path = workbook(tmp_path, [[], [None, "email", "name"], [None, "a@example.org", "=1"], [None, "b@example.org"]])
    sheet = read_sheet(path, KNOWN, ("email",))
    assert sheet.columns == {"email": 1, "name": 2}
    assert list(sheet.rows) == [(3, ["", "a@example.org", "="]), (4, ["", "b@example.org", ""])]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("email,name\n", "has no rows"),
        ("name,country\nx,GB\n", "row 1: no column 'email'; the columns found are: name, country"),
        ("email,name,E-mail\n,,\n", "has no rows"),
        ("email,EMAIL\na,b\n", "row 1: column 'email' is there twice"),
        ("email,name\na@example.org,Zoë\n".encode("latin-1"), "row 2: byte 0xEB is not UTF-8"),
        ('email,name\nx,"a\nb"\ny,Jörg\n'.encode("latin-1"), "row 3: byte 0xF6 is not UTF-8"),
        ("email,name\na@example.org,Zoë\n".encode("utf-16"), "is UTF-16"),
        ('email,name\na@example.org,"never closed\n', "row 2: is not CSV: a quoted cell is never closed"),
        ('email,name\na@example.org,"x"y\n', "row 2: is not CSV"),
        ("email,name\na@example.org," + "x" * 200_000, "row 2: is not CSV: field larger than field limit"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old", "is a workbook of the old format"),
        (b"PK\x03\x04 something", "whatever its name says; name it .xlsx"),
    ],
)
def test_unusable_csv(tmp_path: Path, body: str | bytes, why: str) -> None:
    path = csv_file(tmp_path, body)
    with pytest.raises(FileError) as caught:
        rows_of(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_workbook_named_csv_and_the_reverse(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="is an XLSX workbook or another archive, whatever its name says"):
        rows_of(workbook(tmp_path, [["email"], ["a@example.org"]], "people.csv"))
    with pytest.raises(FileError, match="is not an XLSX workbook, whatever its name says"):
        rows_of(csv_file(tmp_path, "email\na@example.org\n", "people.xlsx"))


def test_damaged_workbooks(tmp_path: Path) -> None:
    whole = workbook(tmp_path, [["email"], ["a@example.org"]]).read_bytes()
    for number, body in enumerate([whole[: len(whole) // 2], b"PK\x03\x04", whole[:-30]]):
        with pytest.raises(FileError, match="is damaged"):
            rows_of(csv_file(tmp_path, body, f"cut{number}.xlsx"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "not a workbook")
    with pytest.raises(FileError, match="is damaged, or no XLSX workbook"):
        rows_of(csv_file(tmp_path, archive.getvalue(), "other.xlsx"))


def test_a_cell_far_away_does_not_fill_the_memory(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"], sheet["XFD1048576"] = "email", "x"
    book.save(tmp_path / "far.xlsx")
    with pytest.raises(FileError, match="reaches to row 1048576, column 16384; delete the empty rows and columns"):
        rows_of(tmp_path / "far.xlsx")


def test_a_workbook_that_unpacks_to_much_more_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, [["email"], ["a@example.org"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/media/x", "w") as part:
        for _ in range(320):
            part.write(bytes(1_000_000))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(FileError, match="unpacks to more than 300 MB"):
        rows_of(path)


def test_files_too_large_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"email\n")
        file.truncate(100_000_000)
    with pytest.raises(FileError, match=f"has 100 MB; the limit is {LIMIT_BYTES // 1_000_000} MB"):
        rows_of(path)
    with pytest.raises(FileError, match="cannot be read: no such file or directory"):
        rows_of(tmp_path / "nowhere.csv")
    with pytest.raises(FileError, match="cannot be read: is a directory"):
        rows_of(tmp_path)


def test_a_workbook_with_random_damage_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    whole = workbook(tmp_path, [["email", "name"], ["a@example.org", "=1"], ["b@example.org", 3.5]]).read_bytes()
    chance = random.Random(1)
    refused = 0
    for _ in range(400):
        body = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            body[chance.randrange(4, len(body))] = chance.randrange(256)
        try:
            rows_of(csv_file(tmp_path, bytes(body), "damaged.xlsx"))
        except FileError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 100
