"""A chunk's letters over several connections at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from events_service import campaigns, events, leases
from events_service import postroom as postroom_module
from events_service.chunk import Chunk
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Person
from events_service.errors import DatabaseError
from events_service.letters import Draft, Letters
from events_service.mail.smtp import Smtp
from events_service.mail.wire import Outgoing
from events_service.outbox import ROWS
from events_service.postroom import Postroom, Tally
from tests.ledger import INVITED, House, started, states
from tests.mail.servers import AFTER_HELD, DROP, HELD, SLOWLY, Heard, Scripted, scripted
from tests.processes import PATIENCE, until

NAMES = [f"p{number:02}" for number in range(12)]
FIRST = f"{NAMES[0]}@example.org"


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    """Twelve invitations that are due, enough for three connections."""
    house = House(database, settings, INVITED)
    with database.write() as session:
        started(session, *(f"{name}@example.org" for name in NAMES))
    return house


def invitations(house: House) -> list[int]:
    with house.database.read() as session:
        return list(session.exec(select(ROWS.c.id).where(ROWS.c.step == "invitation").order_by(ROWS.c.id)))


def found(house: House) -> dict[str, int]:
    """How many invitations are in each state."""
    with house.database.read() as session:
        by_name = states(session)
    now = [by_name[f"invitation {name}"] for name in NAMES]
    return {state: now.count(state) for state in sorted(set(now))}


def postroom(house: House, server: Scripted, connections: int = 3) -> Postroom:
    settings = house.settings.model_copy(update={"smtp_connections": connections})
    smtp = Smtp("127.0.0.1", server.port, "smtp", timeout=20, final_timeout=60)
    return Postroom(house.database, settings, smtp, house.clock)


@contextmanager
def delivering(room: Postroom, ids: list[int]) -> Iterator[list[Tally]]:
    """While a thread sends; what that came to is there at the end."""
    came: list[Tally] = []
    thread = threading.Thread(target=lambda: came.append(room.deliver(ids)))
    thread.start()
    try:
        yield came
    finally:
        thread.join(PATIENCE)
        room.close()


def first_is_held(heard: Heard) -> str:
    """The word on the first one's message comes when it is let go."""
    return f"{HELD}250 taken" if heard.recipient == FIRST else "250 taken"


def others_await_the_first(heard: Heard) -> str:
    """The same, and nobody else's word comes before the first one's message is in DATA."""
    return first_is_held(heard) if heard.recipient == FIRST else f"{AFTER_HELD}250 taken"


@pytest.mark.parametrize("offers", [(), ("PIPELINING",)])
def test_one_that_is_slow_keeps_no_other_waiting_nor_its_word(house: House, offers: tuple[str, ...]) -> None:
    with scripted(offers=offers, dot=first_is_held) as server:
        with delivering(postroom(house, server), invitations(house)) as came:
            # Committed, though the thread still waits for the first one's word.
            until(lambda: found(house) == {"sending": 1, "sent": 11}, "the others")
            server.go.set()
        assert [vars(tally)["sent"] for tally in came] == [12]
        assert found(house) == {"sent": 12}
        assert server.taken == {f"{name}@example.org": 1 for name in NAMES}
        assert server.connections == 3


def test_those_that_wait_at_the_fence_pass_it_together(house: House) -> None:
    said: list[str] = []
    house.wire.wide = True
    house.wire.before = lambda message: said.append(f"before {message.recipient[:3]}")
    house.wire.after = lambda message: said.append(f"after {message.recipient[:3]}")
    settings = house.settings.model_copy(update={"smtp_connections": 3})
    room = Postroom(house.database, settings, house.wire, house.clock)
    assert room.deliver(invitations(house)).sent == 12
    groups = [NAMES[start : start + 3] for start in range(0, 12, 3)]
    assert sorted(said[:6]) == sorted(f"{when} {name}" for name in groups[0] for when in ("before", "after"))
    assert [line.split()[0] for line in said] == (["before"] * 3 + ["after"] * 3) * 4


def test_where_the_fence_cannot_be_written_what_is_in_data_is_ended_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fences = leases.fence, []
    with scripted(dot=others_await_the_first) as server:

        def fence(session: Session, *words: object) -> frozenset[int]:
            fences.append(words)
            if len(fences) < 4:
                return real(session, *words)  # type: ignore[arg-type]
            # The first one's word comes only now.
            server.go.set()
            raise DatabaseError("database: is locked by another process")

        monkeypatch.setattr(leases, "fence", fence)
        room = postroom(house, server)
        with pytest.raises(DatabaseError, match="is locked"):
            room.deliver(invitations(house))
        room.close()
        assert server.taken[FIRST] == 1
        assert found(house) == {"pending": 12 - server.taken.total(), "sent": server.taken.total()}
        assert set(server.taken.values()) == {1}
        assert len(fences) == 4


