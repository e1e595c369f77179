"""What the actors of a live process do when they are rung."""

from __future__ import annotations

import pytest

from events_service import attendees, events
from events_service.config import Settings
from events_service.db.session import Database
from tests.ledger import STARTED, House, given
from tests.processes import PATIENCE
from workers.broker import make_broker
from workers.lanes import Lanes
from workers.process import bells_for

NAMES = tuple(f"p{number}@example.org" for number in range(5))


@pytest.fixture
def house(emptied: Database, settings: Settings) -> House:
    """Five people who have just replied by link."""
    with emptied.write() as session:
        event = given(session, *NAMES)
        for name in NAMES:
            place = attendees.find(session, event, name)
            attendees.set_reply(session, place, "accepted", via="link", note="", now=STARTED)
        assert events.find(session, "munich").id == event.id
    return House(emptied, settings)


def test_one_ring_sends_all_that_somebody_waits_for(house: House) -> None:
    broker = make_broker("stub://")
    bells = bells_for(broker, house.settings, house.database, house.postroom)
    lanes = Lanes(broker, 1)
    try:
        # Each page rang once; the first ring found all five, the others find nothing.
        for number in range(5):
            bells.urgent([number])
        broker.join("urgent")  # type: ignore[attr-defined]
    finally:
        lanes.stop(PATIENCE)
    assert sorted(house.wire.recipients) == sorted(NAMES)
    assert house.wire.connections == 1
