"""A backup made in the middle of a campaign is restored after the rest went: nobody gets a second message."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from sqlmodel import Session, SQLModel

from events_service import campaigns, claims, deliveries, events, feeds, heartbeat, leases, restored
from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.db.tables import Attendee, DataFolder, FeedContent, Heartbeat
from events_service.domain.delivery import HELD_IN_DOUBT
from events_service.errors import ConflictError, UsageError
from events_service.outbox import ROWS
from tests.ledger import INVITED, House, invite, row_of, started, states
from tests.served import served

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
        claims.claim(session, ids[3:5], "a worker", INVITED, 120)
        assert leases.fence(session, ids[3:4], "a worker", INVITED, {}, 660)
    restore = back_up()
    with house.database.write() as session:
        leases.give_back(session, ids, "a worker", INVITED)
        assert leases.settle_sent(session, ids[3:4], "a worker", INVITED)
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


def note_file(house: House) -> Path:
    """The data folder's note of this database."""
    [file] = house.settings.data_dir.glob("heartbeat.*")
    return file


def test_another_database_in_the_same_folder_is_not_taken_for_a_restored_one(
    house: House, back_up: Callable[[], Restore], tmp_path: Path
) -> None:
    """Each has a file of its own, so that neither hides what the other's says."""
    restore = back_up()
    heartbeat.begin(house.database, house.settings, INVITED + HOUR)
    other = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    for _ in range(5):
        assert not restored.notice(other, house.settings, INVITED + DAY)
        heartbeat.begin(other, house.settings, INVITED + DAY)
    other.dispose()
    assert not restored.notice(house.database, house.settings, INVITED + DAY)
    restore()
    assert restored.notice(house.database, house.settings, INVITED + DAY)


@pytest.mark.parametrize(
    "text", ["", "folder", "folder 9", "folder nine 2030-01-01T00:00Z", "folder 9 2030-01-01T00:00"]
)
def test_a_note_that_cannot_be_read_says_nothing(house: House, text: str) -> None:
    note_file(house).write_text(text)
    assert not restored.notice(house.database, house.settings, INVITED + DAY)
    heartbeat.begin(house.database, house.settings, INVITED + DAY)
    assert len(note_file(house).read_text().split()) == 3
    assert list(house.settings.data_dir.glob(".heartbeat*")) == []


@pytest.mark.parametrize("first", [["elsewhere"], ["new"], ["elsewhere", "new"]])
def test_no_other_machine_hides_that_it_was_set_back(
    house: House, back_up: Callable[[], Restore], tmp_path: Path, first: list[str]
) -> None:
    """One ran before the backup and one never did; both tick often before the machine that knows."""
    elsewhere = house.settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    heartbeat.begin(house.database, elsewhere, INVITED)
    restore = half_sent_then_all(house, back_up)
    restore()
    for name in first:
        settings = house.settings.model_copy(update={"data_dir": tmp_path / name})
        for number in range(5):
            assert not restored.notice(house.database, settings, INVITED + DAY)
            heartbeat.begin(house.database, settings, INVITED + DAY + number * TICK)
    assert restored.notice(house.database, house.settings, INVITED + 2 * DAY)
    assert sorted(of_step(house, "invitation").values()) == ["held", "held", "sent", "sent", "sent", "unknown"]


def test_what_either_of_two_machines_may_have_sent_is_held(
    house: House, back_up: Callable[[], Restore], tmp_path: Path
) -> None:
    """A worker's machine lived for longer than the first to notice, until after the reminders had come due."""
    elsewhere = house.settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    restore = half_sent_then_all(house, back_up)
    heartbeat.begin(house.database, elsewhere, INVITED + 20 * DAY + HOUR)
    restore()
    now = INVITED + 20 * DAY + 2 * HOUR
    assert restored.notice(house.database, house.settings, now)
    assert set(of_step(house, "reminder-1").values()) == {"pending"}
    assert restored.notice(house.database, elsewhere, now)
    assert set(of_step(house, "reminder-1").values()) == {"held"}


@pytest.mark.parametrize("clock", [INVITED + 300 * DAY, INVITED - 300 * DAY])
def test_a_clock_that_was_wrong_once_neither_hides_a_restore_nor_makes_one(
    house: House, back_up: Callable[[], Restore], clock: datetime
) -> None:
    heartbeat.begin(house.database, house.settings, clock)
    assert not restored.notice(house.database, house.settings, INVITED)
    heartbeat.begin(house.database, house.settings, INVITED)
    assert not restored.notice(house.database, house.settings, INVITED)
    half_sent_then_all(house, back_up)()
    assert restored.notice(house.database, house.settings, INVITED + DAY)
    assert not restored.notice(house.database, house.settings, INVITED + DAY)


