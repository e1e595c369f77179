from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.calendars.given import event


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"uid": "  "}, "needs a uid"),
        ({"sequence": -1}, "SEQUENCE cannot be -1"),
        ({"starts": datetime(2023, 10, 9, 9, 0)}, "without an offset: 2023-10-09T09:00:00"),  # noqa: DTZ001
        ({"changed": datetime(2023, 1, 1)}, "without an offset"),  # noqa: DTZ001
        ({"ends": datetime(2023, 10, 9, 6, 59, tzinfo=UTC)}, "ends before it starts"),
    ],
)
def test_what_no_calendar_can_hold_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        event(**changes)


def test_an_event_may_end_when_it_starts() -> None:
    moment = datetime(2023, 10, 9, 7, tzinfo=UTC)
    assert event(starts=moment, ends=moment).ends == moment
