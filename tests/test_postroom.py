from __future__ import annotations

import threading
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import (
    attendees,
    campaigns,
    chunk,
    claims,
    events,
    leases,
    outbox,
    people,
    personal_data,
    programmes,
)
from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.session import Database, database_now
from events_service.db.tables import Delivery, Event, MessageContent
from events_service.domain.delivery import HELD_BY_REVIEW
from events_service.errors import (
    DatabaseError,
    MailError,
    PermanentMailError,
    SenderRefusedError,
    TransientMailError,
    UnknownMailError,
)
from events_service.mail.headers import read_mailbox
from events_service.mail.maildir import Maildir
from events_service.mail.wire import Outgoing
from events_service.outbox import ROWS
from events_service.postroom import Postroom
from events_service.tokens import open_mail_token
from tests.domain.given import LANCASHIRE
from tests.ledger import INVITED, House, open_gate, row_of, run_out, started, states

NAMES = ("ada", "bob", "cem")
EMAILS = tuple(f"{name}@example.org" for name in NAMES)


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


@pytest.fixture
def house(database: Database, settings: Settings) -> House:
    """Three invitations that are due."""
    house = House(database, settings, INVITED)
    with database.write() as session:
        started(session, *EMAILS)
    return house


def invitations(house: House) -> list[int]:
    with house.database.read() as session:
        return list(session.exec(select(ROWS.c.id).where(ROWS.c.step == "invitation").order_by(ROWS.c.id)))


def found(house: House, *names: str) -> list[str]:
    with house.database.read() as session:
        return [states(session)[f"invitation {name}"] for name in names or NAMES]


def once(error: Exception, number: int = 1) -> object:
    """Raise an error for the `number`th message alone."""
    seen: list[Outgoing] = []

    def hook(message: Outgoing) -> None:
        seen.append(message)
        if len(seen) == number:
            raise error

    return hook


def test_what_is_due_goes_once_over_one_connection(house: House) -> None:
    ids = invitations(house)
    tally = house.postroom.deliver(ids)
    assert vars(tally) == {"sent": 3, "failed": 0, "unknown": 0, "retried": 0, "put_aside": 0}
    assert house.wire.recipients == list(EMAILS)
    assert house.wire.connections == 1
    assert found(house) == ["sent"] * 3
    assert vars(house.postroom.deliver(ids * 5)) == dict.fromkeys(vars(tally), 0)
    with house.database.read() as session:
        rows = session.exec(select(Delivery).where(Delivery.step == "invitation").order_by(Delivery.id)).all()
    assert [row.message_id for row in rows] == [message.message_id for message in house.wire.taken]
    assert {(row.sent_at, row.attempts, row.lease_until) for row in rows} == {(INVITED, 1, None)}


def test_what_was_frozen_is_said_again_word_for_word(house: House) -> None:
    [id, *_rest] = invitations(house)
    house.wire.after = once(TransientMailError("451 busy", 451))
    taken: list[Outgoing] = []
    house.wire.before = taken.append
    house.postroom.deliver([id])
    with house.database.write() as session:
        event = session.exec(select(Event)).one()
        event.title = "Another title altogether"
        session.add(event)
        house.clock.at = row_of(session, "invitation").next_at
    house.postroom.deliver([id])
    first, second = taken
    assert first.message_id == second.message_id
    assert [
        line for line in first.data.splitlines() if not line.startswith((b"Date:", b"--", b"Content-Type: mult"))
    ] == [line for line in second.data.splitlines() if not line.startswith((b"Date:", b"--", b"Content-Type: mult"))]
    assert b"Another title" not in second.data


