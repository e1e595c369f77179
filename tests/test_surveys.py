"""Surveys: the form of a wave, one answer set each, also in a race, and the outcomes that answers make."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlmodel import Session, col, select

from events_service import surveys
from events_service.db.session import Database
from events_service.db.tables import Attendee, Institution, Outcome, SurveyAnswer, SurveyResponse
from events_service.errors import ConflictError, NotFoundError, SurveyAnswerError
from tests.attendance import ADDED, make_attendee, make_campaign, make_delivery, make_event

T = datetime(2024, 1, 10, 9, 0, tzinfo=UTC)
FULL = {
    "contacts": "12",
    "leads": "0",
    "agreements": "1",
    "agreement-with": "technische universität münchen",
    "funding": "£1,200.50",
    "story": "=HYPERLINK(1)\r\nMore to come",
}


def asked(session: Session) -> Attendee:
    event = make_event(session)
    attendee = make_attendee(session, event)
    steps = make_campaign(session, event, {"thanks": "mission", "90": "outcomes"})
    make_delivery(session, attendee, steps["90"])
    return attendee


def outcomes_in(session: Session) -> list[tuple[str, str | None, Decimal | None, str | None, str, str]]:
    rows = session.exec(select(Outcome).order_by(col(Outcome.id)))
    return [(row.kind, row.question, row.value, row.currency, row.source, row.note) for row in rows]


def test_the_form_is_that_of_the_step_that_asks_the_wave(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = asked(session)
        form = surveys.form(session, attendee.id or 0, "90")
        assert (form.survey.key, form.event.slug, form.person.name) == ("outcomes", "munich", "Ada")
        assert form.questions[0].key == "contacts"
        assert form.answered_at is None
        assert surveys.form(session, attendee.id or 0, "thanks").survey.key == "mission"


def test_a_wave_that_nobody_asks_is_not_found(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = asked(session)
        for number, wave in ((attendee.id or 0, "180"), (999, "90")):
            with pytest.raises(NotFoundError):
                surveys.form(session, number, wave)
            with pytest.raises(NotFoundError):
                surveys.submit(session, number, wave, FULL, T)


def test_answers_and_their_outcomes_are_written_together(database: Database) -> None:
    with database.write() as session:
        attendee = asked(session)
        session.add(Institution(ror="02kkvpp62", name="Technische Universität München", country="DE", changed_at=T))
        response = surveys.submit(session, attendee.id or 0, "90", FULL, T)
    with database.read() as session:
        kept = session.get_one(SurveyResponse, response.id)
        assert (kept.survey, kept.wave, kept.submitted_at, kept.attendee_id) == ("outcomes", "90", T, attendee.id)
        answers = {a.question: (a.number, a.text, a.currency) for a in session.exec(select(SurveyAnswer))}
        assert answers == {
            "contacts": (Decimal(12), None, None),
            "leads": (Decimal(0), None, None),
            "agreements": (Decimal(1), None, None),
            "agreement-with": (None, "technische universität münchen", None),
            "funding": (Decimal("1200.50"), None, "GBP"),
            "story": (None, "=HYPERLINK(1)\nMore to come", None),
        }
        assert outcomes_in(session) == [
            ("contact", "contacts", Decimal(12), None, "survey", ""),
            ("agreement", "agreements", Decimal(1), None, "survey", "technische universität münchen"),
            ("funding", "funding", Decimal("1200.50"), "GBP", "survey", ""),
        ]
        agreement = session.exec(select(Outcome).where(Outcome.kind == "agreement")).one()
        assert session.get_one(Institution, agreement.institution_id).ror == "02kkvpp62"
        assert surveys.form(session, attendee.id or 0, "90").answered_at == T


def test_a_partner_of_two_institutions_names_is_none_of_them(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = asked(session)
        for ror in ("a", "b"):
            session.add(Institution(ror=ror, name="Technische Universität München", changed_at=ADDED))
        surveys.submit(session, attendee.id or 0, "90", FULL, T)
        agreement = session.exec(select(Outcome).where(Outcome.kind == "agreement")).one()
        assert agreement.institution_id is None


def test_a_faulty_answer_writes_nothing(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = asked(session)
        with pytest.raises(SurveyAnswerError) as caught:
            surveys.submit(session, attendee.id or 0, "90", FULL | {"leads": "lots"}, T)
        assert caught.value.fields == {"leads": "write a whole number, such as 3"}
        assert session.exec(select(SurveyResponse)).all() == []
        assert outcomes_in(session) == []


def test_a_survey_posted_twice_keeps_the_first_answers(database: Database) -> None:
    with database.write() as session:
        attendee = asked(session)
        surveys.submit(session, attendee.id or 0, "90", FULL, T)
        before = outcomes_in(session)
    with (
        pytest.raises(ConflictError, match=r"munich: the survey of wave '90' was already answered; the first"),
        database.write() as session,
    ):
        surveys.submit(session, attendee.id or 0, "90", {"contacts": "99"}, T)
    with database.write() as session:
        assert outcomes_in(session) == before
        surveys.submit(session, attendee.id or 0, "thanks", {"useful": "5"}, T)
        assert len(session.exec(select(SurveyResponse)).all()) == 2


def test_two_answer_sets_at_once_leave_one(database: Database) -> None:
    with database.write() as session:
        attendee = asked(session)
    barrier = threading.Barrier(5)
    results: list[str] = []

    def work(number: int) -> None:
        barrier.wait()
        try:
            with database.write() as session:
                surveys.submit(session, attendee.id or 0, "90", {"contacts": str(number), "leads": "1"}, T)
            results.append("taken")
        except ConflictError:
            results.append("refused")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["refused"] * 4 + ["taken"]
    with database.read() as session:
        assert len(session.exec(select(SurveyResponse)).all()) == 1
        assert len(session.exec(select(SurveyAnswer)).all()) == 2
        assert [kind for kind, *_ in outcomes_in(session)] == ["contact", "lead"]


def test_show_says_who_was_asked_and_who_answered(database: Database) -> None:
    with database.write() as session:
        event = make_event(session)
        steps = make_campaign(session, event, {"thanks": "mission", "90": "outcomes"})
        places = [make_attendee(session, event, f"p{number}@example.org") for number in range(4)]
        for place in places[:2]:
            make_delivery(session, place, steps["90"])
        make_delivery(session, places[2], steps["90"], state="pending", sent_at=None)
        make_delivery(session, places[3], steps["90"], state="unknown")
        for place in (places[0], places[3]):
            surveys.submit(session, place.id or 0, "90", {"contacts": "1"}, T)
        shown = surveys.show(session, event)
        # The fourth answered, so they were asked, whatever is known of their mail.
        assert [(w["wave"], w["survey"], w["asked"], w["answered"]) for w in shown] == [
            ("thanks", "mission", 0, 0),
            ("90", "outcomes", 3, 2),
        ]
        assert shown[1]["questions"][0] == {
            "key": "contacts",
            "label": "How many new contacts have come of it since?",
            "kind": "count",
            "required": False,
        }


def test_somebody_who_was_erased_is_asked_nothing_and_still_counts(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = asked(session)
        surveys.submit(session, attendee.id or 0, "90", {"contacts": "2"}, T)
        event = surveys.form(session, attendee.id or 0, "90").event
        attendee.person_id = None
        session.flush()
        with pytest.raises(NotFoundError):
            surveys.form(session, attendee.id or 0, "thanks")
        (row,) = surveys.responses(session, event)
        assert (row["email"], row["name"], row["answers"]) == (None, None, {"contacts": Decimal(2)})
        assert surveys.show(session, event)[1]["answered"] == 1


def test_responses_have_only_what_was_answered_in_the_order_it_was_asked(database: Database) -> None:
    with database.write() as session:
        attendee = asked(session)
        surveys.submit(session, attendee.id or 0, "90", {"story": "slow", "funding": "5", "contacts": "2"}, T)
        rows = surveys.responses(session, surveys.form(session, attendee.id or 0, "90").event)
        assert rows == [
            {
                "event": "munich",
                "wave": "90",
                "survey": "outcomes",
                "submitted_at": T,
                "email": "ada@example.org",
                "name": "Ada",
                "role": "delegate",
                "answers": {"contacts": Decimal(2), "funding": Decimal(5), "story": "slow"},
            }
        ]
        assert list(rows[0]["answers"]) == ["contacts", "funding", "story"]
