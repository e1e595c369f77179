"""The whole of `events rehearse`, with few people: its folder, what it prints, that it repeats, what it leaves be."""

from __future__ import annotations

import json
import mailbox
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from events_service.clock import system_clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.domain.delivery import STATES
from events_service.errors import DatabaseError
from events_service.main import main
from events_service.programmes import shipped_text
from events_service.web.app import create_app
from schedules.rehearsal.browser import Browser
from schedules.rehearsal.command import rehearse
from schedules.rehearsal.folder import prepare
from schedules.rehearsal.runner import Progress, Rehearsal
from schedules.rehearsal.script import script_for
from tests.cli.conftest import Command, Outcome
from tests.network import NetworkGuard

POISON = {
    # Any use of these would be refused by name, or seen by the guard.
    "EVENTS_DATABASE_URL": "postgresql+psycopg://live.example.org/live",
    "EVENTS_BROKER_URL": "amqp://live.example.org",
    "EVENTS_SMTP_URL": "smtp://live.example.org",
    "EVENTS_SECRET_KEY": "the live one",
    "EVENTS_DATA_DIR": "live",
    "EVENTS_CHUNK_SIZE": "no number",
}
PEOPLE = 24


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Outcome]]:
    """One rehearsal from the command line, in an environment that points at a live service."""
    folder = tmp_path_factory.mktemp("once")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in POISON.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        yield folder, _run("rehearse", "--people", str(PEOPLE), "--out", "out", "--json")


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`events(*words)` runs a command in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return _run


def _run(*words: object) -> Outcome:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return Outcome(left.value.code if isinstance(left.value.code, int) else 0, out.getvalue(), err.getvalue())


def test_it_prints_the_contract_s_document_and_nothing_else(once: tuple[Path, Outcome]) -> None:
    _, said = once
    assert said.code == 0
    document = json.loads(said.out)
    assert list(document) == [
        "programme", "months", "events", "people", "deliveries", "reviews", "responses", "outcomes", "refusals",
        "seconds", "out",
    ]  # fmt: skip
    assert (document["programme"], document["months"], document["events"]) == ("lancashire-2022-2025", 36, 18)
    assert (document["people"], document["reviews"]) == (PEOPLE, {"held": 4, "overdue": 0})
    assert list(document["deliveries"]) == list(STATES)
    assert document["refusals"] == 3
    assert document["out"] == "out"
    assert document["responses"] > 2
    assert document["outcomes"] > 7


def test_progress_goes_to_stderr_a_line_a_quarter(once: tuple[Path, Outcome]) -> None:
    lines = once[1].err.splitlines()
    assert 8 <= len(lines) <= 12
    assert lines[-1].startswith("month 33 (January 2025): ")


def test_the_folder_holds_what_the_contract_names(once: tuple[Path, Outcome]) -> None:
    out = once[0] / "out"
    assert sorted(path.name for path in out.iterdir()) == ["events.db", "feeds", "mail", "report.html", "timeline.svg"]
    assert {path.suffix for path in (out / "feeds").iterdir()} == {".ics"}
    counts = json.loads(once[1].out)["deliveries"]
    kept = mailbox.Maildir(out / "mail", factory=None, create=False)
    # A message that came back is in nobody's mailbox.
    assert len(kept) == counts["sent"]
    assert sum(1 for path in (out / "mail").rglob("*") if path.is_file()) == len(kept)


def test_nothing_live_is_touched(once: tuple[Path, Outcome], network_guard: NetworkGuard) -> None:
    folder, said = once
    assert said.code == 0
    assert [path.name for path in folder.iterdir()] == ["out"]
    assert not network_guard.attempts


def test_the_ledger_and_the_guests_agree(once: tuple[Path, Outcome]) -> None:
    with closing(sqlite3.connect(once[0] / "out" / "events.db")) as database:
        # Nobody came who had said no or nothing, and nobody was sent joining instructions without having said yes.
        assert not database.execute(
            "SELECT 1 FROM attendee WHERE attended AND reply NOT IN ('accepted', 'tentative')"
        ).fetchall()
        assert not database.execute(
            "SELECT 1 FROM delivery d WHERE d.step = 'joining' AND d.state = 'sent' AND NOT EXISTS (SELECT 1 FROM"
            " attendee_reply r WHERE r.attendee_id = d.attendee_id AND r.reply = 'accepted' AND r.applied)"
        ).fetchall()
        # No event outside its own life: nothing is sent before its campaign was started.
        assert not database.execute(
            "SELECT 1 FROM delivery d JOIN campaign c ON c.event_id = d.event_id WHERE d.sent_at < c.started_at"
        ).fetchall()
        ways = dict(database.execute("SELECT via, count(*) FROM attendee_reply WHERE applied GROUP BY via"))
    assert ways["link"] > 5
    assert ways["mail"] > 5


def test_the_same_seed_gives_the_same_bytes_over_an_earlier_rehearsal(once: tuple[Path, Outcome]) -> None:
    out = once[0] / "out"
    before = _bytes(out)
    rehearse("lancashire-2022-2025", PEOPLE, 1, out, _unwatched)
    assert _bytes(out) == before


