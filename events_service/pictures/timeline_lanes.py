"""Draws each part of a timeline where the layout puts it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from events_service.domain.programme import Activity, Programme
from events_service.pictures.drawing import (
    BAR,
    FAINT,
    GRID,
    INK,
    LINE,
    MARK,
    RED,
    REVIEW_MARKS,
    SOFT,
    box,
    event_mark,
    review_mark,
    rule,
    text,
)
from events_service.pictures.lettering import height, width, wrap
from events_service.pictures.timeline_layout import (
    EVENT_SIZE,
    HEADER_HEIGHT,
    HEADER_TOP,
    LEFT_COLUMN,
    MARGIN,
    NOTE_SIZE,
    STREAM_HEIGHT,
    Label,
    Page,
    day,
)

TINTS = ("#cfe3ee", "#f3e0c4", "#d5e8d0", "#e6d9ea")
NAME_SIZE, ACTIVITY_SIZE, LEGEND_SIZE = 8.0, 7.8, 6.8
DASHED = (0, (2, 2))


def draw_header(axes: Any, page: Page) -> None:
    """Title, the bands and their grid down the page, and today's line."""
    programme = page.programme
    whole = programme.timeline.whole
    title = wrap(programme.title, page.width - 2 * MARGIN, 15, 1, bold=True)[0]
    text(axes, MARGIN, 0.4, title, 15, weight="bold")
    means = f"{_money(programme.budget, programme.currency)} · {programme.fte:g} FTE"
    dates = f"{day(whole.from_date)} to {day(whole.last_day)} · {programme.months} months"
    text(axes, MARGIN, 0.66, f"{dates} · {means}", 8.5, color=SOFT)
    for number, (first, last) in enumerate(programme.bands):
        left, right = page.x_month(first), page.x_month(last)
        box(axes, left, HEADER_TOP, right - left, HEADER_HEIGHT, "#e9e9e9" if number % 2 else "#f8f8f8", 0.6, GRID)
        middle, months, when = (left + right) / 2, f"months {first}–{last}", _band_words(programme, first, last)
        if width(months, 8, bold=True) < right - left:
            text(axes, middle, HEADER_TOP + 0.17, months, 8, weight="bold", ha="center")
        if width(when, 7.5) < right - left:
            text(axes, middle, HEADER_TOP + 0.37, when, 7.5, color=SOFT, ha="center")
        rule(axes, left, page.streams_top, left, page.events_bottom, FAINT, 0.6, GRID)
    rule(axes, page.right, page.streams_top, page.right, page.events_bottom, FAINT, 0.6, GRID)
    if page.today:
        x, words = page.x(page.today), f"today, {day(programme.timeline.date_of(page.today))}"
        under = HEADER_TOP + HEADER_HEIGHT
        rule(axes, x, HEADER_TOP - 0.04, x, HEADER_TOP + 0.05, RED, 1.4, LINE)
        rule(axes, x, under - 0.03, x, page.events_bottom, RED, 1.4, LINE)
        room = width(words, 7.5, bold=True)
        left = min(max(x - room / 2, page.left), page.right - room)
        text(axes, left, HEADER_TOP - 0.12, words, 7.5, weight="bold", color=RED)


def _band_words(programme: Programme, first: int, last: int) -> str:
    begins = programme.timeline.first_day(first)
    ends = programme.timeline.first_day(last) - timedelta(days=1)
    return f"{begins:%b}–{ends:%b %Y}" if begins.year == ends.year else f"{begins:%b %Y}–{ends:%b %Y}"


def draw_streams(axes: Any, page: Page) -> None:
    """A lane for each workstream: its name and means on the left, its activities as bars."""
    currency = page.programme.currency
    for place, stream in enumerate(page.programme.workstreams):
        top = page.stream_top(place)
        lines = wrap(f"{stream.number}  {stream.title}", LEFT_COLUMN - 0.12, NAME_SIZE, 3, bold=True)
        means = f"{stream.fte:g} FTE · {stream.months} months · {_money(stream.cost, currency)}"
        _column(axes, top + STREAM_HEIGHT / 2, lines, means)
        for activity in stream.activities:
            _bar(axes, page, activity, top, TINTS[place % len(TINTS)])


def _bar(axes: Any, page: Page, activity: Activity, top: float, tint: str) -> None:
    left, right = page.x_month(activity.from_month) + 0.015, page.x_month(activity.to_month) - 0.015
    box(axes, left, top, right - left, STREAM_HEIGHT, tint, 1.8 if activity.holds else 0.7)
    lines = wrap(activity.title, right - left - 0.16, ACTIVITY_SIZE, 3)
    first = top + STREAM_HEIGHT / 2 - height(len(lines), ACTIVITY_SIZE) / 2
    for number, line in enumerate(lines):
        at = first + height(1, ACTIVITY_SIZE) * (number + 0.5)
        text(axes, left + 0.08, at, line, ACTIVITY_SIZE, backing=tint)


