"""What the scheduler does at every tick: it asks what is due, so one more tick, or one less, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from events_service import campaigns, doorbell, events, feeds, outbox
from events_service.config import Settings
from events_service.db.session import Database

MOST_AT_ONCE = 20_000
"""How many deliveries one tick rings for; the next tick rings for the rest."""


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
    ring: Callable[[Sequence[int]], None] | None,
    now: datetime,
    *,
    dry_run: bool = False,
    afresh: bool = False,
) -> Ticked:
    """Do once what is due at `now`. `ring` is told of due deliveries, a chunk of ids at a time; None rings nobody.

    With `afresh` it rings for all that is due, whoever was told of it a moment ago.

    The bell is rung after its note is committed: a worker that is faster than the commit would find nothing. With
    `dry_run` nothing is kept, nobody is rung and no feed is built; the counts are what they would be.
    """
    ids: list[int] = []
    with database.write(dry_run=dry_run) as session:
        finished = events.finish_past(session, now)
        written = campaigns.retell_cancelled(session, now) + campaigns.retell_moved(session, now)
        swept = outbox.sweep(session, now)
        _held, released = campaigns.settle_holds(session, campaigns.gates(session, now), now)
        expired = outbox.expire(session, now)
        if ring is not None:
            again = None if afresh else timedelta(seconds=settings.ring_again_seconds)
            ids = doorbell.ring_due(session, now, limit=MOST_AT_ONCE, again_after=again)
    rebuilt = 0 if dry_run else feeds.rebuild_stale(database, now)
    if ring is not None and not dry_run:
        for start in range(0, len(ids), settings.chunk_size):
            ring(ids[start : start + settings.chunk_size])
    return Ticked(written, released, expired, len(ids), swept, finished, rebuilt)