@pytest.mark.parametrize(
    ("error", "state", "count"),
    [
        (TransientMailError("451 busy", 451), "pending", "retried"),
        (PermanentMailError("550 no such user", 550), "failed", "failed"),
    ],
)
@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_refusal_is_one_messages_own(house: House, error: MailError, state: str, count: str, phase: str) -> None:
    setattr(house.wire, phase, once(error, 2))
    tally = house.postroom.deliver(invitations(house))
    assert found(house) == ["sent", state, "sent"]
    assert (tally.sent, getattr(tally, count)) == (2, 1)
    assert house.wire.connections == 1
    with house.database.read() as session:
        row = row_of(session, "invitation", "bob@example.org")
    assert (row.last_code, row.last_error, row.in_data_at) == (error.code, str(error), row.in_data_at)
    assert row.attempts == 1


def test_the_last_attempt_of_a_message_counts_as_failed(house: House) -> None:
    ids = invitations(house)
    with house.database.write() as session:
        last = house.settings.max_attempts - 1
        session.execute(sa.update(ROWS).where(ROWS.c.id == ids[0]).values(attempts=last))

    def busy(message: Outgoing) -> None:
        raise TransientMailError("451 busy", 451)

    house.wire.before = busy
    tally = house.postroom.deliver(ids)
    assert (tally.failed, tally.retried) == (1, 2)
    assert found(house) == ["failed", "pending", "pending"]


def test_a_connection_lost_in_data_leaves_one_unknown_and_a_new_one_takes_the_rest(house: House) -> None:
    house.wire.after = once(UnknownMailError("lost"), 2)
    tally = house.postroom.deliver(invitations(house))
    assert found(house) == ["sent", "unknown", "sent"]
    assert (tally.sent, tally.unknown, house.wire.connections) == (2, 1, 2)


def test_a_server_that_is_closing_is_left(house: House) -> None:
    house.wire.before = once(TransientMailError("421 closing", 421), 1)
    house.postroom.deliver(invitations(house))
    assert found(house) == ["pending", "sent", "sent"]
    assert house.wire.connections == 2


def test_no_connection_is_no_attempt(house: House) -> None:
    """After an outage of days a message has all its attempts before it."""

    def refuse() -> None:
        raise TransientMailError("SMTP localhost:25: connection refused")

    house.wire.connecting = refuse
    ids = invitations(house)
    waits = []
    for _ in range(30):
        assert house.postroom.deliver(ids).retried == 3
        with house.database.read() as session:
            rows = session.exec(select(Delivery).where(ROWS.c.id.in_(ids))).all()
        assert {(row.state, row.attempts, row.rung_at) for row in rows} == {("pending", 0, None)}
        moments = sorted(row.next_at for row in rows)
        waits.append([(at - house.clock.at).total_seconds() / 60 for at in moments])
        house.clock.at = moments[-1]
    # As long again as it has waited, a quarter of an hour at most; and up to a quarter more, each its own.
    assert all(1 <= first < last <= 1.25 for first, _, last in waits[:1])
    assert all(1.9 * before[-1] <= after[-1] for before, after in pairwise(waits[1:4]))
    assert all(15 <= first < last <= 15 * 1.25 for first, _, last in waits[6:])
    with house.database.read() as session:
        assert row_of(session, "invitation").last_error == "SMTP localhost:25: connection refused"
    house.wire.connecting = lambda: None
    house.wire.before = once(TransientMailError("451 greylisted", 451))
    assert house.postroom.deliver(ids).sent == 2
    with house.database.read() as session:
        rows = session.exec(select(Delivery).where(ROWS.c.id.in_(ids))).all()
    assert sorted((row.state, row.attempts) for row in rows) == [("pending", 1), ("sent", 1), ("sent", 1)]


