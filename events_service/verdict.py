"""What stops a message, as SQL: the one place that says so. The claim reads it, the fence makes it a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events_service.db import tables as _tables  # noqa: F401  (fills the metadata)
from events_service.db.session import one_of
from events_service.db.types import UTCDateTime
from events_service.domain.delivery import (
    ANSWERS,
    CONFIRMATION,
    HELD_BY_ORGANISER,
    HELD_BY_REVIEW,
    HELD_FOR_REPLY,
    HELD_LATE,
    ITINERARY,
)

_TABLES = SQLModel.metadata.tables

Gates = Mapping[str, datetime]
"""By programme key, the instant from which its events are gated."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a claimed row may not be sent now: the state it goes to, and the reason in words."""

    state: str
    reason: str


ON_ITS_WAY = Verdict("pending", "an earlier message to them is on its way")
"""What is said of a change, or of what follows a CANCEL, until what was said before has gone or its worker is lost."""


def verdict(gated_programmes: tuple[str, ...]) -> sa.ScalarSelect[Any]:
    """Of the delivery row around it: null if it may be sent now, else `state:reason`.

    This is the one place that says what stops a message; the claim reads it and the fence makes it a condition. Now and
    the gates of `gated_programmes` are bound when it runs (`moments`): built anew for each message, it would cost more
    than everything else that is done for one.
    """
    now = sa.bindparam("now", type_=UTCDateTime)
    row, step, campaign, event, attendee, person = (
        _TABLES[name].alias(f"v_{name}")
        for name in ("delivery", "campaign_step", "campaign", "event", "attendee", "person")
    )
    suppression, response, reply = (_TABLES[name] for name in ("suppression", "survey_response", "attendee_reply"))
    ours = sa.not_(row.c.mandatory)
    starts = [(key, sa.bindparam(f"gate_{place}", type_=UTCDateTime)) for place, key in enumerate(gated_programmes)]
    gated = [sa.and_(event.c.programme_key == key, event.c.starts >= start) for key, start in starts]
    suppressed = sa.exists().where(
        suppression.c.email_hash == person.c.email_hash,
        suppression.c.lifted_at.is_(None),
        sa.or_(ours, suppression.c.reason.like("bounce%")),
    )
    answered = sa.exists().where(response.c.attendee_id == row.c.attendee_id, response.c.wave == step.c.wave)
    outside = sa.or_(
        _leaves_out(step.c.roles, attendee.c.role),
        sa.and_(step.c.attendance == "attended", attendee.c.attended.is_not(sa.true())),
        sa.and_(step.c.attendance == "not-absent", attendee.c.attended.is_(sa.false())),
    )
    unwanted_reply = unwanted(step, attendee)
    # What was on its way when they replied again comes back after it, and would say what is not true any more. A new
    # note changes nothing that it says.
    newer, confirmed = _TABLES["delivery"].alias("v_newer"), reply.alias("v_confirmed")
    replied_again = sa.or_(
        sa.exists().where(
            newer.c.attendee_id == row.c.attendee_id, newer.c.purpose == CONFIRMATION, newer.c.id > row.c.id
        ),
        sa.exists().where(
            confirmed.c.attendee_id == row.c.attendee_id, confirmed.c.applied, confirmed.c.at == row.c.created_at,
            reply.c.attendee_id == row.c.attendee_id, reply.c.applied, reply.c.at > row.c.created_at,
            reply.c.reply != confirmed.c.reply, reply.c.session_id.is_(None), confirmed.c.session_id.is_(None),
        ),
    )  # fmt: skip
    # Who was taken off the event is told that alone, or that it is off; what was written before they were put back
    # speaks of an entry that is cancelled.
    off = sa.and_(attendee.c.removed_at.is_not(None), row.c.purpose.not_in(("uninvited", "cancellation")))
    of_before = row.c.created_at < attendee.c.returned_at
    # Who has declined is asked again where the dates are others since, and for nothing less.
    still_no = sa.and_(
        attendee.c.reply == "declined",
        sa.func.coalesce(attendee.c.reply_sequence, 0) >= event.c.redated_sequence + attendee.c.sequence_ahead,
    )
    # Or a CANCEL could arrive before its REQUEST, and be undone by it. One that another worker has claimed may be at
    # its fence; of our own chunk, each commit shows what is in DATA.
    earlier = _TABLES["delivery"].alias("v_earlier")
    overtakes = sa.and_(
        sa.or_(row.c.purpose.in_(("update", "uninvited", "cancellation", ITINERARY)), attendee.c.sequence_ahead > 0),
        sa.exists().where(
            earlier.c.attendee_id == row.c.attendee_id, earlier.c.id < row.c.id, earlier.c.state == "sending",
            sa.or_(earlier.c.in_data_at.is_not(None), earlier.c.lease_token != row.c.lease_token),
        ),
    )  # fmt: skip
    # Somebody who may still accept before the event is over waits for it; for others the step is over.
    may_come_in = sa.and_(
        row.c.expires_at.is_not(None), event.c.ends > now, sa.cast(step.c.replies, sa.Text).not_like('%"none"%')
    )
    reasons = sa.case(
        (sa.and_(row.c.person_id.is_(None), row.c.address.is_(None)), "cancelled:the person was erased"),
        (sa.and_(step.c.id.is_not(None), attendee.c.id.is_(None)), "cancelled:no longer on the event"),
        (sa.or_(off, of_before), "cancelled:no longer on the event"),
        (sa.and_(event.c.state == "cancelled", row.c.purpose != "cancellation"), "cancelled:the event was cancelled"),
        (
            sa.and_(row.c.purpose.in_(("update", *ANSWERS)), row.c.sequence < event.c.sequence),
            "cancelled:a later change replaced it",
        ),
        (sa.and_(row.c.purpose == "update", still_no), "cancelled:they have declined"),
        (sa.and_(row.c.purpose == CONFIRMATION, replied_again), "cancelled:a later reply replaced it"),
        (suppressed, "suppressed:the address gets no mail"),
        (sa.and_(ours, person.c.unsubscribed_at.is_not(None)), "suppressed:unsubscribed"),
        (row.c.expires_at <= now, "expired:its time had passed"),
        (sa.and_(row.c.late_at <= now, step.c.answer == "skip"), "expired:the organiser skipped it"),
        *([(sa.and_(ours, sa.or_(*gated)), f"held:{HELD_BY_REVIEW}")] if gated else []),
        (sa.and_(ours, campaign.c.held_at.is_not(None)), f"held:{HELD_BY_ORGANISER}"),
        (sa.and_(row.c.late_at <= now, step.c.answer.is_(None)), f"held:{HELD_LATE}"),
        (sa.and_(step.c.id.is_not(None), row.c.sequence != event.c.sequence), "pending:the event has moved"),
        (sa.and_(step.c.id.is_not(None), outside), "cancelled:not in the step's audience"),
        (sa.and_(step.c.id.is_not(None), unwanted_reply, may_come_in), f"held:{HELD_FOR_REPLY}"),
        (sa.and_(step.c.id.is_not(None), unwanted_reply), "cancelled:not in the step's audience"),
        (sa.and_(step.c.unanswered, answered), "cancelled:has answered"),
        (overtakes, f"{ON_ITS_WAY.state}:{ON_ITS_WAY.reason}"),
        else_=None,
    )
    return (
        sa.select(reasons)
        .select_from(row)
        .outerjoin(step, step.c.id == row.c.step_id)
        .outerjoin(campaign, campaign.c.id == step.c.campaign_id)
        .outerjoin(event, event.c.id == row.c.event_id)
        .outerjoin(attendee, attendee.c.id == row.c.attendee_id)
        .outerjoin(person, person.c.id == row.c.person_id)
        .where(row.c.id == _TABLES["delivery"].c.id)
        .correlate(_TABLES["delivery"])
        .scalar_subquery()
    )


