"""Values as JSON and spreadsheets have them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any


def plain_number(value: Decimal) -> int | float:
    """A decimal as the number that JSON has: whole ones without a point."""
    return int(value) if value == value.to_integral_value() else float(value)


def plain(value: Any) -> Any:
    """For `json.dumps(default=...)`: times and dates in ISO 8601, numbers, sets in order, and what has `as_json()`.

    TypeError for anything else.
    """
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return plain_number(value)
    if hasattr(value, "as_json"):
        return value.as_json()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"not JSON: {type(value).__name__}")
