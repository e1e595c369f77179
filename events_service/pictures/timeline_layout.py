"""Where everything on a timeline goes: inches from the top left of the page, months along the x-axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from events_service.clock import require_aware
from events_service.domain import reviews
from events_service.domain.programme import Programme, ReviewPoint
from events_service.pictures import packing
from events_service.pictures.drawing import MARK
from events_service.pictures.lettering import height, width, wrap

A4_WIDTH, A4_HEIGHT = 11.69, 8.27
MARGIN = 0.42
LEFT_COLUMN = 1.95
HEADER_TOP, HEADER_HEIGHT = 1.02, 0.52
STREAM_HEIGHT, STREAM_GAP = 0.58, 0.07
LANE_GAP = 0.12
EVENT_SIZE, NOTE_SIZE = 7.0, 6.2
LABEL_ROOM = 1.9
FOOT = 0.62


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """An event to draw. `starts` and `ends` are aware; its dates are shown as its own zone has them."""

    title: str
    kind: str
    hosted_by: str
    state: str
    starts: datetime
    ends: datetime
    timezone: str
    markets: tuple[str, ...] = ()

    @property
    def sort(self) -> str:
        """What the picture tells apart: mission, conference or joined."""
        return "joined" if self.hosted_by == "joined" else self.kind


class Label(NamedTuple):
    """Lines of text by a mark at `x`, and a note under them; `at` is the edge they stand at, `side` says which."""

    x: float
    x_end: float
    at: float
    side: str
    row: int
    lines: tuple[str, ...]
    note: str


class Page:
    """The whole layout, worked out before anything is drawn, so that the page can grow with its events."""

    def __init__(
        self,
        programme: Programme,
        review_states: Mapping[str, str],
        events: Sequence[TimelineEvent],
        now: datetime,
    ) -> None:
        self.programme = programme
        self.review_states = review_states
        self.width = A4_WIDTH
        self.left = MARGIN + LEFT_COLUMN
        self.right = A4_WIDTH - MARGIN
        whole = programme.timeline.whole
        at = require_aware(now)
        self.today = at if whole.starts <= at < whole.ends else None
        inside = [event for event in events if event.starts < whole.ends and event.ends > whole.starts]
        self.events = sorted(inside, key=lambda e: (e.starts, e.ends, e.title, e.sort, e.state, e.markets))
        self.outside = len(events) - len(inside)

        self.streams_top = HEADER_TOP + HEADER_HEIGHT + LANE_GAP
        streams = len(programme.workstreams)
        self.streams_bottom = self.streams_top + streams * STREAM_HEIGHT + (streams - 1) * STREAM_GAP
        self.reviews_top = self.streams_bottom + LANE_GAP
        self.review_labels = self._review_labels()
        self.review_row = MARK + 0.05 + height(3, NOTE_SIZE) + 0.06
        self.reviews_bottom = self.reviews_top + 0.06 + self.review_row * _count(self.review_labels)
        self.events_top = self.reviews_bottom + LANE_GAP
        self.event_labels = self._event_labels()
        self.event_row = height(2, EVENT_SIZE) + height(1, NOTE_SIZE) + 0.05
        if all(len(label.lines) == 1 for label in self.event_labels):
            self.event_row -= height(1, EVENT_SIZE)
        wanted = self.events_top + 0.1 + self.event_row * _count(self.event_labels)
        self.height = max(A4_HEIGHT, wanted + FOOT)
        self.events_bottom = self.height - FOOT

    def x(self, instant: datetime) -> float:
        """Where an instant lies; before the start and after the end it is held at the edge."""
        timeline = self.programme.timeline
        month = timeline.month_of(instant)
        if month < 0:
            return self.left
        if month >= self.programme.months:
            return self.right
        begins, ends = timeline.begins(month), timeline.begins(month + 1)
        return self.x_month(month + (require_aware(instant) - begins) / (ends - begins))

    def x_month(self, month: float) -> float:
        """Where a month begins."""
        return self.left + (self.right - self.left) * month / self.programme.months

    def stream_top(self, place: int) -> float:
        """The top of the nth workstream's lane, from 0."""
        return self.streams_top + place * (STREAM_HEIGHT + STREAM_GAP)

    def review_y(self, row: int) -> float:
        """The middle of a review point's mark."""
        return self.reviews_top + 0.08 + row * self.review_row + MARK / 2

    def event_y(self, row: int) -> float:
        """The middle of the first line of an event's label."""
        return self.events_top + 0.1 + row * self.event_row + height(1, EVENT_SIZE) / 2

    def _review_labels(self) -> list[Label]:
        found, spans = [], []
        for point in self.programme.review_points:
            note = f"due {day(reviews.due_on(self.programme, point))} · {self.review_states[point.id]}"
            lines = (*wrap(point.title, 1.46, NOTE_SIZE, 1), scope(self.programme, point))
            room = max(*(width(line, NOTE_SIZE) for line in lines), width(note, NOTE_SIZE, bold=True))
            x, opens = self.x_month(point.due_month), self.x_month(point.from_month)
            left = min(max(x - room / 2, self.left), self.right + MARK / 2 - room)
            found.append(Label(x, opens, left, "left", 0, lines, note))
            spans.append((left, left + room))
        return _in_rows(found, spans, 0.04)

    def _event_labels(self) -> list[Label]:
        found, spans = [], []
        for event in self.events:
            x, x_end = self.x(event.starts), self.x(event.ends)
            note = event_note(event)
            lines = tuple(wrap(event.title, LABEL_ROOM, EVENT_SIZE, 2))
            room = max(*(width(line, EVENT_SIZE) for line in lines), width(note, NOTE_SIZE), 0.0)
            at, side = max(x + MARK, x_end + 0.05), "left"
            if at + room > self.right + MARK / 2:
                at, side = x - MARK, "right"
            left, right = (at, at + room) if side == "left" else (at - room, at)
            found.append(Label(x, x_end, at, side, 0, lines, note))
            spans.append((min(left, x - MARK / 2), max(right, x + MARK / 2, x_end)))
        return _in_rows(found, spans, 0.12)


