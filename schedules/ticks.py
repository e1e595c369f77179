"""What the scheduler does at every tick: it asks what is due, so one more tick, or one less, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from sqlmodel import Session

from events_service import campaigns, chores, doorbell, events, feeds, mailbox, outbox, review_gates
from events_service.config import Settings
from events_service.db.session import Database, wait_no_longer
from events_service.errors import BrokerError
from schedules.beside import Beside
from workers.actors import Bells, Ring

T = TypeVar("T")
_Do = Callable[[Callable[[], object]], object]

MOST_AT_ONCE = 20_000
"""How many deliveries one tick in this process rings for; the next tick rings for the rest."""
MOST_WAITING = 500
"""How many messages may wait in a queue: live, no tick rings for more. So a queue whose workers are slow, or away for a
day, stays this short (and as much again for each further scheduler), however many deliveries are due."""
_JUST_NOW = timedelta(microseconds=1)
"""What this very tick has rung for is not named by its next batch."""
_LOCK_SECONDS = 10
"""For how long a tick waits for a row that somebody else has before it fails, and is tried again."""
_BATCH = 5000
"""How many deliveries are noted as rung for in one transaction: others can write between them."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did: deliveries written, released and expired, and how many a worker was told of."""

    materialised: int
    released: int
    expired: int
    rung: int
    swept: int
    finished: int
    feeds: int

    def as_json(self) -> dict[str, int]:
        """As the contract has it, and more."""
        return asdict(self)


def tick(
    database: Database,
    settings: Settings,
    ring: Ring | None,
    now: datetime,
    *,
    dry_run: bool = False,
    afresh: bool = False,
) -> Ticked:
    """Do once, in this process, what is due at `now`. `ring` is told of due deliveries, a chunk of ids at a time.

    None rings nobody. With `afresh` it rings for all that is due, whoever was told of it a moment ago.

    The bell is rung after its note is committed: a worker that is faster than the commit would find nothing. With
    `dry_run` nothing is kept, nobody is rung and no feed is built; the counts are what they would be.
    """
    ids: list[int] = []
    with database.write(dry_run=dry_run) as session:
        wait_no_longer(session, _LOCK_SECONDS)
        finished = events.finish_past(session, now)
        written = chores.retell(session, now)
        swept, released, expired = _sweep(session, now)
        if ring is not None:
            again = None if afresh else _again(settings)
            ids = doorbell.ring_due(session, now, limit=MOST_AT_ONCE, again_after=again)
    rebuilt = 0 if dry_run else feeds.rebuild_stale(database, now)
    if ring is not None and not dry_run:
        for chunk in _chunks(ids, settings.chunk_size):
            ring(chunk)
    return Ticked(written, released, expired, len(ids), swept, finished, rebuilt)


def live_tick(
    database: Database, settings: Settings, bells: Bells, now: datetime, beside: Beside | None = None
) -> Ticked:
    """The same with workers behind a broker: they get the chores, and no more messages than a queue should hold.

    Whatever the broker does, the ledger is swept, released and expired. BrokerError, after that, where it is away: then
    nothing is noted as rung for, and the chores are done here, as they are where no worker has taken them for a tick.
    With `beside` a broker that hangs does not keep the next tick; it is for the broker alone, not for the database.
    """
    do = beside.do if beside else _at_once
    lengths, away = None, None
    try:
        lengths = do(lambda: {queue: bells.waiting(queue) for queue in ("urgent", "deliver", "plan")})
    except BrokerError as error:
        away = error
    with database.write() as session:
        wait_no_longer(session, _LOCK_SECONDS)
        finished = events.finish_past(session, now)
        swept, released, expired = _sweep(session, now)
        look = lengths is not None and mailbox.ring_due(session, settings, now)
    rung = 0
    try:
        if lengths is not None:
            rung = _ring_all(database, settings, bells, lengths, look, now, do)
    except BrokerError as error:
        away = error
    written, rebuilt = chores.do(database, now) if away or lengths is None or lengths["plan"] else (0, 0)
    if away:
        raise away
    return Ticked(written, released, expired, rung, swept, finished, rebuilt)


def _at_once(act: Callable[[], T]) -> T:
    return act()


def _ring_all(
    database: Database,
    settings: Settings,
    bells: Bells,
    waiting: dict[str, int],
    look: bool,
    now: datetime,
    do: _Do,
) -> int:
    """Ring for everything that workers do. How many deliveries."""
    rung = _ring(database, settings, bells.urgent, waiting["urgent"], doorbell.URGENT, now, do)
    rung += _ring(database, settings, bells.deliver, waiting["deliver"], doorbell.CAMPAIGN, now, do)
    if look:
        do(bells.intake)
    if not waiting["plan"]:
        do(bells.plan)
    return rung


def _ring(
    database: Database, settings: Settings, ring: Ring, waiting: int, priority: int, now: datetime, do: _Do
) -> int:
    """Ring for due rows of a priority while the queue has room. How many.

    An empty queue means that what was rung for before is being sent or was lost: all that is due is rung for. What is
    being sent is then named twice, which changes nothing.
    """
    again = _again(settings) if waiting else _JUST_NOW
    room = max(MOST_WAITING - waiting, 0) * settings.chunk_size
    rung = 0
    while room > rung:
        with database.write() as session:
            limit = min(room - rung, _BATCH)
            ids = doorbell.ring_due(session, now, limit=limit, again_after=again, priorities=(priority,))
        told: list[int] = []
        try:
            do(partial(_tell, ring, _chunks(ids, settings.chunk_size), told))
        except BrokerError:
            with database.write() as session:
                doorbell.forget_rings(session, ids[len(told) :])
            raise
        rung += len(told)
        if len(ids) < limit:
            break
    return rung


def _tell(ring: Ring, chunks: Sequence[Sequence[int]], told: list[int]) -> None:
    """Ring for them, a chunk at a time; `told` has those that were rung for so far, whoever looks."""
    for chunk in chunks:
        ring(chunk)
        told.extend(chunk)


def _sweep(session: Session, now: datetime) -> tuple[int, int, int]:
    """What needs no broker: rows whose worker is gone, holds that ended or began, what is too late."""
    swept = outbox.sweep(session, now)
    _held, released = campaigns.settle_holds(session, review_gates.standing(session, now), now)
    return swept, released, outbox.expire(session, now)


def _again(settings: Settings) -> timedelta:
    return timedelta(seconds=settings.ring_again_seconds)


def _chunks(ids: Sequence[int], size: int) -> list[Sequence[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
