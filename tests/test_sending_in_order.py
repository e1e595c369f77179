"""No CANCEL, and no change, arrives before what was said to the same attendee earlier, however slow the server is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from events_service import attendees, claims, events, outbox, people, removals
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Delivery
from events_service.mail.smtp import Smtp
from events_service.outbox import ROWS
from events_service.postroom import Postroom
from tests.ledger import INVITED, House, row_of, run_out, started, states
from tests.mail.servers import DROP, HELD, Heard, Scripted, scripted
from tests.processes import until
from tests.test_sending import delivering

ADA = "ada@example.org"
A_MOMENT = timedelta(minutes=5)


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    """An invitation that is due, and the house's own post room on a server of the test's."""
    house = House(database, settings, INVITED)
    with database.write() as session:
        started(session, ADA)
    return house


def postroom(house: House, server: Scripted) -> Postroom:
    smtp = Smtp("127.0.0.1", server.port, "smtp", timeout=20, final_timeout=60)
    return Postroom(house.database, house.settings, smtp, house.clock)


def work(house: House, room: Postroom) -> None:
    """Tick and deliver until nothing is due."""
    while ids := house.tick():
        room.deliver(ids)


def cancel(house: House) -> None:
    with house.database.write() as session:
        events.cancel(session, events.find(session, "munich"), "strike", house.clock())


def uninvite(house: House) -> None:
    with house.database.write() as session:
        event = events.find(session, "munich")
        assert removals.remove(session, event, attendees.find(session, event, ADA), "", house.clock()) == 1


def move(house: House) -> None:
    with house.database.write() as session:
        event = events.find(session, "munich")
        events.move(session, event, event.starts + timedelta(days=7), None, house.clock())


def state(house: House, step: str) -> str:
    with house.database.read() as session:
        return states(session)[f"{step} ada"]


def first_is_held(heard: Heard) -> str:
    return f"{HELD}250 taken" if heard.connection == 1 and heard.messages == 1 else "250 taken"


def subjects(server: Scripted) -> list[str]:
    """The first words of what the server heard, in order."""
    found = []
    for message in server.messages:
        head = message.decode().split("\r\n\r\n")[0].replace("\r\n ", " ")
        [subject] = [line for line in head.split("\r\n") if line.startswith("Subject: ")]
        found.append(subject.removeprefix("Subject: ").split(":")[0])
    return found


def put_back(house: House) -> None:
    with house.database.write() as session:
        attendees.add(session, events.find(session, "munich"), people.find(session, ADA), None, house.clock())


def sequence_of(message: bytes) -> int:
    """The SEQUENCE in a message's calendar."""
    read = message_from_bytes(message)
    [part] = [part for part in read.walk() if part.get_content_type() == "text/calendar"]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return int(payload.decode().split("SEQUENCE:")[1].split()[0])


CHANGES = [
    (cancel, "cancellation", "Cancelled"),
    (uninvite, "uninvited", "No longer on the guest list"),
    (move, "update", "Changed"),
]


@pytest.mark.parametrize(("change", "step", "subject"), CHANGES)
def test_what_follows_an_invitation_that_is_in_data_waits_for_the_word_on_it(
    house: House, change: Callable[[House], None], step: str, subject: str
) -> None:
    with scripted(dot=first_is_held) as server:
        room, other = postroom(house, server), postroom(house, server)
        with delivering(room, list(house.tick())):
            until(server.held.is_set, "the invitation in DATA")
            change(house)
            work(house, other)
            # It was claimed, and put off: its attempt is not counted.
            with house.database.read() as session:
                waiting = row_of(session, step)
            assert (waiting.state, waiting.attempts, len(server.messages)) == ("pending", 0, 1)
            assert waiting.next_at > house.clock()
            server.go.set()
        house.clock.at += A_MOMENT
        work(house, other)
        other.close()
        assert server.taken == {ADA: 2}
        assert subjects(server)[1] == subject
        assert (state(house, "invitation"), state(house, step)) == ("sent", "sent")


