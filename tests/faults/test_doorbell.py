"""Doorbells lost, repeated, late: the ledger is the truth."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from events_service.config import Settings
from events_service.db.session import Database
from tests.ledger import INVITED, House, started


@pytest.fixture
def house(emptied: Database, settings: Settings) -> House:
    with emptied.write() as session:
        started(session, *(f"p{number}@example.org" for number in range(20)))
    return House(emptied, settings, INVITED)


def test_every_doorbell_five_times_at_once(house: House) -> None:
    ids = house.tick()
    threads = [threading.Thread(target=house.postroom.deliver, args=(ids,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(house.wire.taken) == len(set(house.wire.recipients)) == 20


def test_no_doorbell_at_all(house: House) -> None:
    assert len(house.tick()) == 20
    # Nobody heard it. A sweep later it is rung again, and a worker that looks for itself finds the same.
    house.clock.at += timedelta(seconds=house.settings.ring_again_seconds)
    assert len(house.work()) == 20


def test_a_doorbell_for_what_is_not_there(house: House) -> None:
    assert house.postroom.deliver([987654321]).sent == 0
    assert house.postroom.deliver([]).sent == 0
