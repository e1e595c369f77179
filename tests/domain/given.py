"""What the domain's tests begin with: the shipped programme, one made for the tests, and an event to vary."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from events_service.config import shipped
from events_service.domain.events import EventFacts, wall_time
from events_service.domain.programme import Programme
from events_service.domain.programme_file import load_programme

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "programmes"
LANCASHIRE = shipped("programmes")["lancashire-2022-2025"]


@cache
def lancashire() -> Programme:
    """The programme that ships."""
    return load_programme(LANCASHIRE.read_text(), LANCASHIRE.name)


@cache
def late_market() -> Programme:
    """Missions are allowed from the first month, France only from month 12; it starts on a 31st, far from London."""
    path = FIXTURES / "late-market.toml"
    return load_programme(path.read_text(), path.name)


def wall(text: str, zone: str = "Europe/London") -> datetime:
    """The instant of a wall-clock time, written like 2024-03-31T09:00."""
    return wall_time(datetime.fromisoformat(text), zone)[0]


def naive(text: str) -> datetime:
    """A wall-clock time that says nothing of its zone."""
    return datetime.fromisoformat(text)


def utc(text: str) -> datetime:
    """An instant written without its Z."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def event(starts: str, ends: str, **changes: Any) -> EventFacts:
    """A mission of ours to Munich on working days, unless `changes` say otherwise; times are the zone's."""
    facts: dict[str, Any] = {
        "slug": "munich",
        "kind": "mission",
        "hosted_by": "us",
        "themes": ("cyber",),
        "markets": ("DE",),
        "timezone": "Europe/Berlin",
        "country": "DE",
        "organiser_email": "desk@example.org",
    } | changes
    return EventFacts(starts=wall(starts, facts["timezone"]), ends=wall(ends, facts["timezone"]), **facts)


def conference(starts: str, ends: str, **changes: Any) -> EventFacts:
    """A conference that we host in Blackpool."""
    home: dict[str, Any] = {
        "slug": "blackpool",
        "kind": "conference",
        "markets": (),
        "timezone": "Europe/London",
        "country": "GB",
        "region": "GB-BPL",
    }
    return event(starts, ends, **(home | changes))
