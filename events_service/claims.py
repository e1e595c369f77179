"""Taking due rows under a lease: one conditional UPDATE, which commits before any SMTP. What follows is in `leases`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from events_service.db.session import database_in, one_of
from events_service.db.types import UTCDateTime
from events_service.domain.delivery import SUSPECT_FROM, claimed_together
from events_service.leases import ROWS, STATE, TOKEN, Claimed, dialect_of, untried

_SUSPECTS_LOCK = 726336
"""PostgreSQL's advisory lock for who claims suspects."""

_CLAIMED = [ROWS.c[name] for name in Claimed._fields]


def claim(session: Session, ids: Iterable[int], token: str, now: datetime, lease_seconds: float) -> list[Claimed]:
    """Take those of `ids` that are pending and due, under a lease of `lease_seconds`; the rest are somebody else's.

    In the order in which they are to go: what somebody waits for first, then by when they were due.

    Suspects, whose workers were lost, are claimed apart from all others, and no further ones while some are on their
    way. Which of `ids` are left because of that is rung for again.
    """
    dialect, ids = dialect_of(session), list(ids)
    suspects = list(session.connection().execute(_suspects(dialect), {"ids": ids, "now": now}))
    apart = _next_suspects(session, suspects)
    told = {"ids": apart or ids, "apart": bool(apart), "token": token, "now": now}
    rows = session.connection().execute(_claim(dialect, lease_seconds), told).all()
    if suspects:
        session.connection().execute(_left(dialect), {"ids": ids})
    return sorted((Claimed(*row) for row in rows), key=lambda row: (row.priority, row.next_at, row.id))


@lru_cache(maxsize=8)
def _claim(dialect: str, lease_seconds: float) -> sa.sql.dml.ReturningUpdate[Any]:
    now = sa.bindparam("now", type_=UTCDateTime)
    named, pending = _named(dialect)
    may = sa.or_(ROWS.c.lost_leases < SUSPECT_FROM, sa.bindparam("apart", type_=sa.Boolean))
    wanted = sa.select(ROWS.c.id).where(named, pending, ROWS.c.next_at <= now, may).with_for_update(skip_locked=True)
    return (
        sa.update(ROWS)
        .where(ROWS.c.id.in_(wanted), pending)
        .values(
            state="sending",
            lease_token=TOKEN,
            lease_until=database_in(dialect, lease_seconds),
            in_data_at=None,
            attempts=ROWS.c.attempts + 1,
            changed_at=now,
        )
        .returning(*_CLAIMED)
    )


def _named(dialect: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Whether a row is among the `ids`, and whether it is pending."""
    return one_of(dialect, ROWS.c.id, "ids"), STATE == "pending"


@lru_cache(maxsize=2)
def _suspects(dialect: str) -> sa.Select[Any]:
    due = ROWS.c.next_at <= sa.bindparam("now", type_=UTCDateTime)
    suspect = sa.select(ROWS.c.id, ROWS.c.lost_leases).where(*_named(dialect), due, ROWS.c.lost_leases >= SUSPECT_FROM)
    # What is worst goes last, so that it keeps nobody waiting until its lease is over.
    return suspect.order_by(ROWS.c.lost_leases, ROWS.c.next_at, ROWS.c.id)


def _next_suspects(session: Session, suspects: Sequence[Any]) -> list[int]:
    """Those of these whose turn it is: none while others are on their way before DATA, whoever has them."""
    if not suspects or not _none_on_its_way(session):
        return []
    fewest = suspects[0].lost_leases
    return [one.id for one in suspects if one.lost_leases == fewest][: claimed_together(fewest)]


def _none_on_its_way(session: Session) -> bool:
    # Two who ask at the same moment would both be told that there is none; SQLite has one writer.
    if dialect_of(session) == "postgresql":
        mine = sa.select(sa.func.pg_try_advisory_xact_lock(_SUSPECTS_LOCK))
        if not session.connection().execute(mine).scalar_one():
            return False
    sending = sa.exists().where(ROWS.c.state == "sending", ROWS.c.lost_leases >= SUSPECT_FROM)
    return not session.connection().execute(sa.select(sending)).scalar_one()


@lru_cache(maxsize=2)
def _left(dialect: str) -> sa.Update:
    left = sa.select(ROWS.c.id).where(*_named(dialect)).with_for_update(skip_locked=True)
    return sa.update(ROWS).where(ROWS.c.id.in_(left)).values(rung_at=None)


def lock(session: Session, ids: Iterable[int], token: str) -> set[int]:
    """Which of these claimed rows are the worker's still; until the transaction ends nobody else changes them."""
    mine = _locked(dialect_of(session))
    return set(session.connection().execute(mine, {"ids": list(ids), "token": token}).scalars())


@lru_cache(maxsize=2)
def _locked(dialect: str) -> sa.Select[Any]:
    mine = sa.select(ROWS.c.id).where(one_of(dialect, ROWS.c.id, "ids"), *untried(TOKEN, STATE))
    return mine.order_by(ROWS.c.id).with_for_update()
