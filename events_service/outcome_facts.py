"""Every figure that outcomes add up to: a query over rows, never a stored counter, with who was asked beside it.

How things are attributed: an outcome belongs to the programme year in which its event began. It counts under the
market of the institution it was reached with, where that is known and is a market of the programme, and else under
each market of its event; under each theme of its event. Markets and themes may therefore add up to more than the whole.
A target that counts markets is stricter: an event in two markets says nothing about which of them it was. Whoever was
taken off an event counts nowhere, nor does what they answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service.db.tables import (
    Attendee,
    CampaignStep,
    Delivery,
    Event,
    Institution,
    Outcome,
    SurveyAnswer,
    SurveyResponse,
)
from events_service.domain.outcomes import KINDS, Asked, Figure, Result, figure, other_currencies
from events_service.domain.programme import Measure, Programme, Target
from events_service.surveys import definitions

Number = int | float


@dataclass(frozen=True)
class Facts:
    """All that the figures of one programme rest on, read once.

    `people` has, by event and kind of outcome, how many were asked a question about it and how many answered one;
    kind None is the survey as a whole. `came` has attendance by event: how many accepted, how many checked in.
    """

    programme: Programme
    now: datetime
    events: tuple[Event, ...]
    results: tuple[Result, ...]
    people: dict[tuple[str, str | None], Asked]
    came: dict[str, tuple[int, int]]

    @cached_property
    def by_slug(self) -> dict[str, Event]:
        """The events by their slugs."""
        return {event.slug: event for event in self.events}

    def event_of(self, result: Result) -> Event:
        """The event that a result came of."""
        return self.by_slug[result.event]

    def asked(self, events: Iterable[Event], kind: str | None) -> Asked:
        """Who was asked and answered at those events; places are by event, so they add up."""
        return sum((self.people.get((event.slug, kind), Asked()) for event in events), Asked())

    def figures(self, events: Sequence[Event], results: Iterable[Result]) -> list[Figure]:
        """One figure a kind, in the order of the kinds."""
        kept = list(results)
        return [figure(kind, kept, self.asked(events, kind)) for kind in KINDS]


def actual(facts: Facts, target: Target) -> Number | None:
    """What a target's figure is now. Growth without a baseline, and what is recorded by hand, stay open."""
    measure = target.measure
    if measure.of == "events":
        return _of_events(facts, measure)
    if measure.of == "record":
        return None
    figures = [figure(kind, facts.results, facts.asked(facts.events, kind)) for kind in measure.kinds]
    if all(one.value is None for one in figures) and not any(one.rows for one in figures):
        return None
    if measure.add == "sum":
        values = [one.value for one in figures if one.value is not None]
        if not values:
            return None
        total = sum(values, Decimal(0))
        if not measure.growth:
            return as_number(total)
        return as_number(round(total * 100 / Decimal(str(target.baseline)), 1)) if target.baseline else None
    results = [result for result in facts.results if result.kind in measure.kinds and result.counts]
    if measure.add == "count":
        return len(results)
    if measure.add == "distinct-themes":
        named = {theme for result in results for theme in facts.event_of(result).themes}
        return len(named & {theme.key for theme in facts.programme.themes})
    return len({market for result in results if (market := _one_market(facts, result)) is not None})


def target_people(facts: Facts, target: Target) -> Asked | None:
    """Who was asked for what a target's figure rests on; None where it does not rest on answers."""
    if target.measure.of != "outcomes":
        return None
    return sum((facts.asked(facts.events, kind) for kind in target.measure.kinds), Asked())


def gather(session: Session, programme: Programme, now: datetime) -> Facts:
    """Read what the figures of a programme rest on, in a fixed number of queries."""
    rows = session.exec(
        select(Event).where(Event.programme_key == programme.key).order_by(col(Event.starts), col(Event.slug))
    ).all()
    slugs = {_id(event): event.slug for event in rows}
    markets = {market.country for market in programme.markets}
    found = session.execute(
        sa.select(
            col(Outcome.event_id),
            col(Outcome.kind),
            col(Outcome.value),
            col(Outcome.currency),
            col(Institution.country),
        )
        .join_from(Outcome, Institution, col(Outcome.institution_id) == col(Institution.id), isouter=True)
        .join(Event, col(Outcome.event_id) == col(Event.id))
        .outerjoin(SurveyResponse, col(SurveyResponse.id) == col(Outcome.response_id))
        .outerjoin(Attendee, col(Attendee.id) == col(SurveyResponse.attendee_id))
        .where(col(Event.programme_key) == programme.key, col(Attendee.removed_at).is_(None))
        .order_by(col(Outcome.id))
    )
    results = tuple(
        Result(slugs[event_id], kind, value, currency, country if country in markets else None)
        for event_id, kind, value, currency, country in found
    )
    with_results = {result.event for result in results}
    shown = tuple(e for e in rows if e.state in ("approved", "done") or e.slug in with_results)
    people = _people(session, programme.key, slugs)
    return Facts(programme, now, shown, results, people, _came(session, programme.key, slugs))