def test_a_server_that_takes_nothing_from_us_fails_nobody(house: House) -> None:
    """A quota, or a login that it wants: it says so once, and then the whole chunk waits."""
    house.wire.before = once(SenderRefusedError("MAIL: 550 5.7.1 over the quota", 550), 2)
    tally = house.postroom.deliver(invitations(house))
    assert vars(tally) == {"sent": 1, "failed": 0, "unknown": 0, "retried": 2, "put_aside": 0}
    assert found(house) == ["sent", "pending", "pending"]
    assert house.wire.connections == 1
    with house.database.read() as session:
        rows = session.exec(select(Delivery).where(ROWS.c.id.in_(invitations(house)[1:]))).all()
    minute = timedelta(minutes=1)
    assert [(row.attempts, row.last_code, row.in_data_at) for row in rows] == [(0, 550, None)] * 2
    assert all(INVITED + minute <= row.next_at <= INVITED + 1.25 * minute for row in rows)
    house.wire.before = lambda message: None
    house.work(INVITED + 1.25 * minute)
    assert found(house) == ["sent"] * 3


def test_what_the_server_said_is_kept_without_addresses(house: House) -> None:
    said = "550 5.1.1 <bob@example.org>: no such user"
    house.wire.before = once(PermanentMailError(said, 550), 2)
    house.wire.after = once(TransientMailError("451 grey: ada@example.org", 451))
    house.postroom.deliver(invitations(house))
    with house.database.read() as session:
        kept = session.exec(select(Delivery.last_error).where(ROWS.c.id.in_(invitations(house)[:2]))).all()
    assert sorted(map(str, kept)) == ["451 grey: <address>", "550 5.1.1 <address>: no such user"]


def test_a_login_that_is_wanted_only_at_data_fails_nobody_either(house: House) -> None:
    house.wire.after = once(SenderRefusedError("DATA: 530 5.7.0 log in first", 530))
    assert house.postroom.deliver(invitations(house)).retried == 3
    with house.database.read() as session:
        rows = session.exec(select(Delivery).where(ROWS.c.id.in_(invitations(house)))).all()
    assert [(row.state, row.attempts, row.in_data_at) for row in rows] == [("pending", 0, None)] * 3


def test_what_stops_a_message_is_asked_again_at_the_fence(house: House) -> None:
    """Between the claim and DATA of each: Ada unsubscribes, Bob's address dies, Cem is held."""

    def change(message: Outgoing) -> None:
        with house.database.write() as session:
            event = events.find(session, "munich")
            match message.recipient:
                case "ada@example.org":
                    attendee = attendees.find(session, event, message.recipient)
                    people.unsubscribe(session, attendee.person_id or 0, INVITED)
                case "bob@example.org":
                    people.suppress(session, people.email_hash(message.recipient), "bounced", INVITED)
                case _:
                    campaigns.hold(session, event, INVITED)

    house.wire.before = change
    tally = house.postroom.deliver(invitations(house))
    assert (tally.sent, tally.put_aside) == (0, 3)
    assert house.wire.taken == []
    assert found(house) == ["suppressed", "suppressed", "held"]


def test_a_review_that_falls_overdue_meanwhile_holds_at_the_fence(house: House) -> None:
    with house.database.write() as session:
        open_gate(session, "progress-18")

    def later(message: Outgoing) -> None:
        house.clock.at = INVITED + timedelta(days=60)

    with house.database.write() as session:
        session.execute(sa.update(ROWS).values(expires_at=None))
    house.wire.before = later
    house.postroom.deliver(invitations(house)[:1])
    assert found(house, "ada") == ["held"]


@pytest.mark.parametrize(("due_month", "then"), [(15, ["sent", "held", "held"]), (30, ["sent"] * 3)])
def test_a_programme_that_is_revised_meanwhile_holds_at_the_fence(
    house: House, due_month: int, then: list[str]
) -> None:
    """A review point that the organisers put in: one was due a month ago, the other is to come."""
    point = (
        f"[[review_points]]\nid = 'one-more'\ntitle = 'Review'\nscope = [3]\nfrom_month = 12\ndue_month = {due_month}\n"
    )

    def revise(message: Outgoing) -> None:
        if message.recipient.startswith("bob"):
            with house.database.write() as session:
                programmes.load(session, f"{LANCASHIRE.read_text()}\n{point}", "plan.toml", INVITED)

    house.wire.before = revise
    house.postroom.deliver(invitations(house))
    assert found(house) == then
    assert len(house.wire.taken) == then.count("sent")
    with house.database.read() as session:
        assert {row.hold_reason for row in session.exec(select(Delivery).where(Delivery.state == "held"))} <= {
            HELD_BY_REVIEW
        }


