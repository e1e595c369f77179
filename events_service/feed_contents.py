"""What each kind of feed shows, as bytes.

| kind | `of` | shows |
| --- | --- | --- |
| public | - | public events |
| theme, market | theme's key, country | public events of that theme, for that market |
| event | slug | that event, private ones too, with its sessions: who made the address knows whom it is for |
| person | person's number | the events that they are at and did not decline, private ones too, with their sessions |
| institution | institution's number | the events that its people are at and did not decline, without the sessions |
| organiser | - | every event, drafts as TENTATIVE, and the review points as whole days |

Who declined has said that it is not for their calendar; a later yes brings it back. Who was taken off is not at it.
Outside the organiser's feed an event is shown once it was approved, and for 30 days after it was cancelled; a session
for as long after it was taken off the agenda. No feed has an ATTENDEE (RFC 5546 3.2.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from babel import Locale
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from events_service.calendars.emit import feed, vevent, zone_uses
from events_service.calendars.model import CalendarEvent, EventStatus
from events_service.calendars.zones import ZoneUse
from events_service.db.tables import (
    Attendee,
    Event,
    EventChange,
    EventObject,
    EventSession,
    Institution,
    Person,
    ProgrammeRevision,
    ReviewRecord,
)
from events_service.domain.programme import Programme
from events_service.domain.programme_file import load_programme
from events_service.domain.reviews import due_on
from events_service.domain.timeline import day_begins
from events_service.event_rows import id_of, sessions_of
from events_service.itinerary_rows import choices_of, chosen

KINDS = ("public", "theme", "market", "event", "person", "institution", "organiser")
CANCELLED_FOR = timedelta(days=30)
"""How long a cancelled event stays, so that every subscriber's program sees it crossed out before it goes."""

_COLOURS = {
    "public": "teal", "theme": "royalblue", "market": "seagreen", "event": "steelblue", "person": "indigo",
    "institution": "slateblue", "organiser": "firebrick",
}  # fmt: skip
_STATUS: dict[str, EventStatus] = {"draft": "TENTATIVE", "cancelled": "CANCELLED"}
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """A feed's bytes at a moment, and when time alone will change them (None: never)."""

    body: bytes
    expires_at: datetime | None


def show(session: Session, kind: str, of: str, now: datetime) -> Shown:
    """What a feed of that kind shows at `now`. Bytes of single events that are not kept yet are made and kept."""
    rows = [row for row in _rows(session, kind, of) if _stands(row, now)]
    if kind == "theme":
        rows = [row for row in rows if of in row.themes]
    elif kind == "market":
        rows = [row for row in rows if of in row.markets]
    made = _make_missing(session, [row.id for row in rows if _is_missing(row, now)], now)
    sessions = _own_sessions(session, int(of), [row.id for row in rows], now) if kind == "person" else {}
    bodies: list[bytes] = []
    zones: dict[str, None] = {}
    expiries = [row.cancelled_at + CANCELLED_FOR for row in rows if row.state == "cancelled"]
    for row in rows:
        kept = made.get(row.id) or row
        bodies.append(kept.body)
        zones[kept.timezones] = None
        if kind == "event":
            sessions[row.id] = kept.session_body, kept.session_timezones, kept.sessions_until
        if row.id in sessions:
            body, timezones, until = sessions[row.id]
            bodies.append(body)
            zones[timezones] = None
            expiries.append(until)
    uses = [use for text in zones for use in _read_zones(text)]
    programmes = _programmes(session)
    if kind == "organiser":
        bodies += [vevent(point) for point in _review_points(session, programmes)]
    name = _name(session, kind, of, [programme for programme, _, _ in programmes])
    return Shown(feed(name, _COLOURS[kind], bodies, uses), min(filter(None, expiries), default=None))


def is_public(session: Session, event: Event, now: datetime) -> bool:
    """Whether anybody may see the event: it is public, was approved, and is not long cancelled."""
    return _stands(event, now) and _is_public(session, event)


def public_calendar(event: Event) -> bytes:
    """A calendar of that one event, without its sessions, for its public page."""
    entry = calendar_event(event)
    return feed(event.title, _COLOURS["event"], [vevent(entry)], zone_uses(entry))


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


def known_themes(session: Session) -> list[str]:
    """The keys of the themes of the programmes in force."""
    return [theme.key for programme, _, _ in _programmes(session) for theme in programme.themes]


def _is_public(session: Session, event: Event) -> bool:
    if event.visibility != "public" or event.state == "draft":
        return False
    return event.state != "cancelled" or session.scalar(sa.select(_was_approved(sa.literal(event.id)))) is True


def _was_approved(event_id: Any) -> sa.ColumnElement[bool]:
    """A draft that was cancelled was never shown to anybody, so there is nothing to cross out."""
    return sa.exists().where(col(EventChange.event_id) == event_id, col(EventChange.action) == "approved")


def _stands(row: Any, now: datetime) -> bool:
    return row.state != "cancelled" or (row.cancelled_at is not None and now < row.cancelled_at + CANCELLED_FOR)


