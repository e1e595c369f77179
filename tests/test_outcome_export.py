"""CSV and XLSX files: no cell becomes a formula, and the same rows give the same bytes."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest

from events_service.errors import UsageError
from events_service.outcome_export import check_suffix, safe_text, to_csv, to_xlsx, write_sheets

AT = datetime(2024, 1, 10, 9, 0, tzinfo=UTC)
HOSTILE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\0=1"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_that_could_be_a_formula_gets_an_apostrophe(text: str) -> None:
    assert safe_text(text) == "'" + text
    assert to_csv(["a"], [[text]]).decode("utf-8-sig").splitlines()[1].lstrip('"').startswith("'")


def test_other_text_and_numbers_stay_as_they_are() -> None:
    body = to_csv(
        ["=a", "b"], [["1-2", Decimal("-1.50")], [None, Decimal(3)], [["x", "y"], AT], ["é", date(2024, 1, 2)]]
    )
    assert body.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(body.decode("utf-8-sig")))) == [
        ["'=a", "b"],
        ["1-2", "-1.5"],
        ["", "3"],
        ["x, y", "2024-01-10T09:00:00+00:00"],
        ["é", "2024-01-02"],
    ]


def test_no_cell_of_a_workbook_is_a_formula() -> None:
    rows = [[text, 1] for text in HOSTILE] + [["bad\x07bell\ud800", None], ["x" * 40_000, Decimal("1.5")]]
    book = openpyxl.load_workbook(io.BytesIO(to_xlsx([("s", ["note", "n"], rows), ("empty", ["a"], [])])))
    sheet = book["s"]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n"}
    assert [sheet.cell(row, 1).value for row in (2, 9)] == ["'=1+1", "badbell"]
    assert (sheet.cell(9, 2).value, sheet.cell(10, 2).value) == (None, 1.5)
    assert len(str(sheet.cell(10, 1).value)) == 32_767
    assert book["empty"].max_row == 1


def test_a_workbook_carries_no_time_of_making() -> None:
    time_machine = pytest.importorskip("time_machine")
    sheets = [("s", ["a"], [["x"]])]
    with time_machine.travel(AT, tick=False):
        first = to_xlsx(sheets)
    with time_machine.travel(datetime(2031, 5, 5, tzinfo=UTC), tick=False):
        assert to_xlsx(sheets) == first


def test_only_files_we_can_write_are_taken(tmp_path: Path) -> None:
    assert check_suffix(Path("a.XLSX"), (".csv", ".xlsx")) == ".xlsx"
    with pytest.raises(UsageError, match=r"--out a\.pdf: the name must end in \.csv or \.xlsx"):
        check_suffix(Path("a.pdf"), (".csv", ".xlsx"))
    write_sheets(tmp_path / "new" / "a.csv", ".csv", [("s", ["a"], [["x"]])])
    assert (tmp_path / "new" / "a.csv").read_bytes() == b"\xef\xbb\xbfa\r\nx\r\n"
