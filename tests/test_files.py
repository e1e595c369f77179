"""Writing whole files: what is there is either the old or the new."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from events_service.errors import FileError
from events_service.files import write_whole


def test_a_file_is_written_with_its_folder_and_over_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.svg"
    write_whole(path, b"first")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert [found.name for found in path.parent.iterdir()] == ["a.svg"]


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(FileError, match=r"a\.csv: cannot be written: is a directory; choose another place"):
        write_whole(tmp_path / "a.csv", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_no_space_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_bytes(b"old")
    # A limit on the size of files stands in for a full disk; it holds for a process and cannot be raised again.
    program = (
        "import resource, signal, sys; from pathlib import Path; from events_service.files import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_whole(Path(sys.argv[1]), b'x' * 5000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "a.svg")], capture_output=True, text=True, check=False
    )
    assert "cannot be written: file too large" in done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.svg": b"old"}
