"""Which session of an agenda that was written anew is which."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from events_service.domain.agenda import match


class Talk(NamedTuple):
    title: str
    starts: datetime


def talks(*words: str) -> list[Talk]:
    """`Title 9` is a talk of that title on 9 October."""
    found = [word.rpartition(" ") for word in words]
    return [Talk(title, datetime(2023, 10, int(day), 9, tzinfo=UTC)) for title, _, day in found]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ((), ("Visit 9",), {}),
        (("Visit 9",), (), {}),
        (("Visit 9", "Dinner 9"), ("Dinner 9", "Visit 9"), {0: 1, 1: 0}),
        # The same title and start goes before the same title, whatever the order.
        (("Visit 9", "Visit 10"), ("Visit 10", "Visit 11"), {0: 1, 1: 0}),
        (("Visit 9", "Visit 10"), ("Visit 11", "Visit 12"), {0: 0, 1: 1}),
        (("Visit 9", "Visit 10"), ("Visit 11",), {0: 0}),
        # Case and spaces of a title do not count.
        (("Cyber  Range 9",), ("Opening 8", "cyber range 9"), {1: 0}),
        # Another title at the same place is the same session; one that was pushed along is known by its title.
        (("Visit 9", "Dinner 9"), ("Tour 9", "Dinner 9"), {0: 0, 1: 1}),
        (("Visit 9", "Dinner 9"), ("Opening 8", "Visit 9", "Dinner 9"), {1: 0, 2: 1}),
        (("Visit 9", "Dinner 9"), ("Dinner 9", "Tour 9"), {0: 1}),
    ],
)
def test_sessions_are_known_by_title_and_start_then_title_then_place(
    before: tuple[str, ...], after: tuple[str, ...], same: dict[int, int]
) -> None:
    assert match(talks(*before), talks(*after)) == same
