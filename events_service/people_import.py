"""Bringing people in from a file: new ones added, known ones brought up to date, by batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from events_service import attendees, event_rows, feeds, people
from events_service.affiliations import Affiliations
from events_service.db.tables import Event, FeedContent, Person, Suppression
from events_service.reading.addresses import email_hash
from events_service.reading.countries import likely_locale, principal_zone
from events_service.reading.people_files import PeopleFile, PersonRow

BATCH = 2000
_KEPT = ("id", "email", "name", "organisation", "institution_id", "country", "locale", "timezone", "role", "source")
_CHANGING = (*_KEPT[2:], "changed_at")
_DEFAULT_ROLE = "delegate"


def import_people(session: Session, file: PeopleFile, now: datetime, event: Event | None = None) -> dict[str, Any]:
    """Add or update everybody in `file`, by address; with an event, put each on it with the role of their row.

    What a row leaves empty stays as it is; for a new person it follows from the country. Gives `{created, updated,
    unchanged, bad, merged, unknown_columns, unknown_rors}`, with an event also `attendees`: how many are new there.
    Importing a file a second time changes nothing.
    """
    if event is not None:
        # Before any person is locked: two imports onto one event would else wait for each other.
        event = event_rows.lock(session, event)
    counts = {"created": 0, "updated": 0, "unchanged": 0}
    affiliations = Affiliations(session)
    unknown_rors: list[dict[str, Any]] = []
    added = 0
    for batch in _batches(file.people.values()):
        affiliations.fetch((row.ror for row in batch), (row.email for row in batch))
        unknown_rors += [
            {"row": row.row, "ror": row.ror} for row in batch if row.ror and affiliations.by_ror(row.ror) is None
        ]
        _store(session, batch, affiliations, counts, now)
        if event is not None:
            added += _attend(session, event, batch, now)
    bad = [{"row": bad.row, "field": bad.field, "why": bad.why} for bad in file.bad]
    done = {**counts, "bad": bad, "merged": file.merged, "unknown_columns": file.unknown_columns}
    return {**done, "unknown_rors": unknown_rors, **({} if event is None else {"attendees": added})}


def _store(
    session: Session, batch: list[PersonRow], affiliations: Affiliations, counts: dict[str, int], now: datetime
) -> None:
    there = _existing(session, batch)
    creating = []
    changing = []
    for row in batch:
        known = there.get(row.email)
        if known is None:
            creating.append(_new(row, affiliations, now))
        elif changes := _changes(known, row, affiliations):
            changing.append((known, changes))
    connection = session.connection()
    if creating:
        _note_unsubscribed(session, creating)
        make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        # Another import may be adding the same people at this moment: theirs stand, and ours say the same next time.
        connection.execute(make(Person).on_conflict_do_nothing(), creating)
    if changing:
        _update(session, changing, now)
    counts["created"] += len(creating)
    counts["updated"] += len(changing)
    counts["unchanged"] += len(batch) - len(creating) - len(changing)


def _update(session: Session, changing: list[tuple[dict[str, Any], dict[str, Any]]], now: datetime) -> None:
    """Write what changed of people: each as they are known, and what is new of them."""
    values = [
        {**{name: known[name] for name in _KEPT[2:]}, **changes, "changed_at": now, "of": known["id"]}
        for known, changes in changing
    ]
    moved = [known["id"] for known, changes in changing if "institution_id" in changes]
    moved = moved if _institutions_have_feeds(session, moved) else []
    # The feed of the institution that they leave shows less, that of the one they come to shows more.
    for person_id in moved:
        feeds.touch_person(session, person_id, now)
    update = sa.update(Person).where(col(Person.id) == sa.bindparam("of"))
    session.connection().execute(update.values({name: sa.bindparam(name) for name in _CHANGING}), values)
    session.expire_all()
    for person_id in moved:
        feeds.touch_person(session, person_id, now)


def _new(row: PersonRow, affiliations: Affiliations, now: datetime) -> dict[str, Any]:
    country = row.country or None
    return {
        "email": row.email,
        "email_hash": email_hash(row.email),
        "name": row.name,
        "organisation": row.organisation,
        "institution_id": affiliations.by_ror(row.ror) if row.ror else affiliations.by_email(row.email),
        "country": country,
        "locale": row.locale or likely_locale(country),
        "timezone": row.timezone or principal_zone(country),
        "role": row.role or _DEFAULT_ROLE,
        "source": row.source,
        "unsubscribed_at": None,
        "created_at": now,
        "changed_at": now,
    }


def _changes(known: dict[str, Any], row: PersonRow, affiliations: Affiliations) -> dict[str, Any]:
    """What a row changes of a person that is there."""
    said: dict[str, Any] = {
        name: value
        for name in ("name", "organisation", "country", "locale", "timezone", "role", "source")
        if (value := getattr(row, name))
    }
    if row.country and row.country != known["country"]:
        # What followed from the old country follows from the new one, unless the row says otherwise.
        if known["locale"] == likely_locale(known["country"]):
            said.setdefault("locale", likely_locale(row.country))
        if known["timezone"] == principal_zone(known["country"]):
            said.setdefault("timezone", principal_zone(row.country))
    if row.ror:
        said["institution_id"] = affiliations.by_ror(row.ror) or known["institution_id"]
    elif known["institution_id"] is None:
        said["institution_id"] = affiliations.by_email(row.email)
    return {name: value for name, value in said.items() if value != known[name]}


def _existing(session: Session, batch: list[PersonRow]) -> dict[str, dict[str, Any]]:
    columns = [col(getattr(Person, name)) for name in _KEPT]
    query = sa.select(*columns).where(col(Person.email).in_([row.email for row in batch]))
    return {row[1]: dict(zip(_KEPT, row, strict=True)) for row in session.execute(query)}


def _note_unsubscribed(session: Session, creating: list[dict[str, Any]]) -> None:
    """Somebody who unsubscribed, was erased, and comes back in a file, stays unsubscribed."""
    query = sa.select(col(Suppression.email_hash), col(Suppression.suppressed_at)).where(
        col(Suppression.reason) == people.UNSUBSCRIBED,
        col(Suppression.lifted_at).is_(None),
        col(Suppression.email_hash).in_([values["email_hash"] for values in creating]),
    )
    since = {hashed: at for hashed, at in session.execute(query)}
    for values in creating if since else ():
        values["unsubscribed_at"] = since.get(values["email_hash"])


def _institutions_have_feeds(session: Session, moved: list[int]) -> bool:
    """Whether anybody subscribes to an institution, so that a move from one to another must reach its feed."""
    return (
        bool(moved)
        and session.exec(select(FeedContent.id).where(FeedContent.kind == "institution")).first() is not None
    )


def _attend(session: Session, event: Event, batch: list[PersonRow], now: datetime) -> int:
    """Put everybody of a batch on an event; how many were not there before."""
    found = session.exec(select(Person).where(col(Person.email).in_([row.email for row in batch])))
    persons = {person.email: person for person in found}
    return len(attendees.add_many(session, event, [(persons[row.email], row.role or None) for row in batch], now))


def _batches(rows: Iterable[PersonRow]) -> Iterator[list[PersonRow]]:
    left = iter(rows)
    while batch := list(islice(left, BATCH)):
        yield batch