def test_a_note_of_a_clock_that_ran_ahead_holds_what_is_due_by_now(
    house: House, back_up: Callable[[], Restore]
) -> None:
    restore = half_sent_then_all(house, back_up)
    heartbeat.begin(house.database, house.settings, INVITED + 300 * DAY)
    restore()
    with house.database.write() as session:
        done = restored.doubt(session, house.settings, None, INVITED + DAY)
    assert (done["until"], done["held"]) == (INVITED + DAY, 2)


def test_a_folder_that_cannot_be_written_stops_no_tick(
    house: House, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    file = note_file(house)
    file.unlink()
    file.mkdir()
    for _ in range(3):
        heartbeat.begin(house.database, settings, INVITED + DAY)
    assert "the heartbeat cannot be kept" in capsys.readouterr().out
    with house.database.read() as session:
        assert session.get_one(Heartbeat, 1).begun_at == INVITED + DAY
        # What has no name of its own is not counted under a new one each time.
        assert session.execute(sa.select(sa.func.count()).select_from(DataFolder)).scalar_one() == 1


def test_going_through_it_once_more_leaves_what_came_due_while_it_was_down(
    house: House, back_up: Callable[[], Restore]
) -> None:
    """By hand twice; or by hand after a tick that did it by itself and went on."""
    half_sent_then_all(house, back_up)()
    now = INVITED + 20 * DAY + HOUR
    assert restored.notice(house.database, house.settings, now)
    for moment in (now + TICK, now + HOUR):
        with house.database.write() as session:
            again = restored.doubt(session, house.settings, None, moment)
        assert (again["until"], again["held"]) == (INVITED + HOUR + 2 * TICK, 0)
        heartbeat.begin(house.database, house.settings, moment)
    assert set(of_step(house, "reminder-1").values()) == {"pending"}
    # Long after, or where the folder cannot say that it is the same restore, all that is due by now is in doubt.
    with house.database.write() as session:
        assert restored.doubt(session, house.settings, None, now + 2 * DAY)["held"] == len(NAMES)
    note_file(house).unlink()
    with house.database.write() as session:
        assert restored.doubt(session, house.settings, None, now + 2 * DAY + HOUR)["until"] == now + 2 * DAY + HOUR


def test_two_that_notice_at_once_do_it_once(house: House, back_up: Callable[[], Restore]) -> None:
    """The second has looked before the first is done, and waits; then there is nothing left to do."""
    half_sent_then_all(house, back_up)()
    now = INVITED + 20 * DAY + HOUR
    second = _Late(house.database, lambda: restored.notice(house.database, house.settings, now))
    assert not restored.notice(second, house.settings, now + HOUR)
    second.dispose()
    assert second.before is None
    assert set(of_step(house, "reminder-1").values()) == {"pending"}
    with house.database.read() as session:
        assert session.get_one(Heartbeat, 1).restored_at == now


class _Late(Database):
    """A database whose first writer comes after somebody else's."""

    def __init__(self, database: Database, before: Callable[[], bool]) -> None:
        super().__init__(database.url.render_as_string(hide_password=False))
        self.before: Callable[[], bool] | None = before

    @contextmanager
    def write(self, *, dry_run: bool = False) -> Iterator[Session]:
        """Let the other go first."""
        before, self.before = self.before, None
        if before:
            assert before()
        with super().write(dry_run=dry_run) as session:
            yield session


def test_who_came_after_the_backup_and_is_lost_shares_no_number_with_who_comes_next(
    house: House, back_up: Callable[[], Restore]
) -> None:
    """Gus, who was added after the backup, has a link in a mail; the restored database never heard of him."""
    restore = back_up()

    def add(name: str) -> Attendee:
        with house.database.write() as session:
            place = invite(session, events.find(session, "munich"), f"{name}@example.org")
            campaigns.attendee_added(session, place, INVITED)
            feeds.create(session, "organiser", "", INVITED)
        return place

    gus = add("gus")
    heartbeat.begin(house.database, house.settings, INVITED + HOUR)
    restore()
    with house.database.write(dry_run=True) as session:
        restored.doubt(session, house.settings, None, INVITED + DAY)
    assert restored.notice(house.database, house.settings, INVITED + DAY)
    hal = add("hal")
    assert gus.id and hal.id and hal.id > gus.id + 1_000_000
    assert hal.person_id > gus.person_id + 1_000_000
    with house.database.read() as session:
        tables = [SQLModel.metadata.tables[name] for name in ("delivery", "feed")]
        for table in tables:
            assert session.execute(sa.select(sa.func.max(table.c.id))).scalar_one() > 1_000_000


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
        body, _ = served(session, content)
    assert content.changed_at > later and content.stale_at is None
    assert b"Lost again" not in body
