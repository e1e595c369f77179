"""What stands before a feed's events: its name, the zones that they need, and the review points as whole days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import sqlalchemy as sa
from sqlmodel import Session, col

from events_service.calendars.emit import feed, vevent
from events_service.calendars.zones import ZoneUse
from events_service.db.tables import Event, Institution
from events_service.domain.programme import Programme
from events_service.feed_blocks import TAIL
from events_service.feed_contents import country_name
from events_service.feed_programmes import in_force, review_points

_COLOURS = {
    "public": "teal", "theme": "royalblue", "market": "seagreen", "event": "steelblue", "person": "indigo",
    "institution": "slateblue", "organiser": "firebrick",
}  # fmt: skip


def head(session: Session, kind: str, of: str, timezones: Iterable[str]) -> bytes:
    """What stands before the events of such a feed: its name, the zones that they need, and the review points.

    `timezones` is what its blocks say of them.
    """
    uses = [use for text in timezones for use in _read_zones(text)]
    programmes = in_force(session)
    points = [vevent(point) for point in review_points(session, programmes)] if kind == "organiser" else []
    name = feed_name(session, kind, of, [one.programme for one in programmes])
    return feed(name, _COLOURS[kind], points, uses).removesuffix(TAIL)


def feed_name(session: Session, kind: str, of: str, programmes: Sequence[Programme]) -> str:
    """What such a feed is called in calendar programs."""
    programme = programmes[0] if len(programmes) == 1 else None
    title = programme.title if programme else "Events"
    if kind == "theme":
        theme = next((found for one in programmes if (found := one.theme(of))), None)
        return f"{title}: {theme.title if theme else of}"
    if kind == "market":
        return f"{title}: {country_name(of)}"
    if kind == "event":
        return session.scalar(sa.select(col(Event.title)).where(col(Event.slug) == of)) or title
    if kind == "institution":
        name = session.scalar(sa.select(col(Institution.name)).where(col(Institution.id) == int(of)))
        return f"{title}: {name}" if name else title
    # A person's own calendar does not carry their name: it would show on a shared screen, and leak with the address.
    return {"public": title, "person": f"My events: {title}", "organiser": f"{title}: organisers"}[kind]


def _read_zones(text: str) -> Iterator[ZoneUse]:
    for line in text.splitlines():
        tzid, first, last = line.split(" ")
        yield ZoneUse(tzid, date.fromisoformat(first), date.fromisoformat(last))
