"""The survey page: every kind of question, faults beside their fields, one answer set."""

from __future__ import annotations

from sqlmodel import select

from events_service import surveys
from events_service.db.tables import CampaignStep, Outcome, SurveyAnswer, SurveyResponse
from tests.web.conftest import Site


def test_the_page_asks_every_question_of_the_wave(site: Site) -> None:
    answer = site.client.get(site.survey)
    assert answer.status_code == 200
    survey = surveys.definition("mission")
    assert f"<h1>{survey.title}</h1>" in answer.text
    for question in survey.questions:
        assert f'name="{question.key}"' in answer.text
    assert "<script" not in answer.text and 'role="alert"' not in answer.text


def test_answers_are_recorded_and_make_outcomes(site: Site) -> None:
    answer = site.client.post(site.survey, data={"useful": "5", "contacts": "3", "leads": "", "unknown": "x"})
    assert answer.status_code == 200 and "Thank you for your answers" in answer.text
    with site.database.read() as session:
        assert {row.question for row in session.exec(select(SurveyAnswer))} == {"useful", "contacts"}
        assert [(row.kind, row.value) for row in session.exec(select(Outcome))] == [("contact", 3)]


def test_a_second_post_changes_nothing(site: Site) -> None:
    site.client.post(site.survey, data={"useful": "5", "contacts": "3"})
    again = site.client.post(site.survey, data={"useful": "1", "contacts": "9"})
    assert again.status_code == 409 and "You have already answered" in again.text
    shown = site.client.get(site.survey)
    assert shown.status_code == 200 and "You have already answered" in shown.text and "<form" not in shown.text
    with site.database.read() as session:
        assert [row.number for row in session.exec(select(SurveyAnswer).order_by(SurveyAnswer.question))] == [3, 5]


def test_faults_stand_beside_their_fields_and_what_was_typed_is_kept(site: Site) -> None:
    answer = site.client.post(site.survey, data={"useful": "5", "contacts": "many <b>"})
    assert answer.status_code == 422
    assert '<p class="error" id="q-contacts-error">Write a whole number, such as 3</p>' in answer.text
    assert 'value="many &lt;b&gt;"' in answer.text and 'aria-invalid="true"' in answer.text
    assert 'aria-describedby="q-contacts-error' in answer.text
    assert 'name="useful" value="5" checked' in answer.text
    with site.database.read() as session:
        assert session.exec(select(SurveyResponse)).all() == []


def test_a_required_question_left_open_is_asked_again(site: Site) -> None:
    answer = site.client.post(site.survey, data={"contacts": "3"})
    assert answer.status_code == 422 and "Needs an answer" in answer.text
    assert 'href="#q-useful"' in answer.text


def test_a_wave_may_have_hyphens(site: Site) -> None:
    with site.database.write() as session:
        step = session.exec(select(CampaignStep)).one()
        step.wave = "after-six-months"
        session.add(step)
    path = f"/survey/{site.token('survey', site.ada, 'after-six-months')}"
    assert site.client.post(path, data={"useful": "5"}).status_code == 200
    assert site.client.get(site.survey).status_code == 404


def test_a_get_changes_nothing(site: Site) -> None:
    site.client.get(f"{site.survey}?useful=5")
    site.client.head(site.survey)
    with site.database.read() as session:
        assert session.exec(select(SurveyResponse)).all() == []


def test_other_tokens_are_a_404_that_tells_nothing(site: Site) -> None:
    for path in (
        f"/survey/{site.token('reply', site.ada)}",
        f"/survey/{site.token('survey', site.ada)}",
        f"/survey/{site.token('survey', site.ada, 'no-such-wave')}",
        f"/survey/{site.token('survey', site.ada, '90')}",
        f"/survey/{site.token('survey', 999, 'thanks')}",
        "/survey/nonsense",
    ):
        for answer in (site.client.get(path), site.client.post(path, data={"useful": "5"})):
            assert (answer.status_code, answer.text) == (404, "Not found\n"), path
