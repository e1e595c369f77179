"""Reads a survey from the text of a TOML file."""

from __future__ import annotations

import tomllib
from typing import Any

from pydantic import ValidationError

from events_service.domain.survey import Survey
from events_service.errors import SurveyFileError


def load_survey(text: str, file: str) -> Survey:
    """The survey that `text` (TOML) holds. `file` is the name that errors give; raises SurveyFileError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SurveyFileError(file, "", "", f"is not TOML: {error}") from error
    head = raw.pop("survey", None)
    if not isinstance(head, dict):
        raise SurveyFileError(file, "survey", "", "there must be one table of this name, with key, title and waves")
    if "questions" in head:
        raise SurveyFileError(file, "survey", "questions", "must be tables of their own, [[questions]]")
    if outside := sorted(raw.keys() - {"questions"}):
        raise SurveyFileError(file, outside[0], "", "is no table of a survey file; check its spelling")
    try:
        return Survey.model_validate(_freeze({**head, **raw}))
    except ValidationError as error:
        raise _named(error, file) from error


_PLAIN_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is no field here; check its spelling",
    "int_type": "must be a whole number",
    "string_type": "must be text in quotes",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "too_short": "needs at least one",
}


def _named(error: ValidationError, file: str) -> SurveyFileError:
    """The first fault of several, by table and field; a misspelt field before the one it leaves missing."""
    first = min(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    if first["type"] == "survey":
        context = first["ctx"]
        return SurveyFileError(file, context["table"], context["field"], context["why"])
    parts: list[str] = []
    for step in first["loc"]:
        if isinstance(step, int):
            parts[-1] += f" #{step + 1}"
        else:
            parts.append(step)
    if not parts[0].startswith("questions"):
        parts.insert(0, "survey")
    table, field = (".".join(parts[:-1]), parts[-1]) if len(parts) > 1 else (parts[0], "")
    why = _PLAIN_REASONS.get(first["type"]) or first["msg"][0].lower() + first["msg"][1:]
    return SurveyFileError(file, table, field, why)


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _freeze(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_freeze(inner) for inner in value)
    return value
