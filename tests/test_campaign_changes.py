"""Who is told of a change: everybody who knows of the event, and who declined only where its dates are others."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from events_service import attendees, campaign_changes, events
from events_service.config import Settings
from events_service.db.session import Database
from events_service.outbox import ROWS
from tests.ledger import INVITED, SHORT, House, row_of, started, states, utc

ADA, BOB = "ada@example.org", "bob@example.org"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def session(rolled_back: Session) -> Session:
    return rolled_back


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    """Ada and Bob were invited."""
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA, BOB)
    house.run(INVITED)
    return house


def declines(house: House, email: str = BOB, via: str = "mail", sequence: int | None = None) -> None:
    with house.database.write() as session:
        attendee = attendees.find(session, events.find(session, "munich"), email)
        note = {"via": via, "note": "", "now": house.clock()}
        assert attendees.set_reply(session, attendee, "declined", sequence=sequence, **note).applied  # type: ignore[arg-type]


def moves(house: House, by: timedelta, longer: timedelta = timedelta()) -> None:
    with house.database.write() as session:
        event = events.find(session, "munich")
        events.move(session, event, event.starts + by, event.ends + by + longer, house.clock())


@pytest.mark.parametrize(
    ("by", "longer", "asked"),
    [
        (HOUR, timedelta(), False),
        (timedelta(), HOUR, False),
        (DAY, timedelta(), True),
        (timedelta(), -DAY, True),
        # Eleven in the evening in Munich, where it is still the same date in UTC an hour later.
        (timedelta(), timedelta(hours=6, minutes=59), False),
        (timedelta(), timedelta(hours=7, minutes=1), True),
    ],
)
def test_who_declined_is_asked_again_where_a_date_is_another(
    house: House, by: timedelta, longer: timedelta, asked: bool
) -> None:
    declines(house)
    moves(house, by, longer)
    assert house.work() == ["update ada", "update bob"][: 1 + asked]


def test_who_was_asked_again_and_says_nothing_is_not_asked_for_less(house: House) -> None:
    declines(house)
    moves(house, DAY)
    assert house.work() == ["update ada", "update bob"]
    moves(house, HOUR)
    assert house.work() == ["update ada"]
    with house.database.write() as session:
        assert campaign_changes.retell(session, house.clock()) == 0
    moves(house, DAY)
    assert house.work() == ["update ada", "update bob"]


def test_a_small_change_before_the_letter_about_the_dates_has_gone_takes_nothing_from_it(house: House) -> None:
    declines(house)
    moves(house, DAY)
    moves(house, HOUR)
    # One letter each, about where it stands.
    assert house.work() == ["update ada", "update bob"]


def test_who_declined_the_new_dates_is_left_alone(house: House) -> None:
    moves(house, DAY)
    # By the page, which shows the new dates before the letter about them has gone.
    declines(house, via="link")
    assert [what for what in house.work() if what.startswith("update")] == ["update ada"]
    with house.database.read() as session:
        assert row_of(session, "update", BOB).last_error == "they have declined"
    moves(house, HOUR)
    assert house.work() == ["update ada"]


def test_who_declines_while_a_small_change_waits_does_not_get_it(house: House) -> None:
    moves(house, HOUR)
    declines(house, sequence=0)
    assert house.work() == ["update ada"]


def reminder_of(house: House) -> None:
    """A reminder of theirs that slipped out with the old times."""
    with house.database.write() as session:
        reminder = sa.update(ROWS).where(ROWS.c.step == "reminder-1", ROWS.c.person_id == _person(session, BOB))
        session.execute(reminder.values(state="sent", sequence=0, sent_at=INVITED))


def _person(session: Session, email: str) -> int:
    return row_of(session, "invitation", email).person_id or 0


@pytest.mark.parametrize(("by", "told"), [(HOUR, False), (DAY, True)])
def test_who_declined_and_is_behind_is_told_by_the_same_rule(house: House, by: timedelta, told: bool) -> None:
    declines(house)
    moves(house, by)
    with house.database.write() as session:
        session.execute(sa.delete(ROWS).where(ROWS.c.purpose == "update"))
    reminder_of(house)
    with house.database.write() as session:
        # Ada, whose update is gone, is behind in any case.
        assert campaign_changes.retell_moved(session, house.clock()) == 1 + told
        assert ("update bob" in states(session)) == told


@pytest.mark.parametrize("by", [timedelta(), HOUR, DAY])
def test_no_step_asks_who_declined(database: Database, settings: Settings, by: timedelta) -> None:
    """Whether it moved or not: a reminder, or an invitation that waited, asks with a calendar entry."""
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA, BOB)
    declines(house, via="organiser")
    if by:
        moves(house, by)
    went = [what for _day, what in house.run(utc("2023-10-20T00:00"))]
    assert [what for what in went if what.endswith("bob")] == (["update bob"] if by == DAY else [])
    assert "invitation ada" in went


def test_an_invitation_waits_for_who_declined_by_telephone_and_goes_when_they_accept(
    database: Database, settings: Settings
) -> None:
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA, BOB)
    declines(house, via="organiser")
    assert house.work(INVITED) == ["invitation ada"]
    with house.database.write() as session:
        attendee = attendees.find(session, events.find(session, "munich"), BOB)
        attendees.set_reply(session, attendee, "accepted", via="organiser", note="", now=house.clock())
    assert house.work() == ["invitation bob"]


def test_a_step_that_says_that_it_is_for_them_is(database: Database, settings: Settings) -> None:
    text = SHORT.replace('{ replies = ["none", "tentative"] }', '{ replies = ["declined"] }\ncalendar = true')
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA, text=text)
    house.run(INVITED)
    declines(house, ADA)
    assert house.run(utc("2023-09-01T00:00")) == [("08-30 09:30", "reminder-1 ada")]
