"""`events review`: list and record."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command

DUE = ("--at", "2023-04-01T20:00Z")
WORDS = ("record", "review-12", "--decision", "continue", "--notes", "On course.")


def test_recording_a_review_holds_it(planned: Command) -> None:
    states = [one["state"] for one in planned("review", "list", "--json", *DUE).json]
    assert states == ["open", "open", "upcoming", "upcoming"]
    done = planned(
        "review", *WORDS, "--present", "Ada", "--present", "Grace", "--condition", "Report by May", "--json", *DUE
    )
    [review] = done.json
    assert (done.code, review["id"], review["state"], review["held_on"]) == (0, "review-12", "held", "2023-04-01")
    assert review["records"][0]["present"] == ["Ada", "Grace"]
    assert planned("review", "list", "--json", *DUE).json[0] == review
    assert "On course." in planned("review", "list", *DUE).out


def test_a_second_record_needs_corrects(planned: Command) -> None:
    [first] = planned("review", *WORDS, "--json", *DUE).json
    again = planned("review", *WORDS, *DUE)
    assert (again.code, again.out) == (1, "")
    number = first["records"][0]["id"]
    assert again.err.endswith(f"to correct it, add --corrects {number}\n")
    [second] = planned("review", *WORDS, "--corrects", number, "--json", *DUE).json
    assert [record["corrects"] for record in second["records"]] == [None, number]


def test_a_dry_run_records_nothing(planned: Command) -> None:
    assert planned("review", *WORDS, "--dry-run", "--json", *DUE).json[0]["state"] == "held"
    assert planned("review", "list", "--json", *DUE).json[0]["state"] == "open"


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("record", "review-13", "--decision", "continue", "--notes", "x"), 1, "no review point 'review-13'"),
        (
            ("record", "review-24", "--decision", "continue", "--notes", "x"),
            1,
            "cannot be held before its window opens",
        ),
        (("record", "review-12", "--decision", "maybe", "--notes", "x"), 2, "--decision 'maybe': use one of"),
        (
            ("record", "review-12", "--decision", "stop", "--notes", "x", "--held", "soon"),
            2,
            "--held 'soon' is no date",
        ),
        (("record", "review-12", "--decision", "stop", "--notes", "x", "--held", "2023-04-02"), 1, "has not come"),
        (("record", "review-12", "--decision", "stop", "--notes", "x", "--corrects", "7"), 1, "nothing to correct"),
        (("record", "review-12", "--notes", "x"), 2, "--decision"),
    ],
)
def test_what_cannot_be_recorded_says_why(planned: Command, words: tuple[str, ...], code: int, why: str) -> None:
    done = planned("review", *words, *DUE)
    assert (done.code, done.out) == (code, "")
    assert why in done.err
    assert planned("review", "list", "--json", *DUE).json[0]["records"] == []
