"""The ledger of deliveries as SQL: post, claim, fence, settle. Each transition is one conditional UPDATE.

The database is the truth and the queue a doorbell. A claim commits before any SMTP. Just before DATA the fence writes
`in_data_at` if, at that moment, the lease stands and `verdict` still finds nothing against the message; a row that the
fence did not change is not sent. What was in DATA when its lease ran out is unknown, never silently sent again.
Leases go by the database's clock, everything else by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from events_service.db.session import database_in, database_now
from events_service.db.tables import Delivery
from events_service.domain.delivery import HELD_FOR_REPLY, UNSENT, backoff, wait_for_server
from events_service.verdict import Gates, Verdict, moments, verdict

ROWS = SQLModel.metadata.tables["delivery"]

_BATCH = 500


def post(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write deliveries; a key that is there already is left as it is. Returns how many were new."""
    insert = postgresql.insert if _dialect(session) == "postgresql" else sqlite.insert
    written = 0
    for start in range(0, len(rows), _BATCH):
        statement = insert(ROWS).values(list(rows[start : start + _BATCH])).on_conflict_do_nothing()
        # PostgreSQL's driver counts the rows of an INSERT only where it is asked to.
        written += session.connection().execute(statement, execution_options={"preserve_rowcount": True}).rowcount
    return written


def claim(session: Session, ids: Iterable[int], token: str, now: datetime, lease_seconds: float) -> list[Delivery]:
    """Take those of `ids` that are pending and due, under a lease of `lease_seconds`; the rest are somebody else's."""
    wanted = (
        sa.select(ROWS.c.id)
        .where(ROWS.c.id.in_(list(ids)), ROWS.c.state == "pending", ROWS.c.next_at <= now)
        .with_for_update(skip_locked=True)
    )
    dialect = _dialect(session)
    session.connection().execute(
        sa.update(ROWS)
        .where(ROWS.c.id.in_(wanted), ROWS.c.state == "pending")
        .values(
            state="sending",
            lease_token=token,
            lease_until=database_in(dialect, lease_seconds),
            in_data_at=None,
            attempts=ROWS.c.attempts + 1,
            changed_at=now,
        )
    )
    mine = sa.select(Delivery).where(ROWS.c.lease_token == token, ROWS.c.state == "sending")
    return list(session.scalars(mine.order_by(ROWS.c.next_at, ROWS.c.id)))


def put_aside(session: Session, ids: Sequence[int], token: str, why: Verdict, now: datetime) -> None:
    """Settle claimed rows that may not be sent. One that moved keeps nothing of what it was going to say.

    Nothing was tried, so the attempt is not counted.
    """
    values: dict[str, Any] = {
        "state": why.state,
        "lease_token": None,
        "lease_until": None,
        "attempts": ROWS.c.attempts - 1,
        "changed_at": now,
    }
    if why.state == "held":
        values["hold_reason"] = why.reason
    elif why.state == "pending":
        values.update(content_id=None, rung_at=None)
    else:
        values["last_error"] = why.reason
    session.connection().execute(
        sa.update(ROWS)
        .where(
            ROWS.c.id.in_(ids),
            *_untried(token),
        )
        .values(values)
    )


def postpone(session: Session, id: int, token: str, until: datetime, now: datetime) -> None:
    """Give a claimed row back until a later time, without counting the attempt."""
    session.connection().execute(
        sa.update(ROWS).where(ROWS.c.id == id, *_untried(token)).values(next_at=until, **_GIVEN_BACK, changed_at=now)
    )


def give_back(session: Session, token: str, now: datetime) -> int:
    """Give back what was claimed under `token` and not begun, without counting the attempt. Returns how many."""
    returned = sa.update(ROWS).where(*_untried(token)).values(**_GIVEN_BACK, changed_at=now)
    return session.connection().execute(returned).rowcount


def fence(session: Session, id: int, token: str, now: datetime, gates: Gates, data_seconds: float) -> bool:
    """The write just before DATA. True if the message may go; the lease then covers the wait for the server's word."""
    told = {"fenced": id, "token": token, **moments(now, gates)}
    statement = _fence(_dialect(session), tuple(gates), data_seconds)
    return session.connection().execute(statement, told).rowcount == 1


@lru_cache(maxsize=16)
def _fence(dialect: str, gated_programmes: tuple[str, ...], data_seconds: float) -> sa.Update:
    return (
        sa.update(ROWS)
        .where(
            ROWS.c.id == sa.bindparam("fenced"),
            ROWS.c.state == "sending",
            ROWS.c.lease_token == sa.bindparam("token"),
            ROWS.c.lease_until > database_now(dialect),
            ROWS.c.in_data_at.is_(None),
            verdict(gated_programmes).is_(None),
        )
        .values(in_data_at=database_now(dialect), lease_until=database_in(dialect, data_seconds))
    )


def settle_sent(session: Session, id: int, token: str, now: datetime) -> bool:
    """The server said 250 to the final dot. Like every word of the server, it settles an unknown row too."""
    return _settle(session, id, token, state="sent", sent_at=now, changed_at=now, last_error=None)


def settle_failed(session: Session, id: int, token: str, code: int, error: str, now: datetime) -> bool:
    """The server refused it for good."""
    return _settle(session, id, token, state="failed", last_code=code, last_error=error[:500], changed_at=now)


def settle_transient(
    session: Session, row: Delivery, token: str, code: int, error: str, now: datetime, base: float, most: int
) -> bool:
    """It did not go this time: wait and try again, or fail after `most` attempts."""
    if row.attempts >= most:
        return settle_failed(session, _id(row), token, code, f"{error} (after {row.attempts} attempts)", now)
    return _try_again(session, row, token, code, error, now, now + backoff(row.attempts, base, row.key))


