"""The survey page: the questions of one wave, once for each attendee. What was typed is kept on a fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session

from events_service import surveys
from events_service.db.tables import Attendee
from events_service.errors import ConflictError, NotFoundError, SurveyAnswerError
from events_service.surveys import Form
from events_service.web.site import Site, not_found, posted
from events_service.web.views import view


def routes(site: Site) -> APIRouter:
    """`/survey/<token>`."""
    router = APIRouter()

    @router.api_route("/survey/{token}", methods=["GET", "HEAD"])
    def show(token: str) -> Response:
        with site.database.read() as session:
            form = _find(session, site, token)
        if form.answered_at is not None:
            return _answered(site, form, status=200)
        return _questions(site, form, token, {})

    @router.post("/survey/{token}")
    def send(token: str, fields: Annotated[Mapping[str, str], Depends(posted)]) -> Response:
        with site.database.write() as session:
            form = _find(session, site, token)
            known = {question.key: fields.get(question.key, "") for question in form.questions}
            try:
                surveys.submit(session, form.attendee_id, form.wave, known, site.now())
            except ConflictError:
                session.rollback()
                return _answered(site, form, status=409)
            except SurveyAnswerError as error:
                session.rollback()
                return _questions(site, form, token, known, error)
        return site.pages.page(
            "message",
            lead=form.event.title,
            heading="Thank you for your answers",
            paragraphs=["They are recorded. They help to show what came of the event, and to plan the next one."],
        )

    return router


def _find(session: Session, site: Site, token: str) -> Form:
    attendee_id, wave = site.open("survey", token)
    attendee = session.get(Attendee, attendee_id)
    if attendee is None or attendee.person_id is None:
        raise not_found()
    try:
        return surveys.form(session, attendee_id, wave)
    except NotFoundError:
        raise not_found() from None


def _questions(
    site: Site, form: Form, token: str, answers: Mapping[str, str], error: SurveyAnswerError | None = None
) -> Response:
    return site.pages.page(
        "survey",
        status=422 if error else 200,
        survey=form.survey,
        event=view(form.event, (), site.now()),
        answers=answers,
        faults=error.fields if error else {},
        blank=error is not None and not error.fields,
        action=f"/survey/{token}",
    )


def _answered(site: Site, form: Form, status: int) -> Response:
    return site.pages.page(
        "message",
        status=status,
        lead=form.event.title,
        heading="You have already answered",
        paragraphs=["We have your answers, and they stand as you sent them. Thank you."],
    )
