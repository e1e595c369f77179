"""What delegates are told of the sessions that they attend: once for each change, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from events_service import attendees, campaigns, chores, events, itineraries, outbox
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import EventSession
from events_service.errors import PermanentMailError, TransientMailError
from events_service.mail.wire import Outgoing
from tests import delegates
from tests.delegates import JOINING, LATER, Object, item, objects, place, shift, the_event, told, went
from tests.ledger import INVITED, ROWS, House, row_of, states, utc
from tests.mail.reading import body, read

ALL = [
    Object("REQUEST", "Welcome", 0),
    Object("REQUEST", "Visit: cyber range", 0),
    Object("REQUEST", "Flight home", 0),
]


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    return House(database, settings)


@pytest.fixture
def small_house(sqlite_database: Database, settings: Settings) -> House:
    return House(sqlite_database, settings)


def leave(house: House, number: int, email: str = "ada@example.org") -> None:
    with house.database.write() as session:
        itineraries.choose(session, the_event(session), place(session, email), [], [number], house.clock())


def attend(house: House, number: int, email: str = "ada@example.org") -> None:
    with house.database.write() as session:
        itineraries.choose(session, the_event(session), place(session, email), [number], [], house.clock())


def reply(house: House, answer: str, via: str = "organiser") -> None:
    with house.database.write() as session:
        attendees.set_reply(session, place(session), answer, via=via, note="", now=house.clock())


def test_the_joining_instructions_bring_every_session_to_those_who_come(house: House) -> None:
    told(house, "ada@example.org", "bob@example.org")
    joining = house.wire.taken[-2:]
    assert house.said(joining) == ["joining ada", "joining bob"]
    assert [objects(one) for one in joining] == [ALL, ALL]
    assert [objects(one) for one in house.wire.taken[:-2]] == [[], []]


def test_who_did_not_accept_gets_none(small_house: House) -> None:
    house = small_house
    with house.database.write() as session:
        delegates.started(session, "ada@example.org", reply="tentative")
    house.run(JOINING)
    assert "joining ada" not in house.said(house.wire.taken)
    with house.database.write() as session:
        assert shift(session, 2, LATER) == 0
    assert went(house, LATER) == []


def test_a_session_that_moves_is_one_mail_with_that_session(house: House) -> None:
    told(house, "ada@example.org", "bob@example.org")
    with house.database.write() as session:
        assert shift(session, 2, LATER) == 2
    moved = [Object("REQUEST", "Visit: cyber range", 1)]
    assert went(house, LATER) == [("itinerary ada", moved), ("itinerary bob", moved)]
    (component,) = delegates.components(house.wire.taken[-1])
    assert component["DTSTART"].dt == utc("2023-10-10 10:30")
    assert component["DTSTAMP"].dt == LATER
    assert went(house, LATER + timedelta(days=1)) == []


def test_leaving_and_joining_raise_the_sequence_each_time(house: House) -> None:
    told(house, "ada@example.org", "bob@example.org")
    house.clock.at = LATER
    leave(house, 2)
    assert went(house) == [("itinerary ada", [Object("CANCEL", "Visit: cyber range", 1)])]
    attend(house, 2)
    attend(house, 4)
    again = [Object("REQUEST", "Visit: cyber range", 2), Object("REQUEST", "A day in the Alps", 0)]
    assert went(house) == [("itinerary ada", again)]
    with house.database.write() as session:
        assert shift(session, 2, LATER + timedelta(hours=1)) == 2
    assert went(house, LATER + timedelta(hours=1)) == [
        ("itinerary ada", [Object("REQUEST", "Visit: cyber range", 3)]),
        ("itinerary bob", [Object("REQUEST", "Visit: cyber range", 1)]),
    ]


def test_what_is_taken_back_before_it_is_told_is_never_told(small_house: House) -> None:
    house = small_house
    told(house, "ada@example.org")
    house.clock.at = LATER
    leave(house, 2)
    attend(house, 2)
    assert went(house) == []
    with house.database.read() as session:
        assert row_of(session, "itinerary").last_error == "nothing in it that they do not know"


def test_several_changes_are_one_mail_if_they_are_quick(small_house: House) -> None:
    house = small_house
    told(house, "ada@example.org")
    house.clock.at = LATER
    leave(house, 2)
    with house.database.write() as session:
        shift(session, 1, LATER)
    leave(house, 3)
    said = [
        Object("REQUEST", "Welcome", 1), Object("CANCEL", "Visit: cyber range", 1), Object("CANCEL", "Flight home", 1),
    ]  # fmt: skip
    assert went(house) == [("itinerary ada", said)]


def test_the_mail_says_what_became_of_which_session(small_house: House) -> None:
    house = small_house
    told(house, "ada@example.org")
    house.clock.at = LATER
    leave(house, 3)
    attend(house, 4)
    with house.database.write() as session:
        shift(session, 2, LATER)
    house.work()
    said = body(read(house.wire.taken[-1].data), "text/plain")
    changes, _, programme = said.partition("Your programme, in local time:")
    headings = (
        "New for you:\n\n- A day in the Alps",
        "Changed:\n\n- Visit: cyber range\n  Tuesday 10 October 2023, 12:30",
    )
    assert all(one in changes for one in (*headings, "You are no longer down for:\n\n- Flight home"))
    assert [title in programme for title, *_ in delegates.AGENDA] == [True, True, False, True]
    assert "unsubscribe" not in said


def test_a_session_that_is_cancelled_is_taken_out(house: House) -> None:
    told(house, "ada@example.org")
    with house.database.write() as session:
        visit = item(session, 2)
        visit.sequence, visit.changed_at, visit.cancelled_at = 1, LATER, LATER
    # No use case was told of it: the next tick finds out.
    assert went(house, LATER) == [("itinerary ada", [Object("CANCEL", "Visit: cyber range", 1)])]
    (component,) = delegates.components(house.wire.taken[-1])
    assert component["STATUS"] == "CANCELLED"


def test_an_event_that_moves_takes_its_sessions_along_in_one_mail(house: House) -> None:
    told(house, "ada@example.org")
    with house.database.write() as session:
        event = the_event(session)
        events.move(session, event, event.starts + timedelta(days=1), event.ends + timedelta(days=1), LATER)
    assert went(house, LATER) == [("update ada", [one._replace(sequence=1) for one in ALL])]
    assert delegates.components(house.wire.taken[-1])[1]["DTSTART"].dt == utc("2023-10-11 07:30")


def test_an_event_that_is_cancelled_takes_out_every_session_that_was_told(house: House) -> None:
    told(house, "ada@example.org", "bob@example.org")
    house.clock.at = LATER
    leave(house, 3, "bob@example.org")
    went(house)
    with house.database.write() as session:
        events.cancel(session, the_event(session), "The host withdrew.", LATER)
    cancelled = [one._replace(method="CANCEL", sequence=1) for one in ALL]
    assert went(house, LATER) == [("cancellation ada", cancelled), ("cancellation bob", cancelled[:2])]


def test_who_declines_after_all_is_sent_one_mail_that_takes_them_out(house: House) -> None:
    told(house, "ada@example.org", "bob@example.org")
    house.clock.at = LATER
    reply(house, "declined")
    out = [one._replace(method="CANCEL", sequence=1) for one in ALL]
    assert went(house) == [("itinerary ada", out)]
    with house.database.write() as session:
        shift(session, 2, LATER)
    assert [one for one, _ in went(house)] == ["itinerary bob"]
    reply(house, "tentative")
    assert went(house) == []
    reply(house, "accepted")
    assert went(house) == [("itinerary ada", [one._replace(sequence=2) for one in ALL])]


def test_the_confirmation_of_a_reply_by_link_takes_them_along(house: House) -> None:
    told(house, "ada@example.org")
    house.clock.at = LATER
    reply(house, "declined", "link")
    assert went(house) == [("confirmation ada", [one._replace(method="CANCEL", sequence=1) for one in ALL])]
    reply(house, "tentative", "link")
    reply(house, "accepted", "link")
    assert went(house) == [("confirmation ada", [one._replace(sequence=2) for one in ALL])]


def test_perhaps_coming_keeps_what_was_told_and_is_told_of_its_changes(small_house: House) -> None:
    house = small_house
    told(house, "ada@example.org")
    house.clock.at = LATER
    reply(house, "tentative")
    attend(house, 4)
    assert went(house) == []
    with house.database.write() as session:
        shift(session, 1, LATER)
    assert went(house) == [("itinerary ada", [Object("REQUEST", "Welcome", 1)])]


def test_neither_a_hold_nor_an_unsubscribe_stops_it(small_house: House) -> None:
    house = small_house
    told(house, "ada@example.org")
    with house.database.write() as session:
        campaigns.hold(session, the_event(session), LATER)
        delegates.ledger.person_of(session, place(session)).unsubscribed_at = LATER
        shift(session, 1, LATER)
    assert went(house, LATER) == [("itinerary ada", [Object("REQUEST", "Welcome", 1)])]


def test_it_expires_with_the_event(small_house: House) -> None:
    house = small_house
    event = told(house, "ada@example.org")
    with house.database.write() as session:
        shift(session, 1, LATER)
        assert row_of(session, "itinerary").expires_at == event.ends
    assert went(house, event.ends) == []
    with house.database.read() as session:
        assert row_of(session, "itinerary").state == "expired"


def test_a_change_before_the_itinerary_went_is_in_it(small_house: House) -> None:
    house = small_house
    with house.database.write() as session:
        delegates.started(session, "ada@example.org")
    house.run(JOINING - timedelta(days=1))
    leave(house, 1)
    with house.database.write() as session:
        assert shift(session, 2, house.clock()) == 0
    assert went(house, JOINING) == [
        ("joining ada", [Object("REQUEST", "Visit: cyber range", 1), Object("REQUEST", "Flight home", 0)])
    ]
    assert went(house, LATER) == []


# -- once, whatever happens


def test_a_retry_is_the_same_bytes(house: House) -> None:
    with house.database.write() as session:
        delegates.started(session, "ada@example.org")
    tried: list[Outgoing] = []

    def refuse(message: Outgoing) -> None:
        tried.append(message)
        if len(tried) == 1:
            raise TransientMailError("451 4.3.0 later", 451)

    house.run(JOINING - timedelta(days=1))
    house.wire.after = refuse
    house.run(JOINING + timedelta(days=1))
    assert house.said(tried) == ["joining ada", "joining ada"]
    first, second = (one.data.replace(b"Date: Mon, 02 Oct 2023 ", b"").partition(b"\r\nMessage-ID")[2] for one in tried)
    assert first == second
    assert objects(tried[1]) == ALL


def test_a_retry_after_a_change_tells_what_is_true_by_then(small_house: House) -> None:
    house = small_house
    with house.database.write() as session:
        delegates.started(session, "ada@example.org")
    tried: list[Outgoing] = []

    def refuse(message: Outgoing) -> None:
        tried.append(message)
        if len(tried) == 1:
            raise TransientMailError("451 4.3.0 later", 451)

    house.run(JOINING - timedelta(days=1))
    house.wire.after = refuse
    assert went(house, JOINING) == []
    leave(house, 1)
    house.run(JOINING + timedelta(days=1))
    # What was written for the first attempt may have been seen: these are newer.
    assert [objects(one) for one in tried] == [ALL, [one._replace(sequence=1) for one in ALL[1:]]]


def test_who_was_told_of_what_had_been_while_it_changed_is_told_again(house: House) -> None:
    with house.database.write() as session:
        delegates.started(session, "ada@example.org")
    house.run(JOINING - timedelta(days=1))

    def change(message: Outgoing) -> None:
        house.wire.before = lambda _: None
        with house.database.write() as session:
            assert shift(session, 2, JOINING) == 0

    house.wire.before = change
    assert went(house, JOINING) == [
        ("joining ada", ALL),
        ("itinerary ada", [Object("REQUEST", "Visit: cyber range", 1)]),
    ]


def test_a_message_that_cannot_arrive_is_not_written_again_and_again(small_house: House) -> None:
    house = small_house
    told(house, "ada@example.org")

    def refuse(message: Outgoing) -> None:
        raise PermanentMailError("550 5.7.1 policy", 550)

    house.wire.after = refuse
    with house.database.write() as session:
        shift(session, 2, LATER)
    assert went(house, LATER) == []
    for hours in range(1, 4):
        with house.database.write() as session:
            assert chores.retell(session, LATER + timedelta(hours=hours)) == 0
    with house.database.read() as session:
        assert states(session)["itinerary ada"] == "failed"


def test_what_takes_the_news_along_may_fail_in_between(small_house: House) -> None:
    house = small_house
    told(house, "ada@example.org")
    house.clock.at = LATER
    reply(house, "declined", "link")
    with house.database.write() as session:
        # The confirmation is lost on its way.
        session.execute(sa.update(ROWS).where(ROWS.c.step == "confirmation").values(state="cancelled"))
    assert went(house) == [("itinerary ada", [one._replace(method="CANCEL", sequence=1) for one in ALL])]


def test_letters_without_sessions_ask_nothing_of_the_database(small_house: House) -> None:
    house = small_house
    with house.database.write() as session:
        delegates.started(session, "ada@example.org")
    statements: list[str] = []
    house.clock.at = INVITED
    ids = house.tick()

    @sa.event.listens_for(house.database.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    house.postroom.deliver(ids)
    assert house.said(house.wire.taken) == ["invitation ada"]
    assert [one for one in statements if "attendee_session" in one or "delivery.fields AS" in one] == []


def test_a_worker_that_is_lost_before_data_changes_nothing(small_house: House) -> None:
    house = small_house
    told(house, "ada@example.org")
    with house.database.write() as session:
        shift(session, 2, LATER)

    def die(message: Outgoing) -> None:
        house.wire.before = lambda _: None
        raise KeyboardInterrupt

    house.wire.before = die
    house.clock.at = LATER
    with pytest.raises(KeyboardInterrupt):
        house.postroom.deliver(house.tick())
    with house.database.write() as session:
        delegates.ledger.run_out(session)
        outbox.sweep(session, LATER)
    assert went(house, LATER + timedelta(hours=1)) == [("itinerary ada", [Object("REQUEST", "Visit: cyber range", 1)])]


def test_an_event_without_sessions_has_no_itinerary(small_house: House) -> None:
    house = small_house
    with house.database.write() as session:
        delegates.started(session, "ada@example.org")
        session.execute(sa.delete(EventSession))
    house.run(JOINING)
    assert objects(house.wire.taken[-1]) == []
    with house.database.read() as session:
        assert row_of(session, "joining").fields["sessions"] == []
