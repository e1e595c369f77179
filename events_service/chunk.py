"""The claimed rows of one call of the post room: their lease, the words that wait for their commit, and the count.

A claim commits before any SMTP, so that nobody else takes the rows. The fence commits just before DATA, so that a row
found in DATA later is known to be doubtful. The server's word is committed with the next row's fence: one commit
settles a message and opens the next, and a crash leaves one doubtful row, never two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from jinja2 import TemplateError
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from events_service import campaign_changes, campaign_rows, claims, leases, people, review_gates
from events_service.clock import Clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.writer import SharedWriter, Writer
from events_service.delivery_log import DeliveryLog
from events_service.domain.delivery import ITINERARY
from events_service.errors import (
    DatabaseError,
    EventsError,
    MailError,
    PermanentMailError,
    TransientMailError,
    UnknownMailError,
)
from events_service.leases import Claimed, Ledger
from events_service.letters import Draft, Letters
from events_service.mail.words import without_addresses
from events_service.verdict import ON_ITS_WAY, Verdict, verdicts

UNWRITABLE = (EventsError, TemplateError, LookupError, ValueError)
"""What filling or freezing a letter raises where its words, its recipient or its template are at fault."""

_FINE = Verdict("sending", "")
_NOTHING_NEW = Verdict("cancelled", "nothing in it that they do not know")

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
        self.sent += other.sent
        self.failed += other.failed
        self.unknown += other.unknown
        self.retried += other.retried
        self.put_aside += other.put_aside


@dataclass(frozen=True, slots=True)
class _Word:
    """What is to be recorded of one message: taken, or an error, or (`wait`, in seconds) not its turn yet.

    It was `tried` unless the server took nothing at all, whoever it was for; then it waits its `turns`.
    """

    draft: Draft
    error: MailError | None = None
    tried: bool = True
    turns: int = 1
    wait: float | None = None

    @property
    def taken(self) -> bool:
        """Whether the server took it."""
        return self.error is None and self.wait is None


class Chunk:
    """The claimed rows of one call. Not to be shared between threads.

    A word is forgotten only once it is committed: where a commit fails, closing the chunk tries it again. The lease is
    renewed with a fence once half of it is over, so that a slow server makes no row go back that waits for its turn;
    `monotonic` says how long that is. Fences go over `writer`, which stays its owner's.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        token: str,
        data_lease: float,
        monotonic: Callable[[], float],
        writer: Writer | SharedWriter,
    ) -> None:
        self._database, self._settings, self._clock, self._token = database, settings, clock, token
        self._data_lease, self._monotonic = data_lease, monotonic
        self._writer = writer
        self._left: set[int] = set()
        self._words: list[_Word] = []
        self._dead: list[str] = []
        self._gates = review_gates.GateTimes({})
        self._leased_at = 0.0
        self.tally, self.told = Tally(), DeliveryLog()

    def claim(self, ids: Sequence[int], letters: Letters) -> list[Draft]:
        """Claim, put aside what may not go, freeze what the rest says; committed when it returns.

        The claim is committed first, so that a row at which a worker ends each time, whatever it does to it, is seen to
        have lost its lease. Where a deadlock was lost twice nothing is ready, and the rows are rung for again.
        """
        self._leased_at = self._monotonic()
        lease = (self._token, self._clock(), self._settings.lease_seconds)
        try:
            rows = self._in_session(lambda session: claims.claim(session, ids, *lease))
            self._left.update(row.id for row in rows)
            return self._in_session(lambda session: self._prepare(session, rows, letters)) if rows else []
        except DatabaseError as error:
            if not _lost_a_deadlock(error):
                raise
            log.warning("deliveries put off", why=str(error), waiting=len(ids))
            return []

    def _prepare(self, session: Session, rows: Sequence[Claimed], letters: Letters) -> list[Draft]:
        now = self._clock()
        # An erasure, or a cancellation, may have come in between.
        mine = claims.lock(session, [row.id for row in rows], self._token)
        rows = [row for row in rows if row.id in mine]
        self._gates = review_gates.gate_times(session)
        stopped = verdicts(session, [row.id for row in rows], now, self._gates.at(now))
        self._put_aside(session, stopped, {row.id: row.event_id for row in rows})
        ready = [row for row in rows if row.id not in stopped]
        early = campaign_rows.too_soon(session, [row.id for row in ready], now, self._a_moment)
        self._postpone(session, early, now)
        self.tally.put_aside += len(early)
        return self._freeze(session, [row for row in ready if row.id not in early], letters)

    def fence(self, drafts: Sequence[Draft]) -> frozenset[int]:
        """The write just before DATA, with what was waiting to be settled in the same commit: the ids that may go.

        Those that may not are to be judged (`judge`) once the others are on their way.
        """
        self._suppress_the_dead()
        return self._written(lambda on: self._fence(on, drafts))

    def settle(self) -> None:
        """Commit the words that are there, and renew the lease if half of it is over, where no fence comes soon."""
        self._suppress_the_dead()
        if self._words or (self._left and not self.quiet_seconds):
            self._written(lambda _on: None)

    @property
    def quiet_seconds(self) -> float:
        """For how long the lease needs no renewal."""
        return max(self._leased_at + self._settings.lease_seconds / 2 - self._monotonic(), 0.0)

    def _suppress_the_dead(self) -> None:
        if self._dead:
            self._forget(self._in_session(self._settle))

    def _written(self, then: Callable[[Writer], T]) -> T:
        """Settle what there is, renew the lease if it is time, then do that, in one transaction."""
        began, renew = self._monotonic(), bool(self._left) and not self.quiet_seconds

        def act(on: Writer) -> tuple[Tally, T]:
            settled = self._settle(on)
            if renew:
                leases.renew(on, self._left, self._token, self._settings.lease_seconds)
            return settled, then(on)

        settled, done = _once_more(lambda: self._writer.write(act))
        if renew:
            self._leased_at = began
        self._forget(settled)
        return done

    def _fence(self, on: Writer, drafts: Sequence[Draft]) -> frozenset[int]:
        now = self._clock()
        # A review can fall overdue while a chunk is being sent.
        ids, gates = [draft.row.id for draft in drafts], self._gates.at(now)
        return leases.fence(on, ids, self._token, now, gates, self._data_lease, self._gates.revision)

    def judge(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Put those aside that the fence did not let pass, for the reason that there is.

        Returned are those that are to be tried again: a programme was revised, and its gates are others by now. What
        another transaction had is given back with the chunk.
        """
        return self._in_session(lambda session: self._judge(session, drafts))

    def _judge(self, session: Session, drafts: Sequence[Draft]) -> list[Draft]:
        now = self._clock()
        before, self._gates = self._gates, review_gates.gate_times(session)
        events = {draft.row.id: draft.row.event_id for draft in drafts}
        stopped = verdicts(session, list(events), now, self._gates.at(now))
        self._put_aside(session, stopped, events)
        revised = before.revision != self._gates.revision
        return [draft for draft in drafts if draft.row.id not in stopped] if revised else []

    def sent(self, draft: Draft) -> None:
        """The server took it."""
        self._words.append(_Word(draft))

    def refused(self, draft: Draft, error: MailError) -> None:
        """The server did not take it, or nobody knows. An address that it says is dead gets no more mail."""
        self._words.append(_Word(draft, error))
        if isinstance(error, PermanentMailError) and error.dead_address:
            self._dead.append(people.email_hash(draft.email))

    def untried(self, draft: Draft, error: TransientMailError, turns: int = 1) -> None:
        """The server took nothing at all, whoever it was for: it waits, and this was no attempt."""
        self._words.append(_Word(draft, error, tried=False, turns=turns))

    def postponed(self, draft: Draft, seconds: float) -> None:
        """It may not go before so many seconds are over, at the pace that is set: no attempt either."""
        self._words.append(_Word(draft, wait=seconds))

    @property
    def told_nothing(self) -> bool:
        """Whether the ledger knows every word that the servers said."""
        return not self._words

    def close(self) -> None:
        """Commit what is not settled yet, and give back what was not begun."""

        def settle(session: Session) -> Tally:
            settled = self._settle(session)
            if left := self._left.difference(word.draft.row.id for word in self._words):
                leases.give_back(session, left, self._token, self._clock())
            return settled

        if self._left:
            self._forget(self._in_session(settle))

    def _settle(self, on: Ledger) -> Tally:
        now, settled = self._clock(), Tally()
        taken = [word.draft.row.id for word in self._words if word.taken]
        if taken:
            settled.sent += leases.settle_sent(on, taken, self._token, now)
        for word in self._words:
            if word.wait is not None:
                until = now + timedelta(seconds=word.wait)
                settled.put_aside += leases.postpone(on, word.draft.row.id, self._token, until, now)
            elif word.error is not None:
                self._record(on, word, word.error, settled, now)
        if isinstance(on, Session):
            for address in self._dead:
                people.suppress(on, address, "bounced", now)
        return settled

    def _record(self, on: Ledger, word: _Word, error: MailError, tally: Tally, now: datetime) -> None:
        row, token = word.draft.row, self._token
        base, most = self._settings.retry_base_seconds, self._settings.max_attempts
        # It is kept longer than the person may be.
        said = without_addresses(str(error))
        if isinstance(error, UnknownMailError):
            tally.unknown += leases.settle_unknown(on, row.id, token, said, now)
        elif isinstance(error, PermanentMailError):
            tally.failed += leases.settle_failed(on, row.id, token, error.code, said, now)
        elif word.tried:
            settled = leases.settle_transient(on, row, token, error.code, said, now, base, most)
            if row.attempts >= most:
                tally.failed += settled
            else:
                tally.retried += settled
        else:
            tally.retried += leases.settle_untried(on, row, token, error.code, said, now, base, word.turns)

    def _forget(self, settled: Tally) -> None:
        self.tally.add(settled)
        self._left.difference_update(word.draft.row.id for word in self._words)
        for word in self._words:
            if word.wait is None:
                row = word.draft.row
                self.told.settled(row.id, word.error, over=word.tried and row.attempts >= self._settings.max_attempts)
        self._words.clear()
        self._dead.clear()

    def _in_session(self, act: Callable[[Session], T]) -> T:
        before = replace(self.tally)

        def whole() -> T:
            self.tally = replace(before)
            with self._database.write() as session:
                return act(session)

        return _once_more(whole)

    def _freeze(self, session: Session, rows: Sequence[Claimed], letters: Letters) -> list[Draft]:
        """Freeze what the rows say. One that cannot be written fails alone, and is not tried for ever."""
        now = self._clock()
        try:
            with session.begin_nested():
                drafts = letters.freeze(session, rows, now)
            self._put_aside_silent(session, rows, drafts)
            return drafts
        except UNWRITABLE as error:
            if len(rows) == 1:
                why = unwritable(error)
                self.tally.failed += leases.settle_failed(session, rows[0].id, self._token, 0, str(why), now)
                return []
        return [draft for row in rows for draft in self._freeze(session, [row], letters)]

    @property
    def _a_moment(self) -> timedelta:
        """For how long one waits for another that is on its way."""
        return timedelta(seconds=self._settings.retry_base_seconds)

    def _postpone(self, session: Session, until: Mapping[int, datetime], now: datetime) -> None:
        for id, moment in until.items():
            leases.postpone(session, id, self._token, moment, now)

    def _put_aside_silent(self, session: Session, rows: Sequence[Claimed], drafts: Sequence[Draft]) -> None:
        """What was written to tell of an itinerary, and finds that its reader was told of all of it meanwhile."""
        drafted = {draft.row.id for draft in drafts}
        silent = {row.id: row.event_id for row in rows if row.purpose == ITINERARY and row.id not in drafted}
        if silent:
            self._put_aside(session, dict.fromkeys(silent, _NOTHING_NEW), silent)

    def _put_aside(self, session: Session, stopped: dict[int, Verdict], events: dict[int, int | None]) -> None:
        now = self._clock()
        by_verdict: dict[Verdict, list[int]] = {}
        for id, why in stopped.items():
            by_verdict.setdefault(why, []).append(id)
        for why, ids in by_verdict.items():
            self.tally.put_aside += len(ids)
            if why == ON_ITS_WAY:
                self._postpone(session, dict.fromkeys(ids, now + self._a_moment), now)
            else:
                leases.put_aside(session, ids, self._token, why, now)
        moved = {
            event for id, event in events.items() if (why := stopped.get(id, _FINE)) != ON_ITS_WAY
            and why.state == "pending"
        }  # fmt: skip
        campaign_changes.retime_stale(session, sorted(id for id in moved if id), now)


def unwritable(error: Exception) -> PermanentMailError:
    """What a letter's own fault means for its delivery: it fails."""
    return PermanentMailError(f"cannot be composed: {without_addresses(str(error))}")


def _once_more(whole: Callable[[], T]) -> T:
    """Do a transaction; once more where PostgreSQL made it the victim of a deadlock."""
    try:
        return whole()
    except DatabaseError as error:
        if not _lost_a_deadlock(error):
            raise
    return whole()


def _lost_a_deadlock(error: DatabaseError) -> bool:
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) == "40P01"
