"""Kinds of outcome, and how outcomes add up: a figure is what was said, with who was asked beside it.

No answer is never a zero: a figure that rests on nothing is None. Only pounds add up; other currencies stand apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

KINDS = {
    "contact": "Contacts",
    "lead": "Leads",
    "agreement": "Agreements",
    "funding": "Funding won",
    "enquiry": "Student enquiries",
    "publication": "Publications",
}
"""The kinds of outcome, in the order they are shown, with what people call them."""

CURRENCY = "GBP"
MAX_VALUE = Decimal(10_000_000_000)

_OTHER_NAMES = {"student-enquiry": "enquiry", "student enquiry": "enquiry"}


def kind_of(text: str) -> str | None:
    """The kind that `text` names, in any case; None where it names none."""
    name = text.strip().lower().replace("_", "-")
    name = _OTHER_NAMES.get(name, name)
    return name if name in KINDS else None


@dataclass(frozen=True, slots=True)
class Result:
    """One outcome. `value` is an amount of `currency` for funding and a number for the rest; None where unknown.

    `market` is the country of the institution it was reached with, where that is known.
    """

    event: str
    kind: str
    value: Decimal | None
    currency: str | None = None
    market: str | None = None

    @property
    def counts(self) -> bool:
        """Whether there is something: an outcome of value 0 says that there is nothing."""
        return self.value is None or self.value > 0


@dataclass(frozen=True, slots=True)
class Asked:
    """How many people were asked, and how many of them answered."""

    asked: int = 0
    answered: int = 0

    @property
    def rate(self) -> float | None:
        """The share that answered, 0 to 1; None where nobody was asked."""
        return self.answered / self.asked if self.asked else None

    def __add__(self, other: Asked) -> Asked:
        return Asked(self.asked + other.asked, self.answered + other.answered)


@dataclass(frozen=True, slots=True)
class Figure:
    """What the outcomes of one kind add up to, over `rows` of them.

    `value` is pounds for funding and a number for the rest; None while there is neither an outcome nor an answer.
    `unvalued` counts funding of an amount that nobody gave, which `value` leaves out.
    """

    kind: str
    value: Decimal | None
    rows: int
    unvalued: int
    people: Asked


def figure(kind: str, results: Iterable[Result], people: Asked) -> Figure:
    """Add up the outcomes of one kind; the results of other kinds are left out.

    An outcome that was recorded without a number counts as one, but funding of an unknown amount adds nothing.
    """
    ours = [result for result in results if result.kind == kind and result.counts]
    if kind == "funding":
        pounds = [r.value for r in ours if r.value is not None and (r.currency or CURRENCY) == CURRENCY]
        unvalued = sum(1 for r in ours if r.value is None)
    else:
        pounds = [Decimal(1) if r.value is None else r.value for r in ours]
        unvalued = 0
    # Whoever answered 0 made no outcome, but did answer: then nothing is a figure.
    known = bool(pounds) or (people.answered > 0 and not ours)
    return Figure(kind, sum(pounds, Decimal(0)) if known else None, len(ours), unvalued, people)


def other_currencies(results: Iterable[Result]) -> dict[str, tuple[Decimal, int]]:
    """The funding that is not in pounds, by currency: its sum, and how many outcomes."""
    found: dict[str, tuple[Decimal, int]] = {}
    for result in results:
        if result.kind == "funding" and result.value is not None and (result.currency or CURRENCY) != CURRENCY:
            total, number = found.get(result.currency or "", (Decimal(0), 0))
            found[result.currency or ""] = (total + result.value, number + 1)
    return dict(sorted(found.items()))
