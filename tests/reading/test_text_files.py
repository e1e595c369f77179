"""Reading text files that people wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from events_service.errors import FileError
from events_service.reading.text_files import read_text


def test_utf_8_is_read_with_or_without_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    for mark in (b"", b"\xef\xbb\xbf"):
        path.write_bytes(mark + "Größe".encode())
        assert read_text(path) == "Größe"


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(b"one\ntwo\nM\xfcnchen")
    with pytest.raises(FileError, match=r"line 3: is not UTF-8; save it as UTF-8$"):
        read_text(path)
    with pytest.raises(FileError, match="is larger than 9 bytes"):
        read_text(path, limit=9)
    with pytest.raises(FileError, match="cannot be read: no such file or directory"):
        read_text(tmp_path / "gone.toml")
    with pytest.raises(FileError, match="cannot be read: is a directory"):
        read_text(tmp_path)
    with pytest.raises(FileError, match="not a file's name"):
        read_text(Path("nul\x00"))
