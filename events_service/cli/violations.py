"""How commands show what the programme's rules found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from events_service.cli.base import Run, table
from events_service.errors import RefusedError

if TYPE_CHECKING:
    from rich.table import Table


@contextmanager
def refusals(run: Run) -> Iterator[None]:
    """Where the programme refuses, print the violations on stdout before the refusal goes on to the exit code."""
    try:
        yield
    except RefusedError as error:
        document = [violation.as_json() for violation in error.violations]
        run.emit(document, lambda console: console.print(violation_table(document)))
        raise


def violation_table(violations: Sequence[Mapping[str, Any]], title: str | None = None) -> Table:
    """Violations, as JSON values, for people: which rule, how grave, why, and the dates that would be allowed."""
    return table(
        ("rule", "", "why", "allowed"),
        [(one["code"], _gravity(one), one["message"], _allowed(one["allowed"])) for one in violations],
        title=title,
    )


def _gravity(violation: Mapping[str, Any]) -> str:
    if violation["waived"]:
        return "waived"
    if violation["severity"] == "error" and violation["waivable"]:
        return "error (a waiver lifts it)"
    return str(violation["severity"])


def _allowed(allowed: Mapping[str, str] | None) -> str | None:
    return f"{allowed['from']} until {allowed['to']} (exclusive)" if allowed else None
