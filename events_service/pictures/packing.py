"""Labels in rows, so that none lies over another."""

from __future__ import annotations

from collections.abc import Sequence


def rows(spans: Sequence[tuple[float, float]], gap: float) -> list[int]:
    """The row of each span (left, right): the first where it lies at least `gap` from those placed before it."""
    placed: list[list[tuple[float, float]]] = []
    found = []
    for left, right in spans:
        for number, row in enumerate(placed):
            if all(right + gap <= other_left or other_right + gap <= left for other_left, other_right in row):
                row.append((left, right))
                found.append(number)
                break
        else:
            placed.append([(left, right)])
            found.append(len(placed) - 1)
    return found