def test_an_event_that_is_called_off_meanwhile_is_not_invited_to(house: House) -> None:
    def cancel(message: Outgoing) -> None:
        with house.database.write() as session:
            events.cancel(session, events.find(session, "munich"), "strike", INVITED)

    house.wire.before = lambda message: cancel(message) if message.recipient.startswith("bob") else None
    house.postroom.deliver(invitations(house))
    assert house.wire.recipients == ["ada@example.org"]
    assert found(house) == ["sent", "cancelled", "cancelled"]


def test_an_event_that_moves_meanwhile_is_invited_to_anew(house: House) -> None:
    def move(message: Outgoing) -> None:
        with house.database.write() as session:
            event = events.find(session, "munich")
            events.move(session, event, event.starts + timedelta(days=7), event.ends + timedelta(days=7), INVITED)
        house.wire.before = lambda message: None

    house.wire.before = move
    house.postroom.deliver(invitations(house)[:1])
    with house.database.read() as session:
        row = row_of(session, "invitation")
    assert (row.state, row.due_at, row.sequence, row.content_id) == ("pending", INVITED + timedelta(days=7), 1, None)
    assert house.wire.taken == []
    # Nobody had heard of the old days, so nobody is told of a change: each gets one invitation, to the new ones.
    assert house.work() == []
    assert house.work(INVITED + timedelta(days=7)) == [f"invitation {name}" for name in NAMES]
    assert house.wire.recipients == list(EMAILS)
    assert all(b"SEQUENCE:1" in _calendar(message) for message in house.wire.taken)


def test_a_worker_that_lost_its_lease_sends_nothing(house: House) -> None:
    def run(message: Outgoing) -> None:
        with house.database.write() as session:
            run_out(session)
            outbox.sweep(session, INVITED)

    house.wire.before = run
    assert house.postroom.deliver(invitations(house)).sent == 0
    assert house.wire.taken == []
    assert found(house) == ["pending"] * 3


@pytest.mark.parametrize(("setting", "longest", "lease"), [(660, 0, 660), (660, 720, 792), (900, 720, 900)])
def test_a_lease_outlasts_whatever_the_server_is_given(
    database: Database, settings: Settings, setting: float, longest: float, lease: float
) -> None:
    house = House(database, settings.model_copy(update={"data_lease_seconds": setting}), INVITED)
    house.wire.longest_seconds = longest
    house.postroom = Postroom(database, house.settings, house.wire, house.clock)
    with database.write() as session:
        started(session, EMAILS[0])
    left: list[float] = []

    def look(message: Outgoing) -> None:
        with database.read() as session:
            until = row_of(session, "invitation").lease_until
            clock = sa.select(database_now(database.engine.dialect.name))
            there = session.connection().execute(clock).scalar_one()
        assert until is not None
        left.append((until - there).total_seconds())

    house.wire.after = look
    house.work()
    assert house.postroom.data_lease_seconds == pytest.approx(lease)
    assert lease - 30 < left[0] <= lease + 1


def test_a_letter_that_cannot_be_written_fails_alone(house: House) -> None:
    with house.database.write() as session:
        person = session.exec(select(people.Person).where(people.Person.email == EMAILS[1])).one()
        person.timezone = "Nowhere/Land"
        session.add(person)
    tally = house.postroom.deliver(invitations(house))
    assert (tally.sent, tally.failed) == (2, 1)
    assert found(house) == ["sent", "failed", "sent"]
    with house.database.read() as session:
        assert (row_of(session, "invitation", EMAILS[1]).last_error or "").startswith("cannot be composed: ")


