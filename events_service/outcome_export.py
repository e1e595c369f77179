"""Tables as CSV and XLSX files. No cell can become a formula, and the same rows give the same bytes."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from events_service.domain.plain import plain_number
from events_service.errors import UsageError
from events_service.files import write_whole

Sheet = tuple[str, Sequence[str], Sequence[Sequence[Any]]]
"""A name, columns, and rows; a cell is text, a number, a time or None."""

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0")
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAX_CELL = 32_767


def safe_text(text: str) -> str:
    """Text that a spreadsheet will not run: an apostrophe before = + - @ tab CR NUL (OWASP ASVS 1.2.10)."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def check_suffix(path: Path, allowed: Sequence[str]) -> str:
    """The suffix of a file to be written; UsageError where it is none of `allowed`."""
    suffix = path.suffix.lower()
    if suffix not in allowed:
        raise UsageError(f"--out {path}: the name must end in {' or '.join(allowed)}")
    return suffix


def to_csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    """One table as CSV (RFC 4180, UTF-8 with a byte order mark, which spreadsheets need to see that it is UTF-8)."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([safe_text(column) for column in columns])
    writer.writerows([_csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue().encode("utf-8-sig", errors="replace")


def to_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """Tables as one workbook, a sheet each. It carries no time of making, so that the same rows give the same bytes."""
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    book.remove(book.active)
    for name, columns, rows in sheets:
        sheet = book.create_sheet(name[:31])
        sheet.append([_xlsx_cell(column) for column in columns])
        for row in rows:
            sheet.append([_xlsx_cell(cell) for cell in row])
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        sheet.freeze_panes = "A2"
        for number, column in enumerate(columns):
            widest = max([len(str(column)), *(len(str(row[number] or "")) for row in rows[:200])])
            sheet.column_dimensions[get_column_letter(number + 1)].width = min(60, widest + 2)
    made = io.BytesIO()
    book.save(made)
    return _without_times(made.getvalue())


def write_sheets(path: Path, suffix: str, sheets: Sequence[Sheet]) -> None:
    """Write tables to a .xlsx file, or the first of them to a .csv file, which has room for one."""
    write_whole(path, to_xlsx(sheets) if suffix == ".xlsx" else to_csv(*sheets[0][1:]))


def _plain(cell: Any) -> Any:
    if isinstance(cell, datetime):
        return cell.isoformat(timespec="seconds")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return plain_number(cell)
    if isinstance(cell, list | tuple):
        return ", ".join(map(str, cell))
    return cell


def _csv_cell(cell: Any) -> Any:
    plain = _plain(cell)
    return "" if plain is None else (safe_text(plain) if isinstance(plain, str) else plain)


def _xlsx_cell(cell: Any) -> Any:
    plain = _plain(cell)
    return safe_text(_NOT_IN_XML.sub("", safe_text(plain))[:_MAX_CELL]) if isinstance(plain, str) else plain


def _without_times(workbook: bytes) -> bytes:
    """The same workbook with the moment of its making taken out, inside and in its archive's entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            body = old.read(name)
            if name == "docProps/core.xml":
                body = re.sub(rb"<dcterms:(created|modified)[^>]*>[^<]*</dcterms:\1>", b"", body)
            new.writestr(zipfile.ZipInfo(name, _EPOCH), body, zipfile.ZIP_DEFLATED)
    return out.getvalue()
