"""PostgreSQL: who waits for a row that another transaction has, what they find then, and who goes past it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlmodel import col

from events_service import claims, leases, personal_data
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import CampaignStep, Delivery, Person
from events_service.domain.delivery import HELD_BY_ORGANISER
from events_service.errors import DatabaseError
from events_service.outbox import ROWS
from schedules import ticks
from tests.faults.test_databases import in_thread, until_one_waits
from tests.ledger import INVITED, House, row_of, run_out, started, states
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
        claims.claim(session, ids, "w", INVITED, 120)
        id = row_of(session, "invitation", ADA).id or 0

    def fence() -> frozenset[int]:
        with house.database.write() as session:
            return leases.fence(session, [id], "w", INVITED, {}, 660)

    with house.database.write() as session:
        personal_data.erase(session, ADA, INVITED)
        thread, came = in_thread(fence)
        until_one_waits(house.database, lambda: bool(came))
    thread.join(PATIENCE)
    assert came == [frozenset()]
    with house.database.read() as session:
        row = session.get_one(Delivery, id)
    assert (row.state, row.last_error) == ("cancelled", "the person was erased")


def test_a_worker_that_is_frozen_keeps_no_tick_waiting(house: House) -> None:
    """Between a write and its commit it has its rows; what else there is to sweep, hold, release and expire is done."""
    ids = house.tick()
    with house.database.write() as session:
        claims.claim(session, ids, "w", INVITED, 120)
        run_out(session)
        for step, values in {
            "reminder-1": {"state": "held", "hold_reason": HELD_BY_ORGANISER},
            "reminder-2": {"expires_at": INVITED},
            "joining": {"late_at": INVITED},
        }.items():
            session.execute(sa.update(ROWS).where(ROWS.c.step == step).values(**values))
        session.execute(sa.update(CampaignStep).where(col(CampaignStep.key) == "joining").values(on_late="ask"))
        before = states(session)
    with house.database.write() as frozen:
        ada = sa.select(col(Person.id)).where(col(Person.email) == ADA).scalar_subquery()
        frozen.execute(sa.select(ROWS.c.id).where(ROWS.c.person_id == ada).with_for_update())
        house.tick()
        with house.database.read() as session:
            after = states(session)
    expected = {"invitation": "pending", "reminder-1": "pending", "reminder-2": "expired", "joining": "held"}
    assert after == before | {f"{step} bob": state for step, state in expected.items()}


def test_a_tick_waits_for_no_lock_for_ever(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticks, "_LOCK_SECONDS", 0.05)
    with house.database.write() as other:
        other.connection().exec_driver_sql("LOCK TABLE delivery IN EXCLUSIVE MODE")
        thread, came = in_thread(house.tick)
        thread.join(PATIENCE)
        assert [type(error) for error in came] == [DatabaseError]
    assert len(house.tick()) == len(NAMES)
