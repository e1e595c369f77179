from __future__ import annotations

from pathlib import Path

import pytest

from events_service.errors import SettingsError
from events_service.mail.maildir import Maildir
from events_service.mail.smtp import Smtp
from events_service.mail.transports import transport


def test_a_maildir_by_its_path() -> None:
    named = transport("maildir:/var/mail/with%20space", durable=False)
    assert isinstance(named, Maildir)
    assert (named.path, named.durable) == (Path("/var/mail/with space"), False)


def test_ports_that_go_without_saying() -> None:
    servers = [transport(f"{scheme}://mail.example.org") for scheme in ("smtp", "smtp+starttls", "smtps")]
    assert [(one.server.scheme, one.server.host, one.server.port) for one in servers if isinstance(one, Smtp)] == [
        ("smtp", "mail.example.org", 25),
        ("smtp+starttls", "mail.example.org", 587),
        ("smtps", "mail.example.org", 465),
    ]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("smtp://desk:secret@localhost", "smtp:// would send the password in the clear; use smtp+starttls://"),
        ("smtp://localhost:port", "not an address; write it like smtp://HOST:25"),
        ("smtp://[::1:25", "not an address; write it like smtp://HOST:25"),
        ("smtp+starttls://desk:secret/x@localhost", "not an address; write it like smtp://HOST:25"),
        ("smtp+starttls://desk:sec[ret@localhost", "not an address; write it like smtp://HOST:25"),
        ("smtp://localhost:99999", "not an address; write it like smtp://HOST:25"),
        ("smtps://:465", "no host; write it like smtp://localhost:25"),
        ("pigeon://desk:secret@localhost", "'pigeon:' is not supported; use maildir:FOLDER, "),
        ("maildir:", "'maildir:' is not supported; use maildir:FOLDER, "),
        ("mail", "it names no way to send; use maildir:FOLDER, "),
        ("//desk:secret@localhost", "it names no way to send; use maildir:FOLDER, "),
    ],
)
def test_a_setting_that_names_no_transport(url: str, why: str) -> None:
    with pytest.raises(SettingsError) as caught:
        transport(url)
    assert str(caught.value).startswith(f"EVENTS_SMTP_URL: {why}")
    assert "sec" not in str(caught.value)
    assert "\n" not in str(caught.value)
