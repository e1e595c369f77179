"""Itineraries as the database has them: who attends which session, what they know of it, and what to say to them next.

What somebody knows is no table of its own: it stands in the ledger, in the frozen fields of the deliveries that they
have or may have. Writes nothing; every use case may call it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events_service.campaign_rows import MAY_HAVE_GONE
from events_service.db.session import one_of
from events_service.db.tables import Event
from events_service.domain.delivery import CONFIRMATION, ITINERARY
from events_service.domain.itinerary import Known, Said, attends, news
from events_service.outbox import ROWS

CARRIERS = ("update", "cancellation", "uninvited", CONFIRMATION, ITINERARY)
"""The purposes of messages that take along what has changed of an itinerary, for those who were told of theirs."""

CARRIES = sa.cast(ROWS.c.fields, sa.Text).like('%"sessions"%')
"""Of a delivery: whether it was written with an itinerary. No name can look so: its quotes are escaped."""

_ATTENDEES, _SESSIONS, _CHOICES = (
    SQLModel.metadata.tables[name] for name in ("attendee", "event_session", "attendee_session")
)
_AGENDA = tuple(
    _SESSIONS.c[name] for name in ("id", "event_id", "position", "kind", "sequence", "changed_at", "cancelled_at")
)

_COMES = {"accepted": True, "declined": False}

What = Literal["new", "changed", "cancelled", "left"]


class _Listed(Protocol):
    """A session on an agenda, as its table's object or as a row."""

    @property
    def id(self) -> Any: ...
    @property
    def kind(self) -> str: ...


T = TypeVar("T", bound=_Listed)


class Choice(NamedTuple):
    """What an attendee said of one session; see `AttendeeSession`."""

    attends: bool
    changed_at: datetime
    declined_sequence: int | None


class News(NamedTuple):
    """What a message says of one session, as of when, and what that is for its reader."""

    said: Said
    changed_at: datetime
    what: What


class Plan(NamedTuple):
    """An itinerary as one message tells it: the sessions attended, each with when it changed last, and what is new.

    Messages of one event with equal plans say the same.
    """

    attended: tuple[tuple[int, datetime], ...]
    news: tuple[News, ...]

    @property
    def sessions(self) -> list[list[Any]]:
        """What the delivery keeps of it, for `Known`."""
        return [list(one.said) for one in self.news]


class Reader(NamedTuple):
    """A message that tells of an itinerary: a number of the caller's, and whose it is.

    One that `introduces` it goes to whoever has not been told of theirs too.
    """

    id: int
    event_id: int
    attendee_id: int
    introduces: bool


@dataclass(frozen=True, slots=True)
class _Attending:
    """An attendee as far as their itinerary depends on them: whether they come, and when they said so last.

    None is neither yes nor no: they keep what they were told of, and get no more.
    """

    comes: bool | None
    replied_at: datetime | None


def choices_of(session: Session, attendee_ids: Collection[int]) -> dict[int, dict[int, Choice]]:
    """What these attendees said of sessions, by attendee and session; what is not in it is as the kind has it."""
    found: dict[int, dict[int, Choice]] = {}
    connection = session.connection()
    query = _choices(connection.dialect.name)
    for attendee, item, *choice in connection.execute(query, {"ids": sorted(attendee_ids)}):
        found.setdefault(attendee, {})[item] = Choice(*choice)
    return found


def known_by(session: Session, attendee_ids: Collection[int]) -> dict[int, Known]:
    """What the calendars of these attendees have; one for whom nothing was ever written is not in it."""
    found: dict[int, Known] = {}
    connection = session.connection()
    query = _written(connection.dialect.name)
    for attendee, fields, heard in connection.execute(query, {"ids": sorted(attendee_ids)}):
        said = (Said(*one) for one in fields["sessions"])
        found.setdefault(attendee, Known()).note(said, heard=bool(heard))
    return found


def plans(session: Session, readers: Sequence[Reader], events: Mapping[int, Event]) -> dict[int, Plan]:
    """What each of these messages says of its reader's itinerary, by its number, in a few statements for all.

    One whose reader was not told of theirs, and which does not introduce it, is not in the answer. What one message
    says, those after it in the list to the same attendee need not. `events` has the events by number.
    """
    if not readers:
        return {}
    ids = {reader.attendee_id for reader in readers}
    known = known_by(session, ids)
    readers = [reader for reader in readers if reader.introduces or known.get(reader.attendee_id, Known()).told]
    if not readers:
        return {}
    attending = _attending(session, ids)
    choices = choices_of(session, ids)
    agendas = agendas_of(session, {reader.event_id for reader in readers})
    found = {}
    for reader in readers:
        if person := attending.get(reader.attendee_id):
            knows = known.setdefault(reader.attendee_id, Known())
            event, agenda = events[reader.event_id], agendas.get(reader.event_id, [])
            found[reader.id] = _plan(event, agenda, person, choices.get(reader.attendee_id, {}), knows)
            knows.note((one.said for one in found[reader.id].news), heard=True)
    return found


