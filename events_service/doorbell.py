"""Which deliveries are due, and noting that a worker was told. The queue is a doorbell: losing it loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session

from events_service.outbox import ROWS

URGENT, CAMPAIGN = PRIORITIES = (0, 1)
"""What somebody waits for, and everything else."""

_FORGET = 500


def ring_due(
    session: Session,
    now: datetime,
    *,
    limit: int,
    again_after: timedelta | None,
    priorities: Sequence[int] = PRIORITIES,
) -> list[int]:
    """The ids of due rows and a note on each that it was rung for: what somebody waits for first, then the oldest.

    A row told of within `again_after` is not named again, so that a slow worker's queue does not grow at every tick;
    None names it whenever that was. Rows that another scheduler is noting at this moment are left to it.
    """
    named: list[int] = []
    for priority in priorities:
        # One by one: for a single priority the index gives the due rows in order, and none that is due later is read.
        named += _ring_due(session, now, limit - len(named), again_after, priority)
    return named


def _ring_due(session: Session, now: datetime, limit: int, again_after: timedelta | None, priority: int) -> list[int]:
    if limit <= 0:
        return []
    due = (
        sa.select(ROWS.c.id)
        .where(ROWS.c.state == "pending", ROWS.c.priority == priority, ROWS.c.next_at <= now)
        .order_by(ROWS.c.next_at, ROWS.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if again_after is not None:
        # One that is to come was noted by a clock that ran ahead; a little, and it is another scheduler's.
        ahead = ROWS.c.rung_at > now + again_after
        due = due.where(sa.or_(ROWS.c.rung_at.is_(None), ROWS.c.rung_at <= now - again_after, ahead))
    # As a subquery PostgreSQL might run it more than once, each time past the rows that it has just locked.
    once = due.cte("due").prefix_with("MATERIALIZED")
    wanted = ROWS.c.id.in_(sa.select(once.c.id))
    noted = sa.update(ROWS).where(wanted).values(rung_at=now).returning(ROWS.c.next_at, ROWS.c.id)
    return [id for _next_at, id in sorted(tuple(row) for row in session.connection().execute(noted))]


def due(session: Session, now: datetime, *, limit: int, priority: int) -> list[int]:
    """The ids of due rows of one priority, the oldest first, whoever was told of them; nothing is noted."""
    query = (
        sa.select(ROWS.c.id)
        .where(ROWS.c.state == "pending", ROWS.c.priority == priority, ROWS.c.next_at <= now)
        .order_by(ROWS.c.next_at, ROWS.c.id)
        .limit(limit)
    )
    return list(session.connection().execute(query).scalars())


def forget_rings(session: Session, ids: Sequence[int]) -> int:
    """Have waiting rows rung for again at the next tick: the broker took no message about them. Returns how many."""
    rung = sa.update(ROWS).where(ROWS.c.state == "pending", ROWS.c.rung_at.is_not(None)).values(rung_at=None)
    batches = (ids[start : start + _FORGET] for start in range(0, len(ids), _FORGET))
    return sum(session.connection().execute(rung.where(ROWS.c.id.in_(batch))).rowcount for batch in batches)


def next_due(session: Session) -> datetime | None:
    """When the next pending row is due; None where nothing is pending."""
    first = [
        session.connection()
        .execute(sa.select(sa.func.min(ROWS.c.next_at)).where(ROWS.c.state == "pending", ROWS.c.priority == priority))
        .scalar()
        for priority in PRIORITIES
    ]
    return min((at for at in first if at is not None), default=None)