def draw_reviews(axes: Any, page: Page) -> None:
    """Each review point: its window, its mark by state, a line through the workstreams it looks at."""
    _lane(axes, page, page.reviews_top, page.reviews_bottom)
    _column(axes, (page.reviews_top + page.reviews_bottom) / 2, ["Review points"], "window, due day and state")
    numbers = [stream.number for stream in page.programme.workstreams]
    for point, label in zip(page.programme.review_points, page.review_labels, strict=True):
        state = page.review_states[point.id]
        y = page.review_y(label.row)
        rule(axes, label.x_end, y, label.x, y, SOFT, 1.4, LINE)
        rule(axes, label.x_end, y - 0.04, label.x_end, y + 0.04, SOFT, 1.4, LINE)
        for place, number in enumerate(numbers):
            if number in point.scope:
                top = page.stream_top(place)
                rule(axes, label.x, top - 0.03, label.x, top + STREAM_HEIGHT + 0.03, INK, 1.0, LINE, DASHED)
        review_mark(axes, label.x, y, state)
        _review_words(axes, label, y + MARK / 2 + 0.04, loud=state == "overdue")


def _review_words(axes: Any, label: Label, top: float, *, loud: bool) -> None:
    for number, line in enumerate([*label.lines, label.note]):
        at = top + height(1, NOTE_SIZE) * (number + 0.5)
        if loud and number == len(label.lines):
            text(axes, label.at, at, line, NOTE_SIZE, weight="bold", color=RED, backing="white")
        else:
            text(axes, label.at, at, line, NOTE_SIZE, color=SOFT if number else INK, backing="white")


def draw_events(axes: Any, page: Page) -> None:
    """Each event: a mark by kind at its start, a bar for how long it lasts, its title and dates beside it."""
    _lane(axes, page, page.events_top, page.events_bottom)
    count = len(page.events)
    says = f"{count} event{'' if count == 1 else 's'}" if count else "none yet"
    _column(axes, page.events_top + 0.28, ["Events and missions"], says)
    for event, label in zip(page.events, page.event_labels, strict=True):
        y = page.event_y(label.row)
        if label.x_end - label.x > MARK:
            rule(axes, label.x, y, label.x_end, y, INK, 2.4, LINE)
        event_mark(axes, label.x, y, event.sort, event.state)
        ink = SOFT if event.state in ("draft", "cancelled") else INK
        for number, line in enumerate(label.lines):
            at = y + number * height(1, EVENT_SIZE)
            text(axes, label.at, at, line, EVENT_SIZE, color=ink, backing="white", ha=label.side)
        at = y + len(label.lines) * height(1, EVENT_SIZE)
        text(axes, label.at, at, label.note, NOTE_SIZE, color=SOFT, backing="white", ha=label.side)


def draw_legend(axes: Any, page: Page) -> None:
    """What the marks mean, and what a reader must know: whose date the start is, what is not shown."""
    y, x = page.events_bottom + 0.17, MARGIN
    for state in REVIEW_MARKS:
        review_mark(axes, x + MARK / 2, y, state)
        x = _after(axes, x + MARK + 0.06, y, f"review {state}")
    for sort, state, words in (
        ("mission", "approved", "mission"),
        ("joined", "approved", "event that others run"),
        ("conference", "approved", "our conference"),
        ("joined", "draft", "hollow: draft"),
        ("joined", "cancelled", "cancelled"),
    ):
        event_mark(axes, x + MARK / 2, y, sort, state)
        x = _after(axes, x + MARK + 0.06, y, words)
    box(axes, x, y - 0.06, 0.2, 0.12, "white", 1.8, BAR)
    _after(axes, x + 0.26, y, "activity that holds events")
    notes = [page.programme.start_note]
    if page.outside:
        notes.append(f"Not shown: {page.outside} event{'' if page.outside == 1 else 's'} outside the programme.")
    for number, line in enumerate(wrap(" ".join(notes), page.width - 2 * MARGIN, NOTE_SIZE, 2)):
        text(axes, MARGIN, y + 0.18 + number * height(1, NOTE_SIZE), line, NOTE_SIZE, color=SOFT)


def _after(axes: Any, x: float, y: float, words: str) -> float:
    text(axes, x, y, words, LEGEND_SIZE)
    return x + width(words, LEGEND_SIZE) + 0.16


def _lane(axes: Any, page: Page, top: float, bottom: float) -> None:
    rule(axes, MARGIN, top - 0.02, page.right, top - 0.02, INK, 0.6, GRID)
    rule(axes, MARGIN, bottom, page.right, bottom, FAINT, 0.6, GRID)


def _column(axes: Any, middle: float, lines: Sequence[str], note: str) -> None:
    top = middle - (height(len(lines), NAME_SIZE) + height(1, LEGEND_SIZE)) / 2
    for number, line in enumerate(lines):
        text(axes, MARGIN, top + height(1, NAME_SIZE) * (number + 0.5), line, NAME_SIZE, weight="bold")
    under = top + height(len(lines), NAME_SIZE) + height(1, LEGEND_SIZE) / 2
    text(axes, MARGIN, under, note, LEGEND_SIZE, color=SOFT)


def _money(amount: int, currency: str) -> str:
    return f"£{amount:,}" if currency == "GBP" else f"{amount:,} {currency}"