def test_somebody_who_is_erased_after_the_verdict_fails_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = chunk.verdicts

    def verdicts(session: Session, *words: Any) -> Any:
        found = real(session, *words)
        session.execute(sa.delete(people.Person).where(col(people.Person.email) == EMAILS[1]))
        return found

    monkeypatch.setattr(chunk, "verdicts", verdicts)
    tally = house.postroom.deliver(invitations(house))
    assert (tally.sent, tally.failed) == (2, 0)
    monkeypatch.setattr(chunk, "verdicts", real)
    house.work()
    with house.database.read() as session:
        gone = session.exec(
            select(Delivery).where(Delivery.step == "invitation", col(Delivery.person_id).is_(None))
        ).one()
    assert (gone.state, gone.last_error) == ("cancelled", "the person was erased")


def test_of_somebody_who_is_erased_once_they_are_claimed_nothing_is_kept(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = claims.lock

    def lock(session: Session, *words: Any) -> Any:
        with house.database.write() as other:
            personal_data.erase(other, EMAILS[1], INVITED)
        return real(session, *words)

    monkeypatch.setattr(claims, "lock", lock)
    assert house.postroom.deliver(invitations(house)).sent == 2
    with house.database.read() as session:
        rows = session.exec(select(Delivery).where(col(Delivery.person_id).is_(None))).all()
    assert rows and {(row.state, row.lease_token, str(row.fields)) for row in rows} == {("cancelled", None, "{}")}


def test_a_content_that_was_undone_is_never_said_in_anothers_place(
    sqlite_database: Database, settings: Settings
) -> None:
    """SQLite gives the number of a row that was rolled back to the next one."""
    house = House(sqlite_database, settings, INVITED)
    with sqlite_database.write() as session:
        started(session, *EMAILS)
        person = session.exec(select(people.Person).where(people.Person.email == EMAILS[2])).one()
        person.timezone = "America/Lima"
        session.add(person)
        session.execute(sa.update(ROWS).where(ROWS.c.person_id == person.id).values(next_at=INVITED))
    letters = house.postroom._letters
    ids = invitations(house)
    with sqlite_database.write(dry_run=True) as session:
        letters.freeze(session, claims.claim(session, ids[:1], "undone", INVITED, 60), INVITED)
    house.postroom.deliver(ids[2:])
    house.postroom.deliver(ids[:1])
    with sqlite_database.read() as session:
        zones = {content.id: content.timezone for content in session.exec(select(MessageContent))}
        said = [zones[row_of(session, "invitation", email).content_id] for email in (EMAILS[0], EMAILS[2])]
    assert said == ["UTC", "America/Lima"]
    texts = [b"Lima" in _text(message) for message in house.wire.taken]
    assert texts == [True, False]


def test_told_to_stop_it_finishes_what_is_in_data_and_gives_the_rest_back(house: House) -> None:
    house.wire.after = lambda message: house.postroom.stop()
    ids = invitations(house)
    assert house.postroom.deliver(ids).sent == 1
    assert found(house) == ["sent", "pending", "pending"]
    with house.database.read() as session:
        left = row_of(session, "invitation", EMAILS[1])
    assert (left.attempts, left.lease_token, left.rung_at) == (0, None, None)
    assert house.postroom.deliver(ids).sent == 0
    assert found(house) == ["sent", "pending", "pending"]


def test_a_ledger_that_cannot_be_written_stops_the_sending_and_loses_no_word(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit before the second message's DATA fails: the first one's word is kept, and the rest is given back."""
    real, calls = leases.fence, []

    def fence(session: Session, *words: object) -> frozenset[int]:
        calls.append(words)
        if len(calls) == 2:
            raise DatabaseError("database: is locked by another process")
        return real(session, *words)  # type: ignore[arg-type]

    monkeypatch.setattr(leases, "fence", fence)
    with pytest.raises(DatabaseError):
        house.postroom.deliver(invitations(house))
    assert house.wire.recipients == ["ada@example.org"]
    assert found(house) == ["sent", "pending", "pending"]


def test_two_threads_share_a_post_room_and_each_message_goes_once(house: House) -> None:
    ids = invitations(house)
    threads = [threading.Thread(target=house.postroom.deliver, args=(ids[n:] + ids[:n],)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(house.wire.recipients) == list(EMAILS)


def test_into_a_maildir_there_is_one_file_for_each_that_was_sent(
    house: House, settings: Settings, tmp_path: Path
) -> None:
    maildir = Maildir(tmp_path / "mail")
    postroom = Postroom(house.database, settings, maildir, FixedClock(INVITED))
    assert postroom.deliver(invitations(house)).sent == 3
    assert len(list((tmp_path / "mail/new").iterdir())) == 3
    assert list((tmp_path / "mail/tmp").iterdir()) == []


def test_a_maildir_that_is_full_or_not_ours_loses_nothing(house: House, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mail").write_text("a file where the folder should be")
    postroom = Postroom(house.database, settings, Maildir(tmp_path / "mail"), FixedClock(INVITED))
    assert postroom.deliver(invitations(house)).retried == 3
    assert found(house) == ["pending"] * 3
    with house.database.read() as session:
        assert str(tmp_path / "mail") in (row_of(session, "invitation").last_error or "")


def _parts(message: Outgoing) -> dict[str, bytes]:
    from email import message_from_bytes

    read = message_from_bytes(message.data)
    return {part.get_content_type(): part.get_payload(decode=True) or b"" for part in read.walk()}  # type: ignore[misc]


def _calendar(message: Outgoing) -> bytes:
    return _parts(message)["text/calendar"]


def _text(message: Outgoing) -> bytes:
    return _parts(message)["text/plain"]


def test_a_slow_server_lets_no_lease_of_the_chunk_run_out(house: House) -> None:
    """Each message takes six tenths of a lease, so that the last would come too late three times over."""
    lease, elapsed = house.settings.lease_seconds, 0.0
    house.postroom = Postroom(house.database, house.settings, house.wire, house.clock, lambda: elapsed)
    left: list[float] = []

    def slowly(message: Outgoing) -> None:
        nonlocal elapsed
        elapsed += 0.6 * lease
        with house.database.write() as session:
            # What the database's clock does meanwhile.
            waiting = sa.and_(ROWS.c.state == "sending", ROWS.c.in_data_at.is_(None))
            there = session.execute(sa.select(database_now(house.database.engine.dialect.name))).scalar_one()
            for until in session.execute(sa.select(ROWS.c.lease_until).where(waiting)).scalars():
                left.append((until - there).total_seconds())
            session.execute(sa.update(ROWS).where(waiting).values(lease_until=there + timedelta(seconds=0.4 * lease)))

    house.wire.before = slowly
    assert house.postroom.deliver(invitations(house)).sent == 3
    # Before the first fence the claim's lease stands; each fence after more than half of it begins it anew.
    assert len(left) == 3 + 2 + 1
    assert all(seconds > 0.7 * lease for seconds in left)


def paced(house: House, **rates: float) -> Postroom:
    """A post room that keeps these rates, by a clock that stands still: whoever waits, waits for good."""
    settings = house.settings.model_copy(update=rates)
    return Postroom(house.database, settings, house.wire, house.clock, lambda: 0.0)


def test_at_its_pace_a_domain_waits_and_others_go_on(database: Database, settings: Settings) -> None:
    emails = ("a@slow.example", "b@slow.example", "c@quick.example", "d@slow.example", "e@last.example")
    house = House(database, settings, INVITED)
    with database.write() as session:
        started(session, *emails)
    tally = paced(house, domain_rate_per_second=0.1).deliver(invitations(house))
    assert house.wire.recipients == ["a@slow.example", "c@quick.example", "e@last.example"]
    assert (tally.sent, tally.put_aside) == (3, 2)
    with database.read() as session:
        rows = [row_of(session, "invitation", email) for email in (emails[1], emails[3])]
        back = [(row.state, row.attempts, row.next_at) for row in sorted(rows, key=lambda row: row.id or 0)]
    # The second comes back after the first; neither has lost an attempt.
    assert back == [("pending", 0, INVITED + timedelta(seconds=seconds)) for seconds in (10, 20)]


def test_a_short_wait_is_waited_for(house: House) -> None:
    elapsed = 0.0

    def clock() -> float:
        nonlocal elapsed
        elapsed += 0.3
        return elapsed

    settings = house.settings.model_copy(update={"rate_per_second": 1.0})
    tally = Postroom(house.database, settings, house.wire, house.clock, clock).deliver(invitations(house))
    assert (tally.sent, tally.put_aside) == (3, 0)
    assert house.wire.connections == 1
    # Two of them had to wait for a second of that clock.
    assert elapsed > 2


def test_told_to_stop_it_waits_for_no_pace(house: House) -> None:
    postroom = paced(house, rate_per_second=1.5)
    house.wire.after = lambda message: postroom.stop()
    assert postroom.deliver(invitations(house)).sent == 1
    assert found(house) == ["sent", "pending", "pending"]


@pytest.mark.parametrize("dead", [True, False])
def test_an_address_that_the_server_says_is_dead_gets_no_more_mail(house: House, dead: bool) -> None:
    refusal = PermanentMailError("RCPT: 550 5.1.1 no such user", 550, "5.1.1", dead_address=dead)
    house.wire.before = once(refusal, 2)
    assert house.postroom.deliver(invitations(house)).failed == 1
    assert found(house) == ["sent", "failed", "sent"]
    with house.database.read() as session:
        suppressed = [people.is_suppressed(session, people.email_hash(email)) for email in EMAILS]
    assert suppressed == [False, dead, False]


def test_the_last_message_of_a_chunk_suppresses_too(house: House) -> None:
    house.wire.before = once(PermanentMailError("550 5.1.1 no such user", 550, "5.1.1", dead_address=True), 3)
    house.postroom.deliver(invitations(house))
    with house.database.read() as session:
        assert people.is_suppressed(session, people.email_hash(EMAILS[2]))


def test_bounces_go_to_an_address_of_each_delivery_where_that_is_wanted(house: House) -> None:
    [ada, bob, _cem] = invitations(house)
    house.postroom.deliver([ada])
    settings = house.settings.model_copy(update={"verp": True})
    Postroom(house.database, settings, house.wire, house.clock).deliver([bob])
    plain, own = (message.sender for message in house.wire.taken)
    name, _, token = own.partition("@")[0].partition("+")
    assert plain == read_mailbox(settings.resolved_mail_from)[1]
    assert (name, own.partition("@")[2]) == ("bounce", settings.resolved_mail_domain)
    assert open_mail_token(settings.secret, "bounce", token) == [str(bob)]
    # What the recipient sees is the same.
    assert all(b"\r\nFrom: " in b"\r\n" + message.data for message in house.wire.taken)
    assert b"bounce+" not in house.wire.taken[1].data


def test_what_somebody_waits_for_goes_first(house: House) -> None:
    ids = invitations(house)
    with house.database.write() as session:
        session.execute(sa.update(ROWS).where(ROWS.c.id == ids[2]).values(priority=0))
        session.execute(sa.update(ROWS).where(ROWS.c.id == ids[1]).values(next_at=INVITED - timedelta(seconds=1)))
    house.postroom.deliver(ids)
    assert house.wire.recipients == [EMAILS[2], EMAILS[1], EMAILS[0]]
