"""The API of version 1, read only, for other programs of the same organisation: a bearer token opens all of it."""

from __future__ import annotations

import hmac
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Response

from events_service import event_json, event_rows, outcome_facts, outcome_report, programmes
from events_service.domain.plain import plain
from events_service.errors import NotFoundError
from events_service.web.site import Site, is_slug, not_found


def routes(site: Site) -> APIRouter:
    """`/api/v1/...`: 403 while no token is set, 401 for a wrong one."""

    def authorised(authorization: Annotated[str, Header()] = "") -> None:
        expected = site.settings.api_token
        if not expected:
            raise HTTPException(403, "The API is off: set EVENTS_API_TOKEN")
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected.encode()):
            raise HTTPException(401, "A bearer token is needed", {"www-authenticate": "Bearer"})

    router = APIRouter(prefix="/api/v1", dependencies=[Depends(authorised)])

    @router.get("/events")
    def events() -> Response:
        with site.database.read() as session:
            return _json(event_json.listing(session, event_rows.select_events(session), site.now()))

    @router.get("/events/{slug}")
    def event(slug: str) -> Response:
        if not is_slug(slug):
            raise not_found()
        with site.database.read() as session:
            try:
                found = event_rows.find(session, slug)
            except NotFoundError:
                raise not_found() from None
            return _json(event_json.as_json(session, found, site.now()))

    @router.get("/outcomes/report")
    def report() -> Response:
        with site.database.read() as session:
            try:
                programme = programmes.current(session)
            except NotFoundError:
                raise not_found() from None
            return _json(outcome_report.document(outcome_facts.gather(session, programme, site.now())))

    return router


def _json(document: Any) -> Response:
    text = json.dumps(document, ensure_ascii=False, default=plain)
    return Response(text, media_type="application/json")
