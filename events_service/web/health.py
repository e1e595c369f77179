"""Whether the process lives, whether it can do its work, and what robots may read."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from events_service.db.schema import HEAD, current_revision
from events_service.errors import EventsError
from events_service.web.site import Site

_KEPT = timedelta(seconds=5)

# Calendar importers heed this file, so the feeds stay open to them; a feed's own header keeps it out of search engines.
ROBOTS = """User-agent: *
Disallow: /reply/
Disallow: /survey/
Disallow: /unsubscribe/
Disallow: /api/
Allow: /feeds/
Allow: /events/
"""


def routes(site: Site) -> APIRouter:
    """`/healthz`, `/readyz`, `/robots.txt`."""
    router = APIRouter()
    broker = _Broker(site)

    @router.api_route("/healthz", methods=["GET", "HEAD"])
    def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @router.api_route("/readyz", methods=["GET", "HEAD"])
    def readyz() -> Response:
        found = _database_ready(site) | {"broker": broker.ready()}
        ready = all(found.values())
        words = {name: "ok" if well else "failed" for name, well in found.items()}
        return JSONResponse({"ready": ready, **words}, status_code=200 if ready else 503)

    @router.api_route("/robots.txt", methods=["GET", "HEAD"])
    def robots() -> Response:
        return PlainTextResponse(ROBOTS, headers={"cache-control": "public, max-age=86400"})

    return router


def _database_ready(site: Site) -> dict[str, bool]:
    """Whether it answers, and whether its schema is this version's."""
    try:
        return {"database": True, "schema": current_revision(site.database) == HEAD}
    except EventsError:
        return {"database": False, "schema": False}


class _Broker:
    """The broker's answer, kept for some seconds: each question opens a connection, and anybody may ask here."""

    def __init__(self, site: Site) -> None:
        self._site, self._asking = site, threading.Lock()
        self._answer, self._asked_at = False, datetime.min.replace(tzinfo=UTC)

    def ready(self) -> bool:
        with self._asking:
            now = self._site.now()
            if not timedelta(0) <= now - self._asked_at < _KEPT:
                self._answer, self._asked_at = self._ask(), now
            return self._answer

    def _ask(self) -> bool:
        try:
            self._site.broker_ready()
        except EventsError:
            return False
        return True
