"""Reads a programme from the text of a TOML file, and writes it as other programs read it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from events_service.domain.programme import Programme
from events_service.errors import ProgrammeFileError

PLAIN_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is no field of a programme file; check its spelling",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text in quotes",
    "date_type": "must be a date, such as 2022-04-01",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
}


def load_programme(text: str, file: str) -> Programme:
    """The programme that `text` (TOML) holds. `file` is the name that errors give; raises ProgrammeFileError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProgrammeFileError(file, "", "", f"is not TOML: {error}") from error
    head = raw.pop("programme", None)
    if not isinstance(head, dict):
        raise ProgrammeFileError(
            file, "programme", "", "there must be one table of this name, with key, title and start"
        )
    clash = sorted(head.keys() & raw.keys())
    if clash:
        raise ProgrammeFileError(file, "programme", clash[0], "is also a table of the file; give it once")
    outside = sorted(raw.keys() - TABLES)
    if outside:
        raise ProgrammeFileError(file, outside[0], "", "is no table of a programme file; check its spelling")
    inside = sorted(head.keys() & TABLES)
    if inside:
        raise ProgrammeFileError(file, "programme", inside[0], f"must be tables of their own, [[{inside[0]}]]")
    try:
        return Programme.model_validate(_freeze({**head, **raw}))
    except ValidationError as error:
        raise _named(error, file) from error


TABLES = frozenset({"themes", "sectors", "markets", "focus", "workstreams", "review_points", "targets", "places"})


def _freeze(value: Any) -> Any:
    """Lists as tuples all the way down, so that strict models take them."""
    if isinstance(value, dict):
        return {key: _freeze(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_freeze(inner) for inner in value)
    return value


def _named(error: ValidationError, file: str) -> ProgrammeFileError:
    """The first fault of several, by table and field, and how many more there are."""
    # A misspelt field is also a missing one: the spelling is what to mend, so it goes first.
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    first = details[0]
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    context: Mapping[str, Any] = first.get("ctx", {})
    if first["type"] == "programme":
        return ProgrammeFileError(file, context["table"], context["field"], context["why"])
    table, field = _place(first["loc"])
    why = PLAIN_REASONS.get(first["type"]) or first["msg"][0].lower() + first["msg"][1:]
    if first["type"] not in ("missing", "extra_forbidden") and isinstance(first["input"], (str, int, float)):
        why = f"{str(first['input'])[:60]!r}: {why}"
    return ProgrammeFileError(file, table, field, why + more)


def _place(loc: tuple[int | str, ...]) -> tuple[str, str]:
    """A pydantic location as table (`workstreams #3.activities #2`) and field (`from_month`)."""
    parts: list[str] = []
    for step in loc:
        if isinstance(step, int):
            parts[-1] += f" #{step + 1}"
        elif step not in UNION_ARMS:
            parts.append(step)
    if parts[0].split(" ")[0] not in TABLES:
        return "programme", ".".join(parts)
    return (".".join(parts[:-1]), parts[-1]) if len(parts) > 1 else (parts[0], "")


UNION_ARMS = frozenset({"int", "float"})


def as_contract(
    programme: Programme,
    *,
    revision: int,
    review_states: Mapping[str, str],
    actuals: Mapping[str, int | float | None],
) -> dict[str, Any]:
    """The programme as JSON for other programs (dates as ISO text).

    `review_states` gives upcoming, open, overdue or held by review point id, and must have them all; `actuals` the
    figures by target key: one that is absent or None is not known, and stays null.
    """
    return {
        "key": programme.key,
        "title": programme.title,
        "revision": revision,
        "source": programme.source,
        "start": programme.start.isoformat(),
        "start_note": programme.start_note,
        "end": programme.timeline.whole.to_date.isoformat(),
        "months": programme.months,
        "bands": [list(band) for band in programme.bands],
        "timezone": programme.timezone,
        "budget": programme.budget,
        "currency": programme.currency,
        "fte": programme.fte,
        "themes": [{"key": theme.key, "title": theme.title} for theme in programme.themes],
        "markets": [
            {"country": m.country, "name": m.name, "tier": m.tier, "from_month": m.from_month}
            for m in programme.markets
        ],
        "focus": {"themes": list(programme.focus.themes), "until_month": programme.focus.until_month},
        "workstreams": [
            {
                "number": stream.number,
                "title": stream.title,
                "fte": stream.fte,
                "months": stream.months,
                "cost": stream.cost,
                "outcome": stream.outcome,
                "activities": [
                    {
                        "title": activity.title,
                        "from_month": activity.from_month,
                        "to_month": activity.to_month,
                        "holds": list(activity.holds),
                    }
                    for activity in stream.activities
                ],
            }
            for stream in programme.workstreams
        ],
        "review_points": [
            {
                "id": point.id,
                "title": point.title,
                "scope": list(point.scope),
                "from_month": point.from_month,
                "due_month": point.due_month,
                "due_on": programme.timeline.first_day(point.due_month).isoformat(),
                "state": review_states[point.id],
            }
            for point in programme.review_points
        ],
        "targets": [
            {
                "key": target.key,
                "title": target.title,
                "baseline": target.baseline,
                "target": target.target,
                "unit": target.unit,
                "actual": actuals.get(target.key),
            }
            for target in programme.targets
        ],
    }
