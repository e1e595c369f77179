"""A site on an SQLite database of its own, with one mission, one conference and Ada, who is at both."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import Session, select
from starlette.types import ASGIApp

from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, EventSession
from events_service.tokens import mail_token
from events_service.web.app import create_app
from tests.attendance import make_attendee, make_campaign, make_event

NOW = datetime(2023, 7, 1, 10, 0, tzinfo=UTC)


class Client:
    """Sends requests straight into an ASGI application, without a server; redirects are not followed."""

    def __init__(self, app: ASGIApp, *, raise_app_exceptions: bool = True) -> None:
        self._app, self._raise = app, raise_app_exceptions

    def request(self, method: str, url: str, **words: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=self._raise)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, url, **words)

        return asyncio.run(ask())

    def get(self, url: str, **words: Any) -> httpx.Response:
        return self.request("GET", url, **words)

    def head(self, url: str, **words: Any) -> httpx.Response:
        return self.request("HEAD", url, **words)

    def post(self, url: str, **words: Any) -> httpx.Response:
        return self.request("POST", url, **words)


@dataclass
class Site:
    """The application, and what a test needs to speak to it and to look behind it."""

    app: ASGIApp
    database: Database
    settings: Settings
    clock: FixedClock
    client: Client
    ada: int
    person: int

    def token(self, purpose: str, *parts: int | str) -> str:
        return mail_token(self.settings.secret, purpose, *parts)

    @property
    def reply(self) -> str:
        return f"/reply/{self.token('reply', self.ada)}"

    @property
    def survey(self) -> str:
        return f"/survey/{self.token('survey', self.ada, 'thanks')}"

    @property
    def unsubscribe(self) -> str:
        return f"/unsubscribe/{self.token('unsubscribe', self.person)}"

    def attendee(self) -> Attendee:
        """Ada's place at the mission, read afresh."""
        with self.database.read() as session:
            return session.exec(select(Attendee).where(Attendee.id == self.ada)).one()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def site(sqlite_database: Database, settings: Settings, clock: FixedClock) -> Site:
    with sqlite_database.write() as session:
        ada, person = _fill(session)
    app = create_app(sqlite_database, settings, clock)
    return Site(app, sqlite_database, settings, clock, Client(app), ada, person)


def _fill(session: Session) -> tuple[int, int]:
    mission = make_event(
        session,
        "munich",
        venue="Universität der Bundeswehr",
        city="Munich",
        organiser_name="Events desk",
        summary="Three days with the cyber range.\nBring a passport.",
    )
    conference = make_event(
        session,
        "energy",
        kind="conference",
        title="Energy storage <conference>",
        visibility="public",
        venue="Lancaster House",
        city="Lancaster",
        country="GB",
        timezone="Europe/London",
        url="https://energy.example.org/",
        organiser_name="Events desk",
        themes=["energy"],
        markets=[],
        starts=datetime(2024, 6, 4, 8, 0, tzinfo=UTC),
        ends=datetime(2024, 6, 4, 16, 30, tzinfo=UTC),
    )
    make_campaign(session, mission, {"thanks": "mission"})
    for event, title, hours in ((mission, "Visit: cyber range", 26), (conference, "Opening & welcome", 1)):
        session.add(
            EventSession(
                event_id=event.id or 0,
                position=1,
                uid=f"{event.slug}-1@example.org",
                title=title,
                starts=event.starts + timedelta(hours=hours),
                ends=event.starts + timedelta(hours=hours + 2),
                timezone=event.timezone,
                kind="visit",
                changed_at=event.changed_at,
            )
        )
    attendee = make_attendee(session, mission)
    session.flush()
    return attendee.id or 0, attendee.person_id or 0
