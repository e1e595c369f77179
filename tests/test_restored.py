"""A backup made in the middle of a campaign is restored after the rest went: nobody gets a second message."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from events_service import campaigns, deliveries, events, feeds, heartbeat, leases, restored
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import FeedContent, Heartbeat
from events_service.domain.delivery import HELD_IN_DOUBT
from events_service.errors import ConflictError, UsageError
from events_service.outbox import ROWS
from tests.ledger import INVITED, House, row_of, started, states

NAMES = ("ada", "bob", "cem", "dee", "eve", "fay")
DAY, HOUR, TICK = timedelta(days=1), timedelta(hours=1), timedelta(seconds=10)
Restore = Callable[[], None]


@pytest.fixture
def back_up(database: Database, tmp_path: Path) -> Callable[[], Restore]:
    """`back_up()` copies the database as it is; what it returns puts the copy in its place."""
    return lambda: _back_up_sqlite(database, tmp_path) if database.is_sqlite else _back_up_postgres(database)


def _back_up_sqlite(database: Database, tmp_path: Path) -> Restore:
    copy, live = tmp_path / "backup.db", Path(database.url.database or "")
    with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)

    def restore() -> None:
        database.dispose()
        for path in live.parent.glob(f"{live.name}-*"):
            path.unlink()
        live.write_bytes(copy.read_bytes())

    return restore


def _back_up_postgres(database: Database) -> Restore:
    name = str(database.url.database)
    copy = f"{name}_copy"

    def put(source: str, target: str) -> None:
        database.dispose()
        server = database.url.set(drivername="postgresql", database="postgres")
        with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            connection.execute(drop.format(sql.Identifier(target)))
            connection.execute(make.format(sql.Identifier(target), sql.Identifier(source)))
            if target == name:
                connection.execute(drop.format(sql.Identifier(copy)))

    put(name, copy)
    return lambda: put(copy, name)


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    """Six invitations that are due, and a live scheduler's heartbeat."""
    with database.write() as session:
        started(session, *(f"{name}@example.org" for name in NAMES))
    heartbeat.begin(database, settings, INVITED)
    return House(database, settings, INVITED)


def half_sent_then_all(house: House, back_up: Callable[[], Restore]) -> Restore:
    """Three go, two more are claimed and one of these is in DATA; a backup is made; then everything goes."""
    ids = list(house.tick())
    house.postroom.deliver(ids[:3])
    with house.database.write() as session:
        leases.claim(session, ids[3:5], "a worker", INVITED, 120)
        assert leases.fence(session, ids[3], "a worker", INVITED, {}, 660)
    restore = back_up()
    with house.database.write() as session:
        leases.give_back(session, "a worker", INVITED)
        assert leases.settle_sent(session, ids[3], "a worker", INVITED)
    house.work(INVITED + HOUR)
    assert len(house.wire.taken) == 5
    heartbeat.begin(house.database, house.settings, INVITED + HOUR)
    return restore


def of_step(house: House, step: str) -> dict[str, str]:
    with house.database.read() as session:
        return {who.split()[1]: state for who, state in states(session).items() if who.startswith(step)}


def test_what_may_have_gone_is_held_and_nobody_gets_it_twice(house: House, back_up: Callable[[], Restore]) -> None:
    half_sent_then_all(house, back_up)()
    house.clock.at = INVITED + DAY
    with house.database.write() as session:
        done = restored.doubt(session, house.settings, None, house.clock.at)
    assert (done["held"], done["unknown"], done["expired"]) == (2, 1, 0)
    assert (done["backup"], done["until"]) == (INVITED, INVITED + HOUR + 2 * TICK)
    assert done["events"] == [{"event": "munich", "held": 2, "unknown": 1}]
    before = len(house.wire.taken)
    house.run(INVITED + 3 * DAY)
    assert len(house.wire.taken) == before
    invitations = of_step(house, "invitation")
    assert sorted(invitations.values()) == ["held", "held", "sent", "sent", "sent", "unknown"]
    with house.database.read() as session:
        held = [row_of(session, "invitation", f"{name}@example.org") for name in NAMES]
        assert {row.hold_reason for row in held if row.state == "held"} == {HELD_IN_DOUBT}


