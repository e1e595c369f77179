"""`events delivery`: single messages."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.test_campaign import INVITED, MARCH, SLUG, munich, running

__all__ = ["munich", "running"]

KEYS = {"id", "key", "event", "step", "email", "state", "hold_reason", "due_at", "attempts", "message_id", "sent_at",
        "last_error"}  # fmt: skip


@pytest.fixture
def sent(running: Command) -> Command:
    assert running("work", "--until-idle", *INVITED).code == 0
    return running


def put(tmp_path: Path, id: int, state: str) -> None:
    """Put a delivery into a state by hand."""
    with sqlite3.connect(tmp_path / "var/events.db") as connection:
        connection.execute("UPDATE delivery SET state = ? WHERE id = ?", (state, id))
    connection.close()


def test_the_list_is_by_due_time(sent: Command) -> None:
    every = sent("delivery", "list", "--json").json
    assert sent("delivery", "list", "--limit", "2", "--json").json == every[:2]
    assert len(every) == 22
    assert all(set(one) >= KEYS for one in every)
    assert [one["due_at"] for one in every] == sorted(one["due_at"] for one in every)
    gone = sent("delivery", "list", "--event", SLUG, "--state", "sent", "--json").json
    assert [(one["step"], one["email"], one["attempts"]) for one in gone] == [
        ("invitation", "bob@example.org", 1), ("invitation", "ada@example.org", 1),
    ]  # fmt: skip
    assert gone[0]["sent_at"] == "2023-08-07T09:00:00+00:00"
    assert len({one["message_id"] for one in gone}) == 2
    assert "ada@example.org" in sent("delivery", "list").out
    assert sent("delivery", "list", "--state", "unknown").out == "no deliveries\n"


def test_one_is_shown_with_what_explains_it(sent: Command) -> None:
    [first, *_rest] = sent("delivery", "list", "--state", "sent", "--json").json
    shown = sent("delivery", "show", first["id"], "--json").json
    assert first.items() <= shown.items()
    assert (shown["when_late"], shown["when_unknown"], shown["sequence"]) == ("send", "hold", 1)
    assert first["key"] in sent("delivery", "show", first["id"]).out


def test_a_failed_one_is_tried_again_with_the_same_identifiers(sent: Command, tmp_path: Path) -> None:
    [first, *_rest] = sent("delivery", "list", "--state", "sent", "--json").json
    put(tmp_path, first["id"], "failed")
    assert sent("delivery", "retry", first["id"], "--json", "--dry-run", *INVITED).json["state"] == "pending"
    assert sent("delivery", "show", first["id"], "--json").json["state"] == "failed"
    assert sent("delivery", "retry", first["id"], "--json", *INVITED).json["state"] == "pending"
    assert sent("work", "--until-idle", "--json", *INVITED).json["sent"] == 1
    again = sent("delivery", "show", first["id"], "--json").json
    assert (again["state"], again["message_id"]) == ("sent", first["message_id"])


def test_all_that_failed_of_an_event_is_tried_again_at_once(sent: Command, tmp_path: Path) -> None:
    gone = sent("delivery", "list", "--state", "sent", "--json").json
    for one in gone:
        put(tmp_path, one["id"], "failed")
    words = ("delivery", "retry", "--event", SLUG, "--state", "failed")
    again = sent(*words, "--json", *INVITED).json
    assert [(one["id"], one["state"], one["attempts"]) for one in again] == [(one["id"], "pending", 0) for one in gone]
    assert sent(*words, *INVITED).out == "no deliveries\n"
    assert sent("work", "--until-idle", "--json", *INVITED).json["sent"] == len(gone) == 2


@pytest.mark.parametrize(("word", "state"), [("arrived", "sent"), ("lost", "pending")])
def test_an_unknown_one_is_settled_by_an_organisers_word(sent: Command, tmp_path: Path, word: str, state: str) -> None:
    [first, *_rest] = sent("delivery", "list", "--state", "sent", "--json").json
    put(tmp_path, first["id"], "unknown")
    assert "1 unknown: look at them with" in sent("doctor").out
    assert sent("delivery", "settle", first["id"], word, "--json", *INVITED).json["state"] == state
    again = sent("delivery", "settle", first["id"], word, *INVITED)
    assert (again.code, again.out) == (1, "")
    assert again.err == f"error: delivery {first['id']} is {state}; only an unknown one is settled by hand\n"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("list", "--state", "lost"), 2, "'lost' is no state of a delivery; there are held, pending"),
        (("list", "--event", "nowhere"), 1, "no event 'nowhere'"),
        (("show", 99), 1, "no delivery '99'; `events delivery list` shows those there are"),
        (("show", "first"), 2, "valid integer"),
        (("retry", 1), 1, "delivery 1 is pending; only a failed one is tried again by hand"),
        (("retry",), 2, "say which: a delivery's number, or --event REF"),
        (("retry", 1, "--event", SLUG), 2, "say which: a delivery's number, or --event REF"),
        (("retry", "--event", SLUG, "--state", "sent"), 2, "'sent' is not tried again by hand; only failed is"),
        (("retry", "--event", "nowhere"), 1, "no event 'nowhere'"),
        (("settle", 1, "gone"), 2, "say arrived or lost"),
    ],
)
def test_wrong_words_are_one_clear_line(running: Command, words: tuple[object, ...], code: int, why: str) -> None:
    failed = running("delivery", *words, *MARCH)
    assert (failed.code, failed.out) == (code, "")
    assert why in failed.err
