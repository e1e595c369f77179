"""Reading answers as people type them, and the outcomes they make."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.domain.survey import Answer, Draft, Question, Survey, outcomes_of, read_answer, read_answers
from events_service.domain.survey_file import load_survey
from events_service.errors import SurveyAnswerError

TEXT = """
[survey]
key = "small"
title = "Small"
waves = ["90"]

[[questions]]
key = "useful"
label = "Useful?"
kind = "scale"
required = true

[[questions]]
key = "leads"
label = "Leads?"
kind = "count"
max = 200
outcome = { kind = "lead" }

[[questions]]
key = "signed"
label = "Signed?"
kind = "choice"
options = [{ value = "yes", label = "Yes" }, { value = "no", label = "No" }]
outcome = { kind = "agreement", when = ["yes"], partner = "whom" }

[[questions]]
key = "whom"
label = "With whom?"
kind = "text"

[[questions]]
key = "won"
label = "Won?"
kind = "money"
outcome = { kind = "funding" }
"""
SMALL = load_survey(TEXT, "small.toml")


def ask(kind: str, **fields: object) -> Question:
    return Question.model_validate({"key": "q", "label": "Q?", "kind": kind, **fields})


@pytest.mark.parametrize(
    ("typed", "pounds"),
    [
        ("1200", "1200"),
        ("£1,200.50", "1200.50"),
        (" £ 1,200 ", "1200"),
        ("GBP 12.5", "12.5"),
        ("12 gbp", "12"),
        ("1,234,567", "1234567"),
        ("0", "0"),
    ],
)
def test_amounts_are_read_as_people_write_them(typed: str, pounds: str) -> None:
    assert read_answer(ask("money"), typed) == Answer(number=Decimal(pounds), currency="GBP")


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("-5", "write an amount in pounds, in full"),
        ("1.200,50", "write an amount in pounds, in full"),
        ("1,20", "write an amount in pounds, in full"),
        ("2k", "write an amount in pounds, in full"),
        ("1e3", "write an amount in pounds, in full"),
        ("NaN", "write an amount in pounds, in full"),
        ("١٢", "write an amount in pounds, in full"),
        ("€500", "give the amount in pounds"),
        ("500 USD", "give the amount in pounds"),
        ("1000000001", "must be from 0 to 1,000,000,000"),
    ],
)
def test_an_amount_that_could_be_misread_is_refused(typed: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_answer(ask("money"), typed)


@pytest.mark.parametrize("typed", ["-1", "1.5", "two", "1e2", "²", "9" * 40, "0x10", "1 2"])
def test_a_count_is_a_whole_number(typed: str) -> None:
    with pytest.raises(ValueError, match="write a whole number, such as 3"):
        read_answer(ask("count"), typed)


def test_a_count_and_a_scale_keep_to_their_bounds() -> None:
    assert read_answer(ask("count", max=200), "200") == Answer(number=Decimal(200))
    with pytest.raises(ValueError, match="must be from 0 to 200"):
        read_answer(ask("count", max=200), "201")
    with pytest.raises(ValueError, match="must be from 0 to 10,000"):
        read_answer(ask("count"), "10,001")
    assert read_answer(ask("scale"), "5") == Answer(number=Decimal(5))
    for typed in ("0", "6"):
        with pytest.raises(ValueError, match="must be from 1 to 5"):
            read_answer(ask("scale"), typed)
    assert read_answer(ask("scale", min=0, max=10), "0") == Answer(number=Decimal(0))


def test_a_choice_is_one_of_its_options() -> None:
    question = SMALL.question("signed")
    assert question is not None
    assert read_answer(question, "yes") == Answer(text="yes")
    with pytest.raises(ValueError, match="choose one of the options"):
        read_answer(question, "Yes")


def test_text_is_capped_and_loses_control_characters() -> None:
    assert read_answer(ask("text"), " a\r\nb\x00\x1b[2J ") == Answer(text="a\nb[2J")
    assert read_answer(ask("text"), "\x00") is None
    assert read_answer(ask("text"), "x" * 4000) == Answer(text="x" * 4000)
    with pytest.raises(ValueError, match="has 4,001 characters; 4,000 is the most"):
        read_answer(ask("text"), "x" * 4001)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_an_answer_nothing_or_a_reason(typed: str) -> None:
    for kind in ("count", "money", "scale", "text"):
        try:
            answer = read_answer(ask(kind), typed)
        except ValueError as error:
            assert str(error)
        else:
            assert answer is None or (answer.number is None) != (answer.text is None)
            assert answer is None or answer.number is None or answer.number >= 0


def test_a_question_left_open_has_no_answer() -> None:
    assert read_answers(SMALL, {"useful": "4", "leads": "", "won": "  "}) == {"useful": Answer(number=Decimal(4))}


def test_every_fault_is_named_by_its_question() -> None:
    with pytest.raises(SurveyAnswerError) as caught:
        read_answers(SMALL, {"leads": "many", "won": "€1", "colour": "red"})
    assert caught.value.fields == {
        "colour": "is no question of this survey",
        "useful": "needs an answer",
        "leads": "write a whole number, such as 3",
        "won": "give the amount in pounds",
    }
    assert str(caught.value).count("\n") == 0


def test_answers_without_a_single_answer_are_refused() -> None:
    optional = Survey.model_validate(
        {
            "key": "o",
            "title": "O",
            "waves": ("90",),
            "questions": ({"key": "q", "label": "Q", "kind": "text"},),
        }
    )
    with pytest.raises(SurveyAnswerError, match="no question is answered; answer at least one"):
        read_answers(optional, {"q": " "})


def test_answers_make_typed_outcomes_and_a_zero_makes_none() -> None:
    read = read_answers(
        SMALL, {"useful": "4", "leads": "3", "signed": "yes", "whom": "Universiti Malaya", "won": "£1,200.50"}
    )
    assert outcomes_of(SMALL, read) == [
        Draft("leads", "lead", Decimal(3), None, "", None),
        Draft("signed", "agreement", Decimal(1), None, "Universiti Malaya", "Universiti Malaya"),
        Draft("won", "funding", Decimal("1200.50"), "GBP", "", None),
    ]
    nothing = read_answers(SMALL, {"useful": "1", "leads": "0", "signed": "no", "won": "0"})
    assert outcomes_of(SMALL, nothing) == []
