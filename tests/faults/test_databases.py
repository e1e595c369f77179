"""Databases that are held, full, or cut off in the middle of a campaign."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from events_service import attendees, campaign_changes, campaigns, claims, event_rows, events, leases
from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.errors import DatabaseError
from events_service.letters import Letters
from events_service.outbox import ROWS
from events_service.people_import import import_people
from events_service.postroom import Postroom
from events_service.reading.people_files import PeopleFile, PersonRow
from tests.attendance import make_person
from tests.ledger import INVITED, STARTED, House, given, row_of, run_out, short, started, states

EMAILS = tuple(f"p{number}@example.org" for number in range(12))


def house_of(database: Database, settings: Settings) -> House:
    """Twelve invitations that are due."""
    with database.write() as session:
        started(session, *EMAILS)
    return House(database, settings, INVITED)


def told_once(house: House) -> None:
    """Let what was lost come back; then everybody has one letter or a row that says it is unknown, never two."""
    with house.database.write() as session:
        run_out(session)
    house.clock.at += timedelta(seconds=house.settings.ring_again_seconds)
    house.work()
    assert len(house.wire.recipients) == len(set(house.wire.recipients))
    with house.database.read() as session:
        found = {step.split()[1]: state for step, state in states(session).items() if step.startswith("invitation")}
    assert set(found.values()) <= {"sent", "unknown"}
    sent = {name for name, state in found.items() if state == "sent"}
    assert sent <= {address.split("@")[0] for address in house.wire.recipients}


def test_a_full_disk_writes_no_false_sent_and_recovers(tmp_path: Path, settings: Settings) -> None:
    path = tmp_path / "events.db"
    database = open_database(f"sqlite:///{path}")
    house = house_of(database, settings)
    pages = 0

    @sa.event.listens_for(database.engine, "checkout")
    def limit(connection: sqlite3.Connection, record: Any, proxy: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={pages or 1_000_000}")

    ids = house.tick()
    with database.read() as session:
        pages = session.connection().exec_driver_sql("PRAGMA page_count").scalar_one()
        free = session.connection().exec_driver_sql("PRAGMA freelist_count").scalar_one()
    assert free == 0
    # No page more: what the letters say does not fit.
    with pytest.raises(DatabaseError, match="no space is left on its disk; make room"):
        house.postroom.deliver(ids)
    assert house.wire.taken == []
    with database.read() as session:
        assert set(states(session).values()) == {"pending"}
    pages = 0
    told_once(house)
    assert len(house.wire.taken) == 12
    with database.read() as session:
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    database.dispose()


def test_another_writer_for_a_while_only_makes_it_wait(
    sqlite_database: Database, settings: Settings, full: bool
) -> None:
    house = house_of(sqlite_database, settings)
    ids = house.tick()
    other = sqlite3.connect(sqlite_database.url.database or "", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(10 if full else 0.3, lambda: other.execute("ROLLBACK"))
    timer.start()
    assert house.postroom.deliver(ids).sent == 12
    timer.join()
    other.close()


def test_a_writer_that_never_lets_go_is_one_clear_error(sqlite_database: Database, settings: Settings) -> None:
    house = house_of(sqlite_database, settings)
    ids = house.tick()
    impatient = Database(str(sqlite_database.url), busy_seconds=0.1)
    house.postroom = Postroom(impatient, settings, house.wire, house.clock)
    other = sqlite3.connect(sqlite_database.url.database or "", isolation_level=None)
    locked: list[object] = []

    def lock(message: object) -> None:
        if not locked:
            locked.append(other.execute("BEGIN IMMEDIATE"))

    house.wire.after = lock
    with pytest.raises(DatabaseError, match="is locked by another process; wait for it to end"):
        house.postroom.deliver(ids)
    other.execute("ROLLBACK")
    other.close()
    # The server took one, and its word could not be kept: that one is unknown, and never sent again.
    assert len(house.wire.taken) == 1
    house.wire.after = lambda message: None
    told_once(house)
    assert len(house.wire.taken) == 12
    with sqlite_database.read() as session:
        assert list(states(session).values()).count("unknown") == 1
    impatient.dispose()


def test_backends_that_are_terminated_lose_and_double_nothing(postgres_database: Database, settings: Settings) -> None:
    house = house_of(postgres_database, settings)
    count = 0

    def cut(message: object) -> None:
        nonlocal count
        count += 1
        if count % 4 == 0:
            with postgres_database.read() as session:
                session.connection().exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    house.wire.before = house.wire.after = cut
    for _ in range(6):
        try:
            house.postroom.deliver(house.tick())
        except DatabaseError:
            with postgres_database.write() as session:
                run_out(session)
        house.clock.at += timedelta(seconds=house.settings.ring_again_seconds)
    house.wire.before = house.wire.after = lambda message: None
    told_once(house)


def test_a_claim_and_a_cancellation_at_once(postgres_database: Database, settings: Settings) -> None:
    """While the event is being called off, a worker cannot take what is being cancelled."""
    house = house_of(postgres_database, settings)
    ids = list(house.tick())
    with postgres_database.write() as organiser:
        event = events.find(organiser, "munich", lock=True)
        with postgres_database.write() as worker:
            [early] = claims.claim(worker, ids[:1], "early", INVITED, 120)
        events.cancel(organiser, event, "strike", INVITED)
        with postgres_database.write() as worker:
            assert claims.claim(worker, ids, "late", INVITED, 120) == []
            # Nobody else can know of it yet: the one that was claimed before may still go.
            assert leases.fence(worker, [early.id], "early", INVITED, {}, 660)
    with postgres_database.write() as worker:
        assert leases.settle_sent(worker, [early.id], "early", INVITED)
    with postgres_database.write() as session:
        assert "cancellation p0" not in states(session)
        assert campaign_changes.retell_cancelled(session, INVITED) == 1
        found = states(session)
        assert row_of(session, "cancellation", EMAILS[0]).state == "pending"
    # Exactly the one who was told is told that it is off: a tick finds them.
    assert [step for step in found if step.startswith("cancellation")] == ["cancellation p0"]
    assert {state for step, state in found.items() if step.split()[0] not in ("invitation", "cancellation")} == {
        "cancelled"
    }
    with postgres_database.write() as session:
        assert campaign_changes.retell_cancelled(session, INVITED) == 0


def until_one_waits(database: Database, done: Callable[[], bool] = lambda: False) -> None:
    """Until somebody waits for a lock in that database, or it is done without one."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    for _ in range(1000):
        with database.read() as session:
            if done() or session.connection().execute(waiting).scalar():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waited for a lock")


