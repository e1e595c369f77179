"""The application: the feeds' thin route first, then the pages and the API behind their guards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import structlog
from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from events_service import feeds
from events_service.clock import Clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.errors import DatabaseError
from events_service.web import api, event_pages, feed_pages, health, reply_pages, survey_pages, unsubscribe_pages
from events_service.web.feeds import FeedRoute, LastUsed
from events_service.web.guards import BodyCap, SecurityHeaders
from events_service.web.site import BrokerReady, Ring, Site
from events_service.web.templates import Pages

log = structlog.get_logger(__name__)

_TEXT = {
    404: "Not found\n",
    405: "Method not allowed\n",
    503: "The service cannot answer just now. Nothing was changed; please try again in a minute.\n",
    500: "Something went wrong here. Nothing was changed; please try again later.\n",
}


def create_app(
    database: Database,
    settings: Settings,
    clock: Clock,
    broker_ready: BrokerReady = lambda: None,
    ring: Ring = lambda _deliveries: None,
) -> ASGIApp:
    """The whole site as one ASGI application. `broker_ready` raises one of our errors where the broker is not there.

    `ring` is told of deliveries that somebody waits for, when they are committed; without it the next tick finds them.

    Its lifespan writes, every `tick_seconds` and at the end, which feeds were used: no request does.
    """
    pages = Pages(settings)
    site = Site(database, settings, clock, pages, broker_ready, ring)
    used = LastUsed()
    application = FastAPI(
        title="Events", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False,
        lifespan=_lifespan(site, used),
    )  # fmt: skip
    for part in (event_pages, feed_pages, reply_pages, survey_pages, unsubscribe_pages, health, api):
        application.include_router(part.routes(site))
    application.add_exception_handler(HTTPException, _refused)
    application.add_exception_handler(RequestValidationError, _malformed)
    application.add_exception_handler(DatabaseError, _unavailable)
    application.add_exception_handler(Exception, _broken)
    return _FeedsFirst(FeedRoute(database, clock, used), SecurityHeaders(BodyCap(application), pages.style_hash))


class _FeedsFirst:
    """Sends `/feeds/….ics` to its own route, everything else to the application."""

    def __init__(self, feed_route: ASGIApp, application: ASGIApp) -> None:
        self._feeds, self._application = feed_route, application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/feeds/") and scope["path"].endswith(".ics"):
            await self._feeds(scope, receive, send)
        else:
            await self._application(scope, receive, send)


def _lifespan(site: Site, used: LastUsed) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_application: FastAPI) -> AsyncIterator[None]:
        stopping = asyncio.Event()
        task = asyncio.create_task(_write_last_used(site, used, stopping))
        yield
        stopping.set()
        await task

    return lifespan


async def _write_last_used(site: Site, used: LastUsed, stopping: asyncio.Event) -> None:
    while not stopping.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), site.settings.tick_seconds)
        seen = used.take()
        if seen:
            try:
                await to_thread.run_sync(_flush, site, seen)
            except Exception as error:  # noqa: BLE001 - whatever it was, it may not end this for good
                # Not worth more than another try at the next tick. What was said may quote what people wrote.
                log.warning("the last use of feeds could not be written", feeds=len(seen), error=type(error).__name__)
                for feed_id in seen:
                    used.note(feed_id)


def _flush(site: Site, seen: set[int]) -> None:
    with site.database.write() as session:
        feeds.flush_last_used(session, seen, site.now())


def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return _broken(_request, error)
    text = _TEXT.get(error.status_code, f"{error.detail}\n")
    return PlainTextResponse(text, status_code=error.status_code, headers=error.headers)


def _malformed(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("This request cannot be read\n", status_code=422)


def _unavailable(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse(_TEXT[503], status_code=503, headers={"retry-after": "60"})


def _broken(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse(_TEXT[500], status_code=500)
