"""How much of a stranger's calendar is read, so that no file, however it was made, takes a second.

Sizes are bounded by count, time by an account: whatever is done for a file is charged to it before it is done, a unit
being a microsecond of work or less. There is no timer, so that a file is read or refused alike on every machine
(docs/decisions/0019-what-bounds-a-calendar.md).
"""

from __future__ import annotations

from datetime import timedelta

from events_service.errors import InputError

MAX_BYTES = 10_000_000
MAX_LINES = 400_000
MAX_COMPONENTS = 10_000
MAX_DEPTH = 20
MAX_LINE = 50_000
"""Octets of one content line, unfolded; some two thousand dates."""
MAX_REPEATED = 200
"""Lines of one component that may be there more than once: RRULE, RDATE, EXDATE."""
MAX_DATES = 2_000
MAX_RULE = 2_000
"""Characters of one RRULE."""
MAX_RULES = 10
MAX_TIMES_A_DAY = 100
MAX_RECURRENCES = 1_000
"""Of one series, in the time asked for."""
MAX_FOUND = 5_000
MAX_UNUSED = 1_000
MAX_HORIZON = timedelta(days=50 * 366)
MAX_WORK = 400_000
"""Units for cutting a file apart."""
MAX_READING = 200_000
"""Units for reading its events. They are kept apart, so that what was cut comes to something."""
MAX_REPEATING = 200_000
"""Units for following its rules, kept apart likewise."""
MAX_SERIES_WORK = 100_000
LINE_COST = 3
"""Units for a line that is kept; three times that where it has parameters."""
EVENT_COST = 40
DATE_COST = 8
FOUND_COST = 25


class Work:
    """One account of one file."""

    def __init__(self, limit: int = MAX_WORK) -> None:
        self.left = limit

    def charge(self, units: int) -> None:
        """Take `units` from what is left; InputError where that is not enough."""
        if units > self.left:
            self.left = 0
            raise InputError("takes more work to read than any calendar that people use")
        self.left -= units
