"""What changed between two revisions of a programme, in lines that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel

from events_service.domain.programme import Activity, Keyword, Programme

# How a row of each table is known from one revision to the next, and what a reader calls it.
_TABLES = {
    "themes": ("theme", "key"),
    "sectors": ("sector", "name"),
    "markets": ("market", "country"),
    "workstreams": ("workstream", "number"),
    "review_points": ("review point", "id"),
    "targets": ("target", "key"),
    "places": ("place", "name"),
}


def difference(old: Programme, new: Programme) -> list[str]:
    """One line a change, in the file's order: `market FR: from_month 12 → 6`. Empty where nothing changed."""
    return list(_fields("programme", old, new))


def _fields(name: str, old: BaseModel, new: BaseModel) -> Iterator[str]:
    for field in type(new).model_fields:
        before, after = getattr(old, field), getattr(new, field)
        if before == after:
            continue
        if field in _TABLES:
            noun, key = _TABLES[field]
            yield from _rows(noun, key, before, after)
        elif field == "activities":
            yield from _rows(f"{name}, activity", "title", before, after)
        elif field == "keywords":
            yield from _rows(f"{name}, keyword", "word", before, after)
        elif isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from _fields(f"{name}, {field}", before, after)
        else:
            yield f"{name}: {field} {_shown(before)} → {_shown(after)}"


def _rows(noun: str, key: str, old: Sequence[BaseModel], new: Sequence[BaseModel]) -> Iterator[str]:
    before = {getattr(row, key): row for row in old}
    after = {getattr(row, key): row for row in new}
    for name, row in before.items():
        if name not in after:
            yield f"{noun} {name}: gone{_gist(row)}"
    for name, row in after.items():
        if name not in before:
            yield f"{noun} {name}: new{_gist(row)}"
        else:
            yield from _fields(f"{noun} {name}", before[name], row)
    if before == after and list(before) != list(after):
        yield f"{noun}s: in another order, {', '.join(str(name) for name in after)}"


def _gist(row: BaseModel) -> str:
    if isinstance(row, Activity):
        return f", months {row.from_month}-{row.to_month}"
    if isinstance(row, Keyword):
        return f", weight {row.weight}"
    title = getattr(row, "title", None)
    return f", {title}" if title else ""


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"[{', '.join('-'.join(map(str, one)) if isinstance(one, tuple) else str(one) for one in value)}]"
    return str(value)
