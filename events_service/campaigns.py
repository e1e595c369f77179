"""Campaigns: a cadence running for one event, as rows of the ledger.

Every row is written in the transaction of the fact that calls for it: starting a campaign, adding an attendee. The
delivery's key makes a second writing harmless. What a change of the event calls for is in `campaign_changes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import campaign_rows as rows
from events_service import event_checks, holds, review_gates
from events_service.config import shipped
from events_service.db.tables import Attendee, Campaign, CampaignStep, Event, Person
from events_service.db.types import UTCDateTime
from events_service.domain import cadence as cadences
from events_service.domain.cadence import Cadence
from events_service.domain.delivery import HELD_FOR_REPLY, HELD_LATE, STATES, UNSENT
from events_service.errors import ConflictError, NotFoundError, RefusedError, UsageError
from events_service.event_rows import id_of
from events_service.outbox import ROWS
from events_service.verdict import Gates

_NOW: sa.BindParameter[datetime] = sa.bindparam("now", type_=UTCDateTime)
_WAITED = (
    sa.update(ROWS)
    .where(ROWS.c.attendee_id == sa.bindparam("attendee"), ROWS.c.state == "held", ROWS.c.hold_reason == HELD_FOR_REPLY)
    .values(state="pending", hold_reason=None, rung_at=None, changed_at=_NOW)
)
_RUNNING = select(Campaign).where(Campaign.event_id == sa.bindparam("event"))


def cadence_for(event: Event, key: str | None = None) -> Cadence:
    """The cadence of that key; without one, the shipped one for this kind of event. NotFoundError."""
    key = key or ("joined" if event.hosted_by == "joined" else event.kind)
    path = shipped("cadences").get(key)
    if path is None:
        raise NotFoundError("cadence", key, f"there are {', '.join(shipped('cadences'))}")
    return cadences.read_cadence(path)


def running(session: Session, event: Event) -> Campaign | None:
    """The campaign of an event, if one was started."""
    return session.exec(_RUNNING, params={"event": event.id}).first()


def find(session: Session, event: Event) -> Campaign:
    """The campaign of an event; NotFoundError where none was started."""
    campaign = running(session, event)
    if campaign is None:
        raise NotFoundError("campaign", event.slug, f"`events campaign start {event.slug}` starts one")
    return campaign


def steps_of(session: Session, campaign: Campaign) -> list[CampaignStep]:
    """The steps of a campaign, in order."""
    query = select(CampaignStep).where(CampaignStep.campaign_id == campaign.id)
    return list(session.exec(query.order_by(col(CampaignStep.position))))


def step_for(session: Session, event: Event, key: str, cadence_key: str | None = None) -> CampaignStep:
    """A step of the campaign that runs, or of the cadence that would; NotFoundError names those there are."""
    campaign = running(session, event)
    if campaign is not None and cadence_key is None:
        steps = steps_of(session, campaign)
    else:
        steps = rows.steps_from(0, cadence_for(event, cadence_key))
    step = next((one for one in steps if one.key == key), None)
    if step is None:
        raise NotFoundError("step", key, f"there are {', '.join(one.key for one in steps)}")
    return step


def start(session: Session, event: Event, cadence: Cadence, now: datetime) -> int:
    """Start a campaign: its steps and a delivery for every step and attendee. Returns how many were written.

    RefusedError behind the gate of an overdue review; ConflictError for an event that is not approved, is over, or
    has a campaign already.
    """
    if event.state != "approved":
        raise ConflictError(f"{event.slug} is {event.state}; only an approved event has a campaign")
    if event.ends <= now:
        raise ConflictError(f"{event.slug} is over; its campaign would come too late")
    if running(session, event) is not None:
        raise ConflictError(f"{event.slug} has a campaign already; `events campaign status {event.slug}` shows it")
    standing = [one for one in event_checks.verdict(session, event, now) if one.code == "review-overdue"]
    if standing:
        raise RefusedError(f"{event.slug} waits for a review that is overdue", standing)
    campaign = Campaign(event_id=id_of(event), cadence=cadence.key, started_at=now)
    session.add(campaign)
    session.flush()
    session.add_all(rows.steps_from(_number(campaign), cadence))
    session.flush()
    return rows.write(session, event, steps_of(session, campaign), rows.people_of(session, event), now)


def plan(session: Session, event: Event, cadence: Cadence, now: datetime) -> dict[str, Any]:
    """What starting a campaign would write, shaped like `status`: pending, or expired where it is too late already."""
    planned = []
    people = rows.people_of(session, event)
    for step in rows.steps_from(0, cadence):
        made = [made for one in people if (made := rows.row(event, step, *one, now))]
        late = sum(1 for one in made if one["expires_at"] is not None and one["expires_at"] <= now)
        planned.append(_step_status(event, step, {"pending": len(made) - late, "expired": late}))
    return {"event": event.slug, "cadence": cadence.key, "steps": planned}


def status(session: Session, event: Event) -> dict[str, Any]:
    """Where a campaign stands, step by step; then what was sent outside its steps (changes, cancellation)."""
    campaign = find(session, event)
    query = (
        sa.select(ROWS.c.step, ROWS.c.state, sa.func.count())
        .where(ROWS.c.event_id == event.id)
        .group_by(ROWS.c.step, ROWS.c.state)
    )
    counts: dict[str, dict[str, int]] = {}
    for step, state, count in session.connection().execute(query):
        counts.setdefault(step, {})[state] = count
    steps = [_step_status(event, step, counts.pop(step.key, {})) for step in steps_of(session, campaign)]
    steps += [{"step": key, "due_at": None, "policy": None} | _by_state(counts[key]) for key in sorted(counts)]
    holds = sa.select(ROWS.c.hold_reason, sa.func.count()).where(ROWS.c.event_id == event.id, ROWS.c.state == "held")
    return {
        "event": event.slug,
        "cadence": campaign.cadence,
        "held_at": campaign.held_at,
        "hold_reasons": {
            reason: count for reason, count in session.connection().execute(holds.group_by(ROWS.c.hold_reason))
        },
        "steps": steps,
    }


def hold(session: Session, event: Event, now: datetime) -> int:
    """Hold what is unsent, at an organiser's word; changes and cancellations still go. Returns how many are held."""
    campaign = find(session, event)
    if campaign.held_at is None:
        campaign.held_at = now
        session.add(campaign)
        session.flush()
    return settle_holds(session, review_gates.standing(session, now), now)[0]


