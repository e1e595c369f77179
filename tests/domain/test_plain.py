from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from events_service.domain.plain import plain, plain_number


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("5000.00"), "5000"), (Decimal("0.5"), "0.5"), (Decimal("-3"), "-3"), (Decimal("1E+3"), "1000")],
)
def test_whole_decimals_have_no_point(value: Decimal, text: str) -> None:
    assert json.dumps(plain_number(value)) == json.dumps(value, default=plain) == text


def test_times_dates_and_sets() -> None:
    at = datetime(2024, 5, 1, 9, tzinfo=UTC)
    assert json.dumps([at, at.date(), {"b", "a"}], default=plain) == (
        '["2024-05-01T09:00:00+00:00", "2024-05-01", ["a", "b"]]'
    )


def test_what_knows_its_own_json_gives_it() -> None:
    class Known:
        def as_json(self) -> dict[str, date]:
            return {"on": date(2024, 5, 1)}

    assert json.dumps(Known(), default=plain) == '{"on": "2024-05-01"}'


def test_anything_else_is_refused() -> None:
    with pytest.raises(TypeError, match="not JSON: bytes"):
        json.dumps(b"", default=plain)