def agendas_of(session: Session, event_ids: Collection[int]) -> dict[int, list[Any]]:
    """The sessions of these events as rows, in order, cancelled ones too, by event."""
    found: dict[int, list[Any]] = {}
    connection = session.connection()
    for item in connection.execute(_agendas(connection.dialect.name), {"ids": sorted(event_ids)}):
        found.setdefault(item.event_id, []).append(item)
    return found


def chosen(agenda: Iterable[T], choices: Mapping[int, Choice]) -> list[T]:
    """Those of the sessions that somebody attends who chose so, cancelled ones among them."""
    return [item for item in agenda if attends(item.kind, choices[item.id].attends if item.id in choices else None)]


def _plan(event: Event, agenda: Sequence[Any], person: _Attending, choices: Mapping[int, Choice], known: Known) -> Plan:
    for id, choice in choices.items():
        if choice.declined_sequence is not None:
            known.declined(id, choice.declined_sequence)
    stands = event.state != "cancelled" and person.comes is not False
    mine = [item for item in chosen(agenda, choices) if stands and item.cancelled_at is None]
    if person.comes is None:
        mine = [item for item in mine if (last := known.last.get(item.id)) and last.method == "REQUEST"]
    said = news({item.id: item.sequence for item in agenda}, {item.id for item in mine}, known)
    items = {item.id: item for item in agenda}
    return Plan(
        tuple((item.id, item.changed_at) for item in mine),
        tuple(
            News(one, _as_of(event, items[one.session], person, choices, one), _what(items[one.session], known, one))
            for one in said
        ),
    )


def _as_of(event: Event, item: Any, person: _Attending, choices: Mapping[int, Choice], said: Said) -> datetime:
    """When what it says came about; programs that order by DTSTAMP see the newer one as newer."""
    moments: list[datetime] = [event.changed_at, item.changed_at]
    if said.sequence != said.own:
        # It is ahead of the session's own, so what the attendee did had its part in it.
        choice = choices.get(item.id)
        moments += [at for at in (choice and choice.changed_at, person.replied_at) if at]
    return max(moments)


def _what(item: Any, known: Known, said: Said) -> What:
    if said.method == "CANCEL":
        return "cancelled" if item.cancelled_at is not None else "left"
    last = known.last.get(said.session)
    return "changed" if last is not None and last.method == "REQUEST" else "new"


def _attending(session: Session, ids: Collection[int]) -> dict[int, _Attending]:
    connection = session.connection()
    rows = connection.execute(_replies(connection.dialect.name), {"ids": sorted(ids)})
    # Who came has accepted, whatever they said before.
    return {
        id: _Attending(True if came else False if removed_at else _COMES.get(reply), replied_at)
        for id, reply, came, replied_at, removed_at in rows
    }


@lru_cache(maxsize=2)
def _choices(dialect: str) -> sa.Select[Any]:
    columns = [_CHOICES.c[name] for name in ("attendee_id", "session_id", *Choice._fields)]
    return sa.select(*columns).where(one_of(dialect, _CHOICES.c.attendee_id, "ids"))


@lru_cache(maxsize=2)
def _written(dialect: str) -> sa.Select[Any]:
    rows = sa.select(ROWS.c.attendee_id, ROWS.c.fields, MAY_HAVE_GONE.label("heard"))
    return rows.where(one_of(dialect, ROWS.c.attendee_id, "ids"), CARRIES).order_by(ROWS.c.id)


@lru_cache(maxsize=2)
def _replies(dialect: str) -> sa.Select[Any]:
    columns = [_ATTENDEES.c[name] for name in ("id", "reply", "attended", "replied_at", "removed_at")]
    return sa.select(*columns).where(one_of(dialect, _ATTENDEES.c.id, "ids"))


@lru_cache(maxsize=2)
def _agendas(dialect: str) -> sa.Select[Any]:
    rows = sa.select(*_AGENDA).where(one_of(dialect, _SESSIONS.c.event_id, "ids"))
    return rows.order_by(_SESSIONS.c.event_id, _SESSIONS.c.position)