def test_what_came_due_while_it_was_down_goes(house: House, back_up: Callable[[], Restore]) -> None:
    """The reminder of 30 August had not come due when the database was lost, and a day later its grace is not over."""
    half_sent_then_all(house, back_up)()
    due = INVITED + 20 * DAY
    house.clock.at = due + DAY
    with house.database.write() as session:
        restored.doubt(session, house.settings, None, house.clock.at)
    assert sorted(house.work()) == [f"reminder-1 {name}" for name in NAMES]


def test_nothing_that_expired_goes_out(house: House, back_up: Callable[[], Restore]) -> None:
    half_sent_then_all(house, back_up)()
    house.clock.at = INVITED + 200 * DAY
    with house.database.write() as session:
        done = restored.doubt(session, house.settings, None, house.clock.at)
        # Two invitations in doubt, three later steps for six people.
        assert (done["held"], done["expired"]) == (0, 2 + 3 * 6)
    before = len(house.wire.taken)
    assert house.work() == []
    assert len(house.wire.taken) == before


def test_a_tick_that_finds_it_set_back_does_so_by_itself(
    house: House, back_up: Callable[[], Restore], capsys: pytest.CaptureFixture[str]
) -> None:
    restore = half_sent_then_all(house, back_up)
    assert not restored.notice(house.database, house.settings, INVITED + HOUR)
    restore()
    assert restored.notice(house.database, house.settings, INVITED + DAY)
    assert "what may have gone since it was made is held" in capsys.readouterr().out
    assert not restored.notice(house.database, house.settings, INVITED + DAY)
    assert sorted(of_step(house, "invitation").values()) == ["held", "held", "sent", "sent", "sent", "unknown"]
    with house.database.read() as session:
        found = session.get_one(Heartbeat, 1)
        assert (found.restored_from, found.restored_at, found.begun_at) == (INVITED, *2 * (INVITED + DAY,))
    heartbeat.begin(house.database, house.settings, INVITED + DAY)
    assert not restored.notice(house.database, house.settings, INVITED + 2 * DAY)


def test_another_database_in_the_same_folder_is_not_taken_for_a_restored_one(house: House) -> None:
    heartbeat.begin(house.database, house.settings, INVITED + DAY)
    with house.database.write() as session:
        session.execute(sa.update(Heartbeat).values(lineage="another", begun_at=INVITED))
    assert not restored.notice(house.database, house.settings, INVITED + DAY)
    for text in ("", "another", "another yesterday", "another 2030-01-01T00:00"):
        (house.settings.data_dir / "heartbeat").write_text(text)
        assert not restored.notice(house.database, house.settings, INVITED + DAY)


def test_a_clock_that_was_set_back_is_no_restore(house: House) -> None:
    heartbeat.begin(house.database, house.settings, INVITED + DAY)
    heartbeat.begin(house.database, house.settings, INVITED)
    assert not restored.notice(house.database, house.settings, INVITED)
    with house.database.read() as session:
        assert session.get_one(Heartbeat, 1).begun_at == INVITED + DAY


def test_a_folder_that_cannot_be_written_stops_no_tick(
    house: House, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.data_dir / "heartbeat").unlink()
    (settings.data_dir / "heartbeat").mkdir()
    heartbeat.begin(house.database, settings, INVITED + DAY)
    assert "the heartbeat cannot be kept" in capsys.readouterr().out
    with house.database.read() as session:
        assert session.get_one(Heartbeat, 1).begun_at == INVITED + DAY


