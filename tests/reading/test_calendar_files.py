"""Where a calendar comes from: a file, or an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from events_service.errors import FileError
from events_service.reading.calendar_files import calendar_bytes


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "events.ics"
    path.write_bytes(b"\xff\r\n\0")
    assert calendar_bytes(str(path)) == b"\xff\r\n\0"


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    large = tmp_path / "large.ics"
    with large.open("wb") as file:
        file.truncate(10_000_001)
    for source, why in (
        (str(tmp_path / "gone.ics"), "cannot be read: no such file or directory"),
        (str(tmp_path), "is a folder; give an .ics file, or its address"),
        (str(large), "is larger than 10 MB; no calendar is"),
        ("a\0b", "cannot be read: not a file's name"),
        ("http://127.0.0.1:9/a.ics", "127.0.0.1 is not on the public network (127.0.0.1), so it is not asked"),
        ("ftp://example.org/a.ics", "is no http, https or webcal address"),
    ):
        with pytest.raises(FileError) as raised:
            calendar_bytes(source)
        assert str(raised.value) == f"{source}: {why}"
