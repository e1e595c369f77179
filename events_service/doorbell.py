"""Which deliveries are due, and noting that a worker was told. The queue is a doorbell: losing it loses nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session

from events_service.outbox import ROWS


def ring_due(session: Session, now: datetime, *, limit: int, again_after: timedelta | None) -> list[int]:
    """The ids of due rows, oldest first, and a note on each that a worker was told.

    A row told of within `again_after` is not named again, so that a slow worker's queue does not grow at every tick;
    None names it whenever that was. Rows that another scheduler is noting at this moment are left to it.
    """
    due = (
        sa.select(ROWS.c.id)
        .where(ROWS.c.state == "pending", ROWS.c.next_at <= now)
        .order_by(ROWS.c.next_at, ROWS.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if again_after is not None:
        due = due.where(sa.or_(ROWS.c.rung_at.is_(None), ROWS.c.rung_at <= now - again_after))
    # As a subquery PostgreSQL might run it more than once, each time past the rows that it has just locked.
    once = due.cte("due").prefix_with("MATERIALIZED")
    wanted = ROWS.c.id.in_(sa.select(once.c.id))
    noted = sa.update(ROWS).where(wanted).values(rung_at=now).returning(ROWS.c.next_at, ROWS.c.id)
    return [id for _next_at, id in sorted(tuple(row) for row in session.connection().execute(noted))]


def forget_rings(session: Session) -> int:
    """Have every waiting row rung for again: with the broker in this process, its queue went with the last process."""
    rung = sa.update(ROWS).where(ROWS.c.state == "pending", ROWS.c.rung_at.is_not(None)).values(rung_at=None)
    return session.connection().execute(rung).rowcount


def next_due(session: Session) -> datetime | None:
    """When the next pending row is due; None where nothing is pending."""
    return (
        session.connection().execute(sa.select(sa.func.min(ROWS.c.next_at)).where(ROWS.c.state == "pending")).scalar()
    )
