"""`events lmtp`, as a process: what a mail server hears, what is kept, and how it ends."""

from __future__ import annotations

import json
import shutil
import smtplib
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import select

from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.db.tables import Intake
from events_service.mail.lmtp import MAX_CONNECTIONS, MAX_RECIPIENTS
from tests.cli.conftest import Command
from tests.processes import PATIENCE, Live, live, until
from tests.test_bounces import REFERENCES, T, mail, reasons, return_address, sent, state

SECRET = "a key for tests, of no use anywhere else"
PLAIN = b"From: Bob <bob@example.org>\r\nMessage-ID: <plain%d@example.org>\r\nSubject: hello\r\n\r\nhello\r\n"
ADDRESSED = "events@events.example.org"


class Conversation(smtplib.LMTP):
    """An LMTP client that tells every answer to a message."""

    def hand_over(self, message: bytes, *recipients: str, sender: str = "") -> list[int]:
        """The codes said of each recipient that was taken, in order."""
        self.ehlo_or_helo_if_needed()
        assert self.mail(sender)[0] == 250
        taken = [self.rcpt(recipient)[0] for recipient in recipients]
        self.putcmd("data")
        assert self.getreply()[0] == 354
        self.send(message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + b"\r\n.\r\n")
        return [self.getreply()[0] for code in taken if code == 250]


@contextmanager
def serving(folder: Path, database: Database, **settings: object) -> Iterator[tuple[Live, int]]:
    """The command, listening on a port of the system's choice: the process, and the port."""
    url = database.url.render_as_string(hide_password=False)
    words = {"secret_key": SECRET, "lmtp_addr": "127.0.0.1:0", "log_format": "json", "database_url": url} | settings
    with live(folder, "lmtp", **words) as process:
        line = process.wait_for_line("taking mail on 127.0.0.1:")
        yield process, int(line.split(":")[1].split(";")[0])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Iterator[tuple[Live, int, Database]]:
    """One that runs for several tests: the process, its port, its database."""
    folder = tmp_path_factory.mktemp("lmtp")
    shutil.copyfile(_migrated_sqlite, folder / "events.db")
    database = open_database(f"sqlite:///{folder / 'events.db'}")
    with serving(folder / "lmtp", database) as (process, port):
        yield process, port, database
    database.dispose()


Shared = tuple[Live, int, Database]


@contextmanager
def client(port: int) -> Iterator[Conversation]:
    """A mail server's connection to it."""
    with Conversation("127.0.0.1", port, timeout=PATIENCE) as conversation:
        yield conversation


