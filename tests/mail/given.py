"""A mission as messages tell of it, and where its templates are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from events_service.config import templates_dir
from events_service.mail.render import AgendaItem, Occasion, Span, Subject

TEMPLATES = templates_dir() / "emails"
MESSAGES = {
    "save-the-date": False, "invitation": False, "reminder": False, "joining": False, "thanks": False, "chase": False,
    "outcomes": False, "update": True, "cancellation": True, "confirmation": True, "itinerary": True, "uninvited": True,
    "refresh": True, "decline-counter": True,
}  # fmt: skip
"""The messages that ship, and whether they must be told whatever the recipient wants to hear."""

URLS = {
    "reply_url": "https://events.example.org/reply/41.abcdefghijklmnopqrstuvwxyz234567",
    "survey_url": "https://events.example.org/survey/41-thanks.abcdefghijklmnopqrstuvwxyz234567",
    "unsubscribe_url": "https://events.example.org/unsubscribe/7.abcdefghijklmnopqrstuvwxyz234567?a=1&b=2",
}


def _at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2023, month, day, hour, minute, tzinfo=UTC)


MUNICH = Subject(
    title="Cyber resilience mission to Munich",
    span=Span(_at(10, 9, 7), _at(10, 12, 15), "Europe/Berlin"),
    place="Universität der Bundeswehr, Munich, Germany",
    summary="Four days with the cyber research institute and the companies\naround it.\n\nTravel is booked for you.",
    url="https://example.org/munich?a=1&b=2",
    organiser_name="Events desk",
    organiser_email="events@example.org",
    agenda=(
        AgendaItem("Visit: cyber range", Span(_at(10, 10, 7, 30), _at(10, 10, 10), "Europe/Berlin"), "Munich", "visit"),
        AgendaItem("Call home", Span(_at(10, 11, 8), _at(10, 11, 9), "Europe/London"), "", "meeting"),
        AgendaItem(
            "A day in the Alps",
            Span(_at(10, 13, 7), _at(10, 13, 15), "Europe/Berlin"),
            "Garmisch-Partenkirchen",
            "leisure",
            "Bavaria Trails, €95",
            "https://example.org/alps",
        ),
    ),
)


def munich(**changes: Any) -> Subject:
    """The mission with some of it changed."""
    return replace(MUNICH, **changes)


def occasion(template: str) -> Occasion:
    """What goes with that message."""
    return Occasion("Events desk", MESSAGES[template], 90, "accepted" if template == "confirmation" else "")
