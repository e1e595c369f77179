"""How fast calendar replies are taken in, as a mail server hands them on."""

from __future__ import annotations

import os
import smtplib
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.db.tables import Attendee, Event, Person
from events_service.tokens import mail_token
from tests import services
from tests.bench.harness import Figure, bench, forced_write, progress
from tests.bench.running import processor_seconds
from tests.crowds import crowd
from tests.processes import live

REPLIES = 1000
CONNECTIONS = 8
_SECRET = "a key for benchmarks"


@bench("intake", unit="replies/s", least=200)
def intake(folder: Path) -> Figure:
    """Replies a second that `events lmtp` takes, each committed before its 250, from eight connections of one server.

    On SQLite and on PostgreSQL; the figure is that of the slower, and `costs` has both, with the microseconds of a
    processor that the server takes for one. The yardstick is what the disk alone would allow: a forced write for each.
    """
    rates, costs = {}, {}
    rates["sqlite"], costs["sqlite_cpu"] = _taken(folder / "sqlite", f"sqlite:///{folder / 'events.db'}")
    if os.environ.get("EVENTS_TEST_POSTGRES_URL"):
        with services.postgres_database() as url:
            rates["postgres"], costs["postgres_cpu"] = _taken(folder / "postgres", url)
    disk = 1 / forced_write(folder)
    rate = min(rates.values())
    return Figure(rate, disk, rate / disk, rates | costs)


def _taken(folder: Path, url: str) -> tuple[float, float]:
    """Replies a second, and microseconds of a processor for one."""
    folder.mkdir()
    database = open_database(url)
    with closing(_Disposed(database)):
        crowd(database, REPLIES)
        with database.read() as session:
            mails = _mails(session)
        given = {"secret_key": _SECRET, "lmtp_addr": "127.0.0.1:0", "database_url": url, "mail_from": "e@example.org"}
        with live(folder, "lmtp", **given) as server:
            port = int(server.wait_for_line("taking mail on 127.0.0.1:").split(":")[1].split(";")[0])
            lots = [mails[start::CONNECTIONS] for start in range(CONNECTIONS)]
            before, began = processor_seconds(server.process.pid), time.perf_counter()
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(lambda lot: _hand_over(port, lot), lots))
            seconds = time.perf_counter() - began
            cpu = processor_seconds(server.process.pid) - before
            server.stop()
        with database.read() as session:
            accepted = session.execute(
                sa.select(sa.func.count()).select_from(Attendee).where(col(Attendee.reply) == "accepted")
            ).scalar_one()
        if accepted != REPLIES:
            raise RuntimeError(f"{accepted} of {REPLIES} replies were applied")
    progress(f"intake: {database.engine.dialect.name}: {REPLIES / seconds:.0f}/s, {cpu / REPLIES * 1e6:.0f} µs each")
    return REPLIES / seconds, cpu / REPLIES * 1e6


class _Disposed:
    def __init__(self, database: Database) -> None:
        self._database = database

    def close(self) -> None:
        self._database.dispose()


def _mails(session: Session) -> list[tuple[str, bytes]]:
    """An acceptance of everybody's, in the shape that Google gives it, with the address that it goes to."""
    now = datetime.now(UTC)
    event = session.exec(select(Event)).one()
    places = session.exec(select(Attendee.id, Person.email).join(Person).order_by(col(Attendee.id)))
    return [_mail(event, number or 0, email, now) for number, email in places]


def _mail(event: Event, attendee: int, email: str, now: datetime) -> tuple[str, bytes]:
    address = f"reply+{mail_token(_SECRET.encode(), 'reply', attendee)}@example.org"
    calendar = (
        "BEGIN:VCALENDAR\r\nPRODID:-//Google Inc//Google Calendar 70.9054//EN\r\nVERSION:2.0\r\nCALSCALE:GREGORIAN\r\n"
        f"METHOD:REPLY\r\nBEGIN:VEVENT\r\nDTSTART:{event.starts:%Y%m%dT%H%M%SZ}\r\nDTEND:{event.ends:%Y%m%dT%H%M%SZ}\r\n"
        f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}\r\nORGANIZER;CN=Events desk:mailto:{address}\r\nUID:{event.uid}\r\n"
        "ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;CN=Person;\r\n"
        f" X-NUM-GUESTS=0:mailto:{email}\r\nDESCRIPTION:{'Four days in Munich. ' * 3}\r\n"
        f"SEQUENCE:{event.sequence}\r\nSTATUS:CONFIRMED\r\nSUMMARY:{event.title}\r\nTRANSP:OPAQUE\r\nEND:VEVENT\r\n"
        "END:VCALENDAR\r\n"
    )
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"Person <{email}>", address, f"Accepted: {event.title}"
    message["Message-ID"] = f"<calendar-{attendee}@google.example>"
    message.set_content("Person has accepted this invitation.\n" * 4)
    message.add_alternative("<p>Person has accepted this invitation.</p>\n" * 20, subtype="html")
    message.add_alternative(calendar.encode(), "text", "calendar", params={"method": "REPLY", "charset": "utf-8"})
    message.make_mixed()
    message.add_attachment(calendar.encode(), "application", "ics", filename="invite.ics")
    return address, message.as_bytes()


def _hand_over(port: int, mails: list[tuple[str, bytes]]) -> None:
    with smtplib.LMTP("127.0.0.1", port, timeout=60) as mta:
        for address, message in mails:
            mta.sendmail("calendar@google.example", [address], message)
