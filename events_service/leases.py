"""What a worker does to the rows that it holds under a lease: fence, settle, give back. Each is one conditional UPDATE.

They are claimed before (`claims`), and that is committed before any SMTP. Just before DATA the fence writes
`in_data_at` if, at that moment, the lease stands and `verdict` still finds nothing against the message; a row that the
fence did not change is not sent. Leases go by the database's clock, everything else by now.

What is done for each message takes a `Ledger`: a session, or the writer that a worker keeps, which costs less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events_service.db.session import database_in, database_now, one_of
from events_service.db.types import UTCDateTime
from events_service.db.writer import Writer
from events_service.domain.delivery import backoff, enhanced_code, wait_for_server
from events_service.verdict import Gates, Verdict, last_revision, moments, verdict

ROWS = SQLModel.metadata.tables["delivery"]

Ledger = Session | Writer

_ROW: sa.BindParameter[Any] = sa.bindparam("row")
TOKEN: sa.BindParameter[Any] = sa.bindparam("token")
_REVISION: sa.BindParameter[Any] = sa.bindparam("revision", type_=sa.Integer)
STATE = sa.func.coalesce(ROWS.c.state, "")
"""The state of rows that are named by number, where they are many.

By the bare column either database may look for them in the index of all that have that state, or, on PostgreSQL, lately
had it.
"""


class Claimed(NamedTuple):
    """A row under a worker's lease, as it was claimed, or frozen since: that gives it its content and what goes in."""

    id: int
    key: str
    purpose: str
    priority: int
    event_id: int | None
    step_id: int | None
    attendee_id: int | None
    person_id: int | None
    attempts: int
    due_at: datetime
    next_at: datetime
    sequence: int | None
    content_id: int | None
    fields: dict[str, Any]
    message_id: str | None


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
    aside = sa.update(ROWS).where(ROWS.c.id.in_(ids), *untried(token))
    session.connection().execute(aside.values(values))


def postpone(on: Ledger, id: int, token: str, until: datetime, now: datetime) -> bool:
    """Give a claimed row back until a later time, without counting the attempt."""
    return _run(on, _postponed(), row=id, token=token, until=until, now=now) == 1


def give_back(on: Ledger, ids: Iterable[int], token: str, now: datetime) -> int:
    """Give back those claimed rows that were not begun, as if nobody had taken them. Returns how many."""
    return _run(on, _unbegun(dialect_of(on)), ids=list(ids), token=token, now=now)


_BACK: dict[str, Any] = {
    "state": "pending", "rung_at": None, "lease_token": None, "lease_until": None,
    "attempts": ROWS.c.attempts - 1, "changed_at": sa.bindparam("now", type_=UTCDateTime),
}  # fmt: skip


@lru_cache(maxsize=2)
def _unbegun(dialect: str) -> sa.Update:
    return sa.update(ROWS).where(one_of(dialect, ROWS.c.id, "ids"), *untried(TOKEN, STATE)).values(_BACK)


@lru_cache(maxsize=1)
def _postponed() -> sa.Update:
    later = _BACK | {"next_at": sa.bindparam("until", type_=UTCDateTime)}
    return sa.update(ROWS).where(ROWS.c.id == _ROW, *untried(TOKEN)).values(later)


def renew(on: Ledger, ids: Iterable[int], token: str, lease_seconds: float) -> int:
    """Begin the lease of those claimed rows that were not begun anew, while others of their chunk are sent."""
    return _run(on, _renewal(dialect_of(on), lease_seconds), ids=list(ids), token=token)


@lru_cache(maxsize=8)
def _renewal(dialect: str, lease_seconds: float) -> sa.Update:
    mine = sa.update(ROWS).where(one_of(dialect, ROWS.c.id, "ids"), *untried(TOKEN, STATE))
    return mine.values(lease_until=database_in(dialect, lease_seconds))


def fence(
    on: Ledger,
    ids: Sequence[int],
    token: str,
    now: datetime,
    gates: Gates,
    data_seconds: float,
    revision: int | None = None,
) -> frozenset[int]:
    """The write just before DATA: those of `ids` that may go; their leases then cover the wait for a word.

    None may where the programmes have another `revision` by now, if one is given: their gates are not these. Nor may a
    row that another transaction has: it may be about to stop it, and the others do not wait for it.
    """
    if dialect_of(on) == "postgresql":
        # In a statement of its own: one that has waited for a lock would judge the others as they were before.
        ids = _returned_ids(on, _unlocked(dialect_of(on)), ids=list(ids), token=token)
    statement = _fence(dialect_of(on), tuple(gates), data_seconds)
    told = {"ids": list(ids), "token": token, "revision": revision, **moments(now, gates)}
    return frozenset(_returned_ids(on, statement, **told))


@lru_cache(maxsize=1)
def _unlocked(dialect: str) -> sa.Select[Any]:
    mine = sa.select(ROWS.c.id).where(one_of(dialect, ROWS.c.id, "ids"), *untried(TOKEN, STATE))
    return mine.order_by(ROWS.c.id).with_for_update(skip_locked=True)


@lru_cache(maxsize=16)
def _fence(dialect: str, gated_programmes: tuple[str, ...], data_seconds: float) -> sa.sql.dml.ReturningUpdate[Any]:
    return (
        sa.update(ROWS)
        .where(
            one_of(dialect, ROWS.c.id, "ids"),
            *untried(TOKEN, STATE),
            ROWS.c.lease_until > database_now(dialect),
            verdict(gated_programmes).is_(None),
            sa.or_(_REVISION.is_(None), last_revision() == _REVISION),
        )
        # It came as far as this, so it is not what its workers were lost to.
        .values(in_data_at=database_now(dialect), lease_until=database_in(dialect, data_seconds), lost_leases=0)
        .returning(ROWS.c.id)
    )


