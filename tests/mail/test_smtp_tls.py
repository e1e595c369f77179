"""TLS and passwords: to whom a message and a login are shown, and to whom neither."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from events_service.errors import (
    MailError,
    TransientMailError,
)
from tests.mail.servers import certificate, real_server, scripted, server_tls
from tests.mail.to_servers import MESSAGE, secured, send


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts the server's certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("localhost")))


@pytest.mark.parametrize("login", [f"desk:{quote('pässword')}@", f"{quote('dësk')}:password@"])
def test_a_login_that_is_not_ascii_is_one_clear_error(trusted: None, login: str) -> None:
    with real_server(tls_context=server_tls("localhost"), require_starttls=True) as (desk, port):
        with pytest.raises(MailError) as caught:
            secured(port, login=login).check()
        assert str(caught.value) == (
            f"SMTP localhost:{port}: the user name or password of EVENTS_SMTP_URL is not ASCII, and Python's mail"
            " client sends no other; choose one of plain letters, digits and signs"
        )
        assert desk.logins == []


@pytest.mark.usefixtures("trusted")
def test_starttls_and_a_password() -> None:
    with real_server(tls_context=server_tls("localhost"), require_starttls=True, auth_required=True) as (desk, port):
        assert secured(port).check() == f"smtp+starttls://localhost:{port}"
        assert send(secured(port)) == [True]
    assert [envelope.original_content for envelope in desk.taken] == [MESSAGE.data]
    assert desk.logins == [(b"desk", b"p@ss:word")] * 2


@pytest.mark.usefixtures("trusted")
def test_tls_from_the_first_byte() -> None:
    words = {"ssl_context": server_tls("localhost"), "auth_require_tls": False}
    with real_server(**words) as (desk, port):
        assert send(secured(port, "smtps")) == [True]
    assert [envelope.original_content for envelope in desk.taken] == [MESSAGE.data]
    assert desk.logins == [(b"desk", b"p@ss:word")]


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password() -> None:
    with (
        real_server(tls_context=server_tls("localhost"), require_starttls=True, auth_required=True) as (desk, port),
        pytest.raises(TransientMailError, match="refused the user name or password of EVENTS_SMTP_URL: 535") as caught,
    ):
        send(secured(port, login="desk:wrong@"))
    assert caught.value.code == 535
    assert "wrong" not in str(caught.value).split("EVENTS_SMTP_URL")[1]
    assert desk.taken == []


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
@pytest.mark.parametrize(
    ("shown", "trusts", "why"),
    [
        ("localhost", None, "self-signed certificate"),
        ("elsewhere", "elsewhere", "Hostname mismatch"),
        ("expired", "expired", "certificate has expired"),
    ],
)
def test_to_a_wrong_certificate_nothing_is_sent(
    scheme: str, shown: str, trusts: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusts:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate(trusts)))
    words = (
        {"ssl_context": server_tls(shown), "auth_require_tls": False}
        if scheme == "smtps"
        else {"tls_context": server_tls(shown), "require_starttls": True, "auth_required": True}
    )
    with real_server(**words) as (desk, port), pytest.raises(TransientMailError) as caught:
        send(secured(port, scheme))
    assert (desk.logins, desk.taken) == ([], [])
    assert str(caught.value).startswith(f"SMTP localhost:{port}: its certificate is not trusted (")
    assert why in str(caught.value)
    assert str(caught.value).endswith("; nothing was sent to it")


def test_a_port_without_tls() -> None:
    with scripted() as server, pytest.raises(TransientMailError) as caught:
        send(secured(server.port, "smtps"))
    assert str(caught.value) == (
        f"SMTP localhost:{server.port}: TLS cannot be begun (wrong version number);"
        " see that scheme and port of EVENTS_SMTP_URL belong together"
    )


def test_a_server_without_starttls_gets_no_password() -> None:
    with (
        scripted() as server,
        pytest.raises(TransientMailError, match="does not offer STARTTLS; nothing was sent to it"),
    ):
        send(secured(server.port))
    assert [line.split()[0].upper() for line in server.heard] == ["EHLO"]


@pytest.mark.usefixtures("trusted")
def test_a_server_that_knows_no_passwords_gets_none() -> None:
    with real_server(ssl_context=server_tls("localhost"), auth_require_tls=True) as (desk, port):
        with pytest.raises(TransientMailError, match="does not offer AUTH; nothing was sent to it"):
            send(secured(port, "smtps"))
        assert (desk.logins, desk.taken) == ([], [])


@pytest.mark.usefixtures("trusted")
def test_what_was_put_into_the_clear_after_starttls_is_refused() -> None:
    with (
        scripted(offers=["STARTTLS", "AUTH PLAIN"], STARTTLS=b"220 go on\r\n250 injected\r\n") as server,
        pytest.raises(TransientMailError, match=r"more was said in the clear after STARTTLS; nothing was sent to it$"),
    ):
        send(secured(server.port))
    assert server.commands == ["EHLO", "STARTTLS"]