def test_a_lost_connection_is_one_messages_doubt_and_the_others_go_on(house: House) -> None:
    def word(heard: Heard) -> str:
        return DROP if heard.recipient == FIRST else "250 taken"

    with scripted(offers=("PIPELINING",), dot=word) as server:
        room = postroom(house, server)
        tally = room.deliver(invitations(house))
        room.close()
        assert (tally.sent, tally.unknown) == (11, 1)
        assert found(house) == {"sent": 11, "unknown": 1}
        assert server.connections == 3


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "dot"])
def test_a_server_that_says_421_gets_no_more_over_any_connection(house: House, phase: str) -> None:
    def word(heard: Heard) -> str:
        return "421 4.7.0 too much" if heard.connection == 2 else f"{SLOWLY}250 taken"

    with scripted(**{phase: word}) as server:
        room = postroom(house, server)
        tally = room.deliver(invitations(house))
        room.close()
        # What was past its fence is ended; no other was begun.
        assert tally.sent == server.taken.total() <= 4
        assert found(house).get("pending") == 12 - tally.sent
        with house.database.read() as session:
            attempts = set(
                session.exec(select(ROWS.c.attempts).where(ROWS.c.step == "invitation", ROWS.c.state == "pending"))
            )
        assert attempts == {0}


def test_a_server_that_gives_fewer_connections_is_asked_for_no_more(house: House) -> None:
    def hello(heard: Heard) -> str:
        return "220 here" if heard.connection in (1, 2) else f"421 too many connections{DROP}"

    with scripted(hello=hello) as server:
        room = postroom(house, server)
        ids = invitations(house)
        tally = room.deliver(ids)
        assert (tally.sent, server.connections) == (12, 3)
        assert found(house) == {"sent": 12}
        room.close()


def test_told_to_stop_it_ends_what_it_began_and_gives_the_rest_back(house: House) -> None:
    with scripted(dot=f"{HELD}250 taken") as server:
        room = postroom(house, server)
        with delivering(room, invitations(house)) as came:
            until(lambda: len(server.messages) == 3, "three messages")
            room.stop()
            server.go.set()
        assert came[0].sent == 3
        assert found(house) == {"pending": 9, "sent": 3}


def test_threads_share_the_connections_that_a_server_gives(house: House) -> None:
    def hello(heard: Heard) -> str:
        return "220 here" if len(server.open) <= 2 else f"421 too many connections{DROP}"

    with scripted(hello=hello) as server:
        room, ids = postroom(house, server), invitations(house)
        with delivering(room, ids[:6]) as first, delivering(room, ids[6:]) as second:
            pass
        assert [(tally.sent, tally.retried) for tally in (*first, *second)] == [(6, 0)] * 2
        assert found(house) == {"sent": 12}