def in_thread(act: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Do it beside; its result, or its error, when it has ended."""
    came: list[object] = []

    def run() -> None:
        try:
            came.append(act())
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, came


def test_calling_an_event_off_while_a_worker_claims_is_no_deadlock(
    postgres_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelling comes between the claim's commit and what is written on its rows next, and waits for neither."""
    house = house_of(postgres_database, settings)
    ids = house.tick()

    def cancel() -> int:
        with postgres_database.write() as session:
            return events.cancel(session, events.find(session, "munich", lock=True), "strike", INVITED)

    real, beside = Letters.freeze, []

    def freeze(letters: Letters, *words: Any) -> Any:
        thread, came = in_thread(cancel)
        beside.append((thread, came))
        until_one_waits(postgres_database, lambda: bool(came))
        return real(letters, *words)

    monkeypatch.setattr(Letters, "freeze", freeze)
    tally = house.postroom.deliver(ids)
    [(thread, came)] = beside
    thread.join()
    with postgres_database.write() as session:
        told = campaign_changes.retell_cancelled(session, INVITED)
    [at_once] = came
    assert isinstance(at_once, int), at_once
    assert at_once + told == tally.sent
    assert (tally.sent + tally.put_aside, tally.failed) == (12, 0)


def test_a_worker_that_loses_a_deadlock_tries_once_more(
    postgres_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = house_of(postgres_database, settings)
    mine, other = list(house.tick())[:2]
    both = threading.Event()

    def touch(session: Session, id: int) -> None:
        session.connection().execute(sa.update(ROWS).where(ROWS.c.id == id).values(last_error="touched"))

    def organiser() -> None:
        with postgres_database.write() as session:
            session.connection().exec_driver_sql("SET LOCAL deadlock_timeout = '60s'")
            touch(session, other)
            both.set()
            touch(session, mine)

    real, beside = Letters.freeze, []
    tries = 0

    def freeze(letters: Letters, session: Session, *words: Any) -> Any:
        nonlocal tries
        tries += 1
        if not beside:
            beside.append(in_thread(organiser))
            both.wait(10)
            until_one_waits(postgres_database)
            session.connection().exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")
            touch(session, other)
        return real(letters, session, *words)

    monkeypatch.setattr(Letters, "freeze", freeze)
    assert vars(house.postroom.deliver([mine])) == {
        "sent": 1, "failed": 0, "unknown": 0, "retried": 0, "put_aside": 0,
    }  # fmt: skip
    [(_, came)] = beside
    assert (came, tries) == ([None], 2)


ADD: dict[str, Callable[[Session, Any], object]] = {
    "add": lambda session, event: attendees.add(session, event, make_person(session, "bob@example.org"), None, STARTED),
    "add_many": lambda session, event: attendees.add_many(
        session, event, [(make_person(session, "bob@example.org"), None)], STARTED
    ),
    "import": lambda session, event: import_people(
        session, PeopleFile(people={"bob@example.org": PersonRow(2, "bob@example.org")}), STARTED, event
    ),
}


@pytest.mark.parametrize("way", ADD)
@pytest.mark.parametrize("first", ["start", "add"])
def test_somebody_added_while_a_campaign_starts_gets_its_messages(
    postgres_database: Database, way: str, first: str
) -> None:
    def add(session: Session) -> object:
        return ADD[way](session, event_rows.find(session, "munich"))

    def start(session: Session) -> object:
        return campaigns.start(session, event_rows.find(session, "munich", lock=True), short(), STARTED)

    def beside() -> None:
        with postgres_database.write() as session:
            (add if first == "start" else start)(session)

    with postgres_database.write() as session:
        given(session, "ada@example.org")
    with postgres_database.write() as session:
        (start if first == "start" else add)(session)
        thread, came = in_thread(beside)
        until_one_waits(postgres_database, lambda: bool(came))
    thread.join()
    assert came == [None]
    with postgres_database.read() as session:
        assert row_of(session, "invitation", "bob@example.org").state == "pending"


def test_two_imports_onto_one_event_take_turns(postgres_database: Database) -> None:
    """Each locks the event before its people, so that neither waits for what the other is waiting with."""
    with postgres_database.write() as session:
        given(session)

    def bring() -> object:
        with postgres_database.write() as session:
            return ADD["import"](session, event_rows.find(session, "munich"))

    with postgres_database.write() as session:
        event_rows.find(session, "munich", lock=True)
        thread, came = in_thread(bring)
        until_one_waits(postgres_database, lambda: bool(came))
        # The one that waits for its turn holds nobody up.
        make_person(session, "bob@example.org")
    thread.join()
    [done] = came
    assert isinstance(done, dict)
    assert (done["unchanged"], done["attendees"]) == (1, 1)
