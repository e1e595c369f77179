"""Looking into a mailbox, on a real IMAP server: what is taken, what is marked as read, and whose turn it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from events_service import intake, mailbox
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Intake, MailboxPoll
from events_service.doctor import examine
from events_service.errors import DatabaseError, MailboxError
from tests.mail.dovecot import Dovecot, dovecot
from tests.mail.servers import certificate
from tests.test_bounces import mail, reasons, sent, state

T = datetime(2023, 9, 1, 10, 0, tzinfo=UTC)
NOTHING = {"taken": 0, "applied": 0, "too_large": 0, "left": 0}
PLAIN = b"From: Bob <bob@example.org>\r\nMessage-ID: <plain@example.org>\r\nSubject: hello\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def _server() -> Iterator[Dovecot]:
    with dovecot() as server:
        yield server


@pytest.fixture
def box(_server: Dovecot, monkeypatch: pytest.MonkeyPatch) -> Dovecot:
    """An empty mailbox on a server whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("localhost")))
    _server.empty()
    return _server


@pytest.fixture
def settings(settings: Settings, box: Dovecot) -> Settings:
    """As usual, and the mailbox named."""
    return settings.model_copy(update={"imap_url": box.url})


def poll_row(session: Session) -> MailboxPoll:
    return session.exec(select(MailboxPoll).execution_options(populate_existing=True)).one()


def test_what_is_unread_is_taken_once_and_marked_as_read(database: Database, settings: Settings, box: Dovecot) -> None:
    with database.write() as session:
        delivery = sent(session)
    box.put(mail("postfix-no-such-user"), PLAIN)
    assert mailbox.imap_poll(settings, database, T) == NOTHING | {"taken": 2, "applied": 1}
    assert box.flags() == ["\\Seen", "\\Seen"]
    with database.write() as session:
        assert (state(session, session.merge(delivery)), reasons(session)) == ("bounced", ["bounced"])
        assert (poll_row(session).polled_at, poll_row(session).next_at) == (T, T + timedelta(seconds=60))
    assert mailbox.imap_poll(settings, database, T + timedelta(minutes=2)) == NOTHING


def test_what_was_taken_just_before_a_crash_is_taken_again_and_changes_nothing(
    sqlite_database: Database, settings: Settings, box: Dovecot
) -> None:
    with sqlite_database.write() as session:
        sent(session)
        # Taken and committed, and then its process was gone: nobody marked it as read.
        intake.take(session, mail("postfix-no-such-user").replace(b"\n", b"\r\n"), settings, T)
    box.put(mail("postfix-no-such-user").replace(b"\n", b"\r\n"))
    assert mailbox.imap_poll(settings, sqlite_database, T) == NOTHING | {"taken": 1}
    assert box.flags() == ["\\Seen"]
    with sqlite_database.read() as session:
        assert len(session.exec(select(Intake)).all()) == 1


def test_a_message_that_cannot_be_taken_stays_unread_and_does_not_keep_the_others(
    sqlite_database: Database, settings: Settings, box: Dovecot
) -> None:
    with sqlite_database.write() as session:
        delivery = sent(session, state="sending", in_data_at=T, lease_token="w", lease_until=T)
    box.put(PLAIN, mail("postfix-no-such-user"), mail("qmail").replace(b"4f1c", b"aaaa"))
    assert mailbox.imap_poll(settings, sqlite_database, T) == NOTHING | {"taken": 2, "left": 1}
    assert box.flags() == ["\\Seen", "", "\\Seen"]
    with sqlite_database.write() as session:
        session.merge(delivery).state = "sent"
    assert mailbox.imap_poll(settings, sqlite_database, T + timedelta(minutes=2)) == NOTHING | {
        "taken": 1,
        "applied": 1,
    }
    assert box.flags() == ["\\Seen", "\\Seen", "\\Seen"]


def test_a_message_that_can_never_be_taken_is_left_for_a_person(
    sqlite_database: Database, settings: Settings, box: Dovecot
) -> None:
    refused = intake.digest(PLAIN)
    with sqlite_database.write() as session:
        session.execute(
            sa.text(
                f"CREATE TRIGGER refuse BEFORE INSERT ON intake WHEN NEW.digest = '{refused}'"
                " BEGIN SELECT RAISE(ABORT, 'never'); END"
            )
        )
    box.put(PLAIN)
    for look in range(5):
        assert box.flags()[0] == ""
        box.put(PLAIN.replace(b"plain", b"plain%d" % look))
        done = mailbox.imap_poll(settings, sqlite_database, T + timedelta(minutes=2 * look))
        assert done == NOTHING | {"taken": 1, "left": 1}
    assert box.flags() == ["\\Flagged \\Seen"] + ["\\Seen"] * 5
    assert mailbox.imap_poll(settings, sqlite_database, T + timedelta(hours=1)) == NOTHING


def test_a_bounce_of_what_is_being_sent_is_left_as_often_as_it_takes(
    sqlite_database: Database, settings: Settings, box: Dovecot
) -> None:
    with sqlite_database.write() as session:
        delivery = sent(session, state="sending", in_data_at=T, lease_token="w", lease_until=T)
    box.put(mail("postfix-no-such-user"))
    for look in range(7):
        done = mailbox.imap_poll(settings, sqlite_database, T + timedelta(minutes=2 * look))
        assert (done, box.flags()) == (NOTHING | {"left": 1}, [""])
    with sqlite_database.write() as session:
        session.merge(delivery).state = "sent"
    done = mailbox.imap_poll(settings, sqlite_database, T + timedelta(hours=1))
    assert done == NOTHING | {"taken": 1, "applied": 1}


