"""Labels in rows never lie over one another, and use no more rows than they must at one place."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events_service.pictures.packing import rows

spans = st.lists(
    st.tuples(st.floats(0, 10), st.floats(0.1, 3)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=25
)


def test_the_first_row_that_has_room() -> None:
    assert rows([(0, 2), (1, 3), (2.1, 4), (3.2, 5), (0, 0.95)], 0.1) == [0, 1, 0, 1, 2]
    assert rows([], 0.1) == []


@given(spans)
def test_none_lies_over_another_and_no_row_is_empty(found: list[tuple[float, float]]) -> None:
    placed = list(zip(rows(found, 0.1), found, strict=True))
    for number, (row, (left, right)) in enumerate(placed):
        for other, (other_left, other_right) in placed[:number]:
            assert row != other or left >= other_right + 0.1 or right + 0.1 <= other_left
    used = {row for row, _ in placed}
    assert used == set(range(len(used)))
