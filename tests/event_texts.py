"""Event files for tests: one that is right, and a way to write it with something changed."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

MUNICH: dict[str, Any] = {
    "kind": "mission",
    "title": "Cyber resilience mission to Munich",
    "themes": ["cyber"],
    "markets": ["DE"],
    "starts": datetime(2023, 10, 9, 9, 0),  # noqa: DTZ001
    "ends": datetime(2023, 10, 12, 17, 0),  # noqa: DTZ001
    "timezone": "Europe/Berlin",
    "venue": "Universität der Bundeswehr",
    "city": "Munich",
    "country": "DE",
    "hosted_by": "us",
    "organiser": "Events desk <events@example.org>",
}
SLUG = "cyber-resilience-mission-to-munich-2023-10"

BLACKPOOL: dict[str, Any] = MUNICH | {
    "kind": "conference",
    "title": "Net zero conference",
    "themes": ["energy"],
    "markets": [],
    "starts": datetime(2024, 6, 11, 9, 0),  # noqa: DTZ001
    "ends": datetime(2024, 6, 12, 17, 0),  # noqa: DTZ001
    "timezone": "Europe/London",
    "venue": "Conference centre",
    "city": "Blackpool",
    "country": "GB",
}


def wall(text: str) -> datetime:
    """A wall-clock time, which says nothing of its zone."""
    return datetime.fromisoformat(text)


def visit(**changes: Any) -> dict[str, Any]:
    """A session of the mission to Munich."""
    return {
        "title": "Visit: cyber range",
        "starts": wall("2023-10-10T09:30"),
        "ends": wall("2023-10-10T12:00"),
        "kind": "visit",
    } | changes


def toml(fields: dict[str, Any], *without: str, sessions: tuple[dict[str, Any], ...] = ()) -> str:
    """An event file of these fields; what is None is left out, like the names in `without`."""
    lines = [f"{name} = {_value(value)}" for name, value in fields.items() if value is not None and name not in without]
    for one in sessions:
        lines += ["", "[[sessions]]", *(f"{name} = {_value(value)}" for name, value in one.items())]
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str = "munich.toml", sessions: tuple[dict[str, Any], ...] = (), **changes: Any) -> Path:
    """The mission to Munich with `changes`, as a file."""
    path = folder / name
    path.write_text(toml(MUNICH | changes, sessions=sessions), encoding="utf-8")
    return path


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, str):
        escaped = "".join(char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in value)
        return f'"{escaped}"'
    return str(value)