def release(session: Session, event: Event, now: datetime) -> int:
    """Take an organiser's hold away, and a restore's. What came late meanwhile follows its step's policy.

    Returns how many go on.
    """
    campaign = find(session, event)
    doubtful = len(holds.settle_in_doubt(session, False, now, ROWS.c.event_id == event.id))
    if campaign.held_at is None and not doubtful:
        raise ConflictError(f"the campaign of {event.slug} is not held by an organiser")
    campaign.held_at = None
    session.add(campaign)
    session.flush()
    return doubtful + settle_holds(session, review_gates.standing(session, now), now)[1]


def answer(session: Session, event: Event, step_key: str, word: str, now: datetime) -> int:
    """Settle a step that asks what to do when it is late: `send` or `skip`. Returns how many deliveries it touched."""
    if word not in ("send", "skip"):
        raise UsageError(f"{word!r} is no answer; say send or skip")
    find(session, event)
    step = step_for(session, event, step_key)
    if step.on_late != "ask":
        raise ConflictError(f"step {step_key} does not ask: when late, its policy is {step.on_late}")
    step.answer = word
    session.add(step)
    session.flush()
    late = [ROWS.c.step_id == step.id, ROWS.c.state.in_(UNSENT), ROWS.c.late_at <= now]
    values: dict[str, Any] = {"state": "expired", "hold_reason": None, "last_error": "the organiser skipped it"}
    if word == "send":
        # What a review or the organiser holds stays held: the answer is about lateness alone.
        late.append(sa.or_(ROWS.c.state == "pending", ROWS.c.hold_reason == HELD_LATE))
        values = {"state": "pending", "hold_reason": None, "rung_at": None}
    return session.connection().execute(sa.update(ROWS).where(*late).values(**values, changed_at=now)).rowcount


def attendee_added(session: Session, attendee: Attendee, now: datetime) -> int:
    """Write an attendee's deliveries of the campaign that runs, if one does. Returns how many."""
    event = session.get_one(Event, attendee.event_id)
    campaign = running(session, event)
    if campaign is None or event.state not in ("approved", "done"):
        return 0
    person = session.get_one(Person, attendee.person_id)
    return rows.write(session, event, steps_of(session, campaign), [(attendee, person)], now)


def attendees_added(session: Session, event: Event, attendees: Sequence[Attendee], now: datetime) -> int:
    """The same for many attendees of one event at once."""
    campaign = running(session, event)
    if campaign is None or event.state not in ("approved", "done") or not attendees:
        return 0
    wanted = {attendee.id for attendee in attendees}
    people = [one for one in rows.people_of(session, event) if one[0].id in wanted]
    return rows.write(session, event, steps_of(session, campaign), people, now)


def attendees_returned(session: Session, event: Event, attendees: Sequence[Attendee], now: datetime) -> int:
    """The same for those who were taken off and are put back; what would still tell them that they are off is dropped.

    What is late of the steps follows its policy: if others have been invited already, they are invited at once.
    """
    rows.drop_unsent(session, attendees, "put back on the event", now)
    return attendees_added(session, event, attendees, now)


def reply_changed(session: Session, attendee: Attendee, now: datetime) -> None:
    """Let go of what waited for this reply; the audience is checked again before anything is sent."""
    session.connection().execute(_WAITED, {"attendee": attendee.id, "now": now})


def settle_holds(session: Session, gates: Gates, now: datetime) -> tuple[int, int]:
    """Release what its review or organiser no longer holds at `now`, then hold what anything holds. (held, released).

    In this order, what one of them lets go of and another still holds ends up held, for the right reason.
    """
    released = holds.release(session, gates, now)
    return holds.hold(session, gates, now), released


def _step_status(event: Event, step: CampaignStep, counts: dict[str, int]) -> dict[str, Any]:
    due = rows.due(event, step, event.timezone)
    return {"step": step.key, "due_at": due, "policy": step.on_late, "answer": step.answer} | _by_state(counts)


def _by_state(counts: dict[str, int]) -> dict[str, int]:
    return {state: counts.get(state, 0) for state in STATES}


def _number(campaign: Campaign) -> int:
    if campaign.id is None:
        raise ValueError("a campaign has no number before it is flushed")
    return campaign.id
