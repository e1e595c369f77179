"""What every route needs, and how a request is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from fastapi import HTTPException, Request

from events_service.clock import Clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.errors import EventsError
from events_service.reading.event_words import SLUG_LENGTH, SLUG_PATTERN
from events_service.tokens import open_mail_token
from events_service.web.templates import Pages

BrokerReady = Callable[[], None]
"""Returns where the broker answers, and raises one of our errors where it does not."""

Ring = Callable[[Sequence[int]], None]
"""Tells a worker at once of deliveries that somebody waits for. Where nobody hears it, the next tick finds them."""

log = structlog.get_logger(__name__)

_SLUG = re.compile(SLUG_PATTERN)
_MAX_FIELDS = 200
_MAX_DIGITS = 9


@dataclass(frozen=True)
class Site:
    """The parts that routes are made from."""

    database: Database
    settings: Settings
    clock: Clock
    pages: Pages
    broker_ready: BrokerReady
    ring: Ring

    def now(self) -> datetime:
        """Now: a request is an edge, so the clock is read here, once for each."""
        return self.clock()

    def tell(self, deliveries: Sequence[int]) -> None:
        """Ring for what was just committed. It never fails: the page is right whether or not a worker hears it."""
        if not deliveries:
            return
        try:
            self.ring(deliveries)
        except EventsError as error:
            log.warning("nobody could be told of a delivery; the next tick finds it", why=str(error))

    def open(self, purpose: str, token: str) -> tuple[int, str]:
        """The row's number that a token for `purpose` names, and what follows it; the plain 404 for anything else."""
        found = open_mail_token(self.settings.secret, purpose, token)
        if not found or not found[0].isdigit() or len(found[0]) > _MAX_DIGITS:
            raise not_found()
        # What follows, such as a wave, may have hyphens of its own.
        return int(found[0]), "-".join(found[1:])

    def row(self, purpose: str, token: str) -> int:
        """The row's number that a token names, where nothing follows it."""
        number, rest = self.open(purpose, token)
        if rest:
            raise not_found()
        return number


def is_slug(text: str) -> bool:
    """Whether an event can be called so. What cannot is not asked of the database: PostgreSQL refuses a NUL."""
    return len(text) <= SLUG_LENGTH and _SLUG.fullmatch(text) is not None


def not_found() -> HTTPException:
    """The answer to every address that is none: it tells nothing about why."""
    return HTTPException(404)


async def posted(request: Request) -> Mapping[str, str]:
    """The fields of a form, urlencoded or multipart; of a name that comes twice the last, files are left out."""
    async with request.form(max_files=8, max_fields=_MAX_FIELDS) as form:
        return {name: value for name, value in form.items() if isinstance(value, str)}
