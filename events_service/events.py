"""Events: added as drafts, approved against the programme, changed, moved, cancelled, and done when they are over.

SEQUENCE (RFC 5546 section 2.1.4) starts at 0 and rises by one with every change of what a calendar shows of when,
where or whether: a move, a change of place, an approval (its STATUS goes from TENTATIVE to CONFIRMED in the organisers'
feed) and a cancellation. An event that is over stays CONFIRMED, so `done` raises nothing and changes no calendar.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import agendas, campaign_changes, programmes, proposals
from events_service.db.tables import Event, EventChange
from events_service.db.types import UTCDateTime
from events_service.domain.programme import Programme
from events_service.errors import ConflictError, EventFileError
from events_service.event_approval import given_reason, weigh
from events_service.event_changes import Changed, change
from events_service.event_history import note_change
from events_service.event_json import as_json, detail, listing
from events_service.event_moves import Moved, move
from events_service.event_rows import Filter, facts_of, find, id_of, select_events
from events_service.reading.event_files import EventFile

__all__ = [
    "Changed",
    "Filter",
    "Moved",
    "add",
    "approve",
    "as_json",
    "cancel",
    "change",
    "detail",
    "facts_of",
    "find",
    "finish_past",
    "id_of",
    "listing",
    "move",
    "select_events",
]

_OVER = (
    select(Event)
    .where(Event.state == "approved", col(Event.ends) <= sa.bindparam("now", type_=UTCDateTime))
    .order_by(col(Event.id))
    .with_for_update(skip_locked=True)
)
_UIDS = uuid.UUID("6f2c8f0e-52a5-5d0c-9b5e-3d0f1f7a2c11")


def add(session: Session, file: EventFile, path: object, now: datetime, programme: Programme | None = None) -> Event:
    """Keep what a file describes as a draft, of `programme` or the one in force. It may break rules.

    `path` is what errors call the file. EventFileError where the slug is taken: both events are named.
    """
    programme = programme or programmes.current(session)
    taken = session.exec(select(Event).where(Event.slug == file.slug)).first()
    if taken is not None:
        raise EventFileError(
            path,
            "",
            "slug",
            f"{file.slug!r} is taken by {taken.title!r} of {taken.starts:%Y-%m-%d}; give {file.title!r} another slug",
        )
    # From names and now, not at random: a rehearsal gives the same bytes twice, and two houses never the same UID.
    uid = uuid.uuid5(_UIDS, f"{programme.key}/{file.slug}/{now.isoformat()}")
    same = file.model_dump(include=set(Event.model_fields) - {"themes", "markets"})
    event = Event(
        **same,
        programme_key=programme.key,
        uid=str(uid),
        themes=list(file.themes),
        markets=list(file.markets),
        created_at=now,
        changed_at=now,
    )
    session.add(event)
    try:
        session.flush()
    except sa.exc.IntegrityError as error:
        raise EventFileError(path, "", "slug", f"{file.slug!r} was taken by somebody else just now") from error
    agendas.write(session, event, file.sessions, now)
    note_change(session, event, "added", now)
    return event


def approve(session: Session, event: Event, now: datetime, waive: Sequence[str] = (), reason: str = "") -> Event:
    """Make a draft stand. RefusedError, with the violations, while an error stands that is not waived.

    `waive` lifts those rules for this event, for `reason`, and is put on record; a rule that is not broken needs no
    lifting and gets no record. UsageError for a waiver without a reason, or of what is no error's code; RefusedError
    for a rule that no waiver lifts; ConflictError for what is no draft.
    """
    if event.state != "draft":
        raise ConflictError(f"{event.slug} is {event.state}; only a draft can be approved")
    waived, violations = weigh(session, event, now, waive, reason)
    event.state = "approved"
    agendas.status_changed(session, event, now)
    what: dict[str, Any] = {"warnings": [one.code for one in violations if one.severity == "warning"]}
    if waived:
        what |= {"waived": waived, "reason": reason.strip()}
    note_change(session, event, "approved", now, what, anew=True)
    return event


def cancel(session: Session, event: Event, reason: str, now: datetime) -> int:
    """Call an event off: its unsent messages are cancelled, and those who were invited are told. How many are told.

    ConflictError for an event that is over or cancelled already.
    """
    reason = given_reason(reason, "a cancellation")
    if event.state not in ("draft", "approved") or event.ends <= now:
        what = event.state if event.state in ("cancelled", "done") else "over"
        raise ConflictError(f"{event.slug} is {what}; only what is still to come can be cancelled")
    before = event.state
    event.state, event.cancel_reason, event.cancelled_at = "cancelled", reason, now
    agendas.status_changed(session, event, now)
    note_change(session, event, "cancelled", now, {"reason": reason, "before": before}, anew=True)
    return campaign_changes.event_cancelled(session, event, now)


def finish_past(session: Session, now: datetime) -> int:
    """Mark as done what was approved and has ended by `now`; how many. For a tick."""
    over = session.exec(_OVER, params={"now": now}).all()
    for event in over:
        event.state = "done"
        session.add(event)
        session.add(EventChange(event_id=id_of(event), at=now, action="done"))
        proposals.event_changed(session, event, now)
    session.flush()
    return len(over)
