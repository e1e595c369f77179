"""What the programme says of an event: the rules of the domain, over what the database knows beside the event.

An event that others are weighed against is one that stands: approved or done. A person is at an event unless they
declined or were taken off it; an organiser is at their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from events_service import event_rows, programmes, reviews
from events_service.db.tables import Attendee, Event, Institution, InstitutionTarget, Person
from events_service.domain import rules
from events_service.domain.events import EventFacts
from events_service.domain.programme import Programme
from events_service.domain.violations import Booking, RuleContext, Violation

STANDING = ("approved", "done")


class _Standing(NamedTuple):
    id: int
    facts: EventFacts
    programme: str


def verdict(session: Session, event: Event, now: datetime, facts: EventFacts | None = None) -> list[Violation]:
    """Every rule that one stored event breaks at `now`, waived ones too.

    It asks what an approval asks, overdue reviews included, unless the event is done or cancelled. `facts` stands in
    for the event's own, to ask about a change before it is made.
    """
    id = event_rows.id_of(event)
    programme = programmes.current(session, event.programme_key)
    waived = {waiver.code for waiver in event_rows.waivers_of(session, [id]).get(id, [])}
    case = (id, facts or event_rows.facts_of(event))
    context = _contexts(session, programme, [case])[id]
    return _check(programme, event, case[1], context, waived, now)


def verdicts(session: Session, events: Sequence[Event], now: datetime) -> dict[int, list[Violation]]:
    """`verdict` of many stored events in a handful of queries, by their number."""
    found: dict[int, list[Violation]] = {}
    waivers = event_rows.waivers_of(session, [event_rows.id_of(event) for event in events])
    by_programme: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_programme[event.programme_key].append(event)
    for key, its in by_programme.items():
        programme = programmes.current(session, key)
        facts = {event_rows.id_of(event): event_rows.facts_of(event) for event in its}
        contexts = _contexts(session, programme, list(facts.items()))
        for event in its:
            id = event_rows.id_of(event)
            waived = {waiver.code for waiver in waivers.get(id, [])}
            found[id] = _check(programme, event, facts[id], contexts[id], waived, now)
    return found


def proposed(
    session: Session, programme: Programme, cases: Sequence[EventFacts], now: datetime
) -> list[list[Violation]]:
    """The rules that each of several events would break if it were proposed, as an approval at `now` would ask."""
    # Numbers below zero are no event's: those that are only proposed have no attendees and are in nobody's way.
    numbered = [(-place, facts) for place, facts in enumerate(cases, 1)]
    contexts = _contexts(session, programme, numbered)
    return [rules.check(programme, facts, contexts[id], now, approving=True) for id, facts in numbered]


def _check(
    programme: Programme, event: Event, facts: EventFacts, context: RuleContext, waived: set[str], now: datetime
) -> list[Violation]:
    return rules.check(programme, facts, context, now, waived, approving=event.state in ("draft", "approved"))


def _contexts(
    session: Session, programme: Programme, cases: Sequence[tuple[int, EventFacts]]
) -> dict[int, RuleContext]:
    held = reviews.held(session, programme.key)
    targets = _targets(session)
    standing = [
        _Standing(event_rows.id_of(event), event_rows.facts_of(event), event.programme_key)
        for event in session.exec(select(Event).where(col(Event.state).in_(STANDING)).order_by(col(Event.id)))
    ]
    bookings = _bookings(session, cases, standing)
    spent = _spent(programme, standing)
    contexts = {}
    for id, facts in cases:
        stream = programme.holding(facts.kind, facts.hosted_by)[0].number
        others = [row for row in spent.get(stream, []) if row.id != id]
        contexts[id] = RuleContext(
            reviews_held=held,
            target_institutions=targets,
            bookings=bookings.get(id, ()),
            spent_budget=sum(row.facts.budget or 0 for row in others),
            spent_effort_days=sum(row.facts.effort_days or 0 for row in others),
        )
    return contexts


def _targets(session: Session) -> dict[str, int]:
    """How many target institutions are identified, by country."""
    rows = session.execute(
        sa.select(col(Institution.country), sa.func.count(sa.distinct(col(Institution.id))))
        .join(InstitutionTarget, col(InstitutionTarget.institution_id) == col(Institution.id))
        .where(col(Institution.country).is_not(None))
        .group_by(col(Institution.country))
    )
    return {country: number for country, number in rows}


def _spent(programme: Programme, standing: Iterable[_Standing]) -> dict[int, list[_Standing]]:
    """The standing events of this programme that cost something, by workstream."""
    found: dict[int, list[_Standing]] = defaultdict(list)
    for row in standing:
        if row.programme == programme.key and (row.facts.budget or row.facts.effort_days):
            found[programme.holding(row.facts.kind, row.facts.hosted_by)[0].number].append(row)
    return found


def _bookings(
    session: Session, cases: Sequence[tuple[int, EventFacts]], standing: Sequence[_Standing]
) -> dict[int, list[Booking]]:
    """Where the attendees and the organiser of each case are at the same time, by case."""
    overlaps = {
        id: [
            row for row in standing if row.id != id and row.facts.starts < facts.ends and facts.starts < row.facts.ends
        ]
        for id, facts in cases
    }
    overlaps = {id: rows for id, rows in overlaps.items() if rows}
    if not overlaps:
        return {}
    facts_by_id = dict(cases)
    others = {row.id: row for rows in overlaps.values() for row in rows}
    shared = _shared_people(session, [id for id in overlaps if id > 0], list(others))
    at = _attending(session, {facts_by_id[id].organiser_email for id in overlaps}, list(others))
    ours = _attending(session, {row.facts.organiser_email for row in others.values()}, list(overlaps))
    found: dict[int, list[Booking]] = {}
    for id, rows in overlaps.items():
        organiser = facts_by_id[id].organiser_email
        bookings = []
        for row in rows:
            names = set(shared.get((id, row.id), ()))
            names |= {organiser} if organiser and organiser == row.facts.organiser_email else set()
            names |= {organiser} if (organiser, row.id) in at else set()
            names |= {row.facts.organiser_email} if (row.facts.organiser_email, id) in ours else set()
            bookings += [Booking(name, row.facts.slug, row.facts.starts, row.facts.ends) for name in sorted(names)]
        found[id] = bookings
    return found


def _shared_people(session: Session, ids: Sequence[int], others: Sequence[int]) -> Mapping[tuple[int, int], list[str]]:
    """The addresses of those who are at two events, by the pair of events."""
    places = SQLModel.metadata.tables["attendee"]
    here, there = places.alias("here"), places.alias("there")
    rows = session.execute(
        sa.select(here.c.event_id, there.c.event_id, col(Person.email))
        .select_from(here)
        .join(there, sa.and_(here.c.person_id == there.c.person_id, here.c.event_id != there.c.event_id))
        .join(Person, col(Person.id) == here.c.person_id)
        .where(here.c.event_id.in_(ids), there.c.event_id.in_(others))
        .where(here.c.reply != "declined", there.c.reply != "declined")
        .where(here.c.removed_at.is_(None), there.c.removed_at.is_(None))
    )
    found: dict[tuple[int, int], list[str]] = defaultdict(list)
    for one, other, email in rows:
        found[one, other].append(email)
    return found


def _attending(session: Session, emails: Iterable[str], events: Sequence[int]) -> set[tuple[str, int]]:
    """Which of these addresses are at which of these events."""
    rows = session.execute(
        sa.select(col(Person.email), col(Attendee.event_id))
        .join(Attendee, col(Attendee.person_id) == col(Person.id))
        .where(col(Person.email).in_([email for email in emails if email]), col(Attendee.event_id).in_(events))
        .where(col(Attendee.reply) != "declined", col(Attendee.removed_at).is_(None))
    )
    return {(email, event_id) for email, event_id in rows}
