"""Ticks with workers behind a broker: what they ring for, how much may wait, and what they do with the broker away."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from dramatiq.brokers.stub import StubBroker

from events_service import attendees, claims, events, outbox
from events_service.config import Settings
from events_service.db.session import Database
from events_service.errors import BrokerError
from events_service.outbox import ROWS
from events_service.postroom import Tally
from schedules import ticks
from schedules.beside import Beside
from schedules.ticks import live_tick
from tests.crowds import crowd
from tests.ledger import INVITED, House, run_out, started
from tests.processes import PATIENCE, until
from workers.actors import Bells, declare
from workers.broker import QUEUES, make_broker

SECOND = timedelta(seconds=1)
NAMES = tuple(f"p{number}@example.org" for number in range(6))


@pytest.fixture
def broker() -> StubBroker:
    """The broker in this process, with nobody at the other end."""
    made = make_broker("stub://")
    assert isinstance(made, StubBroker)
    return made


@pytest.fixture
def bells(broker: StubBroker) -> Bells:
    return declare(broker, lambda ids: Tally())


@pytest.fixture
def house(emptied: Database, settings: Settings) -> House:
    """Six invitations that are due at INVITED, two a message."""
    with emptied.write() as session:
        started(session, *NAMES)
    return House(emptied, settings.model_copy(update={"chunk_size": 2}), INVITED)


def rung(house: House) -> int:
    """How many rows are noted as rung for."""
    with house.database.read() as session:
        noted = sa.select(sa.func.count()).where(ROWS.c.rung_at.is_not(None))
        return int(session.connection().execute(noted).scalar_one())


def lengths(bells: Bells) -> dict[str, int]:
    return {queue: bells.waiting(queue) for queue in QUEUES}


def test_what_is_due_and_the_chores_each_go_to_their_queue(house: House, bells: Bells) -> None:
    with house.database.write() as session:
        place = attendees.find(session, events.find(session, "munich"), NAMES[0])
        attendees.set_reply(session, place, "accepted", via="link", note="", now=INVITED)
    done = live_tick(house.database, house.settings, bells, INVITED)
    assert done.rung == 7
    assert lengths(bells) == {"deliver": 3, "urgent": 1, "intake": 0, "plan": 1}


def test_what_waits_in_a_queue_is_not_rung_for_again_before_its_time(house: House, bells: Bells) -> None:
    assert live_tick(house.database, house.settings, bells, INVITED).rung == 6
    assert live_tick(house.database, house.settings, bells, INVITED + 119 * SECOND).rung == 0
    assert live_tick(house.database, house.settings, bells, INVITED + 120 * SECOND).rung == 6


def test_a_queue_that_was_lost_is_made_good_by_the_next_tick(house: House, broker: StubBroker, bells: Bells) -> None:
    live_tick(house.database, house.settings, bells, INVITED)
    broker.flush_all()
    assert live_tick(house.database, house.settings, bells, INVITED + SECOND).rung == 6
    assert bells.waiting("deliver") == 3


def test_a_day_without_a_worker_leaves_a_short_queue(
    sqlite_database: Database, settings: Settings, bells: Bells
) -> None:
    crowd(sqlite_database, 3 * ticks.MOST_WAITING, INVITED)
    one_by_one = settings.model_copy(update={"chunk_size": 1})
    counts = [
        live_tick(sqlite_database, one_by_one, bells, INVITED + minutes * 60 * SECOND).rung
        for minutes in (0, 1, 5, 60, 600, 1440)
    ]
    assert counts == [ticks.MOST_WAITING, 0, 0, 0, 0, 0]
    assert lengths(bells) == {"deliver": ticks.MOST_WAITING, "urgent": 0, "intake": 0, "plan": 1}


def test_a_tick_rings_in_batches_and_names_nothing_twice(
    emptied: Database, settings: Settings, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticks, "_BATCH", 40)
    crowd(emptied, 100, INVITED)
    named: list[int] = []
    told = replace(bells, deliver=named.extend)
    assert live_tick(emptied, settings, told, INVITED).rung == 100
    assert len(set(named)) == len(named) == 100


@pytest.mark.parametrize("url", ["amqp://guest:guest@127.0.0.1:1", "redis://127.0.0.1:1/0"])
def test_with_the_broker_away_the_ledger_is_swept_and_nobody_noted_as_rung_for(house: House, url: str) -> None:
    with house.database.write() as session:
        ids = sorted(session.connection().execute(sa.select(ROWS.c.id).where(ROWS.c.step == "invitation")).scalars())
        claims.claim(session, ids[:2], "lost", INVITED, 120)
        run_out(session)
    broker = make_broker(url)
    away = declare(broker, lambda ids: Tally())
    with pytest.raises(BrokerError):
        live_tick(house.database, house.settings, away, INVITED)
    assert rung(house) == 0
    # The two that a worker had are pending again, and the next tick with a broker names all six at once.
    healed = declare(make_broker("stub://"), lambda ids: Tally())
    assert live_tick(house.database, house.settings, healed, INVITED + SECOND).rung == 6


def test_what_a_broker_does_not_take_any_more_is_rung_for_by_the_next_tick(house: House, bells: Bells) -> None:
    taken: list[int] = []

    def goes_away(ids: Sequence[int]) -> None:
        if taken:
            raise BrokerError("the broker takes no message")
        taken.extend(ids)
        bells.deliver(ids)

    with pytest.raises(BrokerError):
        live_tick(house.database, house.settings, replace(bells, deliver=goes_away), INVITED)
    assert (len(taken), rung(house)) == (2, 2)
    assert live_tick(house.database, house.settings, bells, INVITED + SECOND).rung == 4


def test_chores_that_nobody_takes_are_done_by_the_tick(house: House, bells: Bells) -> None:
    """Somebody was told of the event while it was called off, and no worker takes what would find that out."""
    ids = list(house.tick())
    house.wire.after = lambda message: None if len(house.wire.taken) else _cancel(house)
    house.postroom.deliver(ids[:1])
    told = sum(row == "cancellation" for row in _purposes(house))
    assert live_tick(house.database, house.settings, bells, INVITED).materialised == 0
    done = live_tick(house.database, house.settings, bells, INVITED + SECOND)
    assert (told + done.materialised, bells.waiting("plan")) == (1, 1)


def _cancel(house: House) -> None:
    with house.database.write() as session:
        events.cancel(session, events.find(session, "munich"), "strike", INVITED)


def _purposes(house: House) -> list[str]:
    with house.database.read() as session:
        return list(session.connection().execute(sa.select(ROWS.c.purpose)).scalars())


def test_a_mailbox_is_looked_into_when_there_is_one_and_once_at_a_time(house: House, bells: Bells) -> None:
    live_tick(house.database, house.settings, bells, INVITED)
    assert bells.waiting("intake") == 0
    with_mailbox = house.settings.model_copy(update={"imap_url": "imaps://user:password@mail.example.org/INBOX"})
    for seconds in range(0, 100, 10):
        live_tick(house.database, with_mailbox, bells, INVITED + seconds * SECOND)
    assert bells.waiting("intake") == 1


def test_nothing_but_the_broker_is_asked_beside_a_tick(house: House, bells: Bells) -> None:
    """A database that keeps a tick waiting, as during a long import, is no broker that does not answer."""
    asked, rang = set[str](), set[str]()

    def here(*_: object) -> None:
        asked.add(threading.current_thread().name)

    def ring(ids: Sequence[int]) -> None:
        rang.add(threading.current_thread().name)

    engine = house.database.engine
    sa.event.listen(engine, "before_cursor_execute", here)
    try:
        told = replace(bells, deliver=ring)
        assert live_tick(house.database, house.settings, told, INVITED, Beside(PATIENCE)).rung == 6
    finally:
        sa.event.remove(engine, "before_cursor_execute", here)
    assert (asked, rang) == ({threading.current_thread().name}, {"beside"})


def test_what_a_broker_says_too_late_is_a_line_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    free, said = threading.Event(), list[str]()

    def fails() -> None:
        free.wait(3 * PATIENCE)
        raise BrokerError("the broker takes no message (ConnectionBlockedTimeout)")

    def logged() -> bool:
        said.append(capsys.readouterr().out)
        return "the broker failed an earlier tick" in "".join(said)

    beside = Beside(0.05)
    with pytest.raises(BrokerError, match=r"has not answered for 0\.05 seconds"):
        beside.do(fails)
    free.set()
    until(logged, "the line")
    assert "ConnectionBlockedTimeout" in "".join(said)
    until(lambda: _answers(beside), "another thing to be done")


def _answers(beside: Beside) -> bool:
    try:
        return beside.do(lambda: True)
    except BrokerError:
        return False


def test_a_broker_that_hangs_keeps_no_later_tick_from_the_sweep(house: House, bells: Bells) -> None:
    hung, free = threading.Event(), threading.Event()

    def hang(ids: Sequence[int]) -> None:
        hung.set()
        free.wait(3 * PATIENCE)

    hanging, beside = replace(bells, deliver=hang), Beside(0.2)
    try:
        with pytest.raises(BrokerError, match=r"has not answered for 0\.2 seconds"):
            live_tick(house.database, house.settings, hanging, INVITED, beside)
        assert hung.wait(PATIENCE)
        with house.database.write() as session:
            ids = sorted(
                session.connection().execute(sa.select(ROWS.c.id).where(ROWS.c.step == "invitation")).scalars()
            )
            assert len(claims.claim(session, ids[:2], "lost", INVITED, 120)) == 2
            run_out(session)
        assert rung(house) == 0
        with pytest.raises(BrokerError, match="still keeps an earlier tick waiting"):
            live_tick(house.database, house.settings, hanging, INVITED + SECOND, beside)
    finally:
        free.set()
    with house.database.read() as session:
        assert outbox.counts(session, ROWS.c.state == "sending") == {}