def test_another_seed_gives_other_people_and_the_same_cast(once: tuple[Path, Outcome], tmp_path: Path) -> None:
    rehearse("lancashire-2022-2025", PEOPLE, 2, tmp_path / "out", _unwatched)
    found = []
    for out in (once[0] / "out", tmp_path / "out"):
        with closing(sqlite3.connect(out / "events.db")) as database:
            found.append(
                {
                    source: database.execute(
                        "SELECT p.email, e.slug, d.step, d.state, d.sent_at FROM delivery d JOIN person p ON"
                        " p.id = d.person_id JOIN event e ON e.id = d.event_id WHERE p.source = ? ORDER BY 1, 2, 3",
                        (source,),
                    ).fetchall()
                    for source in ("cast", "rehearsal")
                }
            )
    assert found[0]["cast"] == found[1]["cast"]
    assert found[0]["rehearsal"] != found[1]["rehearsal"]


def test_the_report_needs_nothing_else_and_shows_what_people_typed_as_text(once: tuple[Path, Outcome]) -> None:
    page = (once[0] / "out" / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count('src="data:image/svg+xml;base64,') == page.count("src=") == 1
    for words in ("What was sent, and when", "Who came", "Against the plan’s targets", "tokyo-2023-11", "25 days late"):
        assert words in page


def test_without_json_people_read_tables(events: Command, tmp_path: Path) -> None:
    said = events("rehearse", "--people", 11, "--out", tmp_path / "out")
    assert said.code == 0
    for words in (
        "Innovation Action Plan 2022-2025, rehearsed", "11 people, 18 events, 77 messages sent", "What was sent when",
        "Who was invited, and who came", "What came of it, target by target", "What did not go to plan",
        f"{tmp_path / 'out'}/report.html",
    ):  # fmt: skip
        assert words in said.out.replace("\n", "")


def test_a_programme_may_be_given_as_a_file(events: Command, tmp_path: Path, repository: Path) -> None:
    text = (repository / "schedules/programmes/lancashire-2022-2025.toml").read_text(encoding="utf-8")
    shifted = tmp_path / "plan.toml"
    shifted.write_text(text.replace('title = "Innovation Action Plan 2022-2025"', 'title = "Another plan"'))
    said = events("rehearse", "--programme", shifted, "--people", 11, "--out", tmp_path / "out")
    assert said.out.startswith("Another plan, rehearsed")


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--people", "10"], 2, "--people 10: the script has a cast of 11; take that many or more"),
        (["--at", "2023-01-01T00:00Z"], 2, "a rehearsal has a clock and a folder of its own"),
        (["--dry-run"], 2, "a rehearsal has a clock and a folder of its own"),
        (["--programme", "nowhere"], 1, "nowhere: no file of that name, nor a programme that ships"),
        (["--programme", "nowhere.toml"], 1, "nowhere.toml: cannot be read: no such file or directory"),
    ],
)
def test_wrong_words_are_refused_in_one_line(events: Command, words: list[str], code: int, line: str) -> None:
    said = events("rehearse", *words)
    assert (said.code, said.out) == (code, "")
    assert line in said.err
    assert len(said.err.splitlines()) == 1
    assert not list(Path().glob("var/rehearsal/*"))


def test_a_programme_without_a_rehearsal_says_which_have_one(events: Command, tmp_path: Path, repository: Path) -> None:
    text = (repository / "schedules/programmes/lancashire-2022-2025.toml").read_text(encoding="utf-8")
    (tmp_path / "other.toml").write_text(text.replace('key = "lancashire-2022-2025"', 'key = "elsewhere"'))
    said = events("rehearse", "--programme", "other.toml")
    assert said.code == 1
    assert "no rehearsal ships for programme elsewhere; there is one for: lancashire-2022-2025" in said.err


def test_a_live_folder_is_never_replaced(events: Command, tmp_path: Path) -> None:
    assert events("db", "upgrade").code == 0
    live = tmp_path / "var"
    before = _bytes(live)
    said = events("rehearse", "--out", "var", "--people", 11)
    assert said.code == 1
    assert "var: holds something that is no rehearsal; empty it, or name another folder with --out" in said.err
    assert _bytes(live) == before


def test_a_worker_that_cannot_work_ends_the_rehearsal(tmp_path: Path) -> None:
    prepare(tmp_path)
    text = shipped_text("lancashire-2022-2025")
    rehearsal = Rehearsal(tmp_path, text, "plan", script_for("lancashire-2022-2025"), 11, 1)
    with closing(sqlite3.connect(tmp_path / "events.db")) as database:
        database.execute("DROP TABLE survey_response")
    with pytest.raises(DatabaseError, match="has no tables of ours"):
        rehearsal.run()


def test_a_browser_leaves_the_site_for_no_link(tmp_path: Path, sqlite_database: Database, settings: Settings) -> None:
    browser = Browser(create_app(sqlite_database, settings, system_clock), "https://events.example.org")
    try:
        assert browser.get("https://events.example.org/healthz").status == 200
        assert browser.post("https://events.example.org/reply/none", {"reply": "accepted"}).status == 404
        for address in ("https://elsewhere.example.org/reply/1", "https://events.example.org.evil.example/x", ""):
            with pytest.raises(ValueError, match="is no address of"):
                browser.get(address)
    finally:
        browser.close()


def _unwatched(_months: int) -> AbstractContextManager[Callable[[Progress], None]]:
    return nullcontext(lambda _step: None)


def _bytes(folder: Path) -> dict[str, bytes]:
    """Every file but a rehearsal's database, which holds tokens of feeds that are never the same twice."""
    found = (path for path in folder.rglob("*") if path.is_file())
    kept = {str(path.relative_to(folder)): path.read_bytes() for path in found}
    if "report.html" in kept:
        del kept["events.db"]
    return kept
