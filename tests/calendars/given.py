"""Events and awkward texts for the calendar tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from events_service.calendars.model import CalendarEvent

MUNICH = CalendarEvent(
    uid="cyber-munich@example.org",
    sequence=2,
    summary="Cyber resilience mission to Munich",
    starts=datetime(2023, 10, 9, 7, 0, tzinfo=UTC),
    ends=datetime(2023, 10, 12, 15, 0, tzinfo=UTC),
    timezone="Europe/Berlin",
    created=datetime(2022, 4, 1, 9, 30, tzinfo=UTC),
    changed=datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC),
    description="Visits, meetings; and a day of leisure.\nBring a passport.",
    location="Universität der Bundeswehr, Munich",
    url="https://example.org/events/cyber-munich",
    categories=("cyber", "mission, outbound"),
)

AWKWARD = (
    'Anna "Ace" O\'Neill; Ltd, Sons \\ Co.',
    "line one\nline two\r\nline three\rline four",
    "END:VEVENT\r\nBEGIN:VEVENT\r\nATTENDEE:mailto:x@evil.example",
    "مؤتمر الابتكار — الرياض",
    "כנס 2023 \u202eexe.txt",
    "👩‍👩‍👧‍👦 " * 40,
    "é" * 400,
    "a^nb^^c^'d",
    "tab\there",
    "nul\x00 bell\x07 vt\x0b esc\x1b del\x7f nel\x85 ls\u2028 ps\u2029 csi\x9b",
    "\\n is no newline, \\\\n neither",
    "Größe: 5 µm; CN=x:mailto:y@example.org",
    " leading and trailing ",
    "x" * 10_000,
    "lone \ud800 surrogate",
)

texts = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(max_size=200),
    st.text(alphabet='\\;,:"^nN\r\n\t éß漢👍\u2028\x85\x00=', max_size=120),
)


def event(**changes: Any) -> CalendarEvent:
    """The Munich mission with some fields changed."""
    return replace(MUNICH, **changes)
