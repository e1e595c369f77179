"""Tables that people send us, as CSV or XLSX: bounded, checked to be what they say, read as rows of text.

A row's number is the one a spreadsheet shows: the header is row 1.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from events_service.errors import FileError

LIMIT_BYTES = 50_000_000
LIMIT_UNPACKED = 300_000_000
LIMIT_CELLS = 5_000_000
LIMIT_CHARACTERS = 10_000
FORMULA = "="
"""What a cell's text begins with if it is a formula. From a workbook, a formula comes as this followed by its value."""

_SEPARATORS = (",", ";", "\t")
_CELL = re.compile(rb'<(?:\w+:)?c [^>]*?\br="([A-Z]{1,3})([0-9]{1,7})"[^>]*?(?:/>|>\s*(<(?:\w+:)?f\b)?)')


@dataclass(frozen=True)
class Sheet:
    """A table as it was read: the known columns' places, the names of the unknown ones, and the rows below.

    `width` is how many cells the header has; rows have at least as many.
    """

    columns: dict[str, int]
    unknown: list[str]
    width: int
    rows: Iterator[tuple[int, list[str]]]


def read_sheet(path: Path, known: Sequence[str], required: Sequence[str]) -> Sheet:
    """Open a CSV (UTF-8; comma, semicolon or tab) or XLSX file (its first sheet); `rows` gives (number, cells).

    Columns may stand in any order and any case; empty rows are left out. FileError for a file that cannot be used:
    missing, over 50 MB, empty, not UTF-8, not what its name says, a required column missing, a column twice. `rows`
    raises it too, where a later row is malformed as CSV.
    """
    body = _bytes(path)
    suffix = path.suffix.lower()
    if body.startswith(b"PK\x03\x04"):
        if suffix not in (".xlsx", ".xlsm"):
            raise FileError(path, "is an XLSX workbook or another archive, whatever its name says; name it .xlsx")
        rows = _workbook_rows(path, body)
    elif body.startswith(b"\xd0\xcf\x11\xe0"):
        raise FileError(path, "is a workbook of the old format or one with a password; save it as plain .xlsx or CSV")
    elif suffix in (".xlsx", ".xlsm"):
        raise FileError(path, "is not an XLSX workbook, whatever its name says; if it is CSV, name it .csv")
    else:
        rows = _csv_rows(path, _decoded(path, body), known)
    for number, header in enumerate(rows, 1):
        if any(cell.strip() for cell in header):
            columns, unknown = _columns(path, number, header, known, required)
            return Sheet(columns, unknown, len(header), _filled(path, enumerate(rows, number + 1), len(header)))
    raise FileError(path, "is empty; its first row should name the columns: " + ", ".join(known))


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LIMIT_BYTES:
            raise FileError(path, f"has {size / 1e6:,.0f} MB; the limit is {LIMIT_BYTES // 1_000_000} MB, so split it")
        with path.open("rb") as file:
            body = file.read(LIMIT_BYTES + 1)
    except OSError as error:
        raise FileError(path, f"cannot be read: {(error.strerror or 'unknown reason').lower()}") from error
    except ValueError as error:
        raise FileError(path, "cannot be read: not a file's name") from error
    if len(body) > LIMIT_BYTES:
        raise FileError(path, f"is larger than {LIMIT_BYTES // 1_000_000} MB; split it")
    return body


def _decoded(path: Path, body: bytes) -> str:
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise FileError(path, "is UTF-16; save it as CSV UTF-8")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8-sig")
        # The record in which the faulty byte stands, however many lines its cells have.
        row = sum(1 for _ in csv.reader(io.StringIO(before + "x", newline="")))
        raise FileError(
            path, f"row {row}: byte 0x{body[error.start]:02X} is not UTF-8 (Latin-1, perhaps); save it as CSV UTF-8"
        ) from error


def _csv_rows(path: Path, text: str, known: Sequence[str]) -> Iterator[list[str]]:
    separator = max(_SEPARATORS, key=lambda sep: _known_in_header(text, sep, known))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    row = 0
    try:
        for cells in reader:
            row += 1
            yield cells
    except csv.Error as error:
        why = "a quoted cell is never closed" if "end of data" in str(error) else str(error)
        raise FileError(path, f"row {row + 1}: is not CSV: {why}") from error


