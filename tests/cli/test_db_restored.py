"""`events db restored`, and the words of an organiser that let go of what it holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_campaign import munich, running
from tests.event_texts import SLUG

__all__ = ["munich", "running"]

INVITED = ("--at", "2023-08-08T09:00Z")
LATER = ("--at", "2023-08-09T09:00Z")


@pytest.fixture
def back_up(tmp_path: Path) -> Callable[[], Callable[[], object]]:
    """`back_up()` copies the database; what it returns puts the copy back."""
    live, copy = tmp_path / "var/events.db", tmp_path / "backup.db"

    def make() -> Callable[[], object]:
        shutil.copyfile(live, copy)
        return lambda: shutil.copyfile(copy, live)

    return make


@pytest.fixture
def restored(running: Command, back_up: Callable[[], Callable[[], object]], tmp_path: Path) -> Command:
    """The invitations went, and then the database was set back to before they did."""
    restore = back_up()
    assert running("work", "--until-idle", "--json", *INVITED).json["sent"] == 2
    restore()
    return running


def mails(tmp_path: Path) -> int:
    return len(list((tmp_path / "var/mail/new").iterdir()))


def held(events: Command) -> list[str]:
    return [one["hold_reason"] for one in events("delivery", "list", "--state", "held", "--json").json]


def test_what_may_have_gone_is_held_until_an_organiser_lets_it_go(restored: Command, tmp_path: Path) -> None:
    dry = restored("db", "restored", "--dry-run", "--json", *LATER)
    assert (dry.json["held"], held(restored)) == (2, [])
    done = restored("db", "restored", "--json", *LATER)
    assert done.json == dry.json
    assert done.json["events"] == [{"event": SLUG, "held": 2, "unknown": 0}]
    assert held(restored) == ["restored: may have gone"] * 2
    assert restored("work", "--until-idle", "--json", *LATER).json["sent"] == 0
    assert mails(tmp_path) == 2
    assert "2 held in doubt after a restore" in restored("doctor").out
    status = restored("campaign", "release", SLUG, "--json", *LATER)
    assert (status.code, held(restored)) == (0, [])
    assert restored("work", "--until-idle", "--json", *LATER).json["sent"] == 2
    # The same Message-ID, which is the file's name.
    assert mails(tmp_path) == 2


def test_or_says_that_it_had_gone(restored: Command, tmp_path: Path) -> None:
    shown = restored("db", "restored", *LATER)
    assert (shown.code, shown.err) == (0, "")
    assert "2 held, 0 unknown" in shown.out and f" {SLUG} " in shown.out
    settled = restored("delivery", "settle", "--event", SLUG, "arrived", "--json", *LATER).json
    assert [one["state"] for one in settled] == ["sent"] * 2
    assert restored("delivery", "settle", "--event", SLUG, "arrived", *LATER).out == "no deliveries\n"
    assert restored("work", "--until-idle", "--json", *LATER).json["sent"] == 0
    assert mails(tmp_path) == 2


def test_until_says_when_the_service_last_ran(restored: Command, tmp_path: Path) -> None:
    """It went down before the invitations came due: nobody can have sent them."""
    done = restored("db", "restored", "--until", "2023-08-01T09:00Z", "--json", *LATER).json
    assert (done["held"], done["until"]) == (0, "2023-08-01T09:00:00+00:00")
    assert restored("work", "--until-idle", "--json", *LATER).json["sent"] == 2


def test_a_live_command_notices_by_itself(
    running: Command, back_up: Callable[[], Callable[[], object]], tmp_path: Path
) -> None:
    assert running("tick", "--json").code == 0
    restore = back_up()
    assert running("work", "--json").code == 0
    restore()
    first, again = running("tick", "--json"), running("tick", "--json")
    assert "an older copy of the database was restored" in first.err and again.err == ""
    assert json.loads(first.out).keys() == json.loads(again.out).keys()


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("db", "restored", "--until", "yesterday"), 2, "'yesterday' is not an ISO 8601 time"),
        (("db", "restored", "--until", "2023-08-10T09:00Z"), 2, "--until 2023-08-10T09:00Z is to come"),
        (("delivery", "settle", "arrived"), 2, "say `delivery settle ID arrived|lost`"),
        (("delivery", "settle", 1, "arrived", "--event", SLUG), 2, "or `delivery settle --event REF arrived|lost`"),
        (("delivery", "settle", "first", "arrived"), 2, "say `delivery settle ID arrived|lost`"),
        (("delivery", "settle", "--event", SLUG, "gone"), 2, "say arrived or lost"),
        (("delivery", "settle", "--event", "nowhere", "lost"), 1, "no event 'nowhere'"),
    ],
)
def test_wrong_words_are_one_clear_line(running: Command, words: tuple[object, ...], code: int, why: str) -> None:
    failed = running(*words, *LATER)
    assert (failed.code, failed.out, failed.err.count("\n")) == (code, "", 1)
    assert why in failed.err
