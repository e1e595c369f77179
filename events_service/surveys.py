"""Asking what happened: the form of an attendee's wave, one answer set each, and the outcomes that answers make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service.config import shipped
from events_service.db.tables import (
    Attendee,
    Campaign,
    CampaignStep,
    Delivery,
    Event,
    Institution,
    Outcome,
    Person,
    SurveyAnswer,
    SurveyResponse,
)
from events_service.domain.survey import Answer, Question, Survey, outcomes_of, read_answers
from events_service.domain.survey_file import load_survey
from events_service.errors import ConflictError, NotFoundError

_WAVE: sa.BindParameter[str] = sa.bindparam("of_wave")
_ANSWERED = select(SurveyResponse.submitted_at).where(
    SurveyResponse.attendee_id == sa.bindparam("attendee"), SurveyResponse.wave == _WAVE
)
_ASKING = (
    select(CampaignStep)
    .join(Campaign)
    .where(
        Campaign.event_id == sa.bindparam("event"), CampaignStep.wave == _WAVE, col(CampaignStep.survey).is_not(None)
    )
    .order_by(col(CampaignStep.position))
)
_NAMED = select(Institution.id).where(sa.func.lower(Institution.name) == sa.bindparam("named")).limit(2)


@dataclass(frozen=True, slots=True)
class Form:
    """What one attendee is asked in one wave. `answered_at` is set once they have answered: then it is closed."""

    attendee_id: int
    wave: str
    survey: Survey
    event: Event
    person: Person
    answered_at: datetime | None

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions, in order."""
        return self.survey.questions


@lru_cache(maxsize=1)
def definitions() -> dict[str, Survey]:
    """The surveys that ship, by key; SurveyFileError where one is faulty. They are read once."""
    return {survey.key: survey for survey in (load_survey(p.read_text(), p.name) for p in shipped("surveys").values())}


def definition(key: str) -> Survey:
    """The survey of that key; NotFoundError."""
    survey = definitions().get(key)
    if survey is None:
        raise NotFoundError("survey", key, f"there are {', '.join(definitions())}")
    return survey


def form(session: Session, attendee_id: int, wave: str) -> Form:
    """What an attendee is asked in a wave.

    NotFoundError where there is no such attendee, they were erased or taken off, or no step asks that wave.
    """
    attendee = session.get(Attendee, attendee_id)
    if attendee is not None and attendee.removed_at is not None:
        attendee = None
    person = session.get(Person, attendee.person_id) if attendee and attendee.person_id else None
    step = _step(session, attendee.event_id, wave) if attendee else None
    if attendee is None or person is None or step is None or step.survey is None:
        raise NotFoundError("survey", f"{attendee_id}-{wave}", "the address in the mail is complete, or it is none")
    answered = session.exec(_ANSWERED, params={"attendee": attendee_id, "of_wave": wave}).first()
    return Form(
        attendee_id,
        wave,
        definition(step.survey),
        session.get_one(Event, attendee.event_id),
        person,
        answered,
    )


def submit(session: Session, attendee_id: int, wave: str, answers: Mapping[str, str], now: datetime) -> SurveyResponse:
    """Take one answer set, by question as it was typed, and write the outcomes it makes.

    SurveyAnswerError where an answer cannot be read (nothing is written then); ConflictError where this attendee has
    answered this wave, also where two sets come at once.
    """
    asked = form(session, attendee_id, wave)
    if asked.answered_at is not None:
        raise _already(asked.event.slug, wave)
    read = read_answers(asked.survey, answers)
    response = SurveyResponse(
        event_id=_id(asked.event), attendee_id=attendee_id, survey=asked.survey.key, wave=wave, submitted_at=now
    )
    try:
        with session.begin_nested():
            session.add(response)
    except sa.exc.IntegrityError as error:
        raise _already(asked.event.slug, wave) from error
    for question, answer in read.items():
        session.add(
            SurveyAnswer(
                response_id=_id(response),
                question=question,
                number=answer.number,
                text=answer.text,
                currency=answer.currency,
            )
        )
    _write_outcomes(session, asked.survey, read, response, now)
    session.flush()
    return response


