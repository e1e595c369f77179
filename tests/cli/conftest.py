"""A command line to call: in this process, on an empty SQLite database in a folder of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from events_service.db.session import Database
from events_service.main import main
from tests.planned import load


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its stdout, which must be one JSON document."""
        return json.loads(self.out)


Command = Callable[..., Outcome]


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """`events(*words)` runs a command; the working folder is the test's own, `var/events.db` its database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVENTS_SECRET_KEY", "a key for tests, of no use anywhere else")

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        code = left.value.code
        return Outcome(code if isinstance(code, int) else 0, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def _planned_database(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Path:
    """An SQLite file with the shipped programme in force, to be copied."""
    path = tmp_path_factory.mktemp("planned") / "events.db"
    shutil.copyfile(_migrated_sqlite, path)
    database = Database(f"sqlite:///{path}")
    with database.write() as session:
        load(session)
    database.dispose()
    return path


@pytest.fixture
def planned(events: Command, tmp_path: Path, _planned_database: Path) -> Command:
    """As `events`, with the shipped programme in force."""
    (tmp_path / "var").mkdir()
    shutil.copyfile(_planned_database, tmp_path / "var/events.db")
    return events
