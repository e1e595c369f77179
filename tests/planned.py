"""A database with the shipped programme in force, and events on it, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session

from events_service import events, programmes
from events_service.db.tables import Event
from events_service.domain.programme import Programme
from events_service.reading import event_files
from tests.domain.given import LANCASHIRE
from tests.event_texts import MUNICH, toml

START = datetime(2022, 4, 1, 9, tzinfo=UTC)
NOW = datetime(2023, 3, 1, 9, tzinfo=UTC)
"""A month before missions may begin; the first review is open, none is overdue."""


def load(session: Session) -> Programme:
    """Put the shipped programme in force."""
    return programmes.load(session, LANCASHIRE.read_text(), "plan.toml", START).programme


def add(session: Session, now: datetime = NOW, sessions: tuple[dict[str, Any], ...] = (), **changes: Any) -> Event:
    """The mission to Munich with `changes`, as a draft."""
    text = toml(MUNICH | changes, sessions=sessions)
    return events.add(session, event_files.read("munich.toml", text), "munich.toml", now)
