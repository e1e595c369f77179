from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from events_service import claims, events
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Delivery, Event
from schedules.scheduler import start_scheduler
from schedules.service import LocalQueue
from schedules.ticks import Ticked, tick
from tests.ledger import INVITED, House, hold_reviews, open_gate, row_of, run_out, started, states

EMAILS = tuple(f"{name}@example.org" for name in ("ada", "bob", "cem"))


@pytest.fixture
def house(emptied: Database, settings: Settings) -> House:
    """Three people, invited at INVITED."""
    with emptied.write() as session:
        started(session, *EMAILS)
    return House(emptied, settings)


def ticked(house: House, now: object, dry_run: bool = False) -> tuple[Ticked, list[list[int]]]:
    rung: list[list[int]] = []
    small = house.settings.model_copy(update={"chunk_size": 2})
    return tick(house.database, small, lambda ids: rung.append(list(ids)), now, dry_run=dry_run), rung  # type: ignore[arg-type]


def test_at_the_due_instant_it_rings_in_chunks_and_not_a_moment_before(house: House) -> None:
    assert ticked(house, INVITED - timedelta(microseconds=1)) == (Ticked(0, 0, 0, 0, 0, 0, 0), [])
    done, rung = ticked(house, INVITED)
    assert (done.rung, [len(chunk) for chunk in rung]) == (3, [2, 1])
    assert ticked(house, INVITED + timedelta(seconds=119))[0].rung == 0
    assert ticked(house, INVITED + timedelta(seconds=120))[0].rung == 3


def test_a_dry_run_says_what_it_would_do_and_does_nothing(house: House) -> None:
    done, rung = ticked(house, INVITED, dry_run=True)
    assert (done.rung, rung) == (3, [])
    assert ticked(house, INVITED)[0].rung == 3


def test_the_bell_rings_when_its_note_is_kept(house: House) -> None:
    """A worker that is as quick as the bell finds the rows, and they stay as it leaves them."""
    house.clock.at = INVITED
    tick(house.database, house.settings, house.postroom.deliver, INVITED)
    assert sorted(house.wire.recipients) == list(EMAILS)
    with house.database.read() as session:
        assert {state for step, state in states(session).items() if step.startswith("invitation")} == {"sent"}


def test_without_a_worker_to_ring_nothing_is_noted(house: House) -> None:
    assert tick(house.database, house.settings, None, INVITED).rung == 0
    assert ticked(house, INVITED)[0].rung == 3


def test_a_tick_finds_what_its_worker_left(house: House) -> None:
    _done, rung = ticked(house, INVITED)
    with house.database.write() as session:
        claims.claim(session, rung[0], "lost", INVITED, 120)
        run_out(session)
    done, again = ticked(house, INVITED + timedelta(seconds=1))
    assert (done.swept, done.rung) == (2, 2)
    assert sorted(id for chunk in again for id in chunk) == sorted(rung[0])


def test_what_a_gate_holds_is_not_rung_for_and_what_it_releases_is_at_once(house: House) -> None:
    with house.database.write() as session:
        open_gate(session, "review-12")
    assert ticked(house, INVITED)[0].rung == 0
    with house.database.write() as session:
        assert row_of(session, "invitation").state == "held"
        hold_reviews(session, "review-12")
    done, _rung = ticked(house, INVITED)
    assert (done.released, done.rung) == (12, 3)


def test_what_is_too_late_is_closed_before_the_bell(house: House) -> None:
    done, rung = ticked(house, INVITED + timedelta(days=60))
    assert (done.expired, done.rung, rung) == (12, 0, [])
    with house.database.read() as session:
        assert set(states(session).values()) == {"expired"}


def test_an_event_that_has_ended_is_done(house: House) -> None:
    with house.database.read() as session:
        ends = session.exec(select(Event.ends)).one()
    assert ticked(house, ends - timedelta(microseconds=1))[0].finished == 0
    assert ticked(house, ends)[0].finished == 1
    assert ticked(house, ends)[0].finished == 0


def test_a_cancellation_is_written_for_who_was_told_meanwhile(house: House) -> None:
    _done, rung = ticked(house, INVITED)
    house.clock.at = INVITED
    house.wire.after = lambda message: _cancel(house) if message.recipient == "ada@example.org" else None
    house.postroom.deliver(rung[0][:1])
    done, _rung = ticked(house, INVITED)
    with house.database.read() as session:
        told = session.exec(select(Delivery).where(Delivery.purpose == "cancellation")).all()
    # Its worker had claimed that one alone when the event was called off, and that counts as told.
    assert (done.materialised, len(told), done.rung) == (0, 1, 1)


def _cancel(house: House) -> None:
    with house.database.write() as session:
        events.cancel(session, events.find(session, "munich"), "strike", INVITED)


def test_the_queue_in_this_process_delivers_and_counts(house: House) -> None:
    house.clock.at = INVITED
    queue = LocalQueue(house.postroom, threads=2)
    try:
        assert tick(house.database, house.settings, queue.ring, INVITED).rung == 3
        queue.drain()
        assert queue.tally.sent == 3
    finally:
        queue.stop()


def test_the_scheduler_ticks_at_once_and_outlives_a_failure() -> None:
    from threading import Event as Flag

    from events_service.errors import DatabaseError

    thrice, count = Flag(), []

    def fails() -> None:
        count.append(1)
        if len(count) == 3:
            thrice.set()
        raise DatabaseError("database: is locked")

    scheduler = start_scheduler(fails, 0.01)
    try:
        assert thrice.wait(20)
    finally:
        scheduler.shutdown(wait=True)
