"""A survey as data: what a file of `schedules/surveys/` says, how an answer is read, and the outcomes it makes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from events_service.domain.outcomes import CURRENCY, KINDS
from events_service.errors import SurveyAnswerError

MAX_TEXT = 4000
MAX_COUNT = 10_000
MAX_MONEY = 1_000_000_000

Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,300}$")]

_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+")
_MONEY = re.compile(r"(?:£|GBP)?\s*((?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]{1,2})?)\s*(?:GBP)?", re.IGNORECASE)


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Option(_Fact):
    """One choice."""

    value: Key
    label: Line


class Makes(_Fact):
    """The outcome that an answer makes: its kind; for a choice, on which options; `partner` is a text question.

    The answer to `partner` goes into the outcome's note, and names its institution where we know one of that name.
    """

    kind: str
    when: tuple[Key, ...] = ()
    partner: Key | None = None


class Question(_Fact):
    """One question. `min` and `max` bound a scale, a count or an amount; `low` and `high` word a scale's ends."""

    key: Key
    label: Line
    kind: Literal["scale", "choice", "text", "money", "count"]
    help: Line | None = None
    required: bool = False
    min: Annotated[int, Field(ge=0)] | None = None
    max: Annotated[int, Field(ge=1, le=MAX_MONEY)] | None = None
    low: Line | None = None
    high: Line | None = None
    options: tuple[Option, ...] = ()
    outcome: Makes | None = None

    @property
    def lowest(self) -> int:
        """The least number that is an answer."""
        return self.min if self.min is not None else (1 if self.kind == "scale" else 0)

    @property
    def highest(self) -> int:
        """The greatest number that is an answer."""
        return self.max if self.max is not None else {"scale": 5, "count": MAX_COUNT}.get(self.kind, MAX_MONEY)

    @property
    def points(self) -> range:
        """The points of a scale."""
        return range(self.lowest, self.highest + 1)


