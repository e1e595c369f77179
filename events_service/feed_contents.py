"""What each kind of feed shows, as bytes.

| kind | `of` | shows |
| --- | --- | --- |
| public | - | public events |
| theme, market | theme's key, country | public events of that theme, for that market |
| event | slug | that event, private ones too, with its sessions: who made the address knows whom it is for |
| person | person's number | the events that they are at and did not decline, private ones too, with their sessions |
| institution | institution's number | the events that its people are at and did not decline, without the sessions |
| organiser | - | every event, drafts as TENTATIVE, the review points as whole days, and what is left to do |

Who declined has said that it is not for their calendar; a later yes brings it back. Who was taken off is not at it.
Outside the organiser's feed an event is shown once it was approved, and for 30 days after it was cancelled; a session
for as long after it was taken off the agenda. No feed has an ATTENDEE (RFC 5546 3.2.1).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from babel import Locale
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col, select

from events_service.calendars.emit import feed, in_whole_days, vevent, zone_uses
from events_service.calendars.model import CalendarEvent, EventStatus
from events_service.calendars.zones import ZoneUse
from events_service.db.tables import (
    Attendee,
    Event,
    EventChange,
    EventObject,
    EventSession,
    Person,
)
from events_service.event_rows import id_of, sessions_of
from events_service.feed_blocks import Block, events_of, number_of
from events_service.feed_programmes import in_force
from events_service.feed_tasks import tasks
from events_service.itinerary_rows import choices_of, chosen

KINDS = ("public", "theme", "market", "event", "person", "institution", "organiser")
CANCELLED_FOR = timedelta(days=30)
"""How long a cancelled event stays, so that every subscriber's program sees it crossed out before it goes."""

COLOUR = "steelblue"
"""Of a calendar with one event."""

_STATUS: dict[str, EventStatus] = {"draft": "TENTATIVE", "cancelled": "CANCELLED"}
_CHUNK = 500
_EVENT = SQLModel.metadata.tables["event"].c


def blocks(
    session: Session,
    kind: str,
    of: str,
    now: datetime,
    *,
    all_day: bool = False,
    numbers: Collection[int] | None = None,
) -> list[Block]:
    """The blocks of what such a feed shows at `now`, without its head: all, or those of `numbers`; never an empty one.

    With `all_day` events that span several local dates are whole days. Bytes of single events that are not kept yet are
    made and kept.
    """
    within = _within(numbers)
    rows = [row for row in _rows(session, kind, of, within, now, all_day=all_day) if _stands(row, now)]
    if kind in ("theme", "market"):
        rows = [row for row in rows if of in row.among]
    made = _make_missing(session, [row.id for row in rows if not row.is_kept], now)
    todo = tasks(session, within, in_force(session), now) if kind == "organiser" else {}
    own = _own_sessions(session, int(of), [row.id for row in rows], now) if kind == "person" else {}
    gathered: dict[int, _Gathered] = {}
    for row in rows:
        block = gathered.setdefault(number_of(row.id), _Gathered())
        kept = made.get(row.id) or row
        block.add(kept, all_day=all_day)
        if kind == "event":
            block.add_sessions(kept.session_body, kept.session_timezones, kept.sessions_until)
        elif row.id in own:
            block.add_sessions(*own[row.id])
        if row.state == "cancelled":
            block.expiries.append(row.cancelled_at + CANCELLED_FOR)
        if row.id in todo:
            block.bodies += map(vevent, todo[row.id].tasks)
            block.expiries += todo[row.id].expiries
    return [gathered[number].block(number) for number in sorted(gathered)]


def is_public(session: Session, event: Event, now: datetime) -> bool:
    """Whether anybody may see the event: it is public, was approved, and is not long cancelled."""
    return _stands(event, now) and _is_public(session, event)


def public_calendar(event: Event) -> bytes:
    """A calendar of that one event, without its sessions, for its public page."""
    entry = calendar_event(event)
    return feed(event.title, COLOUR, [vevent(entry)], zone_uses(entry))


def calendar_event(event: Event) -> CalendarEvent:
    """The event as every calendar shows it, feeds and invitations alike."""
    website = [event.url] if event.url else []
    return CalendarEvent(
        uid=event.uid,
        sequence=event.sequence,
        summary=event.title,
        starts=event.starts,
        ends=event.ends,
        timezone=event.timezone,
        created=event.created_at,
        changed=event.changed_at,
        description="\n\n".join([*filter(None, [event.summary]), *website]),
        location=place(event.venue, event.city, event.country),
        url=event.url,
        status=_STATUS.get(event.state, "CONFIRMED"),
        categories=(event.kind, *event.themes),
    )


