"""Deliveries through the post room to a real mail server."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Delivery
from events_service.mail.transports import transport
from events_service.postroom import Postroom
from tests.mail.reading import read
from tests.mail.servers import certificate, real_server, server_tls
from tests.planned import NOW, load
from tests.test_letters import World


def posted(database: Database, settings: Settings, *addresses: str) -> list[int]:
    """Invitations that are due."""
    with database.write() as session:
        load(session)
        world = World(session, settings)
        rows = [world.row(world.person(address), "invitation") for address in addresses]
        for row in rows:
            row.state, row.due_at, row.next_at = "pending", NOW, NOW
        session.flush()
        return [row.id or 0 for row in rows]


def states(database: Database, ids: list[int]) -> list[tuple[str, int | None, str | None]]:
    with database.read() as session:
        rows = [session.get_one(Delivery, id) for id in ids]
        return [(row.state, row.last_code, row.message_id) for row in rows]


@pytest.mark.parametrize("scheme", ["smtp", "smtp+starttls", "smtps"])
def test_a_campaign_arrives(
    scheme: str, sqlite_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("localhost")))
    ids = posted(sqlite_database, settings, "ada@example.org", "bob@example.org", "eve@example.org")
    words = {
        "smtp": {},
        "smtp+starttls": {"tls_context": server_tls("localhost"), "require_starttls": True, "auth_required": True},
        "smtps": {"ssl_context": server_tls("localhost"), "auth_require_tls": False},
    }[scheme]
    login = "" if scheme == "smtp" else "desk:p%40ss%3Aword@"
    with real_server(**words) as (desk, port):
        mail = transport(f"{scheme}://{login}localhost:{port}", timeout=5)
        tally = Postroom(sqlite_database, settings, mail, FixedClock(NOW)).deliver(ids)
        mail.close()
    assert tally.sent == 3
    assert [envelope.rcpt_tos for envelope in desk.taken] == [
        ["ada@example.org"], ["bob@example.org"], ["eve@example.org"]
    ]  # fmt: skip
    messages: list[EmailMessage] = [read(envelope.original_content or b"") for envelope in desk.taken]
    assert states(sqlite_database, ids) == [("sent", None, str(message["Message-ID"])) for message in messages]
    assert len(desk.logins) == (scheme != "smtp"), "one connection takes all"


def test_one_that_is_refused_stops_no_other(
    sqlite_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = posted(
        sqlite_database, settings, "ada@example.org", "gone@example.org", "full@example.org", "eve@example.org"
    )
    answers = {"gone@example.org": "550 5.1.1 no such user", "full@example.org": "452 4.2.2 mailbox full"}

    async def refuse(server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if address not in answers:
            envelope.rcpt_tos.append(address)
        return answers.get(address, "250 fine")

    with real_server() as (desk, port):
        monkeypatch.setattr(desk, "handle_RCPT", refuse, raising=False)
        mail = transport(f"smtp://localhost:{port}", timeout=5)
        tally = Postroom(sqlite_database, settings, mail, FixedClock(NOW)).deliver(ids)
        mail.close()
    assert (tally.sent, tally.failed, tally.retried) == (2, 1, 1)
    assert [(state, code) for state, code, _ in states(sqlite_database, ids)] == [
        ("sent", None), ("failed", 550), ("pending", 452), ("sent", None)
    ]  # fmt: skip
    assert [envelope.rcpt_tos for envelope in desk.taken] == [["ada@example.org"], ["eve@example.org"]]
