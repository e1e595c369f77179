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
    """A list with a limit that skips locked rows is another each time that a plan makes it; as a CTE it is kept.

    Once for each priority.
    """
    said: list[str] = []
    sa.event.listen(postgres_database.engine, "before_cursor_execute", lambda *words: said.append(words[2]))
    with postgres_database.write() as session:
        doorbell.ring_due(session, NOW, limit=2, again_after=HOUR)
    assert [one.startswith("WITH due AS MATERIALIZED") for one in said if "UPDATE delivery" in one] == [True, True]


def test_what_somebody_waits_for_is_named_before_what_is_older(session: Session) -> None:
    old, waited_for, older, later = (
        post(session, one)[0]
        for one in (
            row(1, next_at=NOW - HOUR, priority=1),
            row(2, priority=0),
            row(3, next_at=NOW - 2 * HOUR, priority=1),
            row(4, priority=0, next_at=NOW + HOUR),
        )
    )
    assert doorbell.ring_due(session, NOW, limit=2, again_after=HOUR) == [waited_for, older]
    assert doorbell.ring_due(session, NOW, limit=9, again_after=None, priorities=[0]) == [waited_for]
    assert doorbell.ring_due(session, NOW, limit=9, again_after=None, priorities=[1]) == [older, old]
    assert doorbell.next_due(session) == NOW - 2 * HOUR
    assert doorbell.ring_due(session, NOW + HOUR, limit=9, again_after=None, priorities=[0]) == [waited_for, later]


def test_what_a_broker_did_not_take_is_rung_again_at_once(session: Session) -> None:
    [id, other, sending] = post(session, row(1), row(2), row(3, state="sending", rung_at=NOW))
    doorbell.ring_due(session, NOW, limit=9, again_after=HOUR)
    assert doorbell.forget_rings(session, [id, sending]) == 1
    assert doorbell.ring_due(session, NOW, limit=9, again_after=HOUR) == [id]
    assert (seen(session, sending).rung_at, seen(session, other).rung_at) == (NOW, NOW)


def test_a_clock_that_was_set_back_keeps_no_lost_ring_silent(session: Session) -> None:
    """A note from another scheduler's clock, a little ahead, stands; one from far ahead says nothing."""
    ids = post(session, row(1, rung_at=NOW + 24 * HOUR), row(2, rung_at=NOW + HOUR / 60))
    assert doorbell.ring_due(session, NOW, limit=9, again_after=HOUR) == ids[:1]
    assert doorbell.ring_due(session, NOW, limit=9, again_after=HOUR) == []


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
