"""The command itself: where options may stand, exit codes, and what comes up without being asked."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from events_service.main import NOUNS, main

EVENTS = str(Path(sys.executable).with_name("events"))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_shared_options_stand_before_the_noun_and_after_the_verb(capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--at", "2023-01-01T00:00Z")
    expected = (0, "[]\n", "")
    assert run(capsys, "--json", *at, "event", "list") == expected
    assert run(capsys, "event", "list", "--json", *at) == expected
    assert run(capsys, "--json", "event", "list", *at) == expected


def test_dry_run_changes_nothing_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--dry-run", "programme", "load", "lancashire-2022-2025"),
                  ("programme", "load", "lancashire-2022-2025", "--dry-run")):  # fmt: skip
        assert run(capsys, *words)[0] == 0
        code, out, err = run(capsys, "programme", "show")
        assert (code, out) == (1, "")
        assert "events programme load" in err


@pytest.mark.parametrize("words", [(), ("nonsense",), ("event",), ("event", "nonsense"), ("event", "list", "--none"),
                                   ("event", "list", "--at", "2024-05-01T09:00"), ("up", "--at", "2024-05-01T09:00Z"),
                                   ("--at", "2024-05-01T09:00Z", "web"), ("worker", "--dry-run")])  # fmt: skip
def test_wrong_usage_is_exit_2(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, _out, err = run(capsys, *words)
    assert code == 2
    assert "Traceback" not in err


def test_a_misspelt_setting_stops_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTS_DATABSE_URL", "sqlite:///elsewhere.db")
    code, out, err = run(capsys, "event", "list")
    assert (code, out) == (1, "")
    assert err == "error: EVENTS_DATABSE_URL is not a setting; did you mean EVENTS_DATABASE_URL?\n"
    code, out, _err = run(capsys, "doctor", "--json")
    assert code == 1
    assert json.loads(out)[0]["detail"] == "EVENTS_DATABSE_URL is not a setting; did you mean EVENTS_DATABASE_URL?"


def test_an_argument_that_is_no_text_is_wrong_usage() -> None:
    done = subprocess.run([EVENTS, "event", "show", b"caf\xe9"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"error: argument 3 is not UTF-8: b'caf\\xe9'; type it anew, or rename the file\n"


@pytest.mark.parametrize("at", ["0001-01-01T00:00+14:00", "0001-01-01T00:00Z", "9999-12-31T23:59-14:00"])
@pytest.mark.parametrize("words", [("tick",), ("event", "list"), ("work", "--until-idle")])
def test_a_time_at_the_ends_of_the_calendar_is_wrong_usage(
    capsys: pytest.CaptureFixture[str], at: str, words: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, *words, "--at", at)
    assert (code, out) == (2, "")
    assert err == f"error: {at!r} is not from 1970 to 2199; no programme runs then\n"


@pytest.mark.parametrize(
    "words",
    [("feed", "revoke"), ("delivery", "show"), ("delivery", "retry")],
)
@pytest.mark.parametrize("number", ["99999999999999999999", "9999999999"])
def test_a_number_that_nothing_has_is_one_line(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], number: str
) -> None:
    code, out, err = run(capsys, *words, number)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(("error: a number is larger than any that is kept", f"error: no {words[0]} '{number}'; "))


@pytest.mark.parametrize(
    ("setting", "value", "failed"),
    [("EVENTS_SMTP_URL", "smtp://[::1:25", "smtp"), ("EVENTS_PUBLIC_URL", "http://[bad", "settings")],
)
def test_an_address_that_is_none_is_told_by_doctor_and_by_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, setting: str, value: str, failed: str
) -> None:
    monkeypatch.setenv(setting, value)
    code, out, _err = run(capsys, "doctor", "--json")
    assert (code, [one["check"] for one in json.loads(out) if not one["ok"]]) == (1, [failed])
    code, out, err = run(capsys, "work", "--until-idle")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: {setting}: ")


def broken(where: Path) -> None:
    """Something in the database that no code of ours expects, in words that hold an address."""
    with sqlite3.connect(where) as connection:
        connection.execute("UPDATE event SET timezone = '../ada@example.org'")
    connection.close()


EVENT = """
kind = "conference"
title = "Energy storage"
slug = "energy"
themes = ["cyber"]
markets = []
starts = 2024-06-04T09:00:00
ends = 2024-06-04T17:00:00
timezone = "Europe/London"
venue = "Lancaster House"
city = "Lancaster"
country = "GB"
hosted_by = "us"
organiser = "Events desk <events@example.org>"
"""


@pytest.fixture
def unexpected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, ...]:
    """A command that fails in a way that nobody thought of."""
    (tmp_path / "event.toml").write_text(EVENT)
    assert run(capsys, "programme", "load", "lancashire-2022-2025")[0] == 0
    assert run(capsys, "event", "add", "event.toml")[0] == 0
    broken(tmp_path / "var/events.db")
    return ("event", "show", "energy")


def test_what_nobody_thought_of_is_one_line_and_the_rest_is_in_a_private_file(
    capsys: pytest.CaptureFixture[str], unexpected: tuple[str, ...], tmp_path: Path
) -> None:
    code, out, err = run(capsys, *unexpected)
    assert (code, out) == (1, "")
    # The middle is Python's own, and differs by version.
    assert err.startswith("error: unexpected ValueError: ZoneInfo keys must ")
    assert err.endswith(": <address>; details are in var/events-error.txt\n")
    assert (err.count("\n"), "ada" in err) == (1, False)
    kept = tmp_path / "var/events-error.txt"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text().startswith("Traceback (most recent call last):\n")
    assert "../ada@example.org" in kept.read_text()
    # The next one takes its place, whatever stood there.
    kept.unlink()
    kept.symlink_to(tmp_path / "elsewhere")
    assert run(capsys, *unexpected)[0] == 1
    assert not (tmp_path / "elsewhere").exists()
    assert not kept.is_symlink()


def test_without_a_data_folder_the_details_are_in_the_systems_temporary_one(
    capsys: pytest.CaptureFixture[str], unexpected: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no-folder").write_text("")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("EVENTS_DATABASE_URL", f"sqlite:///{tmp_path}/var/events.db")
    monkeypatch.setenv("EVENTS_DATA_DIR", str(tmp_path / "no-folder"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    code, _out, err = run(capsys, *unexpected)
    (kept,) = (tmp_path / "temporary").iterdir()
    assert (code, err.count("\n")) == (1, 1)
    assert err.endswith(f"details are in {kept}\n")
    assert (stat.S_IMODE(kept.stat().st_mode), kept.read_text()[:9]) == (0o600, "Traceback")


def test_every_noun_has_verbs_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    for noun in NOUNS:
        code, out, _err = run(capsys, noun, "--help")
        assert code == 0
        assert "--help" in out


def test_help_touches_no_database_code() -> None:
    program = "import sys; from events_service.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    program += (
        "print(sorted(m for m in ('sqlalchemy', 'sqlmodel', 'fastapi', 'dramatiq', 'rich.table') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    words = [EVENTS, "programme", "show", "--help"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_colour_is_left_out_when_asked() -> None:
    done = subprocess.run(
        [EVENTS, "doctor"], capture_output=True, text=True, check=False, env={"NO_COLOR": "1", "PATH": ""}
    )
    assert "\x1b[" not in done.stdout
