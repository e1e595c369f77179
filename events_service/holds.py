"""Holding deliveries and letting them go: gates, an organiser's hold, late steps, those in wait, and those in doubt."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events_service.db.statements import made_once
from events_service.db.types import UTCDateTime
from events_service.domain.delivery import (
    HELD_BY_ORGANISER,
    HELD_BY_REVIEW,
    HELD_FOR_REPLY,
    HELD_IN_DOUBT,
    HELD_LATE,
    UNSENT,
)
from events_service.outbox import ROWS, unlocked
from events_service.verdict import Gates, moments, unwanted

_EVENTS, _CAMPAIGNS, _STEPS, _ATTENDEES = (
    SQLModel.metadata.tables[name] for name in ("event", "campaign", "campaign_step", "attendee")
)
_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UTCDateTime)


def hold(session: Session, gates: Gates, now: datetime) -> int:
    """Hold what is pending behind a gate, an organiser's hold, or the question of an `ask` step that is late."""
    reasons = (HELD_BY_REVIEW, HELD_BY_ORGANISER, HELD_LATE) if gates else (HELD_BY_ORGANISER, HELD_LATE)
    connection, told = session.connection(), moments(now, gates)
    return sum(connection.execute(_hold(session, tuple(gates), reason), told).rowcount for reason in reasons)


def release(session: Session, gates: Gates, now: datetime) -> int:
    """Let go of what nothing holds any more; lateness is then judged by each step's policy.

    A reply or an answer lets go of what waits for it itself, but not of what a worker holds back at that same moment.
    """
    return session.connection().execute(_release(session, tuple(gates)), moments(now, gates)).rowcount


@made_once
def _release(session: Session, gated_programmes: tuple[str, ...]) -> sa.Update:
    gated = ROWS.c.event_id.in_(_gated(gated_programmes)) if gated_programmes else sa.false()
    answered = sa.select(_STEPS.c.id).where(_STEPS.c.answer.is_not(None))
    fits = sa.exists().where(
        _STEPS.c.id == ROWS.c.step_id, _ATTENDEES.c.id == ROWS.c.attendee_id, sa.not_(unwanted(_STEPS, _ATTENDEES))
    )
    free = sa.or_(
        sa.and_(ROWS.c.hold_reason == HELD_BY_REVIEW, sa.not_(gated)),
        sa.and_(ROWS.c.hold_reason == HELD_BY_ORGANISER, ROWS.c.step_id.not_in(_held_steps())),
        sa.and_(ROWS.c.hold_reason == HELD_LATE, ROWS.c.step_id.in_(answered)),
        sa.and_(ROWS.c.hold_reason == HELD_FOR_REPLY, fits),
    )
    let_go = sa.update(ROWS).where(unlocked(session, sa.and_(ROWS.c.state == "held", free)))
    return let_go.values(state="pending", hold_reason=None, rung_at=None, changed_at=_NOW)


def hold_in_doubt(session: Session, until: datetime, now: datetime) -> int:
    """After a restore: hold what may have gone by `until`, whatever held it before. Returns how many are unknown now.

    What was in DATA is unknown, since when it was. What a worker claimed after `until` is its own affair. Only an
    organiser's word lets go of these, and what else stands against them is then looked at anew.
    """
    claimed = sa.and_(ROWS.c.state == "sending", ROWS.c.changed_at <= until)
    why = "a backup was restored that was made while it was being sent"
    gone = sa.update(ROWS).where(claimed, ROWS.c.in_data_at.is_not(None))
    unknown = gone.values(state="unknown", lease_until=None, last_error=why, doubted_at=now)
    waiting = sa.and_(
        ROWS.c.state.in_(UNSENT),
        ROWS.c.next_at <= until,
        ROWS.c.hold_reason.is_distinct_from(HELD_IN_DOUBT),
        # What an organiser let go of since is not held once more for the same restore.
        sa.or_(ROWS.c.doubted_at.is_(None), ROWS.c.doubted_at < until),
    )
    held = sa.update(ROWS).where(sa.or_(waiting, sa.and_(claimed, ROWS.c.in_data_at.is_(None))))
    held = held.values(
        state="held", hold_reason=HELD_IN_DOUBT, lease_token=None, lease_until=None, rung_at=None,
        attempts=sa.case((ROWS.c.state == "sending", ROWS.c.attempts - 1), else_=ROWS.c.attempts),
        doubted_at=now, changed_at=now,
    )  # fmt: skip
    connection = session.connection()
    connection.execute(held)
    return connection.execute(unknown).rowcount


def settle_in_doubt(session: Session, arrived: bool, now: datetime, *where: sa.ColumnElement[bool]) -> list[int]:
    """An organiser's word on what a restore left in doubt: it had gone, or it goes now. The ids of what it settled."""
    values = {"state": "sent", "sent_at": now} if arrived else {"state": "pending", "rung_at": None}
    settled = (
        sa.update(ROWS)
        .where(ROWS.c.state == "held", ROWS.c.hold_reason == HELD_IN_DOUBT, *where)
        .values(**values, hold_reason=None, changed_at=now)
        .returning(ROWS.c.id)
    )
    return sorted(session.connection().execute(settled).scalars())


def _gated(programmes: tuple[str, ...]) -> sa.Select[tuple[int]]:
    starts = [(key, sa.bindparam(f"gate_{place}", type_=UTCDateTime)) for place, key in enumerate(programmes)]
    behind = [sa.and_(_EVENTS.c.programme_key == key, _EVENTS.c.starts >= start) for key, start in starts]
    return sa.select(_EVENTS.c.id).where(sa.or_(*behind))


def _held_steps() -> sa.Select[tuple[int]]:
    return (
        sa.select(_STEPS.c.id)
        .join(_CAMPAIGNS, _CAMPAIGNS.c.id == _STEPS.c.campaign_id)
        .where(_CAMPAIGNS.c.held_at.is_not(None))
    )


@made_once
def _hold(session: Session, gated_programmes: tuple[str, ...], reason: str) -> sa.Update:
    if reason == HELD_BY_REVIEW:
        where = sa.and_(ROWS.c.event_id.in_(_gated(gated_programmes)), sa.not_(ROWS.c.mandatory))
    elif reason == HELD_BY_ORGANISER:
        where = ROWS.c.step_id.in_(_held_steps())
    else:
        asking = sa.select(_STEPS.c.id).where(_STEPS.c.on_late == "ask", _STEPS.c.answer.is_(None))
        where = sa.and_(ROWS.c.step_id.in_(asking), ROWS.c.late_at <= _NOW)
    waiting = sa.update(ROWS).where(unlocked(session, sa.and_(ROWS.c.state == "pending", where)))
    return waiting.values(state="held", hold_reason=reason, changed_at=_NOW)
