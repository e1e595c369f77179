"""What goes into a calendar and what comes back from one: plain values, no I/O.

Every instant is an aware datetime; what is not UTC is converted when it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

EventStatus = Literal["CONFIRMED", "TENTATIVE", "CANCELLED"]
Kind = Literal["VEVENT", "VTODO"]
Method = Literal["REQUEST", "CANCEL", "PUBLISH", "DECLINECOUNTER"]


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    """One event, session, review point or task, as calendars show it.

    `uid` is stored once and never made again. `sequence` rises as STATES says. `created` and `changed` are the row's
    own times, never now: `changed` becomes DTSTAMP and LAST-MODIFIED. `timezone` is the IANA name of the zone whose
    wall clock was meant. With `all_day` the span is the local dates that `starts` to `ends` touch, and `ends` at local
    midnight does not touch the day it begins. `transparent` does not block anybody's time. `related_to` is the UID of
    the event this belongs to (RFC 5545 3.8.4.5). A VTODO is due at `ends`, and done at `completed`, which no VEVENT
    has. Raises ValueError for values that no calendar can hold: an empty uid, a negative sequence, a naive time, an end
    before the start.
    """

    uid: str
    sequence: int
    summary: str
    starts: datetime
    ends: datetime
    timezone: str
    created: datetime
    changed: datetime
    description: str = ""
    location: str = ""
    url: str | None = None
    status: EventStatus = "CONFIRMED"
    categories: tuple[str, ...] = ()
    all_day: bool = False
    transparent: bool = False
    related_to: str | None = None
    kind: Kind = "VEVENT"
    completed: datetime | None = None

    def __post_init__(self) -> None:
        if not self.uid.strip():
            raise ValueError("a calendar event needs a uid")
        if self.sequence < 0:
            raise ValueError(f"{self.uid}: SEQUENCE cannot be {self.sequence}")
        for at in (self.starts, self.ends, self.created, self.changed, self.completed):
            if at is not None and at.tzinfo is None:
                raise ValueError(f"{self.uid}: a time without an offset: {at.isoformat()}")
        if self.ends < self.starts:
            raise ValueError(f"{self.uid}: it ends before it starts")
        if self.completed is not None and self.kind != "VTODO":
            raise ValueError(f"{self.uid}: only a task is completed")


class Mailbox(NamedTuple):
    """A name as people write it, and an address. The name may be empty."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What one calendar component says about one attendee.

    Addresses are lower-case without `mailto:`; `sent_by` is "" where nobody acted for the attendee. `partstat` is
    upper-case, NEEDS-ACTION where it is missing. `sequence` is 0 where it is missing (RFC 5545 3.8.7.4); `dtstamp` is
    None where it is missing or unreadable. `recurrence_id` is an instant in UTC (for a date its midnight in UTC), None
    where there is none or where it cannot be placed: `recurrence_id_text` is then not empty, and the reply is about
    one instance that we cannot name. `starts` and `ends` are what a COUNTER proposes, None where unreadable.
    `method` is that of the VCALENDAR around it, upper-case, "" where it has none.
    """

    uid: str
    recurrence_id: datetime | None
    attendee: str
    partstat: str
    sequence: int
    dtstamp: datetime | None
    sent_by: str
    comment: str
    method: str
    recurrence_id_text: str = ""
    delegated_to: tuple[str, ...] = ()
    starts: datetime | None = None
    ends: datetime | None = None
