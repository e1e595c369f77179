"""The ledger of deliveries as SQL: post, sweep, expire, and what people and evidence say of single rows.

The database is the truth and the queue a doorbell. What was in DATA when its lease ran out is unknown, never silently
sent again. What workers do to the rows that they hold is in `leases`; each transition is one conditional UPDATE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from events_service.db.session import database_now
from events_service.domain.delivery import HELD_FOR_REPLY, LOST_TOO_OFTEN, TOLD, UNSENT
from events_service.leases import after_data

ROWS = SQLModel.metadata.tables["delivery"]
MAY_HAVE_GONE = sa.or_(
    ROWS.c.state.in_(TOLD),
    sa.and_(ROWS.c.state == "sending", ROWS.c.in_data_at.is_not(None)),
    ROWS.c.doubted_at.is_not(None),
)
"""Of a delivery: whether its recipient has it, or may have it."""

_BATCH = 5000
_KILLS = (
    f"its worker was lost {LOST_TOO_OFTEN} times in a row before DATA, in the end with this message alone;"
    " it may be what kills them"
)


def post(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write deliveries, all with the same columns; a key that is there already is left. Returns how many were new."""
    if not rows:
        return 0
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError("rows that are posted together must have the same columns")
    make = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    insert = make(ROWS).on_conflict_do_nothing()
    written = 0
    for start in range(0, len(rows), _BATCH):
        batch = list(rows[start : start + _BATCH])
        # PostgreSQL's driver counts the rows of an INSERT only where it is asked to.
        written += session.connection().execute(insert, batch, execution_options={"preserve_rowcount": True}).rowcount
    return written


def sweep(session: Session, now: datetime) -> int:
    """Find rows whose worker is gone: their lease ran out by the database's clock. Returns how many.

    Before DATA they are pending again; one that lost its worker `LOST_TOO_OFTEN` times in a row fails, as it may be
    what its workers are lost to.
    """
    dialect = session.get_bind().dialect.name
    gone = sa.and_(ROWS.c.state == "sending", ROWS.c.lease_until < database_now(dialect))
    lost = ROWS.c.lost_leases + 1
    too_often = lost >= LOST_TOO_OFTEN
    # Nothing was tried, so the attempt is not counted.
    untried = sa.update(ROWS).where(unlocked(session, sa.and_(gone, ROWS.c.in_data_at.is_(None))))
    back = _write(
        session,
        untried.values(
            state=sa.case((too_often, "failed"), else_="pending"),
            last_error=sa.case((too_often, _KILLS), else_=ROWS.c.last_error),
            lease_token=None, lease_until=None, rung_at=None, changed_at=now,
            attempts=ROWS.c.attempts - 1, lost_leases=lost,
        ),
    )  # fmt: skip
    why = "its worker was gone before the server's word was recorded"
    in_data = (unlocked(session, sa.and_(gone, ROWS.c.in_data_at.is_not(None))),)
    return back + sum(_write(session, after_data(policy, in_data, why, now)) for policy in ("hold", "resend"))


def expire(session: Session, now: datetime) -> int:
    """Close unsent rows whose time has passed; how many expired. Those that waited for a yes were for nobody."""
    over = sa.and_(ROWS.c.state.in_(UNSENT), ROWS.c.expires_at <= now)
    waited = sa.and_(ROWS.c.state == "held", ROWS.c.hold_reason == HELD_FOR_REPLY)
    closed = (
        sa.update(ROWS)
        .where(unlocked(session, over))
        .values(
            state=sa.case((waited, "cancelled"), else_="expired"),
            last_error=sa.case((waited, "not in the step's audience"), else_="its time had passed"),
            hold_reason=None,
            changed_at=now,
        )
        .returning(ROWS.c.state)
    )
    return list(session.connection().execute(closed).scalars()).count("expired")


def unlocked(session: Session, where: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Those rows alone that no other transaction has: for a tick, to which the next one is as good.

    A worker that is frozen between a write and its commit must not keep everybody's tick waiting on PostgreSQL. SQLite
    has one writer.
    """
    if session.get_bind().dialect.name == "sqlite":
        return where
    return ROWS.c.id.in_(sa.select(ROWS.c.id).where(where).with_for_update(skip_locked=True).correlate(None))


def bounced(session: Session, id: int, reason: str, now: datetime) -> bool:
    """A bounce that names the message: evidence for one that is sent or unknown."""
    known = sa.update(ROWS).where(ROWS.c.id == id, ROWS.c.state.in_(("sent", "unknown")))
    return _write(session, known.values(state="bounced", last_error=reason[:500], changed_at=now)) == 1


def retry(session: Session, now: datetime, *where: sa.ColumnElement[bool]) -> list[int]:
    """By hand: failed rows are tried again, with the same identifiers. Their ids."""
    again = (
        sa.update(ROWS)
        .where(ROWS.c.state == "failed", *where)
        .values(state="pending", next_at=now, rung_at=None, attempts=0, lost_leases=0, in_data_at=None, changed_at=now)
        .returning(ROWS.c.id)
    )
    return sorted(session.connection().execute(again).scalars())


def settle_by_hand(session: Session, id: int, arrived: bool, now: datetime) -> bool:
    """By hand: an organiser's word on an unknown row. One that was lost is sent again, with the same identifiers."""
    values: dict[str, Any] = (
        {"state": "sent", "sent_at": now}
        if arrived
        else {"state": "pending", "next_at": now, "rung_at": None, "in_data_at": None}
    )
    doubtful = sa.update(ROWS).where(ROWS.c.id == id, ROWS.c.state == "unknown")
    return _write(session, doubtful.values(**values, lease_token=None, changed_at=now)) == 1


def counts(session: Session, *where: sa.ColumnElement[bool]) -> dict[str, int]:
    """How many deliveries are in each state."""
    query = sa.select(ROWS.c.state, sa.func.count()).where(*where).group_by(ROWS.c.state)
    return {state: count for state, count in session.connection().execute(query)}


def _write(session: Session, statement: sa.Update) -> int:
    return session.connection().execute(statement).rowcount