def session_event(event: Event, item: EventSession) -> CalendarEvent:
    """One session, tied to its event. It is called off with its event, or by itself."""
    offer = ", ".join(filter(None, [item.partner, item.price]))
    return CalendarEvent(
        uid=item.uid,
        sequence=item.sequence,
        summary=item.title,
        starts=item.starts,
        ends=item.ends,
        timezone=item.timezone,
        created=event.created_at,
        changed=item.changed_at,
        description="\n\n".join(filter(None, [event.title, offer, item.url])),
        location=place(item.venue, item.city, item.country),
        url=item.url,
        status="CANCELLED" if item.cancelled_at else _STATUS.get(event.state, "CONFIRMED"),
        categories=(item.kind,),
        related_to=event.uid,
    )


def place(venue: str, city: str, country: str) -> str:
    """Venue, city and the country's English name on one line, as far as they are known; a city is not said twice."""
    said = [part.strip() for part in venue.split(",")]
    return ", ".join(filter(None, [venue, "" if city in said else city, country_name(country)]))


@lru_cache(maxsize=512)
def country_name(code: str) -> str:
    """The English name of an ISO 3166-1 code; the code itself where there is none."""
    return str(Locale("en").territories.get(code, code)) if code else ""


class _Gathered:
    """What goes into one block."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.expiries: list[datetime] = []
        self._zones: dict[str, tuple[str, str]] = {}

    def add(self, kept: Any, *, all_day: bool) -> None:
        """Add an event by its kept bytes."""
        if all_day and kept.day_body:
            self.bodies.append(kept.day_body)
        else:
            self.bodies.append(kept.body)
            self._need(kept.timezones)

    def add_sessions(self, body: bytes, timezones: str, until: datetime | None) -> None:
        """Add sessions of one; `until` is when the first cancelled one of them goes."""
        self.bodies.append(body)
        self._need(timezones)
        self.expiries += [until] if until else []

    def block(self, number: int) -> Block:
        """All of it."""
        zones = "".join(f"{tzid} {first} {last}\n" for tzid, (first, last) in sorted(self._zones.items()))
        return Block(number, b"".join(self.bodies), zones, min(self.expiries, default=None))

    def _need(self, timezones: str) -> None:
        for line in timezones.splitlines():
            # Dates as ISO 8601 writes them are in order as text.
            tzid, first, last = line.split(" ")
            known = self._zones.get(tzid, (first, last))
            self._zones[tzid] = (min(first, known[0]), max(last, known[1]))


def _is_public(session: Session, event: Event) -> bool:
    if event.visibility != "public" or event.state == "draft":
        return False
    return event.state != "cancelled" or session.scalar(sa.select(_was_approved(sa.literal(event.id)))) is True


def _was_approved(event_id: Any) -> sa.ColumnElement[bool]:
    """A draft that was cancelled was never shown to anybody, so there is nothing to cross out."""
    return sa.exists().where(col(EventChange.event_id) == event_id, col(EventChange.action) == "approved")


def _stands(row: Any, now: datetime) -> bool:
    return row.state != "cancelled" or (row.cancelled_at is not None and now < row.cancelled_at + CANCELLED_FOR)


def _within(numbers: Collection[int] | None) -> sa.ColumnElement[bool]:
    """Whether an event is in a block of these numbers; any event is where there are none."""
    if numbers is None:
        return sa.true()
    ranges = [events_of(number) for number in sorted(numbers)]
    return sa.or_(sa.false(), *(col(Event.id).between(ids.start, ids.stop - 1) for ids in ranges))


def _rows(
    session: Session, kind: str, of: str, within: sa.ColumnElement[bool], now: datetime, *, all_day: bool
) -> Sequence[Any]:
    """Of each event what choosing and joining needs, with its kept bytes where there are some.

    No more than that: of ten thousand events every column costs milliseconds.
    """
    columns = [
        col(Event.id), col(Event.state), col(Event.cancelled_at),
        sa.func.coalesce(
            sa.and_(
                col(EventObject.changed_at) == col(Event.changed_at),
                sa.func.coalesce(col(EventObject.sessions_until) > now, sa.true()),
            ),
            sa.false(),
        ).label("is_kept"),
        col(EventObject.body), col(EventObject.timezones),
    ]  # fmt: skip
    if kind in ("theme", "market"):
        columns.append((col(Event.themes) if kind == "theme" else col(Event.markets)).label("among"))
    if kind == "event":
        columns += [
            col(EventObject.session_body), col(EventObject.session_timezones), col(EventObject.sessions_until),
        ]  # fmt: skip
    if all_day:
        columns.append(col(EventObject.day_body))
    query: Any = (
        sa.select(*columns)
        .outerjoin(EventObject, col(EventObject.event_id) == col(Event.id))
        .where(within)
        .order_by(col(Event.id))
    )
    if kind != "organiser":
        approved = sa.and_(col(Event.state) == "cancelled", _was_approved(col(Event.id)))
        query = query.where(sa.or_(col(Event.state).in_(("approved", "done")), approved))
    if kind in ("public", "theme", "market"):
        query = query.where(col(Event.visibility) == "public")
    elif kind == "event":
        query = query.where(col(Event.slug) == of)
    elif kind in ("person", "institution"):
        places = sa.select(col(Attendee.event_id)).where(
            col(Attendee.reply) != "declined", col(Attendee.removed_at).is_(None)
        )
        if kind == "person":
            places = places.where(col(Attendee.person_id) == int(of))
        else:
            places = places.join(Person, col(Person.id) == col(Attendee.person_id))
            places = places.where(col(Person.institution_id) == int(of))
        query = query.where(col(Event.id).in_(places))
    return session.execute(query).all()


def _own_sessions(
    session: Session, person_id: int, ids: list[int], now: datetime
) -> dict[int, tuple[bytes, str, datetime | None]]:
    """The sessions that a person attends, by event: their bytes, their zones, and when the first cancelled one goes."""
    places = select(Attendee.event_id, Attendee.id).where(
        Attendee.person_id == person_id, col(Attendee.event_id).in_(ids)
    )
    of_event = {event_id: attendee_id or 0 for event_id, attendee_id in session.exec(places)}
    choices = choices_of(session, of_event.values())
    found: dict[int, tuple[bytes, str, datetime | None]] = {}
    for event in session.exec(select(Event).where(col(Event.id).in_(of_event))):
        mine = chosen(sessions_of(session, event), choices.get(of_event[id_of(event)], {}))
        shown = [item for item in mine if item.cancelled_at is None or now < item.cancelled_at + CANCELLED_FOR]
        items = [session_event(event, item) for item in shown]
        zones = _write_zones(use for item in items for use in zone_uses(item))
        ends = [item.cancelled_at + CANCELLED_FOR for item in shown if item.cancelled_at is not None]
        found[id_of(event)] = b"".join(map(vevent, items)), zones, min(ends, default=None)
    return found


class _Object(NamedTuple):
    """An EventObject as plain values: of thousands, the ORM would be most of the cost."""

    event_id: int
    changed_at: datetime
    timezones: str
    body: bytes
    day_body: bytes
    session_timezones: str
    session_body: bytes
    sessions_until: datetime | None


def _make_missing(session: Session, ids: list[int], now: datetime) -> dict[int, _Object]:
    """Make and keep the bytes of these events. Two processes may do so at once: both make the same."""
    made: dict[int, _Object] = {}
    for start in range(0, len(ids), _CHUNK):
        chunk = sorted(ids[start : start + _CHUNK])
        sessions: dict[int, list[EventSession]] = {}
        for item in session.exec(
            select(EventSession).where(col(EventSession.event_id).in_(chunk)).order_by(col(EventSession.position))
        ):
            sessions.setdefault(item.event_id, []).append(item)
        for event in session.execute(sa.select(*_EVENT).where(_EVENT.id.in_(chunk)).order_by(_EVENT.id)):
            made[event.id] = _object(event.id, event, sessions.get(event.id, []), now)
    if made:
        _keep(session, list(made.values()))
    return made


def _object(event_id: int, event: Any, sessions: list[EventSession], now: datetime) -> _Object:
    entry = calendar_event(event)
    body = vevent(entry)
    ends = {item.uid: item.cancelled_at + CANCELLED_FOR for item in sessions if item.cancelled_at is not None}
    shown = [item for item in sessions if ends.get(item.uid, now + CANCELLED_FOR) > now]
    items = [session_event(event, item) for item in shown]
    return _Object(
        event_id=event_id,
        changed_at=event.changed_at,
        timezones=_write_zones(zone_uses(entry)),
        body=body,
        day_body=in_whole_days(entry, body),
        session_timezones=_write_zones(use for item in items for use in zone_uses(item)),
        session_body=b"".join(vevent(item) for item in items),
        sessions_until=min((ends[item.uid] for item in shown if item.uid in ends), default=None),
    )


def _keep(session: Session, objects: list[_Object]) -> None:
    insert: Any = postgresql.insert if session.connection().dialect.name == "postgresql" else sqlite.insert
    statement = insert(SQLModel.metadata.tables["event_object"])
    statement = statement.on_conflict_do_update(
        index_elements=["event_id"], set_={name: statement.excluded[name] for name in _Object._fields[1:]}
    )
    session.connection().execute(statement, [one._asdict() for one in sorted(objects)])


def _write_zones(uses: Iterable[ZoneUse]) -> str:
    return "".join(f"{use.tzid} {use.first} {use.last}\n" for use in uses)
