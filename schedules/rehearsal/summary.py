"""What a rehearsal came to, read out of its database: what was sent when, who came, and what it adds up to."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlmodel import Session, col, func, select

from events_service import campaigns, guest_lists, outbox, outcome_facts, outcome_report, reviews
from events_service.db.tables import Attendee, Event, Outcome, SurveyResponse
from events_service.domain.delivery import STATES
from events_service.domain.programme import Programme
from events_service.event_rows import id_of
from events_service.outbox import ROWS
from schedules.rehearsal.runner import Rehearsed


@dataclass
class StepRow:
    """One step of an event's campaign, or a message outside it (update, cancellation): counts by state, and days."""

    step: str
    counts: dict[str, int] = field(default_factory=dict)
    first: str = ""
    last: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the page."""
        shown = {state: self.counts.get(state, 0) for state in STATES}
        return {"step": self.step, "first": self.first, "last": self.last, **shown}


@dataclass(frozen=True)
class Summary:
    """What a rehearsal came to. `outcomes` is the outcome report; `events` and `by_month` are rows of plain values."""

    programme: Programme
    people: int
    deliveries: dict[str, int]
    reviews: dict[str, int]
    responses: int
    outcomes_recorded: int
    refusals: int
    events: list[dict[str, Any]]
    by_month: list[dict[str, Any]]
    report: dict[str, Any]


def summarise(session: Session, done: Rehearsed) -> Summary:
    """Read it all, at the moment the rehearsal ended."""
    programme, end = done.programme, done.end
    report = outcome_report.document(outcome_facts.gather(session, programme, end))
    states = list(reviews.states(session, programme, end).values())
    counts = outbox.counts(session)
    return Summary(
        programme=programme,
        people=len(done.guests),
        deliveries={state: counts.get(state, 0) for state in STATES},
        reviews={state: states.count(state) for state in ("held", "overdue")},
        responses=session.exec(select(func.count()).select_from(SurveyResponse)).one(),
        outcomes_recorded=session.exec(select(func.count()).select_from(Outcome)).one(),
        refusals=len(done.refusals),
        events=_events(session, programme, report),
        by_month=_by_month(session, programme),
        report=report,
    )


def _events(session: Session, programme: Programme, report: dict[str, Any]) -> list[dict[str, Any]]:
    rows = session.exec(
        select(Event).where(Event.programme_key == programme.key).order_by(col(Event.starts), col(Event.slug))
    ).all()
    said = guest_lists.counts_of(session, [id_of(event) for event in rows])
    came = {
        id: number
        for id, number in session.execute(
            sa.select(col(Attendee.event_id), sa.func.count())
            .where(col(Attendee.attended).is_(True))
            .group_by(col(Attendee.event_id))
        )
    }
    answers = {group["key"]: group["responses"] for group in report["by_event"]}
    steps = _steps(session, rows, programme.timezone)
    return [
        {
            "slug": event.slug,
            "title": event.title,
            "state": event.state,
            "city": event.city,
            "starts": event.starts.astimezone(ZoneInfo(event.timezone)).isoformat(),
            **said[id_of(event)],
            "came": came.get(id_of(event), 0),
            **answers.get(event.slug, {"asked": 0, "answered": 0, "rate": None}),
            "sent": sum(row.counts.get("sent", 0) for row in steps[id_of(event)]),
            "steps": [row.as_json() for row in steps[id_of(event)]],
        }
        for event in rows
    ]


def _steps(session: Session, events: list[Event] | Any, zone: str) -> dict[int, list[StepRow]]:
    """The steps of each event, in its cadence's order, then what was sent outside them."""
    order: dict[int, list[str]] = {}
    for event in events:
        campaign = campaigns.running(session, event)
        order[id_of(event)] = [step.key for step in campaigns.steps_of(session, campaign)] if campaign else []
    found: dict[int, dict[str, StepRow]] = defaultdict(dict)
    query = (
        sa.select(
            ROWS.c.event_id, ROWS.c.step, ROWS.c.state, sa.func.count(),
            sa.func.min(ROWS.c.sent_at), sa.func.max(ROWS.c.sent_at),
        )
        .group_by(ROWS.c.event_id, ROWS.c.step, ROWS.c.state)
        .order_by(ROWS.c.event_id, ROWS.c.step, ROWS.c.state)
    )  # fmt: skip
    for event_id, step, state, count, first, last in session.execute(query):
        row = found[event_id].setdefault(step, StepRow(step))
        row.counts[state] = count
        if first is not None:
            days = sorted(filter(None, (row.first, row.last, _day(first, zone), _day(last, zone))))
            row.first, row.last = days[0], days[-1]
    return {
        id: [found[id][key] for key in keys if key in found[id]]
        + [found[id][key] for key in sorted(found[id].keys() - set(keys))]
        for id, keys in order.items()
    }


def _by_month(session: Session, programme: Programme) -> list[dict[str, Any]]:
    """How many messages went out in each month of the programme."""
    timeline = programme.timeline
    sent = sa.select(ROWS.c.sent_at, sa.func.count()).where(ROWS.c.sent_at.is_not(None)).group_by(ROWS.c.sent_at)
    counts: dict[int, int] = defaultdict(int)
    for at, count in session.execute(sent):
        counts[timeline.month_of(at)] += count
    return [
        {"month": month, "name": f"{timeline.first_day(month):%B %Y}", "sent": counts[month]}
        for month in range(programme.months)
    ]


def _day(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).date().isoformat()