def settle_sent(on: Ledger, ids: Sequence[int], token: str, now: datetime) -> int:
    """The server said 250 to the final dot of each. Like every word of the server, it settles unknown rows too."""
    return _run(on, _arrived(dialect_of(on)), ids=list(ids), token=token, now=now)


@lru_cache(maxsize=2)
def _arrived(dialect: str) -> sa.Update:
    now = sa.bindparam("now", type_=UTCDateTime)
    arrived = sa.update(ROWS).where(one_of(dialect, ROWS.c.id, "ids"), *_mine(STATE))
    return arrived.values(state="sent", sent_at=now, changed_at=now, last_error=None, lease_until=None)


def settle_failed(on: Ledger, id: int, token: str, code: int, error: str, now: datetime) -> bool:
    """The server refused it for good."""
    return _settle(on, id, token, state="failed", last_code=code, last_error=error[:500], changed_at=now)


def settle_transient(
    on: Ledger,
    row: Claimed,
    token: str,
    code: int,
    error: str,
    now: datetime,
    base: float,
    most: int,
) -> bool:
    """It did not go this time: wait and try again, or fail after `most` attempts."""
    if row.attempts >= most:
        return settle_failed(on, row.id, token, code, f"{error} (after {row.attempts} attempts)", now)
    until = now + backoff(row.attempts, base, row.key, code, enhanced_code(error))
    return _try_again(on, row, token, code, error, now, until, attempts=row.attempts)


def settle_untried(
    on: Ledger, row: Claimed, token: str, code: int, error: str, now: datetime, base: float, turns: int = 1
) -> bool:
    """There was no connection to be had, or none that takes anything from us: wait, without counting the attempt.

    It waits `turns` times as long as the others that found nothing.
    """
    until = now + turns * wait_for_server(now - row.due_at, base, row.key)
    return _try_again(on, row, token, code, error, now, until, attempts=row.attempts - 1)


def _try_again(
    on: Ledger, row: Claimed, token: str, code: int, error: str, now: datetime, until: datetime, attempts: int
) -> bool:
    values: dict[str, Any] = {"state": "pending", "next_at": until, "rung_at": None, "in_data_at": None}
    values |= {"last_code": code, "last_error": error[:500], "changed_at": now, "attempts": attempts}
    return _settle(on, row.id, token, **values)


def settle_unknown(on: Ledger, id: int, token: str, error: str, now: datetime) -> bool:
    """The connection broke after DATA began: nobody can know. Its row's policy says what follows."""
    told = {"row": id, "token": token, "error": error[:500], "now": now}
    return sum(_run(on, _doubted(policy), **told) for policy in ("hold", "resend")) == 1


@lru_cache(maxsize=2)
def _doubted(policy: str) -> sa.Update:
    mine = (ROWS.c.id == _ROW, ROWS.c.lease_token == TOKEN)
    return after_data(policy, mine, sa.bindparam("error", type_=sa.Text), sa.bindparam("now", type_=UTCDateTime))


def after_data(policy: str, where: tuple[sa.ColumnElement[bool], ...], error: Any, now: Any) -> sa.Update:
    """`hold` leaves it unknown; `resend` sends it once more, with the same identifiers, and then leaves it unknown."""
    values: dict[str, Any] = {"state": "unknown", "lease_until": None, "last_error": error, "changed_at": now}
    if policy == "resend":
        values.update(
            state="pending", next_at=now, rung_at=None, in_data_at=None, lease_token=None, unknown_policy="hold"
        )
    return sa.update(ROWS).where(*where, ROWS.c.state == "sending", ROWS.c.unknown_policy == policy).values(values)


def untried(token: Any, state: sa.ColumnElement[Any] = ROWS.c.state) -> tuple[sa.ColumnElement[bool], ...]:
    return ROWS.c.lease_token == token, state == "sending", ROWS.c.in_data_at.is_(None)


def _mine(state: sa.ColumnElement[Any] = ROWS.c.state) -> tuple[sa.ColumnElement[bool], ...]:
    """A row under the worker's lease, or that went out of it in DATA."""
    return ROWS.c.lease_token == TOKEN, sa.or_(state == "sending", state == "unknown")


def _settle(on: Ledger, id: int, token: str, **values: Any) -> bool:
    to = {f"to_{column}": value for column, value in values.items()}
    return _run(on, _settlement(tuple(values)), row=id, token=token, **to) == 1


@lru_cache(maxsize=16)
def _settlement(columns: tuple[str, ...]) -> sa.Update:
    values = {column: sa.bindparam(f"to_{column}", type_=ROWS.c[column].type) for column in columns}
    return sa.update(ROWS).where(ROWS.c.id == _ROW, *_mine()).values(**values, lease_until=None)


def _run(on: Ledger, statement: sa.Update, **told: Any) -> int:
    """Execute a statement that is made once, with what it is told; how many rows it changed."""
    return on.run(statement, told) if isinstance(on, Writer) else on.connection().execute(statement, told).rowcount


def _returned_ids(
    on: Ledger, statement: sa.sql.dml.ReturningUpdate[Any] | sa.Select[Any], **told: Any
) -> Sequence[int]:
    """The same for one that returns the numbers of the rows that it changed, or found."""
    if isinstance(on, Writer):
        return on.returned(statement, told)
    return on.connection().execute(statement, told).scalars().all()


def dialect_of(on: Ledger) -> str:
    return on.dialect if isinstance(on, Writer) else on.get_bind().dialect.name