def settle_untried(
    session: Session, row: Delivery, token: str, code: int, error: str, now: datetime, base: float
) -> bool:
    """There was no connection to be had, or none that takes anything from us: wait, without counting the attempt."""
    until = now + wait_for_server(now - row.due_at, base)
    return _try_again(session, row, token, code, error, now, until, attempts=ROWS.c.attempts - 1)


def _try_again(
    session: Session, row: Delivery, token: str, code: int, error: str, now: datetime, until: datetime, **values: Any
) -> bool:
    values |= {"state": "pending", "next_at": until, "rung_at": None, "in_data_at": None}
    values |= {"last_code": code, "last_error": error[:500], "changed_at": now}
    return _settle(session, _id(row), token, **values)


def settle_unknown(session: Session, id: int, token: str, error: str, now: datetime) -> bool:
    """The connection broke after DATA began: nobody can know. Its row's policy says what follows."""
    row = session.get_one(Delivery, id)
    return _after_data(session, row.unknown_policy, (ROWS.c.id == id, ROWS.c.lease_token == token), error, now) > 0


def sweep(session: Session, now: datetime) -> int:
    """Find rows whose worker is gone: their lease ran out by the database's clock. Returns how many."""
    gone = (
        ROWS.c.state == "sending",
        ROWS.c.lease_until < database_now(_dialect(session)),
    )
    back = (
        session.connection()
        .execute(
            sa.update(ROWS)
            .where(*gone, ROWS.c.in_data_at.is_(None))
            .values(state="pending", lease_token=None, lease_until=None, rung_at=None, changed_at=now)
        )
        .rowcount
    )
    why = "its worker was gone before the server's word was recorded"
    for policy in ("hold", "resend"):
        back += _after_data(session, policy, (*gone, ROWS.c.in_data_at.is_not(None)), why, now)
    return back


def expire(session: Session, now: datetime) -> int:
    """Close unsent rows whose time has passed; how many expired. Those that waited for a yes were for nobody."""
    over = sa.and_(ROWS.c.state.in_(UNSENT), ROWS.c.expires_at <= now)
    waited = sa.and_(ROWS.c.state == "held", ROWS.c.hold_reason == HELD_FOR_REPLY)
    _close(session, sa.and_(over, waited), "cancelled", "not in the step's audience", now)
    return _close(session, over, "expired", "its time had passed", now)


def _close(session: Session, where: sa.ColumnElement[bool], state: str, why: str, now: datetime) -> int:
    values = {"state": state, "hold_reason": None, "last_error": why, "changed_at": now}
    return session.connection().execute(sa.update(ROWS).where(where).values(values)).rowcount


def bounced(session: Session, id: int, reason: str, now: datetime) -> bool:
    """A bounce that names the message: evidence for one that is sent or unknown."""
    result = session.connection().execute(
        sa.update(ROWS)
        .where(ROWS.c.id == id, ROWS.c.state.in_(("sent", "unknown")))
        .values(state="bounced", last_error=reason[:500], changed_at=now)
    )
    return result.rowcount == 1


def retry(session: Session, now: datetime, *where: sa.ColumnElement[bool]) -> list[int]:
    """By hand: failed rows are tried again, with the same identifiers. Their ids."""
    again = (
        sa.update(ROWS)
        .where(ROWS.c.state == "failed", *where)
        .values(state="pending", next_at=now, rung_at=None, attempts=0, in_data_at=None, changed_at=now)
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
    result = session.connection().execute(
        sa.update(ROWS)
        .where(ROWS.c.id == id, ROWS.c.state == "unknown")
        .values(**values, lease_token=None, changed_at=now)
    )
    return result.rowcount == 1


def counts(session: Session, *where: sa.ColumnElement[bool]) -> dict[str, int]:
    """How many deliveries are in each state."""
    query = sa.select(ROWS.c.state, sa.func.count()).where(*where).group_by(ROWS.c.state)
    return {state: count for state, count in session.connection().execute(query)}


def _after_data(
    session: Session, policy: str, where: tuple[sa.ColumnElement[bool], ...], error: str, now: datetime
) -> int:
    """`hold` leaves it unknown; `resend` sends it once more, with the same identifiers, and then leaves it unknown."""
    values: dict[str, Any] = {"state": "unknown", "lease_until": None, "last_error": error[:500], "changed_at": now}
    if policy == "resend":
        values.update(
            state="pending", next_at=now, rung_at=None, in_data_at=None, lease_token=None, unknown_policy="hold"
        )
    return (
        session.connection()
        .execute(
            sa.update(ROWS).where(*where, ROWS.c.state == "sending", ROWS.c.unknown_policy == policy).values(values)
        )
        .rowcount
    )


def _untried(token: str) -> tuple[sa.ColumnElement[bool], ...]:
    return ROWS.c.lease_token == token, ROWS.c.state == "sending", ROWS.c.in_data_at.is_(None)


_GIVEN_BACK: dict[str, Any] = {
    "state": "pending",
    "rung_at": None,
    "lease_token": None,
    "lease_until": None,
    "attempts": ROWS.c.attempts - 1,
}


def _settle(session: Session, id: int, token: str, **values: Any) -> bool:
    result = session.connection().execute(
        sa.update(ROWS)
        .where(ROWS.c.id == id, ROWS.c.lease_token == token, ROWS.c.state.in_(("sending", "unknown")))
        .values(**values, lease_until=None)
    )
    return result.rowcount == 1


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _id(row: Delivery) -> int:
    assert row.id is not None  # noqa: S101  (a row that was read has one)
    return row.id
