"""`events discover`: what it lists, what it takes up, and what it says where it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.calendars.foreign.hostile import calendar, event
from tests.cli.conftest import Command

AT = ("--at", "2023-03-01T09:00Z")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A calendar with a conference that tells all of itself, whole days that tell little, and one that is no use."""
    path = tmp_path / "fairs.ics"
    path.write_bytes(calendar(
        *event(
            "UID:expo", "DTEND;TZID=Europe/Berlin:20231012T170000", "SUMMARY:[b]Cyber Security[/b] Expo",
            "LOCATION:Nuremberg\\, Germany", start="DTSTART;TZID=Europe/Berlin:20231010T090000",
        ),
        *event("UID:week", "DTEND;VALUE=DATE:20240615", "SUMMARY:Week\x1b[31m", start="DTSTART;VALUE=DATE:20240611"),
        *event("RRULE:FREQ=SECONDLY"),
    ))  # fmt: skip
    return path


def drafts(events: Command) -> list[str]:
    return [one["slug"] for one in events("event", "list", "--json", *AT).json]


def brief(document: Any) -> list[tuple[Any, ...]]:
    return [(one["n"], one["title"], one["event"], [each["code"] for each in one["violations"]]) for one in document]


def test_it_lists_what_there_is_to_join(planned: Command, source: Path) -> None:
    done = planned("discover", source, "--json", *AT)
    assert done.code == 0
    assert brief(done.json) == [
        (1, "[b]Cyber Security[/b] Expo", None, []),
        (2, "Week [31m", None, ["outside-window"]),
    ]
    assert {"city", "country", "url", "themes", "score", "reasons", "starts", "ends"} <= set(done.json[0])
    assert done.err == (
        f"note: {source}: VEVENT 3: RRULE: FREQ=SECONDLY: what repeats more than once a day"
        " is no event that people join\n"
    )
    people = planned("discover", source, *AT)
    assert "[b]Cyber Security[/b] Expo" in people.out
    assert "\x1b" not in people.out
    # The last day of a whole-day event, not the midnight after it.
    assert "2024-06-14" in people.out
    assert "2024-06-15" not in people.out


def test_it_takes_up_those_that_are_named(planned: Command, source: Path) -> None:
    done = planned("discover", source, "--accept", 1, "--accept", 1, "--json", *AT)
    assert done.code == 0
    assert brief(done.json)[0][2] == "b-cyber-security-b-expo-2023-10"
    assert done.err.endswith("candidate 1 is the draft b-cyber-security-b-expo-2023-10\n")
    [event] = planned("event", "list", "--json", *AT).json
    assert (event["hosted_by"], event["state"], event["markets"], event["themes"]) == (
        "joined",
        "draft",
        ["DE"],
        ["cyber"],
    )
    again = planned("discover", source, "--accept", 1, *AT)
    assert (again.code, again.out) == (1, "")
    assert again.err == f"error: {source}: candidate 1 is the event b-cyber-security-b-expo-2023-10 already\n"


def test_what_the_file_does_not_tell_is_asked_for_and_answered(planned: Command, source: Path) -> None:
    done = planned("discover", source, "--accept", 1, "--accept", 2, *AT)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"error: {source}: candidate 2, 'Week [31m': the source does not tell enough of it;"
        " add --country CC and --city NAME and --timezone ZONE and --theme KEY\n"
    )
    # All or nothing.
    assert drafts(planned) == []
    told = ("--country", "malaysia", "--city", "Penang", "--timezone", "Asia/Kuala_Lumpur", "--theme", "energy")
    done = planned("discover", source, "--accept", 2, *told, "--organiser", "Anna <anna@example.org>", "--json", *AT)
    assert done.code == 0
    shown = planned("event", "show", "week-31m-2024-06", "--json", *AT).json
    assert (shown["starts"], shown["ends"]) == ("2024-06-11T00:00:00+08:00", "2024-06-15T00:00:00+08:00")
    assert (shown["markets"], shown["organiser"]["email"]) == (["MY"], "anna@example.org")


def test_a_dry_run_takes_up_nothing(planned: Command, source: Path) -> None:
    done = planned("discover", source, "--accept", 1, "--dry-run", *AT)
    assert done.code == 0
    assert "candidate 1 would be the draft b-cyber-security-b-expo-2023-10" in done.err
    assert drafts(planned) == []


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (("--accept", 9), 1, "{source}: no candidate 9; they are numbered 1 to 2"),
        (("--country", "Atlantis"), 2, "--country: no country 'Atlantis'"),
        (
            ("--timezone", "Europe/Berlim"),
            2,
            "--timezone 'Europe/Berlim' is no IANA time zone; did you mean Europe/Berlin?",
        ),
        (("--theme", "tulips"), 2, "--theme 'tulips' is none of the programme's: "),
        (("--programme", "other"), 1, "no programme 'other'"),
        (("--at", "2026-01-01T00:00Z"), 1, "programme lancashire-2022-2025 ended on 2025-03-31"),
    ],
)
def test_wrong_words_are_one_clear_line(
    planned: Command, source: Path, words: tuple[str, ...], code: int, line: str
) -> None:
    done = planned("discover", source, *AT, *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.splitlines()[-1].startswith("error: " + line.format(source=source))


def test_a_source_that_is_none_is_one_clear_line(planned: Command, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><p>Our events")
    for source, why in (
        (page, "is no calendar: no BEGIN:VCALENDAR stands in it; it is a web page; look there for a link named"),
        (tmp_path, "is a folder; give an .ics file, or its address"),
        (tmp_path / "gone.ics", "cannot be read: no such file or directory"),
        ("http://127.0.0.1/a.ics", "127.0.0.1 is not on the public network"),
        ("ftp://example.org/", "is no http, https or webcal address"),
    ):
        done = planned("discover", source, *AT)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith(f"error: {source}: {why}")
        assert done.err.count("\n") == 1


def test_nothing_to_join_is_said(planned: Command, tmp_path: Path) -> None:
    path = tmp_path / "empty.ics"
    path.write_bytes(calendar())
    done = planned("discover", path, *AT)
    assert (done.code, done.out) == (0, "No event to join between now and the programme's end.\n")
    assert planned("discover", path, "--json", *AT).json == []


def test_many_notes_are_cut_short(planned: Command, tmp_path: Path) -> None:
    path = tmp_path / "bad.ics"
    path.write_bytes(calendar(*(line for _ in range(30) for line in event(start="DTSTART:soon"))))
    lines = planned("discover", path, *AT).err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == f"note: {path}: and 10 more that could not be used"
