from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from events_service import people
from events_service.db.session import Database
from events_service.db.tables import Institution, Person, Suppression
from events_service.errors import ConflictError, InputError, NotFoundError

NOW = datetime(2023, 5, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def add(session: Session, email: str, **values: Any) -> Person:
    person = Person(email=email, email_hash=people.email_hash(email), created_at=NOW, changed_at=NOW, **values)
    session.add(person)
    session.flush()
    return person


def test_find_in_any_case(database: Database) -> None:
    with database.write() as session:
        ann = add(session, "ann@xn--mller-kva.example")
        assert people.find(session, " Ann@Müller.example") == ann
        with pytest.raises(NotFoundError, match=r"no person 'bob@example\.org'"):
            people.find(session, "Bob@example.org")
        with pytest.raises(InputError, match="is not an e-mail address"):
            people.find(session, "bob")


def test_list_and_search(database: Database) -> None:
    with database.write() as session:
        uni = Institution(ror="04f2nsd36", name="Lancaster University", changed_at=NOW)
        session.add(uni)
        session.flush()
        zoe = add(session, "zoe@example.org", name="Zoë 100%", institution_id=uni.id, country="GB", role="speaker")
        add(session, "ann@example.org", name="Ann", organisation="Acme")
        people.suppress(session, zoe.email_hash, "complaint", NOW)
        people.unsubscribe(session, zoe.id or 0, NOW)
    with database.read() as session:
        assert people.listing(session) == [
            {
                "email": "ann@example.org",
                "name": "Ann",
                "organisation": "Acme",
                "institution": None,
                "ror": None,
                "country": None,
                "locale": "en",
                "timezone": "UTC",
                "role": "delegate",
                "source": "",
                "unsubscribed_at": None,
                "suppressed": [],
                "suppressed_at": None,
            },
            {
                "email": "zoe@example.org",
                "name": "Zoë 100%",
                "organisation": "",
                "institution": "Lancaster University",
                "ror": "04f2nsd36",
                "country": "GB",
                "locale": "en",
                "timezone": "UTC",
                "role": "speaker",
                "source": "",
                "unsubscribed_at": NOW,
                "suppressed": ["complaint", "unsubscribed"],
                "suppressed_at": NOW,
            },
        ]
        for search, found in (
            ("ACME", ["ann@example.org"]),
            ("ZOË lancaster", ["zoe@example.org"]),
            ("0%", ["zoe@example.org"]),
        ):
            assert [row["email"] for row in people.listing(session, search)] == found
        assert people.listing(session, "nobody") == people.listing(session, "a_n") == []


def test_suppressing_twice_leaves_one_row(database: Database) -> None:
    hashed = people.email_hash("ann@example.org")
    for now in (NOW, LATER):
        with database.write() as session:
            people.suppress(session, hashed, "bounced", now)
    with database.read() as session:
        (row,) = session.exec(select(Suppression)).all()
        assert (row.email_hash, row.reason, row.suppressed_at) == (hashed, "bounced", NOW)
        assert people.is_suppressed(session, hashed)
        assert not people.is_suppressed(session, people.email_hash("bob@example.org"))


def test_unsubscribe_keeps_the_first_moment(database: Database) -> None:
    with database.write() as session:
        ann = add(session, "ann@example.org")
        people.unsubscribe(session, ann.id or 0, NOW)
        people.unsubscribe(session, ann.id or 0, LATER)
        assert ann.unsubscribed_at == NOW
        assert [row.reason for row in session.exec(select(Suppression))] == ["unsubscribed"]
        with pytest.raises(NotFoundError):
            people.unsubscribe(session, 99, NOW)


def test_unsuppress_lifts_everything_and_keeps_the_record(database: Database) -> None:
    with database.write() as session:
        ann = add(session, "ann@example.org")
        people.unsubscribe(session, ann.id or 0, NOW)
        people.suppress(session, ann.email_hash, "bounced", NOW)
        done = people.unsuppress(session, "ANN@example.org", " asked by phone ", LATER)
        assert done == {"email": "ann@example.org", "lifted": ["bounced", "unsubscribed"]}
        assert ann.unsubscribed_at is None
        assert not people.is_suppressed(session, ann.email_hash)
        rows = session.exec(select(Suppression)).all()
        assert {(row.lifted_at, row.lift_reason) for row in rows} == {(LATER, "asked by phone")}
        with pytest.raises(ConflictError, match=r"ann@example\.org is not suppressed"):
            people.unsuppress(session, "ann@example.org", "again", LATER)
        people.suppress(session, ann.email_hash, "bounced", LATER)
        assert people.is_suppressed(session, ann.email_hash)
        with pytest.raises(InputError, match="a reason is needed"):
            people.unsuppress(session, "ann@example.org", " ", LATER)
