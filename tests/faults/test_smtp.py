"""A real SMTP server in a thread, that does what its script says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from events_service.config import Settings
from events_service.db.session import Database
from events_service.mail.smtp import Smtp
from events_service.postroom import Postroom
from tests.ledger import INVITED, House, row_of, started, states

NAMES = ("ada", "bob", "cem")
EMAILS = tuple(f"{name}@example.org" for name in NAMES)
TAKEN = "250 taken"


class Script:
    """What the server says; `data` is asked for each message, `rcpt` for each recipient."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.mail = "250 OK"
        self.rcpt: Callable[[str], str] = lambda address: "250 OK"
        self.data: Callable[[str, int], str] = lambda address, time: TAKEN

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: SmtpSession, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.mail

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: SmtpSession, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.rcpt(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        [address] = envelope.rcpt_tos
        self.asked[address] += 1
        answer = self.data(address, self.asked[address])
        if answer in (TAKEN, "drop"):
            self.taken[address] += 1
        if answer == "drop" and server.transport is not None:
            server.transport.abort()
            await asyncio.sleep(0)
        return answer


class OnAnyPort(Controller):
    """A controller that keeps the port it got."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def house(emptied: Database, settings: Settings, script: Script) -> Iterator[House]:
    """Three invitations that are due, and a server to send them to."""
    controller = OnAnyPort(script, hostname="127.0.0.1", port=0)
    controller.start()
    house = House(emptied, settings, INVITED)
    port = controller.port
    # Its pauses go by the same clock, so that nobody waits for them.
    mail = Smtp("127.0.0.1", port, "smtp", timeout=20, monotonic=lambda: house.clock().timestamp())
    house.postroom = Postroom(emptied, settings, mail, house.clock)
    with emptied.write() as session:
        started(session, *EMAILS)
    yield house
    mail.close()
    controller.stop()


def found(house: House) -> list[str]:
    with house.database.read() as session:
        return [states(session)[f"invitation {name}"] for name in NAMES]


def test_dropped_after_the_final_dot_is_unknown_and_never_sent_again(house: House, script: Script) -> None:
    script.data = lambda address, time: "drop" if address == EMAILS[1] else TAKEN
    house.work()
    assert found(house) == ["sent", "unknown", "sent"]
    house.work(INVITED + timedelta(days=1))
    assert script.taken == Counter(EMAILS)


def test_busy_twice_then_taken_comes_with_growing_gaps(house: House, script: Script) -> None:
    script.data = lambda address, time: TAKEN if time > 2 else "451 try later"
    gaps = []
    for _ in range(2):
        house.work()
        with house.database.read() as session:
            next_at = row_of(session, "invitation").next_at
        gaps.append(next_at - house.clock())
        house.clock.at += timedelta(hours=1)
    house.work()
    assert found(house) == ["sent"] * 3
    assert script.taken == Counter(EMAILS)
    assert gaps[1] > gaps[0] * 1.5


def test_no_such_user_fails_and_is_never_tried_again(house: House, script: Script) -> None:
    script.rcpt = lambda address: "550 no such user" if address == EMAILS[0] else "250 OK"
    script.data = lambda address, time: "554 refused" if address == EMAILS[2] else TAKEN
    house.work()
    assert found(house) == ["failed", "sent", "failed"]
    house.work(INVITED + timedelta(days=1))
    assert script.taken == Counter(EMAILS[1:2])
    with house.database.read() as session:
        codes = [row_of(session, "invitation", email).last_code for email in EMAILS]
    assert codes == [550, None, 554]


def test_a_server_that_closes_loses_nothing(house: House, script: Script) -> None:
    script.rcpt = lambda address: "421 closing" if script.asked.total() < 1 and address == EMAILS[0] else "250 OK"
    house.work()
    house.work(INVITED + timedelta(hours=1))
    assert found(house) == ["sent"] * 3
    assert script.taken == Counter(EMAILS)


def test_a_quota_that_is_used_up_fails_nobody_and_the_rest_goes_when_it_is_lifted(house: House, script: Script) -> None:
    script.mail = "550 5.7.1 sending quota of this account exceeded"
    for _ in range(15):
        house.work()
        house.clock.at += timedelta(hours=1)
    assert found(house) == ["pending"] * 3
    script.mail = "250 OK"
    house.work()
    assert found(house) == ["sent"] * 3
    assert script.taken == Counter(EMAILS)
