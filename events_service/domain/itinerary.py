"""An itinerary: the sessions of an event that one attendee attends, and what must be said of them to their calendar.

Each session is a calendar object of its own, whose SEQUENCE rises for everybody when the session changes, and for one
attendee when they leave it or come back: a program ignores a CANCEL, or a REQUEST after one, that is no newer than what
it has (RFC 5546 sections 2.1.4 and 3.2.5).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

OPT_IN = "leisure"
"""The kind of session that nobody attends unless they say so: it costs money."""

SessionMethod = Literal["REQUEST", "CANCEL"]


class Said(NamedTuple):
    """What a message says of one session. `sequence` is that of the object, `own` the session's own at the time.

    A delivery keeps such in its fields, in this order.
    """

    session: int
    sequence: int
    method: SessionMethod
    own: int


@dataclass(slots=True)
class Known:
    """What one attendee's calendar has of the sessions of an event.

    `last` is the newest that they heard or may have heard of each; `highest` the highest SEQUENCE ever written for
    them, whether it went or not; `told` whether their itinerary has gone to them at all, an empty one too.
    """

    last: dict[int, Said] = field(default_factory=dict)
    highest: dict[int, int] = field(default_factory=dict)
    told: bool = False

    def note(self, said: Iterable[Said], *, heard: bool) -> None:
        """Add what one message says, which was heard or only written."""
        for one in said:
            self.highest[one.session] = max(self.highest.get(one.session, 0), one.sequence)
            if heard and (one.session not in self.last or self.last[one.session].sequence <= one.sequence):
                self.last[one.session] = one
        self.told = self.told or heard

    def declined(self, session: int, sequence: int) -> None:
        """They declined the object with that SEQUENCE in their own calendar, which is as good as a CANCEL of it."""
        last = self.last.get(session)
        if last is not None and last.sequence <= sequence:
            self.last[session] = last._replace(method="CANCEL")


def attends(kind: str, choice: bool | None) -> bool:
    """Whether somebody attends a session of that kind: what they chose, else every one that is not opt-in."""
    return kind != OPT_IN if choice is None else choice


def news(agenda: Mapping[int, int], attended: Collection[int], known: Known) -> list[Said]:
    """What to say so that a calendar which has what is `known` shows the sessions `attended`, and no others.

    `agenda` has the own SEQUENCE of every session of the event, in order. Nothing is said of what the calendar has
    right, nor of a session that it never had and need not have.

    >>> first = news({7: 0, 8: 0}, {7, 8}, Known())
    >>> [tuple(one) for one in first]
    [(7, 0, 'REQUEST', 0), (8, 0, 'REQUEST', 0)]
    >>> known = Known()
    >>> known.note(first, heard=True)
    >>> [tuple(one) for one in news({7: 1, 8: 0}, {7}, known)]
    [(7, 1, 'REQUEST', 1), (8, 1, 'CANCEL', 0)]
    """
    found = []
    for session, own in agenda.items():
        method: SessionMethod = "REQUEST" if session in attended else "CANCEL"
        last = known.last.get(session)
        if method == "CANCEL":
            right = last is None or last.method == "CANCEL"
        else:
            right = last is not None and (last.method, last.own) == ("REQUEST", own)
        if not right:
            sequence = max(own, known.highest[session] + 1) if session in known.highest else own
            found.append(Said(session, sequence, method, own))
    return found