def _rows(session: Session, kind: str, of: str) -> Sequence[Any]:
    """Of each event what choosing and joining needs, with its kept bytes where there are some."""
    query: Any = (
        sa.select(
            col(Event.id), col(Event.state), col(Event.cancelled_at), col(Event.changed_at),
            col(Event.themes), col(Event.markets), col(EventObject.changed_at).label("kept_at"),
            col(EventObject.body), col(EventObject.timezones),
            col(EventObject.session_body), col(EventObject.session_timezones), col(EventObject.sessions_until),
        )
        .outerjoin(EventObject, col(EventObject.event_id) == col(Event.id))
        .order_by(col(Event.starts), col(Event.id))
    )  # fmt: skip
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


def _is_missing(row: Any, now: datetime) -> bool:
    """Whether the kept bytes of an event are not there, are of before its last change, or show a session too long."""
    return row.kept_at != row.changed_at or (row.sessions_until is not None and row.sessions_until <= now)


def _make_missing(session: Session, ids: list[int], now: datetime) -> dict[int, EventObject]:
    """Make and keep the bytes of these events. Two processes may do so at once: both make the same."""
    made: dict[int, EventObject] = {}
    for start in range(0, len(ids), _CHUNK):
        chunk = sorted(ids[start : start + _CHUNK])
        sessions: dict[int, list[EventSession]] = {}
        for item in session.exec(
            select(EventSession).where(col(EventSession.event_id).in_(chunk)).order_by(col(EventSession.position))
        ):
            sessions.setdefault(item.event_id, []).append(item)
        for event in session.exec(select(Event).where(col(Event.id).in_(chunk)).order_by(col(Event.id))):
            if event.id is not None:
                made[event.id] = _object(event.id, event, sessions.get(event.id, []), now)
    if made:
        _keep(session, list(made.values()))
    return made


def _object(event_id: int, event: Event, sessions: list[EventSession], now: datetime) -> EventObject:
    entry = calendar_event(event)
    ends = {item.uid: item.cancelled_at + CANCELLED_FOR for item in sessions if item.cancelled_at is not None}
    shown = [item for item in sessions if ends.get(item.uid, now + CANCELLED_FOR) > now]
    items = [session_event(event, item) for item in shown]
    return EventObject(
        event_id=event_id,
        changed_at=event.changed_at,
        timezones=_write_zones(zone_uses(entry)),
        body=vevent(entry),
        session_timezones=_write_zones(use for item in items for use in zone_uses(item)),
        session_body=b"".join(vevent(item) for item in items),
        sessions_until=min((ends[item.uid] for item in shown if item.uid in ends), default=None),
    )


def _keep(session: Session, objects: list[EventObject]) -> None:
    insert: Any = postgresql.insert if session.connection().dialect.name == "postgresql" else sqlite.insert
    statement = insert(EventObject)
    columns = [column.name for column in sa.inspect(EventObject).columns if not column.primary_key]
    statement = statement.on_conflict_do_update(
        index_elements=["event_id"], set_={name: statement.excluded[name] for name in columns}
    )
    session.execute(statement, [one.model_dump() for one in sorted(objects, key=lambda one: one.event_id)])


def _write_zones(uses: Iterable[ZoneUse]) -> str:
    return "".join(f"{use.tzid} {use.first} {use.last}\n" for use in uses)


def _read_zones(text: str) -> Iterator[ZoneUse]:
    for line in text.splitlines():
        tzid, first, last = line.split(" ")
        yield ZoneUse(tzid, date.fromisoformat(first), date.fromisoformat(last))


def _programmes(session: Session) -> list[tuple[Programme, ProgrammeRevision, datetime]]:
    """Each programme in force, its revision, and when its first revision was loaded."""
    found: dict[str, tuple[ProgrammeRevision, datetime]] = {}
    for revision in session.exec(select(ProgrammeRevision).order_by(col(ProgrammeRevision.revision))):
        first = found[revision.key][1] if revision.key in found else revision.loaded_at
        found[revision.key] = (revision, first)
    return [(_programme(found[key][0].source), *found[key]) for key in sorted(found)]


@lru_cache(maxsize=8)
def _programme(source: str) -> Programme:
    return load_programme(source, "the programme in the database")


def _review_points(
    session: Session, programmes: list[tuple[Programme, ProgrammeRevision, datetime]]
) -> Iterator[CalendarEvent]:
    """The review points as whole days. They say what was recorded, never what is overdue: that would need a clock."""
    records: dict[tuple[str, str], ReviewRecord] = {}
    for record in session.exec(select(ReviewRecord).order_by(col(ReviewRecord.ordinal))):
        records[record.programme_key, record.review_id] = record
    for programme, revision, first in programmes:
        for point in programme.review_points:
            held = records.get((programme.key, point.id))
            day = due_on(programme, point)
            scope = ", ".join(map(str, point.scope))
            said = f"\n\nHeld on {held.held_on}: {held.decision}" if held else ""
            yield CalendarEvent(
                uid=f"review-{programme.key}-{point.id}",
                sequence=revision.revision - 1,
                summary=f"Review held: {point.title}" if held else f"Review due: {point.title}",
                starts=day_begins(day, programme.timezone),
                ends=day_begins(day + timedelta(days=1), programme.timezone),
                timezone=programme.timezone,
                created=first,
                changed=max(revision.loaded_at, held.recorded_at) if held else revision.loaded_at,
                description=f"{programme.title}: workstream {scope}{said}",
                categories=("review",),
                all_day=True,
                transparent=True,
            )


def _name(session: Session, kind: str, of: str, programmes: list[Programme]) -> str:
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
