"""Sending: claim, compose, send, record. The one place that commits more than once, because it must.

A claim commits before any SMTP, so that nobody else takes the rows. The fence commits just before DATA, so that a row
found in DATA later is known to be doubtful. The server's word is committed with the next row's fence: one commit
settles a message and opens the next, and a crash leaves one doubtful row, never two.
"""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import TypeVar

import structlog
from jinja2 import TemplateError
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from events_service import campaign_rows, campaigns, outbox
from events_service.clock import Clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Delivery, Event
from events_service.delivery_log import DeliveryLog
from events_service.errors import (
    DatabaseError,
    EventsError,
    MailError,
    PermanentMailError,
    SenderRefusedError,
    TransientMailError,
    UnknownMailError,
)
from events_service.letters import Draft, Letters
from events_service.mail.wire import Connection, Transport
from events_service.mail.words import without_addresses
from events_service.verdict import Verdict, verdicts

_FINE = Verdict("sending", "")
_MARGIN = 1.1
_UNWRITABLE = (EventsError, TemplateError, LookupError, ValueError)

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass
class Tally:
    """What became of the deliveries that a worker was told of; those that others had taken are not counted."""

    sent: int = 0
    failed: int = 0
    unknown: int = 0
    retried: int = 0
    put_aside: int = 0

    def add(self, other: Tally) -> None:
        """Count what another chunk did as well."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


class Postroom:
    """Sends deliveries over one transport. Safe to share between threads: each call works on its own rows."""

    def __init__(self, database: Database, settings: Settings, transport: Transport, clock: Clock) -> None:
        self._database, self._settings, self._transport, self._clock = database, settings, transport, clock
        self._letters = Letters(settings)
        # A lease that ran out while its worker still waits for the server's word would let a message go twice.
        self.data_lease_seconds = max(settings.data_lease_seconds, transport.longest_seconds * _MARGIN)
        self._stopping = threading.Event()

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
        token = secrets.token_hex(8)
        chunk = _Chunk(self._database, self._settings, self._clock, token, self.data_lease_seconds)
        if self._stopping.is_set():
            return chunk.tally
        waiting = deque(chunk.claim(ids, self._letters))
        try:
            self._send_all(chunk, waiting)
        finally:
            chunk.close()
        chunk.told.closed(vars(chunk.tally))
        return chunk.tally

    def _send_all(self, chunk: _Chunk, waiting: deque[Draft]) -> None:
        while waiting and not self._stopping.is_set():
            try:
                with self._transport.connect() as connection:
                    while waiting and not self._stopping.is_set():
                        if not self._send(chunk, connection, waiting.popleft()):
                            break
            except TransientMailError as error:
                # No connection to be had, or none that takes anything from us: none of these was tried, and all wait.
                log.warning("no mail can be sent", why=without_addresses(str(error)), waiting=len(waiting))
                for draft in waiting:
                    chunk.untried(draft, error)
                waiting.clear()

    def _send(self, chunk: _Chunk, connection: Connection, draft: Draft) -> bool:
        """Send one; whether the connection is still good. SenderRefusedError where it is good for nothing."""
        try:
            message = self._letters.fill(draft, self._clock())
        except _UNWRITABLE as error:
            chunk.refused(draft, _unwritable(error))
            return True
        try:
            if connection.send(message, lambda: chunk.fence(draft)):
                chunk.sent(draft)
        except SenderRefusedError as error:
            chunk.untried(draft, error)
            raise
        except MailError as error:
            chunk.refused(draft, error)
            return error.code not in (0, 421)
        return True


class _Chunk:
    """The claimed rows of one call: their lease's token, the word that waits for its commit, and the count.

    A word is forgotten only once it is committed: where a commit fails, closing the chunk tries it again.
    """

    def __init__(self, database: Database, settings: Settings, clock: Clock, token: str, data_lease: float) -> None:
        self._database, self._settings, self._clock, self._token = database, settings, clock, token
        self._data_lease = data_lease
        self._unsettled: list[tuple[Draft, MailError | None, bool]] = []
        self._gates = campaigns.GateTimes({})
        self.tally, self.told = Tally(), DeliveryLog()

    def claim(self, ids: Sequence[int], letters: Letters) -> list[Draft]:
        """Claim, put aside what may not go, freeze what the rest says; committed when it returns.

        Nothing is claimed where a deadlock was lost twice: those rows are rung for again.
        """
        try:
            return self._in_one(lambda session: self._claim(session, ids, letters))
        except DatabaseError as error:
            if not _lost_a_deadlock(error):
                raise
            log.warning("deliveries put off", why=str(error), waiting=len(ids))
            return []

    def _claim(self, session: Session, ids: Sequence[int], letters: Letters) -> list[Draft]:
        now = self._clock()
        rows = outbox.claim(session, ids, self._token, now, self._settings.lease_seconds)
        if not rows:
            return []
        self._gates = campaigns.gate_times(session)
        stopped = verdicts(session, [_id(row) for row in rows], now, self._gates.at(now))
        self._put_aside(session, stopped, rows)
        ready = [row for row in rows if _id(row) not in stopped]
        early = campaign_rows.too_soon(
            session, [_id(row) for row in ready], now, timedelta(seconds=self._settings.retry_base_seconds)
        )
        for id, until in early.items():
            outbox.postpone(session, id, self._token, until, now)
        self.tally.put_aside += len(early)
        return self._freeze(session, [row for row in ready if _id(row) not in early], letters)

    def fence(self, draft: Draft) -> bool:
        """The write just before DATA, with what was waiting to be settled in the same commit."""
        settled, passed = self._in_one(lambda session: (self._settle(session), self._fence(session, draft)))
        self._forget(settled)
        return passed

    def _fence(self, session: Session, draft: Draft) -> bool:
        now = self._clock()
        id = _id(draft.row)
        # A review can fall overdue while a chunk is being sent.
        gates = self._gates.at(now)
        passed = outbox.fence(session, id, self._token, now, gates, self._data_lease)
        if not passed:
            self._put_aside(session, verdicts(session, [id], now, gates), [draft.row])
        return passed

    def sent(self, draft: Draft) -> None:
        """The server took it."""
        self._unsettled.append((draft, None, True))

    def refused(self, draft: Draft, error: MailError) -> None:
        """The server did not take it, or nobody knows."""
        self._unsettled.append((draft, error, True))

    def untried(self, draft: Draft, error: TransientMailError) -> None:
        """The server took nothing at all, whoever it was for: it waits, and this was no attempt."""
        self._unsettled.append((draft, error, False))

    def close(self) -> None:
        """Commit what is not settled yet, and give back what was not begun."""

        def settle(session: Session) -> Tally:
            settled = self._settle(session)
            outbox.give_back(session, self._token, self._clock())
            return settled

        self._forget(self._in_one(settle))

    def _in_one(self, act: Callable[[Session], T]) -> T:
        """Do it in one transaction; once more where PostgreSQL made that the victim of a deadlock."""
        before = replace(self.tally)
        try:
            with self._database.write() as session:
                return act(session)
        except DatabaseError as error:
            if not _lost_a_deadlock(error):
                raise
        self.tally = before
        with self._database.write() as session:
            return act(session)

    def _settle(self, session: Session) -> Tally:
        now = self._clock()
        done = Tally()
        base, most = self._settings.retry_base_seconds, self._settings.max_attempts
        for draft, error, tried in self._unsettled:
            id = _id(draft.row)
            if error is None:
                done.sent += outbox.settle_sent(session, id, self._token, now)
                continue
            # It is kept longer than the person may be.
            said = without_addresses(str(error))
            if isinstance(error, UnknownMailError):
                done.unknown += outbox.settle_unknown(session, id, self._token, said, now)
            elif isinstance(error, PermanentMailError):
                done.failed += outbox.settle_failed(session, id, self._token, error.code, said, now)
            elif tried:
                words = (error.code, said, now, base, most)
                done.retried += outbox.settle_transient(session, draft.row, self._token, *words)
            else:
                done.retried += outbox.settle_untried(session, draft.row, self._token, error.code, said, now, base)
        return done

    def _forget(self, settled: Tally) -> None:
        self.tally.add(settled)
        for draft, error, tried in self._unsettled:
            over = tried and draft.row.attempts >= self._settings.max_attempts
            self.told.settled(_id(draft.row), error, over=over)
        self._unsettled.clear()

    def _freeze(self, session: Session, rows: Sequence[Delivery], letters: Letters) -> list[Draft]:
        """Freeze what the rows say. One that cannot be written fails alone, and is not tried for ever."""
        now = self._clock()
        try:
            with session.begin_nested():
                return letters.freeze(session, rows, now)
        except _UNWRITABLE as error:
            if len(rows) == 1:
                why = _unwritable(error)
                self.tally.failed += outbox.settle_failed(session, _id(rows[0]), self._token, 0, str(why), now)
                return []
        return [draft for row in rows for draft in self._freeze(session, [row], letters)]

    def _put_aside(self, session: Session, stopped: dict[int, Verdict], rows: Sequence[Delivery]) -> None:
        now = self._clock()
        by_verdict: dict[Verdict, list[int]] = {}
        for id, why in stopped.items():
            by_verdict.setdefault(why, []).append(id)
        for why, ids in by_verdict.items():
            outbox.put_aside(session, ids, self._token, why, now)
            self.tally.put_aside += len(ids)
        moved = {row.event_id for row in rows if stopped.get(_id(row), _FINE).state == "pending"}
        campaigns.retime_stale(session, sorted(id for id in moved if id), now)


def _lost_a_deadlock(error: DatabaseError) -> bool:
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) == "40P01"


def _unwritable(error: Exception) -> PermanentMailError:
    return PermanentMailError(f"cannot be composed: {without_addresses(str(error))}")


def _id(row: Delivery | Event) -> int:
    if row.id is None:
        raise ValueError("a row has no number before it is flushed")
    return row.id