def logged(process: Live, event: str) -> list[dict[str, object]]:
    """What it wrote of that kind."""
    lines = [json.loads(line) for line in process.said.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def test_mail_is_taken_before_it_is_acknowledged(database: Database, tmp_path: Path) -> None:
    settings = Settings(secret_key=SECRET)
    with database.write() as session:
        delivery = sent(session)
    own = return_address(settings, delivery)
    with serving(tmp_path / "lmtp", database) as (process, port):
        with client(port) as mta:
            # Only its envelope says whose bounce it is.
            assert mta.hand_over(mail("exchange-not-found").replace(*REFERENCES), own) == [250]
            with database.write() as session:
                assert (state(session, session.merge(delivery)), reasons(session)) == ("bounced", ["bounced"])
            assert mta.hand_over(PLAIN % 1, ADDRESSED) == [250]
        assert process.stop() == 0
        taken = [(line["kind"], line["applied"]) for line in logged(process, "mail taken")]
        assert taken == [("bounce", True), ("auto", False)]
        assert "@" not in process.said


def test_each_recipient_has_an_answer(shared: Shared) -> None:
    _process, port, _database = shared
    people = [f"guest{number}@events.example.org" for number in range(3)]
    with client(port) as mta:
        assert mta.hand_over(PLAIN % 1, *people) == [250, 250, 250]
        # One that is refused for its form as well: who counts answers would be out of step for ever.
        assert mta.hand_over(b"Subject: " + b"x" * 2_000_000, *people) == [500, 500, 500]
        assert mta.hand_over(PLAIN % 2, *people[:1]) == [250]
        # A command that is refused has one answer, whoever was named before.
        mta.mail("")
        for person in people:
            mta.rcpt(person)
        assert mta.docmd("DATA", "now")[0] == 501
        assert mta.noop()[0] == 250


def test_what_it_offers_and_refuses(shared: Shared) -> None:
    _process, port, _database = shared
    with client(port) as mta:
        mta.ehlo()
        assert {"size", "8bitmime", "smtputf8", "pipelining", "enhancedstatuscodes"} <= set(mta.esmtp_features)
        assert "auth" not in mta.esmtp_features
        assert mta.docmd("HELO", "x")[0] == mta.docmd("EHLO", "x")[0] == 500
        assert mta.docmd("MAIL", "FROM:<> SIZE=99999999999")[0] == 552
        assert mta.mail("")[0] == 250
        codes = [mta.rcpt(f"guest{number}@example.org")[0] for number in range(MAX_RECIPIENTS + 1)]
        assert codes == [250] * MAX_RECIPIENTS + [452]


def test_commands_that_come_in_one_go_are_answered_in_order(shared: Shared) -> None:
    _process, port, _database = shared
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        lines = connection.makefile("rb")
        assert lines.readline().startswith(b"220")
        connection.sendall(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
        while lines.readline()[3:4] == b"-":
            pass
        assert [lines.readline()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
        connection.sendall((PLAIN % 3) + b".\r\nQUIT\r\n")
        assert [lines.readline()[:3] for _ in range(3)] == [b"250", b"250", b"221"]


def test_a_database_that_takes_nothing_has_the_mail_come_again(shared: Shared) -> None:
    process, port, database = shared
    with client(port) as mta:
        rename(database, "intake", "elsewhere")
        assert mta.hand_over(PLAIN % 1, ADDRESSED, "b@example.org") == [451, 451]
        rename(database, "elsewhere", "intake")
        assert mta.hand_over(PLAIN % 1, ADDRESSED, "b@example.org") == [250, 250]
        (said,) = logged(process, "a message could not be taken; its server tries again")
        assert str(said["why"]).endswith("has no tables of ours; run `events db upgrade`")


def rename(database: Database, before: str, after: str) -> None:
    with database.write() as session:
        session.execute(sa.text(f"ALTER TABLE {before} RENAME TO {after}"))


def test_a_bounce_that_is_ahead_of_its_message_comes_again(shared: Shared) -> None:
    _process, port, database = shared
    with database.write() as session:
        delivery = sent(session, state="sending", in_data_at=T, lease_token="w")
    with client(port) as mta:
        assert mta.hand_over(mail("postfix-no-such-user"), ADDRESSED) == [451]
        with database.write() as session:
            session.execute(sa.text("UPDATE delivery SET state = 'sent'"))
        assert mta.hand_over(mail("postfix-no-such-user"), ADDRESSED) == [250]
        with database.write() as session:
            assert state(session, session.merge(delivery)) == "bounced"


def test_many_at_once_are_served_and_too_many_are_told_to_come_later(shared: Shared) -> None:
    _process, port, database = shared
    before = count(database)
    codes: list[list[int]] = []

    def hand_over(number: int) -> None:
        with client(port) as mta:
            codes.append(mta.hand_over(PLAIN % number, ADDRESSED))

    threads = [threading.Thread(target=hand_over, args=(number,)) for number in range(100, 112)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (codes, count(database)) == ([[250]] * 12, before + 12)
    # Those that have just gone may not be forgotten yet.
    until(lambda: greetings(port, MAX_CONNECTIONS + 1) == [b"220"] * MAX_CONNECTIONS + [b"421"], "all but one let in")
    until(lambda: greetings(port, 1) == [b"220"], "room for another")


def count(database: Database) -> int:
    """How many mails were taken."""
    with database.read() as session:
        return session.exec(select(sa.func.count()).select_from(Intake)).one()


def greetings(port: int, connections: int) -> list[bytes]:
    """What so many connections at once hear first."""
    opened = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(connections)]
    heard = [connection.recv(3) for connection in opened]
    for connection in opened:
        connection.close()
    return heard


def test_told_to_stop_it_finishes_what_it_is_taking(sqlite_database: Database, tmp_path: Path) -> None:
    assert sqlite_database.url.database is not None
    with serving(tmp_path / "lmtp", sqlite_database) as (process, port), client(port) as mta, client(port) as idle:
        idle.ehlo()
        # Another writer keeps it waiting.
        writer = sqlite3.connect(sqlite_database.url.database, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        codes: list[list[int]] = []
        before = threads(process)
        thread = threading.Thread(target=lambda: codes.append(mta.hand_over(PLAIN % 1, ADDRESSED)))
        thread.start()
        # It has the whole message once a thread of its own asks the database, where the lock keeps it.
        until(lambda: threads(process) > before, "the message on its way into the database")
        process.process.terminate()
        until(lambda: refused(port), "no new connections")
        writer.execute("ROLLBACK")
        writer.close()
        thread.join(PATIENCE)
        assert codes == [[250]]
        assert process.process.wait(PATIENCE) == 0
    assert count(sqlite_database) == 1


def threads(process: Live) -> int:
    """How many it has."""
    return len(list(Path(f"/proc/{process.process.pid}/task").iterdir()))


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
    except ConnectionRefusedError:
        return True
    return False


def test_addresses_that_cannot_be_listened_on(events: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = events("lmtp")
    assert (unset.code, unset.out) == (2, "")
    assert (
        unset.err == "error: EVENTS_LMTP_ADDR is not set; set it to where mail is to come in, such as 127.0.0.1:8024\n"
    )
    for addr in ("here", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:", "a b:25", "[::1:25"):
        monkeypatch.setenv("EVENTS_LMTP_ADDR", addr)
        wrong = events("lmtp")
        said = f"error: EVENTS_LMTP_ADDR={addr}: not HOST:PORT; write it like 127.0.0.1:8024\n"
        assert (wrong.code, wrong.err) == (1, said)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("EVENTS_LMTP_ADDR", f":{port}")
        busy = events("lmtp")
    why = "cannot listen there: Address already in use"
    assert (busy.code, busy.err) == (1, f"error: EVENTS_LMTP_ADDR=127.0.0.1:{port}: {why}\n")


def test_it_lives_in_real_time(events: Command) -> None:
    assert events("lmtp", "--at", "2023-09-01T10:00Z").code == events("lmtp", "--dry-run").code == 2
