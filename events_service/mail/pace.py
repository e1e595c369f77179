"""How fast mail may go: so many messages a second in all, and so many to one domain. Of this process alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_TOLERANCE = 1e-6
"""Seconds: whoever waits for as long as they were told may go then, whatever floats make of the sum."""
_KEPT = 1024


class Pace:
    """Rates in messages a second; 0 sets no limit. Safe to share between threads.

    Token buckets, kept as the moment at which each is full again (the generic cell rate algorithm): one second's worth
    may go at once, one message at least. In any stretch of t seconds no more go than rate * t and that burst. A domain
    whose bucket is full is forgotten.
    """

    def __init__(
        self,
        rate_per_second: float,
        domain_rate_per_second: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate, self._domain_rate, self._monotonic = rate_per_second, domain_rate_per_second, monotonic
        self._lock = threading.Lock()
        self._full = 0.0
        self._full_by_domain: dict[str, float] = {}
        self._crowded = _KEPT

    def wait(self, address: str) -> float:
        """How many seconds until one more message may go to that address: 0 is now, and it is then counted.

        Otherwise nothing is counted: ask again then, for others may have been first.
        """
        if not (self._rate or self._domain_rate):
            return 0.0
        domain = address.rpartition("@")[2].lower()
        with self._lock:
            now = self._monotonic()
            full_here = self._full_by_domain.get(domain, now)
            seconds = max(_until_one(self._full, self._rate, now), _until_one(full_here, self._domain_rate, now))
            if seconds > 0:
                return seconds
            if self._rate:
                self._full = max(self._full, now) + 1 / self._rate
            if self._domain_rate:
                self._full_by_domain[domain] = max(full_here, now) + 1 / self._domain_rate
                self._forget(now)
            return 0.0

    def _forget(self, now: float) -> None:
        """Once in a while, so that it costs next to nothing for each message."""
        if len(self._full_by_domain) <= self._crowded:
            return
        self._full_by_domain = {domain: full for domain, full in self._full_by_domain.items() if full > now}
        self._crowded = max(_KEPT, 2 * len(self._full_by_domain))


def _until_one(full: float, rate: float, now: float) -> float:
    """How many seconds until a bucket that is full again at `full` has one message's worth."""
    if not rate:
        return 0.0
    seconds = full - now - (max(rate, 1.0) - 1) / rate
    return seconds if seconds > _TOLERANCE else 0.0
