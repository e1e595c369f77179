"""The timeline has everything on it, legibly, and is the same on every run."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest

from events_service.domain import reviews
from events_service.domain.programme_file import load_programme
from events_service.errors import FileError, UsageError
from events_service.pictures.lettering import width
from events_service.pictures.timeline import draw_timeline
from events_service.pictures.timeline_layout import EVENT_SIZE, NOTE_SIZE, Page, TimelineEvent
from tests.domain.given import LANCASHIRE, lancashire, late_market, wall

STATES = {"review-12": "held", "progress-18": "overdue", "review-24": "open", "progress-36": "upcoming"}
NOW = wall("2023-11-03T10:00")


def drawn(
    title: str, starts: str, ends: str, kind: str = "mission", hosted_by: str = "us", state: str = "approved"
) -> TimelineEvent:
    zone = "Europe/Berlin"
    return TimelineEvent(title, kind, hosted_by, state, wall(starts, zone), wall(ends, zone), zone, ("DE",))


EVENTS = (
    drawn("Cyber resilience mission to Munich", "2023-06-12T09:00", "2023-06-15T17:00"),
    drawn("Hannover Messe", "2023-04-17T09:00", "2023-04-21T17:00", "conference", "joined"),
    drawn("North West Cyber Corridor", "2024-10-09T09:00", "2024-10-10T17:00", "conference", state="draft"),
    drawn("Net Zero week", "2025-03-11T09:00", "2025-03-12T00:00", "conference", state="cancelled"),
    drawn("Before its time", "2021-06-12T09:00", "2021-06-15T17:00"),
)


def words(path: Path) -> list[str]:
    """What a picture says: matplotlib draws letters as shapes, and keeps the words of each in a comment."""
    text = path.read_text("utf-8")
    ElementTree.fromstring(text)
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    parser.feed(text)
    return [unescape(node.text or "").strip() for node in parser.close().iter() if not isinstance(node.tag, str)]


def svg(tmp_path: Path, events: tuple[TimelineEvent, ...] = EVENTS, now: datetime = NOW) -> list[str]:
    path = tmp_path / "timeline.svg"
    draw_timeline(lancashire(), STATES, events, now, path)
    return words(path)


def test_everything_is_on_it(tmp_path: Path) -> None:
    said = svg(tmp_path)
    whole = " ".join(said)
    for first, last in lancashire().bands:
        assert f"months {first}–{last}" in said
    for stream, activity in lancashire().activities():
        assert f"{stream.number} " in whole
        assert activity.title in whole
    assert {"0.25 FTE · 8 months · £20,000", "0.75 FTE · 12 months · £60,000"} <= set(said)
    notes = [line for line in said if line.startswith("due ")]
    assert notes == [
        "due 1 Apr 2023 · held",
        "due 1 Oct 2023 · overdue",
        "due 1 Apr 2024 · open",
        "due 1 Apr 2025 · upcoming",
    ]
    assert said.count("workstreams 2, 3") == 2
    assert said.count("whole plan") == 2
    assert {"review held", "review overdue", "review open", "review upcoming"} <= set(said)
    assert {"Cyber resilience mission to Munich", "12–15 Jun 2023 · DE"} <= set(said)
    assert "9–10 Oct 2024 · DE · draft" in said
    assert "11 Mar 2025 · DE · cancelled" in said
    assert "4 events" in said
    assert "today, 3 Nov 2023" in said
    assert "is our reading. Not shown: 1 event outside the programme." in whole


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        ("2022-03-31T23:59", False),
        ("2022-04-01T00:00", True),
        ("2025-03-31T23:59", True),
        ("2025-04-01T00:00", False),
    ],
)
def test_today_has_a_line_only_inside_the_programme(tmp_path: Path, now: str, shown: bool) -> None:
    assert any(line.startswith("today") for line in svg(tmp_path, (), wall(now))) is shown


def test_an_empty_programme_says_so(tmp_path: Path) -> None:
    assert "none yet" in svg(tmp_path, ())


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_the_same_bytes_in_another_process(tmp_path: Path, suffix: str) -> None:
    script = (
        "import sys; from pathlib import Path; from tests.pictures.test_timeline import *;"
        "draw_timeline(lancashire(), STATES, EVENTS, NOW, Path(sys.argv[1]))"
    )
    here, there = tmp_path / f"here{suffix}", tmp_path / f"there{suffix}"
    draw_timeline(lancashire(), STATES, tuple(reversed(EVENTS)), NOW, here)
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-c", script, str(there)], check=True, env=environment, cwd=root)
    assert there.read_bytes() == here.read_bytes()


def test_a_png_is_a_sheet_of_a4(tmp_path: Path) -> None:
    path = tmp_path / "timeline.PNG"
    draw_timeline(lancashire(), STATES, EVENTS, NOW, path)
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    wide, high = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    assert (wide, high) == (1753, 1240)


def test_states_come_as_the_reviews_give_them(tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    draw_timeline(lancashire(), reviews.states(lancashire(), {"review-12"}, NOW), (), NOW, path)
    assert {"due 1 Apr 2023 · held", "due 1 Oct 2023 · overdue"} <= set(words(path))


@pytest.mark.parametrize("name", ["timeline.pdf", "timeline", "timeline.svg.gz"])
def test_another_suffix_is_wrong_usage(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"written as \.svg or \.png"):
        draw_timeline(lancashire(), STATES, (), NOW, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        draw_timeline(lancashire(), STATES, (), NOW, tmp_path / "file" / "timeline.svg")


def test_awkward_titles(tmp_path: Path) -> None:
    titles = ("$x^2$ & <b>--></b>", "日本語のイベント", "n" * 10_000, "tab\there\r\nline\x07", "", "-- ]]> --")
    events = tuple(drawn(title, "2023-06-12T09:00", "2023-06-15T17:00") for title in titles)
    said = svg(tmp_path, events)
    assert "tab here line" in said
    assert any(line.startswith("$x^2$ & <b>") for line in said)


def test_labels_lie_over_nothing_and_inside_the_page() -> None:
    firsts = [f"2023-{1 + number % 12:02}-" for number in range(60)]
    months = [drawn(f"Event number {n} of many", f"{m}03T09:00", f"{m}05T17:00") for n, m in enumerate(firsts)]
    late = [drawn(f"The last event, number {n}", "2025-03-27T09:00", "2025-03-28T17:00") for n in range(5)]
    page = Page(lancashire(), STATES, [*months, *late], NOW)
    assert page.height > 8.27
    placed: list[tuple[int, float, float]] = []
    for label in page.event_labels:
        room = max(*(width(line, EVENT_SIZE) for line in label.lines), width(label.note, NOTE_SIZE))
        left = label.at if label.side == "left" else label.at - room
        assert page.left <= left
        assert left + room <= page.right + 0.1
        for row, other_left, other_right in placed:
            assert row != label.row or left >= other_right or left + room <= other_left
        placed.append((label.row, min(left, label.x), max(left + room, label.x_end)))
    assert page.event_y(max(label.row for label in page.event_labels)) < page.events_bottom


def test_a_month_is_as_wide_as_any_other_and_days_lie_within_it() -> None:
    page = Page(lancashire(), STATES, EVENTS, NOW)
    assert page.x(wall("2023-04-01T00:00")) == page.x_month(12)
    assert page.x(wall("2024-02-15T12:00")) == pytest.approx(page.x_month(22.5), abs=0.001)
    assert page.x(wall("2021-01-01T00:00")) == page.left
    assert page.x(wall("2026-01-01T00:00")) == page.right


def test_another_programme(tmp_path: Path) -> None:
    path = tmp_path / "timeline.svg"
    draw_timeline(late_market(), {"first": "open"}, (), wall("2024-06-01T10:00"), path)
    said = words(path)
    assert {"months 0–12", "0.5 FTE · 2 months · 1,000 USD", "Go and meet", "due 28 Feb 2025 · open"} <= set(said)


def test_a_long_title_of_an_activity_wraps(tmp_path: Path) -> None:
    long = "Map " + "every collaboration that anybody remembers " * 8
    programme = load_programme(LANCASHIRE.read_text().replace("Map international collaborations", long.strip(), 1), "x")
    path = tmp_path / "timeline.svg"
    draw_timeline(programme, STATES, (), NOW, path)
    said = words(path)
    mine = [line for line in said if "that anybody" in line or "collaboration" in line]
    assert len(mine) == 3
    assert mine[-1].endswith("…")


def test_the_module_does_not_import_matplotlib() -> None:
    script = "import sys, events_service.pictures.timeline; sys.exit('matplotlib' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0