def test_a_fault_while_a_letter_is_made_ends_what_is_in_data_first(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, filled = Letters.fill, []

    def fill(letters: Letters, draft: Draft, at: datetime) -> Outgoing:
        filled.append(draft)
        if len(filled) == 5:
            server.go.set()
            raise AttributeError("a fault in the program")
        return real(letters, draft, at)

    monkeypatch.setattr(Letters, "fill", fill)
    with scripted(dot=others_await_the_first) as server:
        room = postroom(house, server)
        with pytest.raises(AttributeError):
            room.deliver(invitations(house))
        room.close()
        assert server.taken[FIRST] == 1
        assert found(house) == {"pending": 12 - server.taken.total(), "sent": server.taken.total()}


def test_nothing_is_claimed_while_a_server_is_yet_to_be_reached(house: House) -> None:
    """However long that takes, no lease runs out meanwhile."""
    with scripted(hello=f"{HELD}220 here") as server:
        room = postroom(house, server, connections=1)
        with delivering(room, invitations(house)) as came:
            until(server.held.is_set, "a connection")
            assert found(house) == {"pending": 12}
            server.go.set()
        assert came[0].sent == 12


def test_while_a_server_thinks_the_lease_of_those_that_wait_is_renewed(house: House) -> None:
    house.settings = house.settings.model_copy(update={"lease_seconds": 1.0})

    def leases_end() -> set[datetime]:
        """When, of those that wait."""
        with house.database.read() as session:
            waiting = select(ROWS.c.lease_until).where(ROWS.c.state == "sending", ROWS.c.in_data_at.is_(None))
            return set(session.exec(waiting))

    with scripted(dot=first_is_held) as server:
        room = postroom(house, server, connections=1)
        with delivering(room, invitations(house)) as came:
            until(server.held.is_set, "the first message")
            for _ in range(2):
                before = leases_end()
                assert before
                until(lambda: not leases_end() & before, "a renewal")  # noqa: B023  (called before the next round)
            server.go.set()
        assert came[0].sent == 12


def test_a_server_that_closes_after_its_greeting_is_not_asked_without_end(house: House) -> None:
    with scripted(EHLO=f"250 here{DROP}") as server:
        tally = postroom(house, server).deliver(invitations(house))
        assert (tally.sent, tally.retried) == (0, 12)
        assert server.connections <= 9
        with house.database.read() as session:
            waiting = session.exec(select(ROWS.c.state, ROWS.c.attempts).where(ROWS.c.step == "invitation")).all()
        assert set(map(tuple, waiting)) == {("pending", 0)}


@pytest.mark.parametrize("offers", [(), ("PIPELINING",)])
def test_a_connection_that_is_lost_before_a_word_costs_no_attempt(house: House, offers: tuple[str, ...]) -> None:
    with scripted(offers=offers, MAIL=DROP) as server:
        for _ in range(3):
            before = server.connections
            tally = postroom(house, server, connections=1).deliver(invitations(house))
            assert tally.failed == tally.sent == 0
            assert server.connections - before <= 3
            with house.database.write() as session:
                session.execute(sa.update(ROWS).where(ROWS.c.step == "invitation").values(next_at=INVITED))
        with house.database.read() as session:
            assert set(session.exec(select(ROWS.c.attempts).where(ROWS.c.step == "invitation"))) == {0}


def test_of_letters_at_the_fence_none_that_another_transaction_has_goes_and_none_waits_for_it(
    postgres_database: Database, settings: Settings
) -> None:
    house = House(postgres_database, settings, INVITED)
    with postgres_database.write() as session:
        started(session, *(f"{name}@example.org" for name in NAMES))
    ids = invitations(house)
    locking = threading.Event()
    over = threading.Event()

    def organiser() -> None:
        with postgres_database.write() as session:
            session.execute(sa.update(ROWS).where(ROWS.c.id == ids[1]).values(last_error="touched"))
            locking.set()
            over.wait(PATIENCE)

    thread = threading.Thread(target=organiser)

    def lock(message: Outgoing) -> None:
        if not thread.ident:
            thread.start()
            locking.wait(PATIENCE)

    house.wire.wide, house.wire.before = True, lock
    settings = house.settings.model_copy(update={"smtp_connections": 3})
    room = Postroom(postgres_database, settings, house.wire, house.clock)
    with delivering(room, ids) as came:
        until(lambda: len(house.wire.taken) == 11, "all but one")
        over.set()
        thread.join(PATIENCE)
    assert came[0].sent == 11
    assert found(house) == {"pending": 1, "sent": 11}


def test_a_ledger_that_is_away_for_a_moment_loses_no_word(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = Chunk.close, []

    def close(chunk: Chunk) -> None:
        tries.append(chunk)
        if len(tries) < 3:
            raise DatabaseError("database: is being restarted")
        real(chunk)

    def away(chunk: Chunk) -> None:
        raise DatabaseError("database: is being restarted")

    monkeypatch.setattr(Chunk, "close", close)
    monkeypatch.setattr(Chunk, "settle", away)
    monkeypatch.setattr(postroom_module, "_CLOSING_SECONDS", (0.01, 0.01, 0.0))
    with scripted() as server, pytest.raises(DatabaseError, match="is being restarted"):
        postroom(house, server, connections=1).deliver(invitations(house)[:1])
    assert (tries[0].tally.sent, len(tries)) == (1, 3)
    assert found(house) == {"pending": 11, "sent": 1}


def _cancel(house: House) -> None:
    with house.database.write() as session:
        events.cancel(session, events.find(session, "munich"), "strike", INVITED)


def _unsubscribe(house: House) -> None:
    with house.database.write() as session:
        session.execute(sa.update(Person).values(unsubscribed_at=INVITED))


def _hold(house: House) -> None:
    with house.database.write() as session:
        campaigns.hold(session, events.find(session, "munich"), INVITED)


@pytest.mark.parametrize(("change", "then"), [(_cancel, "cancelled"), (_unsubscribe, "suppressed"), (_hold, "held")])
def test_what_changes_while_several_letters_come_to_the_fence_stops_all_of_them(
    house: House, change: Callable[[House], None], then: str
) -> None:
    """The third of the second group has not come to it yet, the other two stand at it."""
    seen: list[Outgoing] = []

    def before(message: Outgoing) -> None:
        seen.append(message)
        if len(seen) == 6:
            change(house)

    house.wire.wide, house.wire.before = True, before
    settings = house.settings.model_copy(update={"smtp_connections": 3})
    tally = Postroom(house.database, settings, house.wire, house.clock).deliver(invitations(house))
    assert tally.sent == len(house.wire.taken) == 3
    assert found(house) == {then: 9, "sent": 3}
