from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from events_service import feeds, guest_lists, institutions, people
from events_service.db.session import Database
from events_service.db.tables import Attendee, FeedContent, Person
from events_service.errors import ConflictError
from events_service.people_import import BATCH, import_people
from events_service.reading.institution_files import InstitutionRecord
from events_service.reading.people_files import BadRow, PeopleFile, PersonRow
from tests.attendance import make_event

NOW = datetime(2023, 5, 1, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def file(*rows: PersonRow, **words: Any) -> PeopleFile:
    return PeopleFile(people={row.email: row for row in rows}, **words)


def row(email: str, number: int = 2, **values: Any) -> PersonRow:
    return PersonRow(number, email, **values)


def load(database: Database, *rows: PersonRow, now: datetime = NOW) -> tuple[int, int, int]:
    with database.write() as session:
        done = import_people(session, file(*rows), now)
    return done["created"], done["updated"], done["unchanged"]


def person(database: Database, email: str = "ann@example.org") -> Person:
    with database.read() as session:
        return people.find(session, email)


def university(session: Any, ror: str, domain: str) -> int:
    record = InstitutionRecord(
        ror, ror, (ror,), "DE", None, None, (), f"https://{domain}", "active", frozenset({domain})
    )
    institutions.import_records(session, [record], NOW)
    return institutions.find(session, ror).id or 0


def test_a_new_person_with_everything(database: Database) -> None:
    full = row(
        "ann@example.org",
        name="Ann",
        organisation="Acme",
        country="DE",
        locale="en-GB",
        timezone="Europe/Paris",
        role="speaker",
        source="Fair",
    )
    assert load(database, full) == (1, 0, 0)
    found = person(database)
    assert found.model_dump(exclude={"id"}) == {
        "email": "ann@example.org",
        "email_hash": people.email_hash("ann@example.org"),
        "name": "Ann",
        "organisation": "Acme",
        "institution_id": None,
        "country": "DE",
        "locale": "en-GB",
        "timezone": "Europe/Paris",
        "role": "speaker",
        "source": "Fair",
        "unsubscribed_at": None,
        "created_at": NOW,
        "changed_at": NOW,
    }


def test_what_is_not_said_follows_from_the_country(database: Database) -> None:
    load(database, row("ann@example.org", country="DE"), row("bob@example.org"))
    ann, bob = person(database), person(database, "bob@example.org")
    assert (ann.locale, ann.timezone, ann.role) == ("de-DE", "Europe/Berlin", "delegate")
    assert (bob.country, bob.locale, bob.timezone) == (None, "en", "UTC")


def test_the_same_people_twice_change_nothing(database: Database) -> None:
    rows = [row(f"p{n}@example.org", n + 2, name=f"Zoë {n}", country="GB") for n in range(2 * BATCH + 10)]
    assert load(database, *rows) == (len(rows), 0, 0)
    assert load(database, *rows, now=LATER) == (0, 0, len(rows))
    with database.read() as session:
        assert {found.changed_at for found in session.exec(select(Person))} == {NOW}


def test_an_empty_cell_leaves_what_is_there(database: Database) -> None:
    load(database, row("ann@example.org", name="Ann", organisation="Acme", country="DE", role="host"))
    assert load(database, row("ann@example.org", name="Ann Lee"), row("bob@example.org"), now=LATER) == (1, 1, 0)
    found = person(database)
    assert (found.name, found.organisation, found.country, found.role) == ("Ann Lee", "Acme", "DE", "host")
    assert (found.created_at, found.changed_at) == (NOW, LATER)


@pytest.mark.parametrize(
    ("before", "after", "locale", "timezone"),
    [
        ({"country": "DE"}, {"country": "MY"}, "ms-MY", "Asia/Kuala_Lumpur"),
        ({}, {"country": "DE"}, "de-DE", "Europe/Berlin"),
        ({"country": "DE", "locale": "fr"}, {"country": "GB"}, "fr", "Europe/London"),
        ({"country": "DE", "timezone": "Asia/Tokyo"}, {"country": "GB"}, "en-GB", "Asia/Tokyo"),
        ({"country": "DE"}, {"country": "GB", "locale": "de"}, "de", "Europe/London"),
        ({"country": "DE"}, {"name": "Ann"}, "de-DE", "Europe/Berlin"),
    ],
)
def test_a_new_country_moves_what_followed_from_the_old_one(
    sqlite_database: Database, before: dict[str, Any], after: dict[str, Any], locale: str, timezone: str
) -> None:
    load(sqlite_database, row("ann@example.org", **before))
    for expected in ((0, 1, 0), (0, 0, 1)):
        assert load(sqlite_database, row("ann@example.org", **after)) == expected
        found = person(sqlite_database)
        assert (found.locale, found.timezone) == (locale, timezone)


def test_institutions_are_matched_by_ror_id_then_by_domain(database: Database) -> None:
    with database.write() as session:
        one, two = university(session, "000000001", "one.example"), university(session, "000000002", "two.example")
        rows = [
            row("a@cs.one.example"),
            row("b@one.example", 3, ror="000000002"),
            row("c@one.example", 4, ror="000000009"),
            row("d@elsewhere.example", 5),
        ]
        done = import_people(session, file(*rows), NOW)
        assert done["unknown_rors"] == [{"row": 4, "ror": "000000009"}]
        found = {p.email[0]: p.institution_id for p in session.exec(select(Person))}
        assert found == {"a": one, "b": two, "c": None, "d": None}
        university(session, "000000009", "nine.example")
        again = import_people(session, file(*rows), LATER)
        assert (again["updated"], again["unchanged"], again["unknown_rors"]) == (1, 3, [])
        # A match once made stays until a ROR id says otherwise.
        moved = import_people(session, file(row("b@one.example"), row("a@cs.one.example", ror="000000002")), LATER)
        assert (moved["updated"], moved["unchanged"]) == (1, 1)


def test_the_report(database: Database) -> None:
    given = file(row("ann@example.org"), bad=[BadRow(3, "email", "is empty")], merged=2, unknown_columns=["shoe size"])
    with database.write() as session:
        assert import_people(session, given, NOW) == {
            "created": 1,
            "updated": 0,
            "unchanged": 0,
            "bad": [{"row": 3, "field": "email", "why": "is empty"}],
            "merged": 2,
            "unknown_columns": ["shoe size"],
            "unknown_rors": [],
        }


def test_with_an_event_everybody_is_put_on_it(database: Database) -> None:
    load(database, row("ann@example.org", role="host"))
    rows = [row("ann@example.org"), row("bob@example.org", role="speaker"), row("eve@example.org")]
    with database.write() as session:
        event = make_event(session)
        assert import_people(session, file(*rows), NOW, event)["attendees"] == 3
        assert import_people(session, file(*rows), LATER, event)["attendees"] == 0
        roles = {found["email"][:3]: found["role"] for found in guest_lists.listing(session, event)}
        assert roles == {"ann": "host", "bob": "speaker", "eve": "delegate"}


def test_a_cancelled_event_takes_nobody_and_nothing_is_imported(sqlite_database: Database) -> None:
    with pytest.raises(ConflictError, match="was cancelled"), sqlite_database.write() as session:
        event = make_event(session, state="cancelled")
        import_people(session, file(row("ann@example.org")), NOW, event)
    with sqlite_database.read() as session:
        assert session.exec(select(Person)).all() == []
        assert session.exec(select(Attendee)).all() == []


def test_somebody_who_unsubscribed_and_was_erased_comes_back_unsubscribed(database: Database) -> None:
    with database.write() as session:
        people.suppress(session, people.email_hash("ann@example.org"), people.UNSUBSCRIBED, NOW)
        people.suppress(session, people.email_hash("bob@example.org"), "bounced", NOW)
    load(database, row("ann@example.org"), row("bob@example.org"), now=LATER)
    assert person(database).unsubscribed_at == NOW
    assert person(database, "bob@example.org").unsubscribed_at is None


def test_a_move_reaches_the_feeds_of_both_institutions(database: Database) -> None:
    with database.write() as session:
        for ror, domain in (("000000001", "one.example"), ("000000002", "two.example"), ("000000003", "three.example")):
            university(session, ror, domain)
            feeds.create(session, "institution", ror, NOW)
        import_people(session, file(row("ann@one.example")), NOW)
        import_people(session, file(row("ann@one.example", ror="000000002")), LATER)
        stale = session.exec(select(FeedContent.of).where(col(FeedContent.stale_at) == LATER)).all()
        ids = {str(institutions.find(session, ror).id) for ror in ("000000001", "000000002")}
        assert set(stale) == ids
