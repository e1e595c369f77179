"""The public page of an event, and its calendar file. What is not public is the same 404 as what is not there."""

from __future__ import annotations

import hashlib

from fastapi import APIRouter, Request, Response
from sqlmodel import Session, col, select

from events_service.db.tables import Event, EventSession
from events_service.feed_contents import is_public, public_calendar
from events_service.web.conditional import answer, representation
from events_service.web.site import Site, is_slug, not_found
from events_service.web.views import view

_READ = ["GET", "HEAD"]


def routes(site: Site) -> APIRouter:
    """`/events/<slug>` and `/events/<slug>.ics`."""
    router = APIRouter()

    @router.api_route("/events/{slug}.ics", methods=_READ)
    def calendar(slug: str, request: Request) -> Response:
        now = site.now()
        with site.database.read() as session:
            event = _find(session, slug, site)
            body = public_calendar(event)
        etag = hashlib.sha256(body).hexdigest()[:32]
        disposition = (b"content-disposition", f'attachment; filename="{event.slug}.ics"'.encode("ascii", "replace"))
        shown = representation(etag, event.changed_at, body, None, now, [disposition])
        status, headers, content = answer(request.scope["headers"], shown)
        made = Response(content, status_code=status)
        made.raw_headers = headers
        return made

    @router.api_route("/events/{slug}", methods=_READ)
    def page(slug: str) -> Response:
        with site.database.read() as session:
            event = _find(session, slug, site)
            # A delegation's itinerary is never public, an agenda of ours is.
            sessions = (
                session.exec(
                    select(EventSession)
                    .where(EventSession.event_id == event.id, col(EventSession.cancelled_at).is_(None))
                    .order_by(col(EventSession.starts), col(EventSession.position))
                ).all()
                if event.kind == "conference" and event.hosted_by == "us"
                else []
            )
        made = site.pages.page("event", event=view(event, sessions, site.now()), slug=event.slug)
        made.headers["cache-control"] = "no-cache"
        return made

    return router


def _find(session: Session, slug: str, site: Site) -> Event:
    if not is_slug(slug):
        raise not_found()
    event = session.exec(select(Event).where(Event.slug == slug)).first()
    if event is None or not is_public(session, event, site.now()):
        raise not_found()
    return event
