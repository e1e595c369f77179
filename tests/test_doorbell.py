from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from events_service import doorbell
from events_service.db.session import Database
from tests.test_outbox import HOUR, NOW, post, row, seen


@pytest.fixture
def session(rolled_back: Session) -> Session:
    return rolled_back


def test_the_bell_names_due_rows_the_oldest_first_and_not_too_many(session: Session) -> None:
    rows = [row(n, next_at=NOW - n * HOUR) for n in range(5)] + [row(5, next_at=NOW + HOUR), row(6, state="held")]
    ids = post(session, *rows)
    assert doorbell.ring_due(session, NOW, limit=3, again_after=HOUR) == [ids[4], ids[3], ids[2]]
    assert doorbell.ring_due(session, NOW, limit=3, again_after=HOUR) == [ids[1], ids[0]]
    assert doorbell.ring_due(session, NOW + HOUR / 2, limit=3, again_after=HOUR) == []
    assert doorbell.ring_due(session, NOW + HOUR, limit=9, again_after=HOUR) == [*reversed(ids[:5]), ids[5]]


def test_the_bells_list_is_made_once(postgres_database: Database) -> None:
    """A list with a limit that skips locked rows is another each time that a plan makes it; as a CTE it is kept."""
    said: list[str] = []
    sa.event.listen(postgres_database.engine, "before_cursor_execute", lambda *words: said.append(words[2]))
    with postgres_database.write() as session:
        doorbell.ring_due(session, NOW, limit=2, again_after=HOUR)
    assert [one.startswith("WITH due AS MATERIALIZED") for one in said if "UPDATE delivery" in one] == [True]


def test_what_was_rung_and_never_claimed_is_rung_again_at_once_when_the_queue_is_gone(session: Session) -> None:
    [id, other] = post(session, row(1), row(2, state="sending", rung_at=NOW))
    doorbell.ring_due(session, NOW, limit=9, again_after=HOUR)
    assert doorbell.forget_rings(session) == 1
    assert doorbell.ring_due(session, NOW, limit=9, again_after=HOUR) == [id]
    assert seen(session, other).rung_at == NOW


def test_next_due_is_the_first_of_what_waits(session: Session) -> None:
    assert doorbell.next_due(session) is None
    post(session, row(1, next_at=NOW + HOUR), row(2, next_at=NOW + 2 * HOUR), row(3, state="sent"))
    assert doorbell.next_due(session) == NOW + HOUR


def test_two_schedulers_never_ring_for_the_same_row(postgres_database: Database) -> None:
    with postgres_database.write() as session:
        ids = post(session, row(1), row(2), row(3))
    with postgres_database.write() as first, postgres_database.write() as second:
        assert doorbell.ring_due(first, NOW, limit=2, again_after=HOUR) == ids[:2]
        assert doorbell.ring_due(second, NOW, limit=9, again_after=HOUR) == ids[2:]