def by_event(facts: Facts) -> dict[str, list[Result]]:
    """The results of each event."""
    grouped: dict[str, list[Result]] = {event.slug: [] for event in facts.events}
    for result in facts.results:
        grouped[result.event].append(result)
    return grouped


def in_market(facts: Facts, country: str) -> Callable[[Result], bool]:
    """Whether a result counts under a market."""

    def counts(result: Result) -> bool:
        return result.market == country or (result.market is None and country in facts.event_of(result).markets)

    return counts


def apart(facts: Facts) -> dict[str, tuple[Decimal, int]]:
    """Funding in other currencies, which adds up to nothing here."""
    return other_currencies(facts.results)


def _one_market(facts: Facts, result: Result) -> str | None:
    if result.market is not None:
        return result.market
    markets = facts.event_of(result).markets
    return markets[0] if len(markets) == 1 and facts.programme.market(markets[0]) else None


def _of_events(facts: Facts, measure: Measure) -> Number | None:
    """Events that were held and well attended. Without a single check-in nothing is known of attendance."""
    held = [e for e in facts.events if e.state != "cancelled" and e.ends <= facts.now]
    if not any(facts.came.get(event.slug, (0, 0))[1] for event in held):
        return None
    well = []
    for event in held:
        accepted, attended = facts.came.get(event.slug, (0, 0))
        if attended >= measure.min_attended and attended >= measure.min_share * accepted:
            well.append(event)
    if measure.add == "distinct-themes":
        return len({t for e in well for t in e.themes} & {theme.key for theme in facts.programme.themes})
    if measure.add == "distinct-markets":
        return len({m for e in well for m in e.markets if facts.programme.market(m)})
    return len(well)


def _people(session: Session, programme_key: str, slugs: dict[int, str]) -> dict[tuple[str, str | None], Asked]:
    """Who was asked and who answered, by event and kind. Whoever answered was asked, whatever became of the mail."""
    surveys = definitions()
    asks: dict[str, frozenset[str | None]] = {key: survey.kinds() | {None} for key, survey in surveys.items()}
    kind_by_question = {
        (key, question.key): question.outcome.kind
        for key, survey in surveys.items()
        for question in survey.questions
        if question.outcome
    }
    asked: dict[tuple[int, str | None], set[int]] = {}
    answered: dict[tuple[int, str | None], set[int]] = {}
    sent = session.execute(
        sa.select(col(Delivery.event_id), col(Delivery.attendee_id), col(CampaignStep.survey))
        .join_from(Delivery, CampaignStep, col(Delivery.step_id) == col(CampaignStep.id))
        .join(Event, col(Delivery.event_id) == col(Event.id))
        .join(Attendee, col(Attendee.id) == col(Delivery.attendee_id))
        .where(
            col(Event.programme_key) == programme_key,
            col(Delivery.state) == "sent",
            col(CampaignStep.survey).is_not(None),
            col(Attendee.removed_at).is_(None),
        )
        .distinct()
    )
    for event_id, attendee_id, survey in sent:
        for kind in asks.get(survey, frozenset({None})):
            asked.setdefault((event_id, kind), set()).add(attendee_id)
    given = session.execute(
        sa.select(
            col(SurveyResponse.event_id),
            col(SurveyResponse.attendee_id),
            col(SurveyResponse.survey),
            col(SurveyAnswer.question),
        )
        .join_from(SurveyResponse, SurveyAnswer, col(SurveyAnswer.response_id) == col(SurveyResponse.id))
        .join(Event, col(SurveyResponse.event_id) == col(Event.id))
        .join(Attendee, col(Attendee.id) == col(SurveyResponse.attendee_id))
        .where(col(Event.programme_key) == programme_key, col(Attendee.removed_at).is_(None))
    )
    for event_id, attendee_id, survey, question in given:
        answered.setdefault((event_id, None), set()).add(attendee_id)
        if kind := kind_by_question.get((survey, question)):
            answered.setdefault((event_id, kind), set()).add(attendee_id)
        for asked_kind in asks.get(survey, frozenset({None})):
            asked.setdefault((event_id, asked_kind), set()).add(attendee_id)
    return {
        (slugs[event_id], kind): Asked(len(who), len(answered.get((event_id, kind), set())))
        for (event_id, kind), who in asked.items()
    }


def _came(session: Session, programme_key: str, slugs: dict[int, str]) -> dict[str, tuple[int, int]]:
    accepted = sa.func.sum(sa.case((col(Attendee.reply) == "accepted", 1), else_=0))
    attended = sa.func.sum(sa.case((col(Attendee.attended).is_(True), 1), else_=0))
    rows = session.execute(
        sa.select(col(Attendee.event_id), accepted, attended)
        .join_from(Attendee, Event, col(Attendee.event_id) == col(Event.id))
        .where(col(Event.programme_key) == programme_key, col(Attendee.removed_at).is_(None))
        .group_by(col(Attendee.event_id))
    )
    return {slugs[event_id]: (int(yes), int(came)) for event_id, yes, came in rows}


def as_number(value: Decimal) -> Number:
    """A whole number where it is one."""
    return int(value) if value == value.to_integral_value() else float(value)


def _id(event: Event) -> int:
    if event.id is None:
        raise ValueError("Event has no number yet; flush it first")
    return event.id
