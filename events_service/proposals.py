"""What attendees propose and an organiser decides: other times for the event (RFC 5546 3.2.7), or a delegate.

Nothing here answers anybody: that is in `proposal_answers`. A proposal is no reply, and changes nothing by itself. Of
an attendee one of each kind is open; what is settled stays on record, without a delegate's address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from events_service.db.tables import Attendee, Event, Person, Proposal
from events_service.db.types import UTCDateTime
from events_service.errors import NotFoundError

STATES = ("open", "accepted", "declined", "withdrawn")

_OPEN = Proposal.state == "open"
_ROWS = SQLModel.metadata.tables["proposal"]
_WITHDRAWN = (
    sa.update(_ROWS)
    .where(
        _ROWS.c.attendee_id == sa.bindparam("attendee"),
        _ROWS.c.state == "open",
        sa.or_(_ROWS.c.dtstamp.is_(None), _ROWS.c.dtstamp <= sa.bindparam("moment", type_=UTCDateTime)),
    )
    .values(
        state="withdrawn", reason="they accepted the event as it is", delegate="",
        settled_at=sa.bindparam("now", type_=UTCDateTime),
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Proposed:
    """What came in: a time or a delegate, what was written with it, and the calendar's own SEQUENCE and DTSTAMP."""

    kind: Literal["time", "delegate"]
    sequence: int
    dtstamp: datetime | None
    starts: datetime | None = None
    ends: datetime | None = None
    delegate: str = ""
    comment: str = ""


def record(session: Session, attendee: Attendee, event: Event, proposed: Proposed, why: str, now: datetime) -> Proposal:
    """Put a proposal on record: open, unless `why` says what closes the event to it, or it is stale.

    The event's row and the attendee's are held by the caller. A lower SEQUENCE than the event's, then an older DTSTAMP
    than that of an earlier one, does not win (RFC 5546 2.1.5).
    """
    row = Proposal(
        attendee_id=attendee.id or 0,
        kind=proposed.kind,
        starts=proposed.starts,
        ends=proposed.ends,
        was_starts=event.starts,
        was_ends=event.ends,
        delegate=proposed.delegate,
        comment=proposed.comment,
        sequence=proposed.sequence,
        dtstamp=min(proposed.dtstamp or now, now),
        received_at=now,
    )
    before = session.exec(
        select(Proposal).where(Proposal.attendee_id == attendee.id, Proposal.kind == proposed.kind, _OPEN)
    ).first()
    why = why or _stale(event.sequence + attendee.sequence_ahead, row, before)
    if why:
        _settle(row, "declined", why, now)
    elif before is not None:
        _settle(before, "withdrawn", "a later proposal replaced it", now)
        session.add(before)
        # Before the new one is written: one of a kind is open.
        session.flush()
    session.add(row)
    session.flush()
    return row


def _stale(shown: int, row: Proposal, before: Proposal | None) -> str:
    if row.sequence < shown:
        return f"stale: it answers revision {row.sequence} of the event, which is at {shown}"
    if before is not None and before.dtstamp and row.dtstamp and row.dtstamp < before.dtstamp:
        return f"stale: made at {row.dtstamp:%Y-%m-%dT%H:%M:%SZ}, the one before at {before.dtstamp:%Y-%m-%dT%H:%M:%SZ}"
    return ""


def accepted_as_it_is(session: Session, attendee: Attendee, moment: datetime, now: datetime) -> None:
    """Whoever accepts the event after they proposed something proposes nothing any more."""
    session.connection().execute(_WITHDRAWN, {"attendee": attendee.id, "moment": moment, "now": now})


def removed(session: Session, attendee: Attendee, now: datetime) -> None:
    """Whoever was taken off the event proposes nothing any more."""
    for row in session.exec(select(Proposal).where(Proposal.attendee_id == attendee.id, _OPEN)).all():
        _settle(row, "declined", "they were taken off the event", now)
        session.add(row)
    session.flush()