class Survey(_Fact):
    """Questions that are asked together, in one or several waves."""

    key: Key
    title: Line
    intro: Line | None = None
    waves: Annotated[tuple[Key, ...], Field(min_length=1)]
    questions: Annotated[tuple[Question, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        if len(set(self.waves)) < len(self.waves):
            raise _fault("survey", "waves", "names a wave twice")
        keys = [question.key for question in self.questions]
        for number, question in enumerate(self.questions, 1):
            table = f"questions #{number}"
            if keys.index(question.key) != number - 1:
                raise _fault(table, "key", f"{question.key!r} is already the key of question {question.key!r} above")
            _check_bounds(question, table)
            _check_options(question, table)
            if question.outcome is not None:
                _check_outcome(question, question.outcome, table, self.questions)
        return self

    def question(self, key: str) -> Question | None:
        """The question of that key, if the survey asks it."""
        return next((question for question in self.questions if question.key == key), None)

    def kinds(self) -> frozenset[str]:
        """The kinds of outcome that its answers can make."""
        return frozenset(question.outcome.kind for question in self.questions if question.outcome)


@dataclass(frozen=True, slots=True)
class Answer:
    """A read answer: a number (a scale's point, a count, an amount of `currency`), or text (a choice's value too)."""

    number: Decimal | None = None
    text: str | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An outcome that an answer makes. `partner` is the name that was given for whom it was reached with."""

    question: str
    kind: str
    value: Decimal
    currency: str | None
    note: str
    partner: str | None


def read_answers(survey: Survey, answers: Mapping[str, str]) -> dict[str, Answer]:
    """What a person sent, by question; a question left open is not in it. SurveyAnswerError names every fault."""
    faults = {key[:64]: "is no question of this survey" for key in answers if survey.question(key) is None}
    read: dict[str, Answer] = {}
    for question in survey.questions:
        given = answers.get(question.key, "")
        try:
            answer = read_answer(question, given)
        except ValueError as error:
            faults[question.key] = str(error)
            continue
        if answer is not None:
            read[question.key] = answer
        elif question.required:
            faults[question.key] = "needs an answer"
    if faults or not read:
        raise SurveyAnswerError(faults)
    return read


def read_answer(question: Question, given: str) -> Answer | None:
    """One answer as it was typed; None where it was left open. ValueError says what to write instead."""
    text = given.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text:
        return None
    if question.kind == "text":
        if len(text) > MAX_TEXT:
            raise ValueError(f"has {len(text):,} characters; {MAX_TEXT:,} is the most")
        kept = "".join(char for char in text if char == "\n" or char.isprintable()).strip()
        return Answer(text=kept) if kept else None
    if question.kind == "choice":
        if all(option.value != text for option in question.options):
            raise ValueError("choose one of the options")
        return Answer(text=text)
    if question.kind == "money":
        return Answer(number=_within(question, _amount(text)), currency=CURRENCY)
    if not _GROUPED.fullmatch(text) or len(text) > 20:
        raise ValueError("write a whole number, such as 3")
    return Answer(number=_within(question, Decimal(text.replace(",", ""))))


def outcomes_of(survey: Survey, answers: Mapping[str, Answer]) -> list[Draft]:
    """The outcomes that these answers make, in the order of the questions. An answered zero makes none."""
    made = []
    for question in survey.questions:
        makes, answer = question.outcome, answers.get(question.key)
        if makes is None or answer is None:
            continue
        named = answers.get(makes.partner) if makes.partner else None
        partner = named.text if named else None
        if question.kind == "choice":
            value = Decimal(1 if answer.text in makes.when else 0)
        else:
            value = Decimal(1) if answer.number is None else answer.number
        if value > 0:
            note = partner or (answer.text if question.kind == "text" else None) or ""
            made.append(Draft(question.key, makes.kind, value, answer.currency, note, partner))
    return made


def _amount(text: str) -> Decimal:
    if re.search(r"[€$¥]|\b(?:EUR|USD|DKK|CAD|MYR)\b", text, re.IGNORECASE):
        raise ValueError("give the amount in pounds")
    found = _MONEY.fullmatch(text)
    if found is None or len(text) > 30:
        raise ValueError("write an amount in pounds, in full, such as 1200 or £1,200.50")
    return Decimal(found[1].replace(",", ""))


def _within(question: Question, number: Decimal) -> Decimal:
    if not question.lowest <= number <= question.highest:
        raise ValueError(f"must be from {question.lowest:,} to {question.highest:,}")
    return number


def _fault(table: str, field: str, why: str) -> PydanticCustomError:
    return PydanticCustomError("survey", "{why}", {"table": table, "field": field, "why": why})


def _check_bounds(question: Question, table: str) -> None:
    bounded = question.kind in ("scale", "count", "money")
    for field in ("min", "max") if not bounded else ():
        if getattr(question, field) is not None:
            raise _fault(table, field, f"means nothing for a {question.kind}; leave it out")
    for field in ("low", "high"):
        if getattr(question, field) is not None and question.kind != "scale":
            raise _fault(table, field, "is for a scale; leave it out")
    if bounded and question.lowest >= question.highest:
        raise _fault(table, "max", f"must be more than min ({question.lowest})")
    if question.kind == "scale" and len(question.points) > 11:
        raise _fault(table, "max", "makes a scale of more than 11 points; nobody can tell them apart")


def _check_options(question: Question, table: str) -> None:
    if question.kind != "choice":
        if question.options:
            raise _fault(table, "options", f"are for a choice, and this is a {question.kind}")
        return
    values = [option.value for option in question.options]
    if len(values) < 2:
        raise _fault(table, "options", "a choice needs two or more")
    if len(set(values)) < len(values):
        raise _fault(table, "options", "give one value twice")


def _check_outcome(question: Question, makes: Makes, table: str, questions: tuple[Question, ...]) -> None:
    table = f"{table}.outcome"
    if makes.kind not in KINDS:
        raise _fault(table, "kind", f"{makes.kind[:40]!r} is no kind of outcome; use one of {', '.join(KINDS)}")
    if question.kind == "scale":
        raise _fault(table, "kind", "a scale says how somebody felt; it makes no outcome")
    if (makes.kind == "funding") != (question.kind == "money"):
        raise _fault(table, "kind", "funding comes from a question about money, and nothing else does")
    if (question.kind == "choice") != bool(makes.when):
        raise _fault(table, "when", "says which options of a choice make the outcome; give it there and only there")
    for value in makes.when:
        if all(option.value != value for option in question.options):
            raise _fault(table, "when", f"{value!r} is no option of this question")
    if makes.partner is not None and not any(q.key == makes.partner and q.kind == "text" for q in questions):
        raise _fault(table, "partner", f"{makes.partner!r} is no text question of this survey")