def test_doing_it_again_changes_nothing_more(house: House, back_up: Callable[[], Restore]) -> None:
    half_sent_then_all(house, back_up)()
    until, now = INVITED + HOUR, INVITED + DAY
    with house.database.write() as session:
        restored.doubt(session, house.settings, until, now)
        again = restored.doubt(session, house.settings, until, now + HOUR)
    assert (again["held"], again["unknown"], again["expired"]) == (0, 0, 0)
    with house.database.write() as session:
        campaigns.release(session, events.find(session, "munich"), now)
        # What an organiser let go of is theirs to answer for.
        assert restored.doubt(session, house.settings, until, now + HOUR)["held"] == 0
    with house.database.read() as session, pytest.raises(UsageError, match="is to come"):
        restored.doubt(session, house.settings, now + HOUR, now)


def test_an_organiser_lets_it_go_or_says_that_it_went(house: House, back_up: Callable[[], Restore]) -> None:
    half_sent_then_all(house, back_up)()
    now = house.clock.at = INVITED + DAY
    with house.database.write() as session:
        restored.doubt(session, house.settings, None, now)
        held = [id for id, state in session.execute(sa.select(ROWS.c.id, ROWS.c.state)) if state == "held"]
        assert deliveries.settle(session, held[0], "arrived", now)["state"] == "sent"
        event = events.find(session, "munich")
        assert campaigns.release(session, event, now) == 1
        with pytest.raises(ConflictError):
            campaigns.release(session, event, now)
    assert [who.split()[0] for who in house.work()] == ["invitation"]
    with house.database.write() as session:
        [settled] = deliveries.settle_event(session, events.find(session, "munich"), "arrived", now)
        assert settled["state"] == "sent"
    assert set(of_step(house, "invitation").values()) == {"sent"}


def test_what_else_held_it_holds_it_again_when_it_is_let_go(house: House, back_up: Callable[[], Restore]) -> None:
    """The organiser held the campaign when the backup was made, and let it go afterwards."""
    with house.database.write() as session:
        campaigns.hold(session, events.find(session, "munich"), INVITED)
    restore = back_up()
    with house.database.write() as session:
        campaigns.release(session, events.find(session, "munich"), INVITED)
    assert len(house.work(INVITED + HOUR)) == 6
    heartbeat.begin(house.database, house.settings, INVITED + HOUR)
    restore()
    assert restored.notice(house.database, house.settings, INVITED + DAY)
    assert house.work(INVITED + DAY) == []
    with house.database.write() as session:
        assert row_of(session, "invitation").hold_reason == HELD_IN_DOUBT
        assert row_of(session, "joining").hold_reason == "organiser"
        ids = [row_of(session, "invitation", f"{name}@example.org").id or 0 for name in NAMES]
        for id in ids:
            deliveries.settle(session, id, "lost", INVITED + DAY)
    assert house.work(INVITED + DAY) == []
    with house.database.read() as session:
        assert row_of(session, "invitation").hold_reason == "organiser"


def test_those_who_may_have_been_invited_are_told_of_a_cancellation(
    house: House, back_up: Callable[[], Restore]
) -> None:
    half_sent_then_all(house, back_up)()
    with house.database.write() as session:
        restored.doubt(session, house.settings, None, INVITED + DAY)
        events.cancel(session, events.find(session, "munich"), "strike", INVITED + DAY)
    assert sorted(house.work(INVITED + DAY)) == [f"cancellation {name}" for name in NAMES]


def test_readers_of_a_feed_are_given_it_anew(house: House, back_up: Callable[[], Restore]) -> None:
    with house.database.write() as session:
        feeds.create(session, "organiser", "", INVITED)
    feeds.rebuild_stale(house.database, INVITED)
    restore = back_up()
    with house.database.write() as session:
        event = events.find(session, "munich")
        event.title = "Lost again"
        feeds.touch_event(session, event, INVITED + HOUR)
    feeds.rebuild_stale(house.database, INVITED + HOUR)
    with house.database.read() as session:
        later = session.execute(sa.select(FeedContent.changed_at)).scalar_one()
    heartbeat.begin(house.database, house.settings, INVITED + HOUR)
    restore()
    assert restored.notice(house.database, house.settings, INVITED + DAY)
    with house.database.read() as session:
        content = session.execute(sa.select(FeedContent)).scalar_one()
    assert content.changed_at > later and content.stale_at is None
    assert b"Lost again" not in content.body
