"""PostgreSQL: who waits for a row that another transaction has, what they find then, and who goes past it."""

from __future__ import annotations

import pytest

from events_service import leases, personal_data
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Delivery
from tests.faults.test_databases import in_thread, until_one_waits
from tests.ledger import INVITED, House, row_of, started
from tests.processes import PATIENCE

NAMES = ("ada", "bob")
ADA = "ada@example.org"


@pytest.fixture
def house(postgres_database: Database, settings: Settings) -> House:
    """Two invitations that are due."""
    with postgres_database.write() as session:
        started(session, *(f"{name}@example.org" for name in NAMES))
    return House(postgres_database, settings, INVITED)


def test_a_fence_that_waits_for_an_erasure_lets_nothing_pass(house: House) -> None:
    ids = house.tick()
    with house.database.write() as session:
        leases.claim(session, ids, "w", INVITED, 120)
        id = row_of(session, "invitation", ADA).id or 0

    def fence() -> bool:
        with house.database.write() as session:
            return leases.fence(session, id, "w", INVITED, {}, 660)

    with house.database.write() as session:
        personal_data.erase(session, ADA, INVITED)
        thread, came = in_thread(fence)
        until_one_waits(house.database, lambda: bool(came))
    thread.join(PATIENCE)
    assert came == [False]
    with house.database.read() as session:
        row = session.get_one(Delivery, id)
    assert (row.state, row.last_error) == ("cancelled", "the person was erased")