def _known_in_header(text: str, separator: str, known: Sequence[str]) -> int:
    first = text.lstrip()[:LIMIT_CHARACTERS].splitlines()
    cells = first[0].split(separator) if first else []
    return sum(cell.strip(' "').lower() in known for cell in cells)


def _workbook_rows(path: Path, body: bytes) -> Iterator[list[str]]:
    from python_calamine import CalamineWorkbook

    with _readable_workbook(path):
        formulas = _formulas(path, body)
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0)
        first_row, first_column = sheet.start or (0, 0)
        rows = sheet.to_python(skip_empty_area=True)
    yield from ([] for _ in range(first_row))
    for number, values in enumerate(rows, first_row):
        cells = [""] * first_column + [_cell_text(value) for value in values]
        for column in formulas.get(number, ()):
            if column < len(cells):
                cells[column] = FORMULA + cells[column]
        yield cells


@contextmanager
def _readable_workbook(path: Path) -> Iterator[None]:
    from python_calamine import CalamineError

    # What the readers raise on bytes that were changed at random; a test does that.
    of_readers = (zipfile.BadZipFile, zlib.error, struct.error, ElementTree.ParseError, CalamineError)
    try:
        yield
    except (*of_readers, LookupError, ValueError, RuntimeError, EOFError, OSError) as error:
        raise FileError(path, "is damaged, or no XLSX workbook; open it in a spreadsheet and save it again") from error


def _formulas(path: Path, body: bytes) -> dict[int, list[int]]:
    """The 0-based columns that hold formulas, by 0-based row; FileError where the sheet would not fit in memory.

    The reader gives a formula's last value and no sign of it, and makes room for every cell up to the last.
    """
    found: dict[int, list[int]] = {}
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        if sum(part.file_size for part in archive.infolist()) > LIMIT_UNPACKED:
            raise FileError(path, f"unpacks to more than {LIMIT_UNPACKED // 1_000_000} MB; split it")
        xml = archive.read(_first_sheet(archive))
    last_row = last_column = 0
    for match in _CELL.finditer(xml):
        row, column = int(match[2]), _column_number(match[1])
        last_row, last_column = max(last_row, row), max(last_column, column)
        if match[3]:
            found.setdefault(row - 1, []).append(column - 1)
    if last_row * last_column > LIMIT_CELLS:
        raise FileError(path, f"reaches to row {last_row}, column {last_column}; delete the empty rows and columns")
    return found


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """The archive's name for the first sheet (ECMA-376 part 1, section 12.3.24)."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    link = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
    # Expat refuses entities that multiply; the archive's unpacked size was bounded before.
    sheets = ElementTree.fromstring(archive.read("xl/workbook.xml")).find(f"{space}sheets")  # noqa: S314
    first = None if sheets is None or not len(sheets) else sheets[0].get(link)
    for relation in ElementTree.fromstring(archive.read("xl/_rels/workbook.xml.rels")):  # noqa: S314
        if relation.get("Id") == first:
            target = relation.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise KeyError("first sheet")


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _cell_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _columns(
    path: Path, number: int, header: Sequence[str], known: Sequence[str], required: Sequence[str]
) -> tuple[dict[str, int], list[str]]:
    columns: dict[str, int] = {}
    unknown: list[str] = []
    for place, cell in enumerate(header):
        name = cell.strip().lower()
        if name in columns:
            raise FileError(path, f"row {number}: column {name!r} is there twice; remove one")
        if name in known:
            columns[name] = place
        elif name:
            unknown.append("".join(char for char in cell.strip() if char.isprintable())[:60])
    for name in required:
        if name not in columns:
            there = ", ".join(unknown + list(columns))[:200] or "none"
            raise FileError(path, f"row {number}: no column {name!r}; the columns found are: {there}")
    return columns, unknown


def _filled(path: Path, rows: Iterable[tuple[int, list[str]]], width: int) -> Iterator[tuple[int, list[str]]]:
    """Every row that has something in it, padded to the header's width, with its number."""
    found = False
    for number, cells in rows:
        if len(cells) < width:
            cells = cells + [""] * (width - len(cells))
        if any(cells):
            found = True
            yield number, cells
    if not found:
        raise FileError(path, "has no rows below the names of its columns")