@pytest.mark.parametrize("policy", ["hold", "resend"])
@pytest.mark.parametrize(("change", "step", "subject"), CHANGES[:2])
def test_what_was_in_data_when_its_worker_was_lost_never_follows_the_cancel(
    house: House, policy: str, change: Callable[[House], None], step: str, subject: str
) -> None:
    with house.database.write() as session:
        session.execute(sa.update(ROWS).values(unknown_policy=policy))
        ids = list(session.exec(select(ROWS.c.id).where(ROWS.c.step == "invitation")))
        # A worker in DATA that says nothing more.
        claims.claim(session, ids, "lost", house.clock(), 120)
        session.execute(sa.update(ROWS).where(ROWS.c.id.in_(ids)).values(in_data_at=INVITED))
    change(house)
    with scripted() as server:
        room = postroom(house, server)
        work(house, room)
        assert (state(house, step), server.messages) == ("pending", [])
        with house.database.write() as session:
            run_out(session)
        house.clock.at += A_MOMENT
        work(house, room)
        house.clock.at += A_MOMENT
        work(house, room)
        room.close()
        assert subjects(server) == [subject]
    assert state(house, "invitation") == {"hold": "unknown", "resend": "cancelled"}[policy]


def test_an_invitation_that_an_organiser_calls_lost_does_not_follow_its_cancel(house: House) -> None:
    with scripted(dot=[DROP, "250 taken"]) as server:
        room = postroom(house, server)
        work(house, room)
        assert state(house, "invitation") == "unknown"
        uninvite(house)
        with house.database.write() as session:
            assert outbox.settle_by_hand(session, row_of(session, "invitation").id or 0, False, house.clock())
        work(house, room)
        assert subjects(server)[1:] == ["No longer on the guest list"]
        assert state(house, "invitation") == "cancelled"
        # Nor does it go once they are asked anew: that says it with a SEQUENCE of its own.
        put_back(house)
        work(house, room)
        room.close()
        assert [sequence_of(message) for message in server.messages] == [0, 1, 2]


def test_a_return_while_the_cancel_is_in_data_waits_for_it(house: House) -> None:
    with scripted(dot=lambda heard: f"{HELD}250 taken" if heard.connection == 2 else "250 taken") as server:
        first, room, other = (postroom(house, server) for _ in range(3))
        work(house, first)
        uninvite(house)
        house.clock.at += A_MOMENT
        with delivering(room, list(house.tick())):
            until(server.held.is_set, "the CANCEL in DATA")
            put_back(house)
            work(house, other)
            assert len(server.messages) == 2
            server.go.set()
        house.clock.at += A_MOMENT
        work(house, other)
        first.close()
        other.close()
        assert subjects(server)[1] == "No longer on the guest list"
        assert len(server.messages) == 3
    sequences = [sequence_of(message) for message in server.messages]
    assert sequences == [0, 1, 2]


def test_one_that_another_worker_has_claimed_may_be_at_its_fence(house: House) -> None:
    """Whatever it does there, the CANCEL goes after it; of its own chunk a worker knows what is in DATA."""
    with house.database.write() as session:
        row = row_of(session, "invitation")
        session.execute(sa.update(ROWS).where(ROWS.c.id == row.id).values(state="sent", sent_at=INVITED))
        reminder = row_of(session, "reminder-1").id or 0
        session.execute(sa.update(ROWS).where(ROWS.c.id == reminder).values(next_at=INVITED))
        claims.claim(session, [reminder], "another", house.clock(), 120)
    cancel(house)
    assert house.work() == []
    with house.database.write() as session:
        assert row_of(session, "cancellation").state == "pending"
        run_out(session)
    assert house.work(INVITED + A_MOMENT) == ["cancellation ada"]
    with house.database.read() as session:
        found = session.exec(select(Delivery.step, Delivery.state).order_by(col(Delivery.id))).all()
    assert dict(found)["reminder-1"] == "cancelled"
