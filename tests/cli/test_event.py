"""`events event`: what it prints, its exit codes, and that nothing is left half done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command
from tests.event_texts import SLUG, visit, wall, write

AT = ("--at", "2023-03-01T09:00Z")
PROGRAMME = "lancashire-2022-2025"


def slugs(events: Command) -> list[str]:
    return [one["slug"] for one in events("event", "list", "--json", *AT).json]


def codes(violations: list[dict[str, Any]]) -> list[str]:
    return [one["code"] for one in violations]


def test_many_files_are_added_at_once_and_a_faulty_one_stops_only_itself(planned: Command, tmp_path: Path) -> None:
    good = write(tmp_path)
    wrong = write(tmp_path, "wrong.toml", ends=wall("2023-10-01T09:00"))
    twin = write(tmp_path, "twin.toml", title="Another", slug=SLUG)
    other = write(tmp_path, "other.toml", slug="other")
    gone = tmp_path / "gone.toml"
    done = planned("event", "add", good, wrong, twin, gone, other, "--json", *AT)
    assert done.code == 1
    assert [one["slug"] for one in done.json] == [SLUG, "other"]
    assert slugs(planned) == [SLUG, "other"]
    lines = done.err.splitlines()
    assert f"error: {wrong}: ends: 2023-10-01 09:00:00 does not come after starts, 2023-10-09 09:00:00" in lines
    assert f"error: {gone}: cannot be read: no such file or directory" in lines
    assert [
        line
        for line in lines
        if str(twin) in line and SLUG in line and "Cyber resilience" in line and "'Another'" in line
    ]
    assert lines[-1] == "error: 3 of 5 files were not added; mend them and add them again"


def test_a_file_with_a_wrong_session_leaves_nothing_behind(planned: Command, tmp_path: Path) -> None:
    path = write(tmp_path, sessions=(visit(), visit(starts=wall("2020-01-01T09:00"))))
    done = planned("event", "add", path, *AT)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"error: {path}: [sessions #2] starts: 2020-01-01 09:00:00 is before the event starts")
    assert done.err.count("\n") == 1
    assert slugs(planned) == []


def test_a_draft_may_break_rules_and_says_so(planned: Command, tmp_path: Path) -> None:
    path = write(tmp_path, slug="late", starts=wall("2024-05-13T09:00"), ends=wall("2024-05-14T17:00"))
    done = planned("event", "add", path, "--json", *AT)
    assert done.code == 0
    [event] = done.json
    assert event["state"] == "draft"
    assert codes(event["violations"]) == ["outside-window", "no-target-institution"]
    assert event["violations"][0]["allowed"] == {"from": "2023-04-01", "to": "2024-04-01"}
    people = planned("event", "list", *AT)
    assert "2023-04-01 until 2024-04-01 (exclusive)" in people.out


def test_a_dry_run_adds_nothing(planned: Command, tmp_path: Path) -> None:
    done = planned("event", "add", write(tmp_path), "--dry-run", "--json", *AT)
    assert (done.code, [one["slug"] for one in done.json]) == (0, [SLUG])
    assert slugs(planned) == []


def test_a_repeated_local_time_is_said(planned: Command, tmp_path: Path) -> None:
    path = write(tmp_path, starts=wall("2023-10-29T02:30"), ends=wall("2023-10-30T09:00"))
    done = planned("event", "add", path, *AT)
    assert done.code == 0
    assert f"note: {path}: starts: 2023-10-29 02:30 happens twice in Europe/Berlin" in done.err


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ends": wall("2023-10-08T09:00")}, "ends: 2023-10-08 09:00:00 does not come after starts"),
        ({"timezone": "Europe/Muenchen"}, "timezone: 'Europe/Muenchen' is no IANA time zone"),
        (
            {"starts": wall("2023-03-26T02:30")},
            "starts: 2023-03-26 02:30 does not exist in Europe/Berlin: the clocks skip it",
        ),
        ({"title": "x" * 10_000}, "title: "),
        ({"title": "a\x1b[31mred"}, "title: "),
        ({"organizer": "x"}, "organizer: is no field of an event file; did you mean organiser?"),
    ],
)
def test_a_bad_file_is_one_clear_line(planned: Command, tmp_path: Path, changes: dict[str, Any], line: str) -> None:
    path = write(tmp_path, **changes)
    for verb in ("add", "check"):
        done = planned("event", verb, path, *AT)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(f"error: {path}: {line}")
        assert done.err.count("\n") == 1
        assert len(done.err) < 500
        assert done.err.removesuffix("\n").isprintable()
    assert slugs(planned) == []


def test_files_that_cannot_be_read_say_why(planned: Command, tmp_path: Path) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'kind = "mission"\ntitle = "M\xfcnchen"\n')
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * 1_000_001)
    empty = tmp_path / "empty.toml"
    empty.touch()
    for path, why in (
        (latin, "line 2: is not UTF-8"),
        (huge, "is larger than"),
        (tmp_path, "is a directory"),
        (empty, "kind: is missing"),
    ):
        done = planned("event", "add", path, *AT)
        assert done.code == 1
        assert why in done.err
        assert done.err.count("\n") == 1


def test_without_a_programme_the_way_to_one_is_said(events: Command, tmp_path: Path) -> None:
    done = events("event", "add", write(tmp_path), *AT)
    assert done.code == 1
    assert "load one first: `events programme load lancashire-2022-2025`" in done.err


def test_check_is_3_for_an_error_0_for_a_warning_and_1_for_what_is_not_there(planned: Command, tmp_path: Path) -> None:
    late = write(tmp_path, "late.toml", slug="late", starts=wall("2024-05-13T09:00"), ends=wall("2024-05-14T17:00"))
    refused = planned("event", "check", late, "--json", *AT)
    assert (refused.code, codes(refused.json)) == (3, ["outside-window", "no-target-institution"])
    assert refused.err.startswith("refused: late breaks outside-window")
    fine = planned("event", "check", write(tmp_path), "--json", *AT)
    assert (fine.code, codes(fine.json), fine.err) == (0, ["no-target-institution"], "")
    assert slugs(planned) == []
    planned("event", "add", late, *AT)
    assert planned("event", "check", "late", *AT).code == 3
    assert planned("event", "check", "nowhere", *AT).code == 1
    assert planned("event", "check", tmp_path / "nowhere.toml", *AT).code == 1


def test_approving_waiving_moving_and_cancelling(planned: Command, tmp_path: Path) -> None:
    planned("event", "add", write(tmp_path, slug="m", sessions=(visit(),)), *AT)
    assert planned("event", "approve", "m", "--json", *AT).json["state"] == "approved"
    refused = planned("event", "move", "m", "--starts", "2024-05-13T09:00", "--ends", "2024-05-14T17:00", "--json", *AT)
    assert (refused.code, codes(refused.json)) == (3, ["outside-window", "no-target-institution"])
    tried = planned("event", "move", "m", "--starts", "2023-11-06T09:00", "--dry-run", "--json", *AT)
    assert (tried.code, tried.json["deliveries"], tried.json["feeds"]) == (0, 0, 0)
    assert (tried.json["starts"], codes(tried.json["violations"])) == (
        "2023-11-06T09:00:00+01:00",
        ["no-target-institution"],
    )
    assert planned("event", "show", "m", "--json", *AT).json["starts"] == "2023-10-09T09:00:00+02:00"
    moved = planned(
        "event", "move", "m", "--starts", "2023-11-06T08:00Z", "--ends", "2023-11-09T17:00", "--json", *AT
    ).json
    assert (moved["starts"], moved["ends"], moved["sequence"]) == (
        "2023-11-06T09:00:00+01:00",
        "2023-11-09T17:00:00+01:00",
        2,
    )
    cancelled = planned("event", "cancel", "m", "--reason", "No budget", "--json", *AT).json
    assert (cancelled["state"], cancelled["sequence"], cancelled["cancel_reason"]) == ("cancelled", 3, "No budget")
    shown = planned("event", "show", "m", "--json", *AT).json
    assert [change["action"] for change in shown["history"]] == ["added", "approved", "moved", "cancelled"]
    assert shown["sessions"][0]["starts"] == "2023-11-07T09:30:00+01:00"
    assert planned("event", "show", "m", *AT).code == 0


def test_a_waiver_is_on_record(planned: Command, tmp_path: Path) -> None:
    late = write(tmp_path, slug="late", starts=wall("2024-05-13T09:00"), ends=wall("2024-05-14T17:00"))
    planned("event", "add", late, *AT)
    refused = planned("event", "approve", "late", "--json", *AT)
    assert (refused.code, codes(refused.json)) == (3, ["outside-window", "no-target-institution"])
    assert planned("event", "approve", "late", "--waive", "outside-window", *AT).code == 2
    words = ("--waive", "outside-window", "--waive", "market-not-targeted", "--reason", "The fair is then")
    done = planned("event", "approve", "late", *words, "--json", *AT)
    assert (done.code, done.json["violations"][0]["waived"]) == (0, True)
    assert done.err == "note: market-not-targeted is not broken, so there was nothing to waive\n"
    [waiver] = planned("event", "show", "late", "--json", *AT).json["waivers"]
    assert (waiver["code"], waiver["reason"]) == ("outside-window", "The fair is then")
    assert planned("event", "check", "late", *AT).code == 0
    unwaivable = planned("event", "approve", "late", "--waive", "outside-programme", "--reason", "x", *AT)
    assert unwaivable.code == 1  # it is no draft any more


def test_a_review_that_is_overdue_refuses_until_it_is_recorded(planned: Command, tmp_path: Path) -> None:
    planned("event", "add", write(tmp_path, slug="m"), *AT)
    late = ("--at", "2023-05-09T09:00Z")
    refused = planned("event", "approve", "m", "--json", *late)
    assert (refused.code, codes(refused.json)) == (3, ["review-overdue", "no-target-institution"])
    assert planned("review", "record", "review-12", "--decision", "continue", "--notes", "Late.", *late).code == 0
    assert planned("event", "approve", "m", *late).code == 0


def test_a_change_prints_what_differs(planned: Command, tmp_path: Path) -> None:
    planned("event", "add", write(tmp_path, slug="m", sessions=(visit(),)), *AT)
    planned("event", "approve", "m", *AT)
    dinner = visit(title="Dinner", starts=wall("2023-10-11T19:00"), ends=wall("2023-10-11T22:00"))
    file = write(tmp_path, venue="Deutsches Museum", capacity=20, sessions=(visit(venue="Lab 2"), dinner))
    dry = planned("event", "change", "m", file, "--dry-run", "--json", *AT)
    assert dry.code == 0
    assert dry.err == "would touch 0 deliveries and 0 feeds\ndry run: nothing was changed\n"
    assert dry.json["difference"]["event"] == [
        {"field": "venue", "before": "Universität der Bundeswehr", "after": "Deutsches Museum"},
        {"field": "capacity", "before": None, "after": 20},
    ]
    [changed, added] = dry.json["difference"]["sessions"]
    assert (changed["what"], changed["title"], changed["fields"]) == (
        "changed", "Visit: cyber range", [{"field": "venue", "before": None, "after": "Lab 2"}],
    )  # fmt: skip
    assert (added["what"], added["title"]) == ("added", "Dinner")
    assert planned("event", "show", "m", "--json", *AT).json["sequence"] == 1
    done = planned("event", "change", "m", file, *AT)
    assert done.code == 0
    for words in (
        "venue",
        "Deutsches Museum",
        "session Visit: cyber range: venue",
        "session Dinner",
        "2023-10-11T19:00",
    ):
        assert words in done.out
    shown = planned("event", "show", "m", "--json", *AT).json
    assert (shown["sequence"], shown["venue"], [one["sequence"] for one in shown["sessions"]]) == (
        2,
        "Deutsches Museum",
        [2, 0],
    )
    again = planned("event", "change", "m", file, *AT)
    assert "m is what the file says already." in again.out
    gone = planned("event", "change", "m", write(tmp_path, venue="Deutsches Museum", capacity=20), *AT)
    assert "on the agenda" in gone.out and "cancelled" in planned("event", "show", "m", *AT).out


def test_a_change_that_a_rule_forbids_is_refused_with_the_violations(planned: Command, tmp_path: Path) -> None:
    planned("event", "add", write(tmp_path, slug="m"), *AT)
    planned("event", "approve", "m", *AT)
    late = {"starts": wall("2024-05-13T09:00"), "ends": wall("2024-05-16T17:00")}
    refused = planned("event", "change", "m", write(tmp_path, **late), "--json", *AT)
    assert refused.code == 3
    assert "outside-window" in codes(refused.json)
    assert planned("event", "show", "m", "--json", *AT).json["sequence"] == 1
    lift = ("--waive", "outside-window", "--reason", "The fair moved.")
    assert planned("event", "change", "m", write(tmp_path, **late), *lift, *AT).code == 0


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"slug": "other"}, "munich.toml: slug: 'other' is another's; an event keeps its own, 'm'"),
        ({"kind": "conference"}, "munich.toml: kind: 'conference' is not what m is, 'mission'"),
        ({"ends": wall("2023-10-01T09:00")}, "munich.toml: ends: 2023-10-01 09:00:00 does not come after starts"),
        ({"themes": ["sport"]}, "m breaks theme-unknown"),
    ],
)
def test_a_file_that_cannot_be_the_events_is_one_line(
    planned: Command, tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    planned("event", "add", write(tmp_path, slug="m"), *AT)
    planned("event", "approve", "m", *AT)
    done = planned("event", "change", "m", write(tmp_path, **changes), *AT)
    assert done.code in (1, 3) and line in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("change", "m"), "Missing argument 'FILE'"),
        (("list", "--state", "lost"), "--state 'lost': use one of draft, approved, done, cancelled"),
        (("list", "--kind", "party"), "--kind 'party'"),
        (("list", "--from", "soon"), "--from 'soon' is no date"),
        (("move", "m"), "a move needs --starts, --ends, or both"),
        (("move", "m", "--starts", "tomorrow"), "--starts 'tomorrow' is no ISO 8601 time"),
        (("move", "m", "--starts", "2023-10-16"), "has no time of day; write it like 2023-10-16T09:00"),
        (("cancel", "m"), "a cancellation needs a reason"),
        (("approve", "m", "--waive", "x", "--reason", "y"), "names no rule"),
    ],
)
def test_wrong_words_are_wrong_usage(planned: Command, tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    planned("event", "add", write(tmp_path, slug="m"), *AT)
    done = planned("event", *words, *AT)
    assert done.code == 2
    assert why in done.err


def test_the_list_takes_days_in_the_programmes_zone(planned: Command, tmp_path: Path) -> None:
    planned("event", "add", write(tmp_path, slug="m"), *AT)
    for words, there in (
        (("--from", "2023-10-12"), True),
        (("--from", "2023-10-13"), False),
        (("--to", "2023-10-09"), True),
        (("--to", "2023-10-08"), False),
        (("--market", "de", "--theme", "cyber", "--state", "draft"), True),
    ):
        assert bool(planned("event", "list", *words, "--json", *AT).json) is there


def test_the_installed_command_says_the_same(tmp_path: Path) -> None:
    events = Path(sys.executable).with_name("events")
    path = write(tmp_path, ends=wall("2023-10-08T09:00"))

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(events), *map(str, words)], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    assert run("programme", "load", PROGRAMME).returncode == 0
    done = run("event", "add", path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"error: {path}: ends: ")
