"""What a feed is of: a theme, a country, an event, a person or an institution, as people say it and as tables do."""

from __future__ import annotations

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service.db.tables import Event, Institution, Person
from events_service.domain.markets import is_country
from events_service.errors import InputError, NotFoundError
from events_service.feed_contents import KINDS
from events_service.feed_programmes import known_themes

WITHOUT_OF = ("public", "organiser")


def canonical(session: Session, kind: str, of: str) -> str:
    """`of` as the tables keep it. InputError for a kind that is not there or an `of` that it does not take.

    NotFoundError where nothing is called so.
    """
    if kind not in KINDS:
        raise InputError(f"feed kind {kind[:40]!r} is unknown; use one of {', '.join(KINDS)}")
    if kind in WITHOUT_OF:
        if of:
            raise InputError(f"a feed of kind {kind} is of everything; leave out --of")
        return ""
    if not of:
        raise InputError(f"a feed of kind {kind} needs --of")
    return _FIND[kind](session, of)


def _theme(session: Session, of: str) -> str:
    known = known_themes(session)
    if of not in known:
        raise NotFoundError("theme", of, f"the programme has {', '.join(known)}" if known else "load a programme first")
    return of


def _market(_session: Session, of: str) -> str:
    if not is_country(of.upper()):
        raise NotFoundError("country", of, "use two letters, such as DE")
    return of.upper()


def _event(session: Session, of: str) -> str:
    if session.exec(select(Event.id).where(Event.slug == of)).first() is None:
        raise NotFoundError("event", of, "`events event list` has their slugs")
    return of


def _person(session: Session, of: str) -> str:
    number = int(of) if of.isascii() and of.isdigit() and len(of) < 10 else None
    by = col(Person.email) == of.lower() if number is None else col(Person.id) == number
    found = session.scalar(sa.select(col(Person.id)).where(by))
    if found is None:
        raise NotFoundError("person", of, "`events person list` has their addresses")
    return str(found)


def _institution(session: Session, of: str) -> str:
    ror = of.removeprefix("https://").removeprefix("ror.org/").lower()
    found = session.scalar(sa.select(col(Institution.id)).where(col(Institution.ror) == ror))
    if found is None and of.isascii() and of.isdigit() and len(of) < 10:
        found = session.scalar(sa.select(col(Institution.id)).where(col(Institution.id) == int(of)))
    if found is None:
        raise NotFoundError("institution", of, "`events institution list` has their ids")
    return str(found)


def written(session: Session, kind: str, of: str) -> str | None:
    """`of` as people write it: a person by their address, an institution by its ROR id. None for a kind without."""
    found: str | None = None
    if kind == "person":
        found = session.scalar(sa.select(col(Person.email)).where(col(Person.id) == int(of)))
    elif kind == "institution":
        found = session.scalar(sa.select(col(Institution.ror)).where(col(Institution.id) == int(of)))
    return found or of or None


_FIND = {"theme": _theme, "market": _market, "event": _event, "person": _person, "institution": _institution}
