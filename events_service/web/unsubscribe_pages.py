"""Unsubscribing: a button for people, and one POST without cookie or redirect for mail programs (RFC 8058).

A GET never unsubscribes anybody: scanners follow the links of mail that nobody has read yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import PlainTextResponse
from sqlmodel import Session

from events_service import people
from events_service.db.tables import Person
from events_service.web.site import Site, not_found, posted


def routes(site: Site) -> APIRouter:
    """`/unsubscribe/<token>`."""
    router = APIRouter()

    @router.api_route("/unsubscribe/{token}", methods=["GET", "HEAD"])
    def show(token: str) -> Response:
        with site.database.read() as session:
            person = _find(session, site, token)
        if person.unsubscribed_at is not None:
            return _done(site, "You are already unsubscribed")
        return site.pages.page("unsubscribe", address=person.email, action=f"/unsubscribe/{token}")

    @router.post("/unsubscribe/{token}")
    def send(token: str, fields: Annotated[Mapping[str, str], Depends(posted)]) -> Response:
        with site.database.write() as session:
            _find(session, site, token)
            people.unsubscribe(session, site.row("unsubscribe", token), site.now())
        if fields.get("List-Unsubscribe") == "One-Click":
            return PlainTextResponse("Unsubscribed\n")
        return _done(site, "You are unsubscribed")

    return router


def _find(session: Session, site: Site, token: str) -> Person:
    person = session.get(Person, site.row("unsubscribe", token))
    if person is None:
        raise not_found()
    return person


def _done(site: Site, heading: str) -> Response:
    said = [
        "You get no more invitations, reminders or surveys from us.",
        "If you are already invited to an event, we still tell you when it is moved or cancelled.",
    ]
    return site.pages.page("message", lead="", heading=heading, paragraphs=said)
