"""Sending: claim, compose, send, record. The one place that commits more than once, because it must; see `chunk`."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext

import structlog

from events_service.chunk import Chunk, Tally
from events_service.clock import Clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.writer import SharedWriter, Writer
from events_service.errors import DatabaseError, NoTurnError, TransientMailError
from events_service.letters import Draft, Letters
from events_service.mail.pace import Pace
from events_service.mail.wire import Transport
from events_service.mail.words import without_addresses
from events_service.sending import Round

__all__ = ["Postroom", "Tally"]

_MARGIN = 1.1
_WORTH_ANOTHER = 4
"""So many letters are worth opening one more connection."""
_IDLE_ROUNDS = 3
"""After so many rounds in which no connection was good for a message, the server is left alone for a while."""
_CLOSING_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0, 0.0)

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

    def deliver(self, ids: Sequence[int], *, urgent: bool = False) -> Tally:
        """Send those of `ids` that are still pending and due. What cannot be sent is recorded, never raised.

        What is `urgent` goes before the rest where the server gives few connections. DatabaseError where the ledger
        cannot be written: then nothing more is sent.
        """
        if self._stopping.is_set():
            return Tally()
        with self._shared or Writer(self._database) as writer:
            lease = (secrets.token_hex(8), self.data_lease_seconds, self._monotonic)
            chunk = Chunk(self._database, self._settings, self._clock, *lease, writer)
            try:
                self._send_all(chunk, ids, urgent)
            finally:
                self._close(chunk)
        chunk.told.closed(vars(chunk.tally))
        return chunk.tally

    def _send_all(self, chunk: Chunk, ids: Sequence[int], urgent: bool) -> None:
        given_back: Counter[str] = Counter()
        waiting: deque[Draft] | None = None
        idle = 0
        try:
            while waiting is None or (waiting and not self._stopping.is_set()):
                with self._transport.connect(self._worth(ids if waiting is None else waiting), urgent=urgent) as open_:
                    if waiting is None:
                        # Only now: a server may take longer to be reached than a lease lasts.
                        with self._turn if self._shared else nullcontext():
                            waiting = deque(chunk.claim(ids, self._letters))
                    words = (self._letters, self._pace, self._clock, self._stopping, given_back, self._turn)
                    one = Round(chunk, *words, elsewhere=self._shared is None)
                    one.send(waiting, open_)
                idle = 0 if one.heard else idle + 1
                if idle == _IDLE_ROUNDS and waiting:
                    raise TransientMailError("the server closed every connection before it took anything")
                # Before the next connection is waited for.
                chunk.settle()
        except NoTurnError as error:
            # What is claimed is given back, and all of it is rung for again.
            log.info(
                "deliveries wait for a connection", why=str(error), waiting=len(ids if waiting is None else waiting)
            )
        except TransientMailError as error:
            # No connection to be had, or none that takes anything from us: none of these was tried, and all wait.
            waiting = deque(chunk.claim(ids, self._letters)) if waiting is None else waiting
            log.warning("no mail can be sent", why=without_addresses(str(error)), waiting=len(waiting))
            for draft in waiting:
                chunk.untried(draft, error)

    def _close(self, chunk: Chunk) -> None:
        """What servers said is worth more than one try: a database that is restarted is back within seconds."""
        for seconds in _CLOSING_SECONDS:
            try:
                chunk.close()
            except DatabaseError as error:
                if chunk.told_nothing or not seconds:
                    raise
                log.warning("the ledger cannot be written; what was said is kept", why=str(error), again_in=seconds)
                threading.Event().wait(seconds)
            else:
                return

    def _worth(self, letters: Sequence[object]) -> int:
        """How many connections so many letters are worth."""
        return max(min(self._settings.smtp_connections, len(letters) // _WORTH_ANOTHER), 1)
