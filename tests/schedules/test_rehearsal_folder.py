from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from events_service.db.schema import open_database
from events_service.errors import FileError
from schedules.rehearsal.folder import is_rehearsal, prepare


def test_a_folder_that_is_not_there_is_made(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    prepare(out)
    assert is_rehearsal(out)
    # The mark stays when the tables are made, and when the database is closed.
    open_database(f"sqlite:///{out / 'events.db'}", durable=False).dispose()
    assert is_rehearsal(out)


def test_an_earlier_rehearsal_goes_whatever_is_left_of_it(tmp_path: Path) -> None:
    prepare(tmp_path / "out")
    out = tmp_path / "out"
    (out / "mail" / "new").mkdir(parents=True)
    (out / "mail" / "new" / "one").write_text("a message")
    (out / "feeds" / "public.ics").write_text("a calendar")
    (out / "report.html").write_text("a report")
    open_database(f"sqlite:///{out / 'events.db'}", durable=False).dispose()
    prepare(out)
    assert sorted(path.name for path in out.rglob("*")) == ["events.db", "feeds"]


@pytest.mark.parametrize("extra", ["secret.key", "notes.txt", "mail.txt"])
def test_one_file_more_and_nothing_is_touched(tmp_path: Path, extra: str) -> None:
    prepare(tmp_path)
    (tmp_path / extra).write_text("mine")
    with pytest.raises(FileError, match="holds something that is no rehearsal"):
        prepare(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["events.db", "feeds", extra])


def test_a_live_database_under_the_same_name_is_not_taken_for_one(tmp_path: Path) -> None:
    open_database(f"sqlite:///{tmp_path / 'events.db'}").dispose()
    (tmp_path / "mail").mkdir()
    with pytest.raises(FileError, match="holds something that is no rehearsal"):
        prepare(tmp_path)
    assert (tmp_path / "events.db").stat().st_size > 0


def test_what_is_no_database_or_points_elsewhere_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "events.db").write_bytes(b"short")
    assert not is_rehearsal(tmp_path / "a")
    prepare(tmp_path / "b")
    (tmp_path / "b" / "mail").symlink_to(tmp_path / "a")
    with pytest.raises(FileError):
        prepare(tmp_path / "b")
    assert (tmp_path / "a" / "events.db").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="is not a folder"):
        prepare(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    with pytest.raises(FileError, match="is not a folder"):
        prepare(tmp_path / "link")


def test_a_rehearsal_s_database_is_an_ordinary_one(tmp_path: Path) -> None:
    prepare(tmp_path)
    with sqlite3.connect(tmp_path / "events.db") as database:
        assert database.execute("PRAGMA application_id").fetchone() == (0x52484C31,)
    database.close()
