"""How events are shown to people: a list of them, and one with its agenda and history. Only cli/event.py calls it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from events_service.cli.base import Run, table
from events_service.cli.violations import violation_table

if TYPE_CHECKING:
    from rich.console import Console


def show_events(run: Run, document: list[dict[str, Any]]) -> None:
    """Print a list of events."""

    def human(console: Console) -> None:
        console.print(
            table(
                ("slug", "kind", "state", "starts", "ends", "where", "accepted", "breaks"),
                (
                    (
                        one["slug"],
                        one["kind"],
                        one["state"],
                        _minute(one["starts"]),
                        _minute(one["ends"]),
                        f"{one['city']}, {one['country']}",
                        f"{one['attendees']['accepted']} of {one['attendees']['invited']}",
                        [violation["code"] for violation in one["violations"] if not violation["waived"]] or None,
                    )
                    for one in document
                ),
            )
        )
        for one in document:
            errors = [violation for violation in one["violations"] if violation["severity"] == "error"]
            if errors:
                console.print(violation_table(errors, title=one["slug"]))

    run.emit(document, human)


def show_event(run: Run, document: dict[str, Any]) -> None:
    """Print one event, with as much of it as `document` has."""

    def human(console: Console) -> None:
        place = ", ".join(filter(None, (document["venue"], document["city"], document["country"])))
        people = document["attendees"]
        rows = [
            ("title", document["title"]),
            ("kind", document["kind"] + (", run by others" if document["hosted_by"] == "joined" else "")),
            ("state", document["state"] + (f": {document['cancel_reason']}" if document["cancel_reason"] else "")),
            ("when", f"{_minute(document['starts'])} to {_minute(document['ends'])} ({document['timezone']})"),
            ("month", document["month"]),
            ("where", place),
            ("themes", document["themes"]),
            ("markets", document["markets"] or None),
            ("visibility", document["visibility"]),
            ("sequence", document["sequence"]),
            ("attendees", ", ".join(f"{name} {people[name]}" for name in people)),
            *([("proposals", _open(document))] if document.get("proposals") else []),
        ]
        console.print(table((document["slug"], ""), rows))
        if document["violations"]:
            console.print(violation_table(document["violations"], title="What the programme says"))
        if document.get("sessions"):
            agenda = [
                (
                    one["n"],
                    _minute(one["starts"]),
                    one["kind"],
                    one["title"],
                    one["venue"],
                    "cancelled" * bool(one["cancelled_at"]),
                )
                for one in document["sessions"]
            ]
            console.print(table(("n", "starts", "kind", "session", "venue", ""), agenda, title="Agenda"))
        if document.get("waivers"):
            waived = [(one["code"], one["reason"], f"{one['granted_at']:%Y-%m-%d}") for one in document["waivers"]]
            console.print(table(("rule", "reason", "granted"), waived, title="Waivers"))
        if document.get("history"):
            past = [(f"{one['at']:%Y-%m-%d %H:%MZ}", one["action"]) for one in document["history"]]
            console.print(table(("at", "what"), past, title="History"))

    run.emit(document, human)


def show_difference(run: Run, document: dict[str, Any]) -> None:
    """Print what a change made of an event, field by field, and what the programme says of it."""

    def human(console: Console) -> None:
        rows = _differing(document["difference"])
        if rows:
            console.print(table((document["slug"], "before", "after"), rows))
        else:
            console.print(f"{document['slug']} is what the file says already.", markup=False)
        if document["violations"]:
            console.print(violation_table(document["violations"], title="What the programme says"))

    run.emit(document, human)


def _differing(difference: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    rows = [(one["field"], one["before"], one["after"]) for one in difference["event"]]
    for item in difference["sessions"]:
        name = f"session {item['title']}"
        if item["what"] == "changed":
            rows += [(f"{name}: {one['field']}", one["before"], one["after"]) for one in item["fields"]]
        else:
            starts = next((one["after"] for one in item["fields"] if one["field"] == "starts"), None)
            rows.append((name, *((None, starts) if item["what"] == "added" else ("on the agenda", "cancelled"))))
    return rows


def _open(document: dict[str, Any]) -> str:
    return f"{len(document['proposals'])} open: `events proposal list --event {document['slug']} --state open`"


def _minute(iso: str) -> str:
    return f"{datetime.fromisoformat(iso):%Y-%m-%d %H:%M}"