def _in_rows(labels: list[Label], spans: list[tuple[float, float]], gap: float) -> list[Label]:
    return [label._replace(row=row) for label, row in zip(labels, packing.rows(spans, gap), strict=True)]


def _count(labels: Sequence[Label]) -> int:
    return max((label.row for label in labels), default=0) + 1


def day(date_: date) -> str:
    """A date as people write it: 1 Apr 2023."""
    return f"{date_.day} {date_:%b %Y}"


def scope(programme: Programme, point: ReviewPoint) -> str:
    """What a review looks at: workstreams by number, or the whole plan."""
    if len(point.scope) == len(programme.workstreams):
        return "whole plan"
    return f"workstream{'s' if len(point.scope) > 1 else ''} {', '.join(map(str, point.scope))}"


def event_note(event: TimelineEvent) -> str:
    """The line under an event's title: its dates, its markets, and its state where it is not a plain approved one."""
    tz = ZoneInfo(event.timezone)
    first = event.starts.astimezone(tz).date()
    last = max(event.starts, event.ends - timedelta(microseconds=1)).astimezone(tz).date()
    parts = [span(first, last), *([", ".join(event.markets)] if event.markets else [])]
    return " · ".join([*parts, *([event.state] if event.state in ("draft", "cancelled") else [])])


def span(first: date, last: date) -> str:
    """Two dates as people write them: 9–12 Oct 2023, 30 Oct – 2 Nov 2023."""
    if first == last:
        return day(first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}–{day(last)}"
    if first.year == last.year:
        return f"{first.day} {first:%b} – {day(last)}"
    return f"{day(first)} – {day(last)}"
