"""What a rule finds, and what it needs to know beyond the event."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning"]


class Allowed(NamedTuple):
    """The dates that would be allowed, in the programme's zone; `until` is exclusive."""

    from_date: date
    until: date


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that an event breaks. A waived one stands on record but refuses nothing."""

    code: str
    severity: Severity
    message: str
    allowed: Allowed | None
    waivable: bool
    waived: bool = False

    def as_json(self) -> dict[str, Any]:
        """As other programs read it: dates as ISO text, `to` exclusive."""
        allowed = self.allowed and {"from": self.allowed.from_date.isoformat(), "to": self.allowed.until.isoformat()}
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "allowed": allowed,
            "waivable": self.waivable,
            "waived": self.waived,
        }


class Booking(NamedTuple):
    """Somebody's place at another event: `person` is how an organiser knows them, `event` its slug; aware UTC."""

    person: str
    event: str
    starts: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class RuleContext:
    """What the rules need to know beyond the event itself.

    `reviews_held` is the day each recorded review was held, by id. `target_institutions` counts those identified, by
    market. `bookings` are the places of this event's attendees and organiser at other events that stand. `spent_budget`
    (pounds) and `spent_effort_days` are what the other events of the workstream take.
    """

    reviews_held: Mapping[str, date] = field(default_factory=dict)
    target_institutions: Mapping[str, int] = field(default_factory=dict)
    bookings: Collection[Booking] = ()
    spent_budget: float = 0
    spent_effort_days: float = 0


def refuses(violations: Iterable[Violation]) -> bool:
    """Whether an error stands that is not waived."""
    return any(violation.severity == "error" and not violation.waived for violation in violations)
