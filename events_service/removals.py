"""Guests who are taken off an event, and put back on it: the same row all the time, with the same reply address.

Programs that keep a calendar take a CANCEL, and a REQUEST after it, only with a SEQUENCE that has risen, and the
event's may not rise for one guest: each removal and each return raises what theirs is ahead of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import Session

from events_service import campaign_changes, campaigns, event_rows, feeds, proposals
from events_service.db.tables import Attendee, Event
from events_service.errors import ConflictError, InputError

MAX_REASON = 2000


def remove(session: Session, event: Event, attendee: Attendee, reason: str, now: datetime) -> int:
    """Take an attendee off an event to come. How many are told: 1 if they knew of it, or else 0.

    `reason` is kept with them and told to nobody. ConflictError for an event that is over or cancelled, for somebody
    who has checked in, and for one who is off it already; InputError for a reason that cannot be kept.
    """
    reason = reason.strip()
    if len(reason) > MAX_REASON or not all(char.isprintable() or char in "\n\t" for char in reason):
        raise InputError(f"the reason is too long, or holds a control character; at most {MAX_REASON:,} are kept")
    # A campaign that is starting, or a move, sees the attendee either before this or after it.
    event = event_rows.lock(session, event)
    session.refresh(attendee, with_for_update=True)
    if event.state not in ("draft", "approved") or event.ends <= now:
        what = event.state if event.state in ("cancelled", "done") else "over"
        raise ConflictError(f"{event.slug} is {what}; its guest list stays as it is")
    if why := standing(event, attendee):
        raise ConflictError(why)
    if attendee.attended:
        raise ConflictError(f"they have checked in at {event.slug}; who came stays on the list")
    attendee.removed_at, attendee.removal_reason = now, reason or None
    attendee.sequence_ahead += 1
    session.add(attendee)
    session.flush()
    proposals.removed(session, attendee, now)
    told = campaign_changes.attendee_removed(session, event, attendee, now)
    feeds.touch_person(session, attendee.person_id, now)
    return told


def put_back(session: Session, event: Event, attendees: Sequence[Attendee], now: datetime) -> None:
    """Put those who were taken off back on, as if they had not been asked yet; the campaign's steps begin anew.

    A reply that was made to the entry in their calendar that was cancelled comes too late: it has a lower SEQUENCE.
    """
    for attendee in attendees:
        attendee.removed_at, attendee.removal_reason, attendee.returned_at = None, None, now
        attendee.sequence_ahead += 1
        attendee.reply, attendee.reply_note, attendee.reply_via, attendee.replied_at = "none", "", None, None
        attendee.reply_sequence = event.sequence + attendee.sequence_ahead
        session.add(attendee)
    session.flush()
    campaigns.attendees_returned(session, event, attendees, now)
    for attendee in attendees:
        feeds.touch_person(session, attendee.person_id, now)


def standing(event: Event, attendee: Attendee) -> str | None:
    """Why somebody who was taken off an event has no say in it, as one line; None for who is on it."""
    if attendee.removed_at is None:
        return None
    return f"they were taken off {event.slug} on {attendee.removed_at:%Y-%m-%d}; replies of theirs no longer count"
