"""What the rules are told of the world: bookings, budgets, target institutions, and who counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlmodel import Session

from events_service import event_checks, events
from events_service.db.session import Database
from events_service.db.tables import Event, Institution, InstitutionTarget
from events_service.reading import event_files
from tests.attendance import make_attendee, make_person
from tests.event_texts import MUNICH, toml, wall
from tests.planned import NOW, add, load

APRIL = {"starts": wall("2023-04-24T09:00"), "ends": wall("2023-04-25T17:00")}


def messages(session: Session, event: Event, code: str, now: datetime = NOW) -> list[str]:
    return [one.message for one in event_checks.verdict(session, event, now) if one.code == code]


def pair(session: Session, **changes: Any) -> tuple[Event, Event]:
    """Two missions in the same week with organisers of their own; the second is approved."""
    load(session)
    one = add(session, slug="one", organiser="one@example.org")
    other = events.approve(session, add(session, slug="other", **({"organiser": "other@example.org"} | changes)), NOW)
    return one, other


def test_a_mission_wants_a_target_institution_in_each_market(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session, markets=["DE", "US"])
        assert messages(session, event, "no-target-institution")[0].startswith(
            "no target institution is identified in DE, US"
        )
        for number, country in enumerate(("DE", "US"), 1):
            session.add(Institution(id=number, name=country, country=country, changed_at=NOW))
            session.flush()
            session.add(InstitutionTarget(institution_id=number, theme="cyber", marked_at=NOW))
            session.flush()
        assert messages(session, event, "no-target-institution") == []


def test_a_person_at_two_events_at_once_is_double_booked(database: Database) -> None:
    with database.write() as session:
        one, other = pair(session)
        assert messages(session, one, "double-booked") == []
        person = make_attendee(session, one).person_id
        make_attendee(session, other, "grace@example.org")
        assert messages(session, one, "double-booked") == []
        twin = make_attendee(session, other, "twin@example.org")
        twin.person_id = person
        session.flush()
        assert messages(session, one, "double-booked") == ["at another event then: ada@example.org at other"]
        assert messages(session, other, "double-booked") == []  # a draft is in nobody's way
        twin.reply = "declined"
        session.flush()
        assert messages(session, one, "double-booked") == []


def test_events_that_only_touch_do_not_clash(database: Database) -> None:
    with database.write() as session:
        one, _ = pair(
            session, organiser="one@example.org", starts=wall("2023-10-12T17:00"), ends=wall("2023-10-13T17:00")
        )
        assert messages(session, one, "double-booked") == []


def test_an_organiser_is_at_their_own_event(database: Database) -> None:
    with database.write() as session:
        one, other = pair(session, organiser="one@example.org")
        assert messages(session, one, "double-booked") == ["at another event then: one@example.org at other"]
        other.organiser_email = "other@example.org"
        make_attendee(session, other, "one@example.org")
        session.flush()
        assert messages(session, one, "double-booked") == ["at another event then: one@example.org at other"]


def test_an_attendee_who_organises_another_event_is_double_booked(database: Database) -> None:
    with database.write() as session:
        one, _ = pair(session)
        make_attendee(session, one, "other@example.org")
        assert messages(session, one, "double-booked") == ["at another event then: other@example.org at other"]


def test_money_and_time_of_the_events_that_stand_add_up(database: Database) -> None:
    with database.write() as session:
        load(session)
        first = add(session, slug="first", budget=20_000, effort_days=40, **APRIL)
        second = add(session, slug="second", budget=10_001, effort_days=33)
        assert messages(session, second, "over-budget") == []  # the first is a draft
        events.approve(session, first, NOW)
        [message] = messages(session, second, "over-budget")
        assert "its 10,001 GBP bring the total to 30,001 of 30,000" in message
        assert "its 33 days bring the total to 4.1 of 4 person-months" in message
        assert messages(session, first, "over-budget") == []  # it does not count itself twice
        events.cancel(session, first, "No budget.", NOW)
        assert messages(session, second, "over-budget") == []


def test_many_at_once_are_judged_as_one_by_one(database: Database) -> None:
    with database.write() as session:
        one, other = pair(session, organiser="one@example.org", budget=30_000)
        make_attendee(session, one)
        far = add(session, slug="far", budget=1, starts=wall("2026-05-11T09:00"), ends=wall("2026-05-12T09:00"))
        all_at_once = event_checks.verdicts(session, [one, other, far], NOW)
        assert all_at_once == {
            events.id_of(event): event_checks.verdict(session, event, NOW) for event in (one, other, far)
        }
        assert {code.code for found in all_at_once.values() for code in found} >= {
            "double-booked",
            "over-budget",
            "outside-programme",
        }


def test_what_is_only_proposed_is_judged_as_its_draft_will_be(database: Database) -> None:
    with database.write() as session:
        programme = load(session)
        events.approve(session, add(session, slug="other"), NOW)
        file = event_files.read("m.toml", toml(MUNICH | {"slug": "new"}))
        [proposed] = event_checks.proposed(session, programme, [file.facts()], NOW)
        draft = events.add(session, file, "m.toml", NOW)
        assert proposed == event_checks.verdict(session, draft, NOW)
        assert [one.code for one in proposed] == ["no-target-institution", "double-booked"]


@pytest.mark.parametrize(
    ("state", "asked"), [("draft", True), ("approved", True), ("done", False), ("cancelled", False)]
)
def test_an_overdue_review_matters_to_what_is_still_to_come(sqlite_database: Database, state: str, asked: bool) -> None:
    with sqlite_database.write() as session:
        load(session)
        event = add(session)
        event.state = state
        session.flush()
        assert bool(messages(session, event, "review-overdue", datetime.fromisoformat("2023-04-02T09:00Z"))) is asked


def test_an_erased_person_is_nobody(database: Database) -> None:
    with database.write() as session:
        one, other = pair(session)
        for event in (one, other):
            make_attendee(session, event, f"{event.slug}-guest@example.org").person_id = None
        session.flush()
        make_person(session, "unrelated@example.org")
        assert messages(session, one, "double-booked") == []