def show(session: Session, event: Event) -> list[dict[str, Any]]:
    """The waves that an event's campaign asks, in order: survey, questions, how many were asked and answered."""
    steps = session.exec(
        select(CampaignStep)
        .join(Campaign)
        .where(Campaign.event_id == event.id, col(CampaignStep.wave).is_not(None))
        .order_by(col(CampaignStep.position))
    )
    waves: dict[str, str] = {}
    for step in steps:
        if step.wave and step.survey:
            waves.setdefault(step.wave, step.survey)
    asked, answered = _by_wave(session, _id(event), asked=True), _by_wave(session, _id(event), asked=False)
    return [
        {
            "event": event.slug,
            "wave": wave,
            "survey": key,
            "title": definition(key).title,
            "asked": len(asked.get(wave, set()) | answered.get(wave, set())),
            "answered": len(answered.get(wave, set())),
            "questions": [
                {"key": q.key, "label": q.label, "kind": q.kind, "required": q.required}
                for q in definition(key).questions
            ],
        }
        for wave, key in waves.items()
    ]


def responses(session: Session, event: Event) -> list[dict[str, Any]]:
    """The answer sets of an event in the order they came. `answers` has only the questions that were answered.

    Who was erased has no address and no name; what of their answers only counts is still there.
    """
    sets = session.exec(
        select(SurveyResponse, Attendee, Person)
        .join(Attendee, col(SurveyResponse.attendee_id) == col(Attendee.id))
        .outerjoin(Person, col(Attendee.person_id) == col(Person.id))
        .where(SurveyResponse.event_id == event.id, col(Attendee.removed_at).is_(None))
        .order_by(col(SurveyResponse.submitted_at), col(SurveyResponse.id))
    ).all()
    given: dict[int, dict[str, Decimal | str | None]] = {}
    rows = session.exec(select(SurveyAnswer).join(SurveyResponse).where(SurveyResponse.event_id == event.id))
    for row in rows:
        given.setdefault(row.response_id, {})[row.question] = row.text if row.number is None else row.number
    return [
        {
            "event": event.slug,
            "wave": response.wave,
            "survey": response.survey,
            "submitted_at": response.submitted_at,
            "email": person.email if person else None,
            "name": person.name if person else None,
            "role": attendee.role,
            "answers": _in_order(response.survey, given.get(_id(response), {})),
        }
        for response, attendee, person in sets
    ]


def _in_order(survey: str, given: Mapping[str, Decimal | str | None]) -> dict[str, Decimal | str | None]:
    known = definitions().get(survey)
    order = [question.key for question in known.questions] if known else []
    return {key: given[key] for key in [*(k for k in order if k in given), *sorted(given.keys() - set(order))]}


def _by_wave(session: Session, event_id: int, *, asked: bool) -> dict[str, set[int]]:
    if asked:
        rows = session.execute(
            sa.select(col(CampaignStep.wave), col(Delivery.attendee_id))
            .join_from(Delivery, CampaignStep, col(Delivery.step_id) == col(CampaignStep.id))
            .join(Attendee, col(Attendee.id) == col(Delivery.attendee_id))
            .where(
                col(Delivery.event_id) == event_id,
                col(Delivery.state) == "sent",
                col(CampaignStep.wave).is_not(None),
                col(Attendee.removed_at).is_(None),
            )
        )
    else:
        rows = session.execute(
            sa.select(col(SurveyResponse.wave), col(SurveyResponse.attendee_id))
            .join(Attendee, col(Attendee.id) == col(SurveyResponse.attendee_id))
            .where(col(SurveyResponse.event_id) == event_id, col(Attendee.removed_at).is_(None))
        )
    found: dict[str, set[int]] = {}
    for wave, attendee_id in rows:
        found.setdefault(wave, set()).add(attendee_id)
    return found


def _step(session: Session, event_id: int, wave: str) -> CampaignStep | None:
    return session.exec(_ASKING, params={"event": event_id, "of_wave": wave}).first()


def _write_outcomes(
    session: Session, survey: Survey, read: Mapping[str, Answer], response: SurveyResponse, now: datetime
) -> None:
    for draft in outcomes_of(survey, read):
        session.add(
            Outcome(
                event_id=response.event_id,
                kind=draft.kind,
                value=draft.value,
                currency=draft.currency,
                institution_id=_institution_named(session, draft.partner),
                source="survey",
                response_id=response.id,
                question=draft.question,
                note=draft.note,
                recorded_at=now,
            )
        )


def _institution_named(session: Session, name: str | None) -> int | None:
    """The one institution of that name, whatever the case; None where there is none, or more than one."""
    if not name or len(name) > 300 or "\n" in name:
        return None
    found = session.exec(_NAMED, params={"named": name.strip().lower()}).all()
    return found[0] if len(found) == 1 else None


def _already(slug: str, wave: str) -> ConflictError:
    return ConflictError(f"{slug}: the survey of wave {wave!r} was already answered; the first answers stand")


def _id(row: Event | SurveyResponse) -> int:
    if row.id is None:
        raise ValueError(f"{type(row).__name__} has no number yet; flush it first")
    return row.id
