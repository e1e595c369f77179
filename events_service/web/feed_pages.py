"""The page of a feed: what it shows, and one button for each calendar program. Whoever has the address may see it."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Response
from sqlmodel import Session, col, select

from events_service.db.tables import Event, Feed
from events_service.feed_contents import country_name
from events_service.feed_heads import feed_name
from events_service.feed_programmes import in_force
from events_service.tokens import token_sha256
from events_service.web.site import Site, not_found

TOKEN = re.compile(r"[a-z2-7]{20,64}")

_SHOWS = {
    "public": "The public events of the programme.",
    "theme": "The public events of one theme of the programme.",
    "market": "The public events for {of}.",
    "event": "One event, with its sessions.",
    "person": "The events that you are invited to and have not declined, with their sessions.",
    "institution": "The events that people of this institution are invited to and have not declined.",
    "organiser": "Every event, drafts too, the programme's reviews, and what is left to do. For organisers alone.",
}


class Link(NamedTuple):
    """A button: what it says, where it leads, and what happens there."""

    label: str
    href: str
    hint: str


def routes(site: Site) -> APIRouter:
    """`/feeds/<token>`."""
    router = APIRouter()

    @router.api_route("/feeds/{token}", methods=["GET", "HEAD"])
    def page(token: str) -> Response:
        if not TOKEN.fullmatch(token):
            raise not_found()
        with site.database.read() as session:
            feed = session.exec(
                select(Feed).where(Feed.token_sha256 == token_sha256(token), col(Feed.revoked_at).is_(None))
            ).first()
            if feed is None:
                raise not_found()
            name, shows = _words(session, feed)
        url = f"{site.settings.public_base}/feeds/{token}.ics"
        made = site.pages.page(
            "feed", name=name, shows=shows, all_day=feed.all_day, secret=feed.kind != "public", url=url,
            path=f"/feeds/{token}.ics", links=links(url, name),
        )  # fmt: skip
        made.headers["x-robots-tag"] = "noindex"
        return made

    return router


def links(url: str, name: str) -> list[Link]:
    """What subscribes to the calendar at `url` in each program.

    Google takes the address as `cid` with the scheme webcal, Outlook's two sites as `url` beside a `name`; everything
    that is installed, Apple's first of all, takes what begins with webcal.
    """
    webcal = "webcal://" + url.partition("://")[2]
    outlook = urlencode({"url": url, "name": name}, quote_via=quote)
    return [
        Link("Apple Calendar", webcal, "iPhone, iPad and Mac; also Thunderbird and Outlook where they are installed"),
        Link("Google Calendar", "https://calendar.google.com/calendar/r?cid=" + quote(webcal, safe=""), "on the web"),
        Link("Outlook.com", f"https://outlook.live.com/calendar/0/addfromweb?{outlook}", "a private account"),
        Link("Outlook for work or school", f"https://outlook.office.com/calendar/0/addfromweb?{outlook}", "Office 365"),
    ]


def _words(session: Session, feed: Feed) -> tuple[str, str]:
    """What the calendar is called, and what it shows."""
    name = feed_name(session, feed.kind, feed.of, [one.programme for one in in_force(session)])
    of = country_name(feed.of) if feed.kind == "market" else ""
    if feed.kind == "event" and session.scalar(sa.select(col(Event.kind)).where(col(Event.slug) == feed.of)) is None:
        return name, "An event that is not there any more."
    return name, _SHOWS[feed.kind].format(of=of)
