"""People: finding and listing them, and the addresses that get no mail.

What we hold on one person, and how it is erased, is in `personal_data`; files of people are in `people_import`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from events_service.db.tables import Institution, Person, Suppression
from events_service.errors import ConflictError, InputError, NotFoundError
from events_service.reading.addresses import email_hash, normalise_email
from events_service.reading.folding import fold

__all__ = [
    "email_hash",
    "find",
    "find_or_make",
    "is_suppressed",
    "listing",
    "normalise_email",
    "suppress",
    "unsubscribe",
    "unsuppress",
]

UNSUBSCRIBED = "unsubscribed"
"""The reason of a suppression that the person asked for."""


_BY_ADDRESS = select(Person).where(Person.email == sa.bindparam("address"))


def find(session: Session, email: str) -> Person:
    """The person with that address, in whatever case it is written; InputError if it is none, NotFoundError."""
    address = normalise_email(email)
    found = session.exec(_BY_ADDRESS, params={"address": address}).first()
    if found is None:
        raise NotFoundError("person", address, "`events person list --search TEXT` finds those there are")
    return found


def find_or_make(session: Session, email: str, role: str, source: str, now: datetime) -> Person:
    """The person with that address, made if there is none, with what their address tells of them; InputError."""
    address = normalise_email(email)
    found = session.exec(_BY_ADDRESS, params={"address": address}).first()
    if found is None:
        found = Person(
            email=address, email_hash=email_hash(address), role=role, source=source, created_at=now, changed_at=now
        )
        session.add(found)
        session.flush()
    return found


def listing(session: Session, search: str | None = None) -> list[dict[str, Any]]:
    """People by address, as JSON values; `suppressed` gives the reasons for which they get no campaign mail.

    `suppressed_at` is since when, by the oldest of these reasons. Each word of `search` must occur in their address,
    name, organisation or institution; case and accents do not count.
    """
    query = (
        select(Person, col(Institution.name), col(Institution.ror))
        .outerjoin(Institution, col(Person.institution_id) == col(Institution.id))
        .order_by(col(Person.email))
    )
    standing: dict[str, list[Suppression]] = {}
    for row in session.exec(_standing().order_by(col(Suppression.reason))):
        standing.setdefault(row.email_hash, []).append(row)
    words = fold(search or "").split()
    found = (_as_json(person, name, ror, standing) for person, name, ror in session.exec(query))
    return [row for row in found if not words or _has(row, words)]


def suppress(session: Session, email_hash: str, reason: str, now: datetime) -> None:
    """Put an address on the list of those that get no campaign mail; a second time for one reason changes nothing.

    `email_hash` is that of the normalised address, so that it needs no person to belong to.
    """
    values = {"email_hash": email_hash, "reason": reason, "suppressed_at": now}
    make = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    session.execute(make(Suppression).values(values).on_conflict_do_nothing())


def is_suppressed(session: Session, email_hash: str) -> bool:
    """Whether an address gets no campaign mail, for whatever reason."""
    return session.exec(_standing().where(Suppression.email_hash == email_hash)).first() is not None


def unsubscribe(session: Session, person_id: int, now: datetime) -> None:
    """Note that a person wants no more campaigns; a second time changes nothing. NotFoundError.

    Cancellations and changes of events that they are invited to still reach them.
    """
    person = session.get(Person, person_id)
    if person is None:
        raise NotFoundError("person", person_id)
    if person.unsubscribed_at is None:
        person.unsubscribed_at = person.changed_at = now
        session.add(person)
        session.flush()
    suppress(session, person.email_hash, UNSUBSCRIBED, now)


def unsuppress(session: Session, email: str, reason: str, now: datetime) -> dict[str, Any]:
    """Let an address get mail again, whatever stopped it; the record of it stays, with the reason why it was lifted.

    Gives `{email, lifted: [the reasons]}`. ConflictError if nothing stands, InputError without a reason.
    """
    address = normalise_email(email)
    if not reason.strip():
        raise InputError("a reason is needed: who asked for it, and when")
    standing = session.exec(_standing().where(Suppression.email_hash == email_hash(address)).with_for_update()).all()
    person = session.exec(select(Person).where(Person.email == address)).first()
    if not standing and (person is None or person.unsubscribed_at is None):
        raise ConflictError(f"{address} is not suppressed; nothing was changed")
    for row in standing:
        row.lifted_at, row.lift_reason = now, reason.strip()
        session.add(row)
    lifted = {row.reason for row in standing}
    if person is not None and person.unsubscribed_at is not None:
        person.unsubscribed_at, person.changed_at = None, now
        lifted.add(UNSUBSCRIBED)
        session.add(person)
    session.flush()
    return {"email": address, "lifted": sorted(lifted)}


def _as_json(
    person: Person, institution: str | None, ror: str | None, standing: dict[str, list[Suppression]]
) -> dict[str, Any]:
    suppressed = standing.get(person.email_hash, [])
    return {
        "email": person.email,
        "name": person.name,
        "organisation": person.organisation,
        "institution": institution,
        "ror": ror,
        "country": person.country,
        "locale": person.locale,
        "timezone": person.timezone,
        "role": person.role,
        "source": person.source,
        "unsubscribed_at": person.unsubscribed_at,
        "suppressed": [row.reason for row in suppressed],
        "suppressed_at": min((row.suppressed_at for row in suppressed), default=None),
    }


def _has(row: dict[str, Any], words: list[str]) -> bool:
    text = fold("\n".join(row[field] or "" for field in ("email", "name", "organisation", "institution")))
    return all(word in text for word in words)


def _standing() -> Any:
    return select(Suppression).where(col(Suppression.lifted_at).is_(None))