def event_changed(session: Session, event: Event, now: datetime) -> None:
    """Settle what a change of the event has answered: a cancellation, its end, or other times than it had."""
    for row in session.exec(_of_event(event, _OPEN)).all():
        if event.state == "cancelled":
            _settle(row, "declined", "the event was cancelled", now)
        elif event.state == "done":
            _settle(row, "declined", "the event is over", now)
        elif row.kind == "time" and row.starts == event.starts and row.ends in (None, event.ends):
            _settle(row, "accepted", "the event moved to these times", now)
        elif row.kind == "time" and (row.was_starts, row.was_ends) != (event.starts, event.ends):
            _settle(row, "declined", "the event moved to other times", now)
        session.add(row)
    session.flush()


def settle(session: Session, row: Proposal, state: str, reason: str, now: datetime) -> None:
    """Note an organiser's decision."""
    _settle(row, state, reason, now)
    session.add(row)
    session.flush()


def find(session: Session, number: int, *, lock: bool = False) -> Proposal:
    """The proposal of that number; NotFoundError. `lock` reads it as it stands now, and holds it."""
    query = select(Proposal).where(Proposal.id == number)
    row = session.exec(query.with_for_update().execution_options(populate_existing=True) if lock else query).first()
    if row is None:
        raise NotFoundError("proposal", number, "`events proposal list` shows those there are")
    return row


def open_count(session: Session, event: Event | None = None) -> int:
    """How many are open, of an event or in all."""
    query = sa.select(sa.func.count()).select_from(Proposal).where(_OPEN)  # type: ignore[arg-type]
    if event is not None:
        of_event = sa.select(col(Attendee.id)).where(col(Attendee.event_id) == event.id)
        query = query.where(col(Proposal.attendee_id).in_(of_event))
    return int(session.execute(query).scalar_one())


def listing(
    session: Session, event: Event | None = None, state: str | None = None, numbers: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Proposals in the order they came, as JSON values; times are on the wall of the event's zone.

    Of somebody who was erased nothing is left to list.
    """
    query = (
        select(Proposal, Event, Person)
        .join(Attendee, col(Attendee.id) == col(Proposal.attendee_id))
        .join(Event, col(Event.id) == col(Attendee.event_id))
        .join(Person, col(Person.id) == col(Attendee.person_id))
        .order_by(col(Proposal.id))
    )
    if event is not None:
        query = query.where(Event.id == event.id)
    if state is not None:
        query = query.where(Proposal.state == state)
    if numbers is not None:
        query = query.where(col(Proposal.id).in_(numbers))
    return [_as_json(*found) for found in session.exec(query)]


def _as_json(row: Proposal, event: Event, person: Person) -> dict[str, Any]:
    zone = ZoneInfo(event.timezone)
    return {
        "n": row.id,
        "event": event.slug,
        "email": person.email,
        "name": person.name,
        "kind": row.kind,
        "starts": row.starts and row.starts.astimezone(zone).isoformat(),
        "ends": row.ends and row.ends.astimezone(zone).isoformat(),
        "instead_of": [at.astimezone(zone).isoformat() for at in (row.was_starts, row.was_ends)],
        "delegate": row.delegate or None,
        "comment": row.comment,
        "sequence": row.sequence,
        "received_at": row.received_at,
        "state": row.state,
        "settled_at": row.settled_at,
        "reason": row.reason,
    }


def _of_event(event: Event, *where: Any) -> Any:
    query = select(Proposal).join(Attendee, col(Attendee.id) == col(Proposal.attendee_id))
    return query.where(Attendee.event_id == event.id, *where).order_by(col(Proposal.id))


def _settle(row: Proposal, state: str, reason: str, now: datetime) -> None:
    # Whoever does not come in somebody's place is no business of ours any more.
    row.state, row.reason, row.settled_at, row.delegate = state, reason, now, ""
