"""An event's walk through its states, whatever the order of commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, select

from events_service import events
from events_service.db.session import Database
from events_service.db.tables import Event, EventChange
from events_service.errors import ConflictError, RefusedError
from tests.planned import NOW, add, load

ALLOWED = {
    ("draft", "approved"),
    ("draft", "cancelled"),
    ("approved", "cancelled"),
    ("approved", "done"),
}
STATUS = {"draft": "TENTATIVE", "approved": "CONFIRMED", "done": "CONFIRMED", "cancelled": "CANCELLED"}

days = st.integers(min_value=0, max_value=900)
commands = st.one_of(
    st.just(("approve", 0)),
    st.just(("cancel", 0)),
    st.tuples(st.just("move"), days),
    st.tuples(st.just("wait"), st.integers(min_value=1, max_value=400)),
)


def shown(event: Event) -> tuple[datetime, datetime, str]:
    """What a calendar shows of it."""
    return event.starts, event.ends, STATUS[event.state]


def do(session: Session, event: Event, command: str, number: int, now: datetime) -> None:
    if command == "approve":
        events.approve(session, event, now)
    elif command == "cancel":
        events.cancel(session, event, "No budget.", now)
    elif command == "move":
        first = datetime(2023, 4, 3, 9, tzinfo=UTC) + timedelta(days=number)
        events.move(session, event, first, first + timedelta(days=1), now)
    events.finish_past(session, now)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(commands, max_size=8))
def test_states_follow_their_arrows_and_sequence_counts_what_calendars_show(
    sqlite_database: Database, walk: list[tuple[str, int]]
) -> None:
    now, changes = NOW, 0
    with sqlite_database.write(dry_run=True) as session:
        load(session)
        event = add(session)
        for command, number in walk:
            now += timedelta(days=number if command == "wait" else 0)
            before, state, sequence = shown(event), event.state, event.sequence
            try:
                do(session, event, command, number, now)
            except (ConflictError, RefusedError):
                assert (shown(event), event.state, event.sequence) == (before, state, sequence)
                continue
            arrow = (state, event.state)
            # An approval of what has ended is followed by done in the same breath.
            assert arrow[0] == arrow[1] or arrow in ALLOWED or arrow == ("draft", "done")
            assert event.sequence == sequence + (shown(event) != before)
            changes += shown(event) != before
        assert event.sequence == changes
        history = [change.action for change in session.exec(select(EventChange).order_by(EventChange.id))]
        assert history[0] == "added"
        assert len([action for action in history if action in ("approved", "moved", "cancelled")]) == changes
        assert len(history) == 1 + changes + (event.state == "done")


def test_the_walk_reaches_every_state(sqlite_database: Database) -> None:
    reached = set()
    for walk in ([], ["approve"], ["cancel"], ["approve", "cancel"], ["approve", "wait"]):
        with sqlite_database.write(dry_run=True) as session:
            load(session)
            event, now = add(session), NOW
            for command in walk:
                now += timedelta(days=400 if command == "wait" else 0)
                do(session, event, command, 0, now)
            reached.add(event.state)
    assert reached == set(STATUS)


def test_a_failed_command_can_be_followed_by_one_that_works(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        load(session)
        event = add(session)
        with pytest.raises(RefusedError):
            events.approve(session, event, NOW, ["outside-programme"], "Why not.")
        assert events.approve(session, event, NOW).state == "approved"
