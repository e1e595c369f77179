"""Sending: claim, compose, send, record. The one place that commits more than once, because it must; see `chunk`."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

import structlog

from events_service.chunk import Chunk, Tally
from events_service.clock import Clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.writer import SharedWriter, Writer
from events_service.errors import TransientMailError
from events_service.letters import Draft, Letters
from events_service.mail.pace import Pace
from events_service.mail.wire import Transport
from events_service.mail.words import without_addresses
from events_service.sending import Round

__all__ = ["Postroom", "Tally"]

_MARGIN = 1.1
_WORTH_ANOTHER = 4
"""So many letters are worth opening one more connection."""

log = structlog.get_logger(__name__)


class Postroom:
    """Sends deliveries over one transport. Safe to share between threads: each call works on its own rows.

    `monotonic` is what paces and leases are timed with in this process.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        transport: Transport,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._settings, self._transport, self._clock = database, settings, transport, clock
        self._monotonic = monotonic
        self._letters = Letters(settings)
        self._pace = Pace(settings.rate_per_second, settings.domain_rate_per_second, monotonic)
        # A lease that ran out while its worker still waits for the server's word would let a message go twice.
        self.data_lease_seconds = max(settings.data_lease_seconds, transport.longest_seconds * _MARGIN)
        self._stopping, self._turn = threading.Event(), threading.Lock()
        self._shared = SharedWriter(database) if database.is_sqlite else None

    def stop(self) -> None:
        """Finish what is in DATA, give the rest back, and take nothing more."""
        self._stopping.set()

    def close(self) -> None:
        """Give up what the transport keeps open, once nothing is in DATA."""
        self._transport.close()

    def deliver(self, ids: Sequence[int]) -> Tally:
        """Send those of `ids` that are still pending and due. What cannot be sent is recorded, never raised.

        DatabaseError where the ledger cannot be written: then nothing more is sent.
        """
        if self._stopping.is_set():
            return Tally()
        with self._shared or Writer(self._database) as writer:
            lease = (secrets.token_hex(8), self.data_lease_seconds, self._monotonic)
            chunk = Chunk(self._database, self._settings, self._clock, *lease, writer)
            try:
                self._send_all(chunk, deque(chunk.claim(ids, self._letters)))
            finally:
                chunk.close()
        chunk.told.closed(vars(chunk.tally))
        return chunk.tally

    def _send_all(self, chunk: Chunk, waiting: deque[Draft]) -> None:
        given_back: Counter[str] = Counter()
        while waiting and not self._stopping.is_set():
            try:
                with self._transport.connect(self._wanted(waiting)) as connections:
                    words = (self._letters, self._pace, self._clock, self._stopping, given_back, self._turn)
                    Round(chunk, *words).send(waiting, connections)
            except TransientMailError as error:
                # No connection to be had, or none that takes anything from us: none of these was tried, and all wait.
                log.warning("no mail can be sent", why=without_addresses(str(error)), waiting=len(waiting))
                for draft in waiting:
                    chunk.untried(draft, error)
                waiting.clear()

    def _wanted(self, waiting: Sequence[Draft]) -> int:
        """How many connections these letters are worth."""
        return max(min(self._settings.smtp_connections, len(waiting) // _WORTH_ANOTHER), 1)
