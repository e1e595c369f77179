"""Which sessions of an agenda that is written anew are those that were on it before."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Protocol


class Listed(Protocol):
    """A session as far as it is told apart from others. `starts` is an aware instant."""

    @property
    def title(self) -> str:
        """What it is called."""

    @property
    def starts(self) -> datetime:
        """When it begins."""


def match(before: Sequence[Listed], after: Sequence[Listed]) -> dict[int, int]:
    """By place in `after`, the place in `before` of the session that it is; whatever is in neither is new, or gone.

    First those of the same title and start; of what is then left those of the same title, in order; and of what is
    left after that those in the same place of the list. Case and spaces of a title do not count.

    >>> class Talk:
    ...     def __init__(self, title, day): self.title, self.starts = title, datetime(2023, 10, day)
    >>> before = [Talk("Opening", 9), Talk("Visit", 10), Talk("Dinner", 11)]
    >>> match(before, [Talk("Visit", 10), Talk("opening", 10), Talk("Gala dinner", 11)])
    {0: 1, 1: 0, 2: 2}
    """
    found: dict[int, int] = {}
    rules: tuple[Callable[[Listed, int], Hashable], ...] = (
        lambda one, _place: (_plain(one.title), one.starts),
        lambda one, _place: _plain(one.title),
        lambda _one, place: place,
    )
    for rule in rules:
        waiting: dict[Hashable, list[int]] = {}
        for place, one in enumerate(before):
            if place not in found.values():
                waiting.setdefault(rule(one, place), []).append(place)
        for place, one in enumerate(after):
            if place not in found and (same := waiting.get(rule(one, place))):
                found[place] = same.pop(0)
    return dict(sorted(found.items()))


def _plain(title: str) -> str:
    return " ".join(title.casefold().split())
