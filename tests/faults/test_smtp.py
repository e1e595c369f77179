"""Mail servers that refuse, close, hang and talk nonsense: what becomes of the rows, and what the servers have seen."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import select

from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Suppression
from events_service.mail.smtp import Smtp
from events_service.outbox import ROWS
from events_service.postroom import Postroom
from events_service.reading.addresses import email_hash
from tests.ledger import INVITED, House, row_of, started, states
from tests.mail.servers import DROP, HELD, SLOWLY, Heard, Scripted
from tests.processes import PATIENCE, until

NAMES = ("ada", "bob", "cem")
EMAILS = tuple(f"{name}@example.org" for name in NAMES)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def server(shared_kind: str) -> Iterator[Scripted]:
    """A server: beside PostgreSQL one that takes commands at once (RFC 2920), beside SQLite one at a time."""
    server = Scripted({}, offers=("PIPELINING", "SIZE 10485760") if shared_kind == "postgres" else ())
    yield server
    server.close()


@pytest.fixture
def house(emptied: Database, settings: Settings, server: Scripted) -> Iterator[House]:
    """Three invitations that are due, and that server to send them to."""
    house = House(emptied, settings, INVITED)
    # Its pauses go by the same clock, so that nobody waits for them.
    mail = Smtp("127.0.0.1", server.port, "smtp", timeout=20, monotonic=lambda: house.clock().timestamp())
    house.postroom = Postroom(emptied, settings, mail, house.clock)
    with emptied.write() as session:
        started(session, *EMAILS)
    yield house
    mail.close()


def found(house: House) -> list[str]:
    with house.database.read() as session:
        return [states(session)[f"invitation {name}"] for name in NAMES]


def attempts(house: House) -> list[int]:
    with house.database.read() as session:
        return [row_of(session, "invitation", email).attempts for email in EMAILS]


def for_(email: str, said: str, usual: str) -> Callable[[Heard], str]:
    """That answer where the recipient is this one."""
    return lambda heard: said if heard.recipient == email else usual


def seen(server: Scripted) -> Counter[bytes]:
    """How often each Message-ID came whole, whatever the server said then."""
    return Counter(re.findall(rb"^Message-ID: (\S+)", b"".join(server.messages), re.MULTILINE))


def test_dropped_after_the_final_dot_is_unknown_and_never_sent_again(house: House, server: Scripted) -> None:
    server.script = {".": for_(EMAILS[1], DROP, "250 taken")}
    house.work()
    assert found(house) == ["sent", "unknown", "sent"]
    server.script = {}
    house.work(INVITED + DAY)
    assert found(house) == ["sent", "unknown", "sent"]
    assert set(seen(server).values()) == {1}
    assert server.taken == {EMAILS[0]: 1, EMAILS[2]: 1}


@pytest.mark.parametrize("again", ["taken", "dropped"])
def test_by_its_policy_what_is_unknown_goes_once_more_with_the_same_message_id(
    house: House, server: Scripted, again: str
) -> None:
    with house.database.write() as session:
        session.execute(sa.update(ROWS).values(unknown_policy="resend"))
    drops = iter([DROP, "250 taken" if again == "taken" else DROP])
    server.script = {".": lambda heard: next(drops) if heard.recipient == EMAILS[1] else "250 taken"}
    house.work()
    house.work(INVITED + DAY)
    assert found(house) == ["sent", "sent" if again == "taken" else "unknown", "sent"]
    assert sorted(seen(server).values()) == [1, 1, 2]


def test_busy_twice_then_taken_comes_with_growing_gaps(house: House, server: Scripted) -> None:
    busy = iter(["451 4.3.0 try later"] * 2)
    server.script = {".": lambda heard: next(busy, "250 taken") if heard.recipient == EMAILS[0] else "250 taken"}
    gaps = []
    for _ in range(2):
        house.work()
        with house.database.read() as session:
            gaps.append(row_of(session, "invitation").next_at - house.clock())
        house.clock.at += HOUR
    house.work()
    assert found(house) == ["sent"] * 3
    assert server.taken == Counter(EMAILS)
    assert attempts(house) == [3, 1, 1]
    assert gaps[1] > gaps[0] * 1.5


@pytest.mark.parametrize("phase", ["hello", "EHLO", "MAIL", "RCPT", "DATA", "."])
def test_a_busy_server_is_left_alone_and_no_attempt_is_counted(house: House, server: Scripted, phase: str) -> None:
    server.script = {phase: "421 4.3.2 too busy"}
    for hours in range(3):
        house.work(INVITED + hours * HOUR)
        assert found(house) == ["pending"] * 3
        assert attempts(house) == [0] * 3
        # One connection found it out for all.
        assert server.connections == hours + 1
    server.script = {}
    house.work(INVITED + 3 * HOUR)
    assert found(house) == ["sent"] * 3
    assert server.taken == Counter(EMAILS)


def test_one_that_the_server_closes_at_each_time_keeps_no_other(house: House, server: Scripted) -> None:
    server.script = {"RCPT": for_(EMAILS[0], "421 4.3.2 closing", "250 fine")}
    for hours in range(3):
        house.work(INVITED + hours * HOUR)
    assert found(house) == ["pending", "sent", "sent"]
    assert attempts(house) == [0, 1, 1]


def test_no_such_user_fails_and_is_never_tried_again(house: House, server: Scripted) -> None:
    server.script = {
        "RCPT": for_(EMAILS[0], "550 5.1.1 no such user", "250 fine"),
        ".": for_(EMAILS[2], "554 5.6.0 refused", "250 taken"),
    }
    house.work()
    assert found(house) == ["failed", "sent", "failed"]
    server.script = {}
    house.work(INVITED + DAY)
    assert server.taken == {EMAILS[1]: 1}
    with house.database.read() as session:
        codes = [row_of(session, "invitation", email).last_code for email in EMAILS]
        dead = session.exec(select(Suppression.email_hash, Suppression.reason)).all()
    assert codes == [550, None, 554]
    # A refusal of what a message says is none of its address.
    assert dead == [(email_hash(EMAILS[0]), "bounced")]


def test_refused_at_data_fails_and_the_connection_goes_on(house: House, server: Scripted) -> None:
    server.script = {"DATA": for_(EMAILS[0], "554 5.7.1 not this one", "354 go on")}
    house.work()
    house.work(INVITED + DAY)
    assert found(house) == ["failed", "sent", "sent"]
    assert server.taken == Counter(EMAILS[1:])
    assert server.connections == 1


def test_a_server_that_closes_with_a_refusal_costs_the_next_one_no_attempt(house: House, server: Scripted) -> None:
    server.script = {"RCPT": for_(EMAILS[0], f"550 5.7.1 not this one{DROP}", "250 fine")}
    house.work()
    assert found(house) == ["failed", "sent", "sent"]
    assert attempts(house) == [1, 1, 1]


def test_a_server_that_closes_after_each_message_loses_nothing(house: House, server: Scripted) -> None:
    server.script = {".": f"250 taken{DROP}"}
    for hours in range(4):
        house.work(INVITED + hours * HOUR)
    assert found(house) == ["sent"] * 3
    assert server.taken == Counter(EMAILS)


def test_a_quota_that_is_used_up_fails_nobody_and_the_rest_goes_when_it_is_lifted(
    house: House, server: Scripted
) -> None:
    server.script = {"MAIL": "550 5.7.1 sending quota of this account exceeded"}
    # More often than attempts are counted.
    for _ in range(13):
        house.work()
        house.clock.at += HOUR
    assert found(house) == ["pending"] * 3
    server.script = {}
    house.work()
    assert found(house) == ["sent"] * 3
    assert server.taken == Counter(EMAILS)


@pytest.mark.parametrize("said", [b"wat\r\n", b"250" + b"-" * 50_000, b"\x00\xff\r\n", b"250-a\r\n251 b\r\n"])
def test_nonsense_is_unknown_after_the_final_dot_and_tried_again_before_it(
    house: House, server: Scripted, said: bytes
) -> None:
    server.script = {
        "RCPT": [said, "250 fine"],
        ".": [said, "250 taken"],
    }
    house.work()
    house.work(INVITED + HOUR)
    house.work(INVITED + DAY)
    assert sorted(found(house)) == ["sent", "sent", "unknown"]
    assert set(seen(server).values()) == {1}


def test_replies_in_pieces_and_of_many_lines(house: House, server: Scripted) -> None:
    server.trickling = True
    several = b"250-2.1.0 this\r\n250-2.1.0 and that\r\n250 2.1.0 fine\r\n"
    server.script = {"MAIL": several, "RCPT": several, "DATA": b"354-go\r\n354 on\r\n", ".": several}
    house.work()
    assert found(house) == ["sent"] * 3
    assert set(seen(server).values()) == {1}
    assert server.connections == 1


def test_a_word_that_is_long_in_coming_is_waited_for(house: House, server: Scripted, full: bool) -> None:
    def after_a_minute(heard: Heard) -> str:
        server.over.wait(60 if full and heard.recipient == EMAILS[1] else 0)
        return f"{SLOWLY}250 taken"

    server.script = {".": after_a_minute}
    house.work()
    assert found(house) == ["sent"] * 3
    assert server.taken == Counter(EMAILS)
    assert set(seen(server).values()) == {1}


def test_a_drain_finishes_what_is_in_data_and_leaves_the_rest(house: House, server: Scripted) -> None:
    server.script = {".": f"{HELD}250 taken"}
    ids = house.tick()
    working = threading.Thread(target=house.postroom.deliver, args=(ids,))
    working.start()
    until(server.held.is_set, "the first message to be whole")
    house.postroom.stop()
    # It cannot end before the server's word, which is held back here.
    assert working.is_alive()
    assert len(server.messages) == 1
    server.go.set()
    working.join(PATIENCE)
    assert not working.is_alive()
    assert sorted(found(house)) == ["pending", "pending", "sent"]
    assert server.taken.total() == len(server.messages) == 1
    assert sorted(attempts(house)) == [0, 0, 1]
