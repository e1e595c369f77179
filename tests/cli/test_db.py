"""`events db upgrade`, and databases that cannot be used: one clear line, whatever the command."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from events_service.db import session as db_session
from events_service.db.schema import HEAD
from tests.cli.conftest import Command
from tests.event_texts import visit, write

AT = ("--at", "2023-03-01T09:00Z")


def test_upgrade_makes_the_tables_once(events: Command) -> None:
    assert events("db", "upgrade", "--dry-run", "--json").json["from"] is None
    first = events("db", "upgrade", "--json").json
    assert (first["from"], first["to"]) == (None, HEAD)
    assert events("db", "upgrade", "--json").json["from"] == HEAD
    assert f"is at schema {HEAD} already" in events("db", "upgrade").out


def test_a_newer_schema_is_left_alone(planned: Command, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "var/events.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for words in (("db", "upgrade"), ("event", "list"), ("event", "add", write(tmp_path))):
        done = planned(*words)
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            "error: database sqlite:///var/events.db: schema '9999' was made by a newer version; install that version\n"
        )


def test_a_locked_database_is_one_line_and_nothing_is_added(
    planned: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Wait a moment instead of a quarter of a minute.
    monkeypatch.setattr(db_session.Database.__init__, "__kwdefaults__", {"durable": True, "busy_seconds": 0.05})
    holder = sqlite3.connect(tmp_path / "var/events.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    done = planned("event", "add", write(tmp_path), *AT)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "error: database var/events.db: is locked by another process; wait for it to end, then try again\n"
    )
    holder.execute("ROLLBACK")
    holder.close()
    assert planned("event", "list", "--json", *AT).json == []


def test_a_read_only_database_is_one_line(planned: Command, tmp_path: Path) -> None:
    data, path = tmp_path / "var", write(tmp_path)
    command = [str(Path(sys.executable).with_name("events")), "event", "add", str(path), *AT]
    if os.geteuid() == 0:
        # Root may write what is read-only, unless that power is given up.
        command = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override", *command]
    (data / "events.db").chmod(0o444)
    data.chmod(0o555)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    data.chmod(0o755)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "is read-only; give this user the right to write it and its folder" in done.stderr


def test_what_is_no_database_is_one_line(events: Command, tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var/events.db").write_bytes(b"this is a letter, not a database" * 40)
    for words in (("event", "list"), ("db", "upgrade")):
        done = events(*words)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert "is not an SQLite database" in done.err


def test_an_address_that_is_none_is_one_line(events: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("mysql://root@localhost/events", "not an address"):
        monkeypatch.setenv("EVENTS_DATABASE_URL", address)
        done = events("db", "upgrade")
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("error: EVENTS_DATABASE_URL: ")


def test_a_full_disk_is_one_line_and_nothing_is_half_added(planned: Command, tmp_path: Path) -> None:
    path = write(tmp_path, sessions=tuple(visit(title=f"Visit {number}") for number in range(200)))
    # The largest file it may write is 64 KiB, less than the agenda needs.
    command = f"ulimit -f 128; exec {Path(sys.executable).with_name('events')} event add {path} {' '.join(AT)}"
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert "look at the disk and its free space" in done.stderr
    assert planned("event", "list", "--json", *AT).json == []
