"""Which deliveries are due, and noting that a worker was told. The queue is a doorbell: losing it loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from events_service.db.types import UTCDateTime
from events_service.outbox import ROWS

URGENT, CAMPAIGN = PRIORITIES = (0, 1)
"""What somebody waits for, and everything else."""

_FORGET = 500
_PRIORITY: sa.BindParameter[int] = sa.bindparam("of_priority")
_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UTCDateTime)
_FIRST_DUE = sa.select(
    *(
        sa.select(sa.func.min(ROWS.c.next_at))
        .where(ROWS.c.state == "pending", ROWS.c.priority == priority)
        .scalar_subquery()
        for priority in PRIORITIES
    )
)


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
    told = {"now": now, "of_priority": priority, "most": limit}
    if again_after is not None:
        told |= {"silent_since": now - again_after, "ahead": now + again_after}
    noted = session.connection().execute(_noted(again_after is not None), told)
    return [id for _next_at, id in sorted(tuple(row) for row in noted)]


@lru_cache(maxsize=2)
def _noted(silent: bool) -> sa.sql.dml.ReturningUpdate[Any]:
    """Note a ring on rows that are due; with `silent` not on those that were told of lately."""
    due = _due()
    if silent:
        # One that is to come was noted by a clock that ran ahead; a little, and it is another scheduler's.
        ahead = ROWS.c.rung_at > sa.bindparam("ahead", type_=UTCDateTime)
        before = ROWS.c.rung_at <= sa.bindparam("silent_since", type_=UTCDateTime)
        due = due.where(sa.or_(ROWS.c.rung_at.is_(None), before, ahead))
    # As a subquery PostgreSQL might run it more than once, each time past the rows that it has just locked.
    once = due.with_for_update(skip_locked=True).cte("due").prefix_with("MATERIALIZED")
    wanted = ROWS.c.id.in_(sa.select(once.c.id))
    return sa.update(ROWS).where(wanted).values(rung_at=_NOW).returning(ROWS.c.next_at, ROWS.c.id)


@lru_cache(maxsize=1)
def _due() -> sa.Select[int]:
    return (
        sa.select(ROWS.c.id)
        .where(ROWS.c.state == "pending", ROWS.c.priority == _PRIORITY, ROWS.c.next_at <= _NOW)
        .order_by(ROWS.c.next_at, ROWS.c.id)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


def due(session: Session, now: datetime, *, limit: int, priority: int) -> list[int]:
    """The ids of due rows of one priority, the oldest first, whoever was told of them; nothing is noted."""
    told = {"now": now, "of_priority": priority, "most": limit}
    return list(session.connection().execute(_due(), told).scalars())


def forget_rings(session: Session, ids: Sequence[int]) -> int:
    """Have waiting rows rung for again at the next tick: the broker took no message about them. Returns how many."""
    rung = sa.update(ROWS).where(ROWS.c.state == "pending", ROWS.c.rung_at.is_not(None)).values(rung_at=None)
    batches = (ids[start : start + _FORGET] for start in range(0, len(ids), _FORGET))
    return sum(session.connection().execute(rung.where(ROWS.c.id.in_(batch))).rowcount for batch in batches)


def next_due(session: Session) -> datetime | None:
    """When the next pending row is due; None where nothing is pending."""
    first = session.connection().execute(_FIRST_DUE).one()
    return min((at for at in first if at is not None), default=None)
