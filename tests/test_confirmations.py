"""Confirmations of replies: which are written, what they say, and what stops them."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from sqlmodel import col, select

from events_service import attendees, confirmations, event_moves, events, people, personal_data
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Delivery, Event
from events_service.errors import TransientMailError
from events_service.mail.wire import Outgoing
from tests.ledger import STARTED, House, given, invite, open_gate, person_of, row_of

ADA = "ada@example.org"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def house(emptied: Database, settings: Settings) -> House:
    """Ada has a place on the mission to Munich."""
    with emptied.write() as session:
        given(session, ADA)
    return House(emptied, settings)


def reply(house: House, word: str, via: str = "link", note: str = "") -> tuple[int, ...]:
    """Ada replies, a minute after whatever was before; the deliveries that she waits for."""
    house.clock.at += MINUTE
    with house.database.write() as session:
        place = attendees.find(session, events.find(session, "munich"), ADA)
        said = attendees.set_reply(session, place, word, via=via, note=note, now=house.clock())
        return said.waited_for


def confirmed(house: House) -> list[tuple[str, str]]:
    """Key and state of every confirmation."""
    with house.database.read() as session:
        rows = session.exec(select(Delivery).where(Delivery.purpose == "confirmation").order_by(col(Delivery.id)))
        return [(row.key.rpartition(":")[2], row.state) for row in rows]


def test_a_reply_by_link_is_confirmed_at_once_before_all_else(house: House) -> None:
    [id] = reply(house, "accepted")
    with house.database.read() as session:
        row = row_of(session, "confirmation")
    assert (row.id, row.state, row.priority, row.mandatory) == (id, "pending", 0, True)
    assert row.key == f"confirmation:{row.event_id}:-:{row.person_id}:1"
    assert (row.due_at, row.expires_at) == (house.clock(), house.clock() + confirmations.LIFE)
    assert house.work() == ["confirmation ada"]


def test_each_change_is_confirmed_once_and_the_same_again_is_not(house: House) -> None:
    said = [len(reply(house, word)) for word in ("accepted", "accepted", "declined", "accepted")]
    assert said == [1, 0, 1, 1]
    # What nobody has sent by then is not worth sending any more.
    assert confirmed(house) == [("1", "cancelled"), ("2", "cancelled"), ("3", "pending")]
    assert house.work() == ["confirmation ada"]
    assert len(reply(house, "accepted", note="Vegan, please")) == 0
    assert house.work() == []


def test_a_link_that_is_pressed_all_the_time_sends_few_mails_and_the_last_word_is_among_them(house: House) -> None:
    for number in range(20):
        house.postroom.deliver(reply(house, ("accepted", "declined")[number % 2]))
        house.work()
    house.run(house.clock() + HOUR)
    subjects = [message_from_bytes(message.data)["Subject"].partition(":")[0] for message in house.wire.taken]
    assert subjects[: confirmations.AT_ONCE] == ["You are coming", "Not coming", "You are coming"]
    assert confirmations.AT_ONCE < len(subjects) <= confirmations.AT_ONCE + 2
    assert subjects[-1] == "Not coming"
    # A day later that is forgotten.
    house.clock.at += confirmations.LIFE
    assert len(reply(house, "accepted")) == 1


@pytest.mark.parametrize("via", ["mail", "organiser"])
def test_other_ways_are_not_confirmed_and_take_back_what_is_not_true_any_more(house: House, via: str) -> None:
    reply(house, "accepted")
    assert reply(house, "declined", via=via) == ()
    assert confirmed(house) == [("1", "cancelled")]


@pytest.mark.parametrize(
    ("word", "subject", "partstat"),
    [
        ("accepted", "You are coming: Cyber resilience mission to Munich, 9 October 2023", "ACCEPTED"),
        ("tentative", "Perhaps: Cyber resilience mission to Munich, 9 October 2023", "TENTATIVE"),
        ("declined", "Not coming: Cyber resilience mission to Munich, 9 October 2023", ""),
    ],
)
def test_it_says_what_was_said_when_and_where_and_how_to_change_it(
    house: House, word: str, subject: str, partstat: str
) -> None:
    reply(house, word)
    house.work()
    [sent] = house.wire.taken
    message = message_from_bytes(sent.data, policy=policy.default)
    parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    with house.database.read() as session:
        row, uid = row_of(session, "confirmation"), session.exec(select(Event.uid)).one()
    assert message["Subject"] == subject
    assert f"{house.settings.public_url}/reply/" in parts["text/plain"]
    # It answers what they did themselves: no list sent it, and nothing in it offers to stop it.
    assert (message["List-Unsubscribe"], message["List-Id"]) == (None, None)
    assert "unsubscribe" not in parts["text/plain"] + parts["text/html"]
    assert ("09:00" in parts["text/plain"]) == bool(partstat)
    if not partstat:
        assert "text/calendar" not in parts
        return
    calendar = parts["text/calendar"].replace("\r\n ", "")
    for line in ("METHOD:REQUEST", f"UID:{uid}", f"SEQUENCE:{row.sequence}", f"PARTSTAT={partstat};"):
        assert line in calendar


def test_people_of_one_chunk_are_each_told_their_own_answer(house: House) -> None:
    words = {"ada": "accepted", "bob": "declined", "cem": "tentative", "dee": "accepted"}
    for name, word in words.items():
        with house.database.write() as session:
            event = events.find(session, "munich")
            if name != "ada":
                invite(session, event, f"{name}@example.org")
            place = attendees.find(session, event, f"{name}@example.org")
            attendees.set_reply(session, place, word, via="link", note="", now=house.clock())
    house.work()
    said = {
        message.recipient.split("@")[0]: message_from_bytes(message.data, policy=policy.default)["Subject"]
        for message in house.wire.taken
    }
    begins = {"accepted": "You are coming:", "declined": "Not coming:", "tentative": "Perhaps:"}
    assert {name: said[name].startswith(begins[word]) for name, word in words.items()} == dict.fromkeys(words, True)


def test_neither_an_unsubscribe_nor_a_gate_stops_it_but_a_dead_address_does(house: House) -> None:
    def suppress(reason: str) -> None:
        with house.database.write() as session:
            place = attendees.find(session, events.find(session, "munich"), ADA)
            people.suppress(session, person_of(session, place).email_hash, reason, house.clock())

    with house.database.write() as session:
        open_gate(session)
        person = person_of(session, attendees.find(session, events.find(session, "munich"), ADA))
        person.unsubscribed_at = STARTED
        session.add(person)
    suppress("complaint")
    reply(house, "accepted")
    assert house.work() == ["confirmation ada"]
    suppress("bounced")
    reply(house, "declined")
    assert house.work() == []
    assert [state for _, state in confirmed(house)] == ["sent", "suppressed"]


def test_one_that_could_not_go_says_nothing_old_when_it_goes(house: House) -> None:
    """A server that is away keeps a confirmation back; the event moves, and the change says it all."""

    def away(message: Outgoing) -> None:
        raise TransientMailError("try later", 451)

    reply(house, "accepted")
    house.wire.before = away
    house.work()
    house.wire.before = lambda message: None
    with house.database.write() as session:
        event = events.find(session, "munich", lock=True)
        event_moves.move(
            session, event, event.starts + timedelta(days=1), event.ends + timedelta(days=1), house.clock()
        )
    assert house.work(house.clock() + timedelta(hours=1)) == ["update ada"]
    assert [state for _, state in confirmed(house)] == ["cancelled"]


@pytest.mark.parametrize(
    ("word", "via", "told"),
    [("declined", "link", ["Not coming"]), ("declined", "mail", []), ("accepted", "mail", ["You are coming"])],
    ids=["by link", "by mail", "a note alone"],
)
def test_one_that_was_on_its_way_when_they_replied_again_does_not_come_after(
    house: House, word: str, via: str, told: list[str]
) -> None:
    """Its person changes their mind while the server puts it off."""

    def away(message: Outgoing) -> None:
        house.wire.before = lambda message: None
        reply(house, word, via=via, note="Vegan, please")
        raise TransientMailError("try later", 451)

    house.wire.before = away
    house.postroom.deliver(reply(house, "accepted"))
    house.work(house.clock() + timedelta(hours=1))
    said = [message_from_bytes(message.data, policy=policy.default)["Subject"] for message in house.wire.taken]
    assert [subject.partition(":")[0] for subject in said] == told
    assert [state for _, state in confirmed(house)][-1] == ("sent" if told else "cancelled")


def test_one_that_is_a_day_late_is_not_sent(house: House) -> None:
    reply(house, "accepted")
    assert house.work(house.clock() + confirmations.LIFE) == []
    assert [state for _, state in confirmed(house)] == ["expired"]


def test_an_erased_person_is_not_written_to(house: House) -> None:
    reply(house, "accepted")
    with house.database.write() as session:
        personal_data.erase(session, ADA, house.clock())
    assert house.work() == []
    assert [state for _, state in confirmed(house)] == ["cancelled"]
