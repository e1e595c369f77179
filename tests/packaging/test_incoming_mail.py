"""The tables for Postfix in docs/incoming-mail.md: what the service's mail brings back is taken, nothing else is."""

from __future__ import annotations

import email
import re
from email.utils import parseaddr
from pathlib import Path

import pytest

from events_service.config import Settings
from events_service.db.session import Database
from tests.ledger import INVITED, House, started

DESK = "Events desk <events@events.example.org>"


@pytest.fixture
def postfix(repository: Path) -> dict[str, list[tuple[str, str]]]:
    """The tables by name: a pattern and what it gives, first come first served."""
    text = (repository / "docs/incoming-mail.md").read_text()
    block = next(part for part in text.split("```") if part.lstrip().startswith("# main.cf"))
    tables: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in block.strip().splitlines():
        if line.startswith("# "):
            name = line.removeprefix("# ").removeprefix("/etc/postfix/")
        else:
            key, value = line.split(" = ") if name == "main.cf" else line.split(None, 1)
            tables.setdefault(name, []).append((key, value))
    return tables


def looked_up(table: list[tuple[str, str]], address: str) -> str:
    """As Postfix looks into a regexp table: whatever the case, by the whole address."""
    return next((given for one, given in table if re.search(one.strip("/"), address, re.IGNORECASE)), "")


@pytest.mark.parametrize("verp", [False, True])
def test_bounces_and_replies_find_their_way_back(
    sqlite_database: Database, settings: Settings, postfix: dict[str, list[tuple[str, str]]], verp: bool
) -> None:
    house = House(sqlite_database, settings.model_copy(update={"mail_from": DESK, "verp": verp}), INVITED)
    with sqlite_database.write() as session:
        started(session, "ada@example.org")
    house.work()
    (message,) = house.wire.taken
    headers = email.message_from_bytes(message.data)
    back = {message.sender, *(parseaddr(headers[name])[1] for name in ("From", "Reply-To"))}
    assert len(back) == (3 if verp else 2)
    for address in back:
        assert looked_up(postfix["events-recipients"], address) == "OK", address
        assert looked_up(postfix["events-transport"], address).startswith("lmtp:"), address
    # People are read by somebody, bounces need not be.
    copied = {address for address in back if looked_up(postfix["events-copies"], address)}
    assert copied == {address for address in back if not address.startswith("bounce+")}


@pytest.mark.parametrize("local", ["anybody", "reply", "bounce+", "events.x", "xreply+1"])
def test_an_address_that_is_none_is_refused_before_the_mail_is_taken(
    postfix: dict[str, list[tuple[str, str]]], local: str
) -> None:
    assert looked_up(postfix["events-recipients"], f"{local}@events.example.org") == ""
    assert ("relay_recipient_maps", "regexp:/etc/postfix/events-recipients") in postfix["main.cf"]


def test_other_domains_are_left_alone(postfix: dict[str, list[tuple[str, str]]]) -> None:
    for address in ("events@example.org", "reply+1@example.org", "reply+1@events.example.org.evil.example"):
        tables = ("events-recipients", "events-transport", "events-copies")
        assert [looked_up(postfix[name], address) for name in tables] == [""] * 3


def test_there_is_one_recipe(repository: Path) -> None:
    texts = [path.read_text() for path in [*(repository / "docs").rglob("*.md"), repository / "README.md"]]
    assert sum(text.count("transport_maps") for text in texts) == 1
    assert not any("local_recipient_maps" in text for text in texts)