def test_a_message_that_is_too_large_is_left_for_a_person(
    sqlite_database: Database, settings: Settings, box: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MAX_MESSAGE_BYTES", 1000)
    box.put(PLAIN + b"x" * 1000 + b"\r\n", PLAIN)
    assert mailbox.imap_poll(settings, sqlite_database, T) == NOTHING | {"taken": 1, "too_large": 1}
    assert box.flags() == ["\\Flagged \\Seen", "\\Seen"]


def test_a_database_that_takes_nothing_ends_the_look_and_marks_nothing(
    sqlite_database: Database, settings: Settings, box: Dovecot
) -> None:
    box.put(*(PLAIN.replace(b"plain", b"plain%d" % number) for number in range(5)))
    with sqlite_database.write() as session:
        session.execute(sa.text("ALTER TABLE intake RENAME TO elsewhere"))
    with pytest.raises(DatabaseError, match="has no tables of ours"):
        mailbox.imap_poll(settings, sqlite_database, T)
    assert box.flags() == [""] * 5
    with sqlite_database.write() as session:
        assert poll_row(session).failures == 1
        session.execute(sa.text("ALTER TABLE elsewhere RENAME TO intake"))
    assert mailbox.imap_poll(settings, sqlite_database, T + timedelta(minutes=2)) == NOTHING | {"taken": 5}


def test_a_look_ends_with_half_its_lease_and_the_next_goes_on(
    sqlite_database: Database, settings: Settings, box: Dovecot
) -> None:
    box.put(*(PLAIN.replace(b"plain", b"plain%d" % number) for number in range(3)))
    clock = iter([0.0, 30.0, 59.0, 61.0])
    done = mailbox.imap_poll(settings, sqlite_database, T, monotonic=lambda: next(clock))
    assert done == NOTHING | {"taken": 2}
    assert mailbox.imap_poll(settings, sqlite_database, T + timedelta(minutes=2)) == NOTHING | {"taken": 1}


def test_one_process_at_a_time_looks(database: Database, settings: Settings, box: Dovecot) -> None:
    box.put(*(PLAIN.replace(b"plain", b"plain%d" % number) for number in range(4)))
    counts: list[int] = []

    def look() -> None:
        counts.append(mailbox.imap_poll(settings, database, T)["taken"])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == [0, 0, 0, 4]


def test_a_lease_that_ran_out_keeps_nobody_away(sqlite_database: Database, settings: Settings, box: Dovecot) -> None:
    with sqlite_database.write() as session:
        later = datetime(2101, 1, 1, tzinfo=UTC)
        session.add(MailboxPoll(name=mailbox.NAME, next_at=T, lease_token="gone", lease_until=later))
    box.put(PLAIN)
    assert mailbox.imap_poll(settings, sqlite_database, T) == NOTHING
    with sqlite_database.write() as session:
        poll_row(session).lease_until = datetime(2001, 1, 1, tzinfo=UTC)
    assert mailbox.imap_poll(settings, sqlite_database, T) == NOTHING | {"taken": 1}


def test_each_failure_doubles_the_wait(sqlite_database: Database, settings: Settings, box: Dovecot) -> None:
    wrong = settings.model_copy(update={"imap_url": box.url.replace("INBOX", "Elsewhere")})
    now, waits = T, []
    for _ in range(8):
        with pytest.raises(MailboxError, match="no folder 'Elsewhere' to read"):
            mailbox.imap_poll(wrong, sqlite_database, now)
        with sqlite_database.read() as session:
            row = poll_row(session)
        waits.append((row.next_at - now) / timedelta(minutes=1))
        assert mailbox.imap_poll(wrong, sqlite_database, row.next_at - timedelta(seconds=1)) == NOTHING
        now = row.next_at
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    mailbox.imap_poll(settings, sqlite_database, now)
    with sqlite_database.read() as session:
        row = poll_row(session)
    assert (row.failures, row.last_error, row.next_at) == (0, None, now + timedelta(minutes=1))


def test_a_worker_is_told_to_look_when_it_is_time(database: Database, settings: Settings, box: Dovecot) -> None:
    def rings(seconds: float) -> bool:
        with database.write() as session:
            return mailbox.ring_due(session, settings, T + timedelta(seconds=seconds))

    # Told once; once more if nobody looked for so long.
    assert [rings(0), rings(10), rings(119), rings(120), rings(130)] == [True, False, False, True, False]
    mailbox.imap_poll(settings, database, T + timedelta(seconds=130))
    assert [rings(140), rings(189), rings(190)] == [False, False, True]


def test_without_a_mailbox_there_is_nothing_to_look_into(sqlite_database: Database, settings: Settings) -> None:
    none = settings.model_copy(update={"imap_url": ""})
    with sqlite_database.write() as session:
        assert not mailbox.ring_due(session, none, T)
    assert mailbox.imap_poll(none, sqlite_database, T) == NOTHING


def test_doctor_looks_and_takes_nothing(sqlite_database: Database, settings: Settings, box: Dovecot) -> None:
    box.put(PLAIN, PLAIN)
    there = settings.model_copy(update={"database_url": sqlite_database.url.render_as_string(hide_password=False)})
    gone = there.model_copy(update={"imap_url": box.url.replace("INBOX", "Elsewhere")})
    mailboxes = [
        (one.ok, one.detail)
        for found in (there, gone)
        for one in examine(lambda found=found: found, lambda _: "here", T)  # type: ignore[misc]
        if one.check == "mailbox"
    ]
    where = f"IMAP localhost:{box.port}"
    assert mailboxes[0] == (True, f"{where}, INBOX: 2 unread")
    assert mailboxes[1][1].startswith(f"{where}: no folder 'Elsewhere' to read")
    assert not mailboxes[1][0]
    assert box.flags() == ["", ""]