def last_revision() -> sa.ScalarSelect[int]:
    """The number of the programmes' last revision, 0 where there is none: with another the gates may be others."""
    return sa.select(sa.func.coalesce(sa.func.max(_TABLES["programme_revision"].c.id), 0)).scalar_subquery()


def moments(now: datetime, gates: Gates) -> dict[str, datetime]:
    """What `verdict(tuple(gates))` needs to be told when it runs."""
    return {"now": now} | {f"gate_{place}": start for place, start in enumerate(gates.values())}


def verdicts(session: Session, ids: Sequence[int], now: datetime, gates: Gates) -> dict[int, Verdict]:
    """What stops each of `ids`; those that nothing stops are not in it."""
    if not ids:
        return {}
    found = {}
    told = {"ids": list(ids), **moments(now, gates)}
    connection = session.connection()
    for id, text in connection.execute(_query(connection.dialect.name, tuple(gates)), told):
        if text is not None:
            state, _, reason = text.partition(":")
            found[id] = Verdict(state, reason)
    return found


@lru_cache(maxsize=16)
def _query(dialect: str, gated_programmes: tuple[str, ...]) -> sa.Select[Any]:
    rows = _TABLES["delivery"]
    return sa.select(rows.c.id, verdict(gated_programmes)).where(one_of(dialect, rows.c.id, "ids"))


def unwanted(step: sa.FromClause, attendee: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a step is not for what an attendee has replied; both are the tables or aliases of them.

    Who came has accepted, whatever they said before, or whether they said anything. A calendar entry that asks is not
    for who has declined, unless the step says that it is.
    """
    asks_again = sa.and_(step.c.calendar, attendee.c.reply == "declined", sa.cast(step.c.replies, sa.Text) == "[]")
    not_theirs = sa.or_(_leaves_out(step.c.replies, attendee.c.reply), asks_again)
    return sa.and_(not_theirs, attendee.c.attended.is_not(sa.true()))


def _leaves_out(allowed: Any, value: Any) -> sa.ColumnElement[bool]:
    """Whether a JSON list that is not empty lacks a value. Both dialects keep such a list as text like ["a", "b"]."""
    text = sa.cast(allowed, sa.Text)
    return sa.and_(text != "[]", text.not_like(sa.literal('%"') + value + sa.literal('"%')))
