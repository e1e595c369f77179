"""Against real servers: what is sent, what is refused, and what nobody can know."""

from __future__ import annotations

import socket
from urllib.parse import quote

import pytest

from events_service.errors import (
    MailError,
    PermanentMailError,
    SenderRefusedError,
    TransientMailError,
    UnknownMailError,
)
from events_service.mail.smtp import Smtp
from events_service.mail.transports import transport
from events_service.mail.wire import Outgoing
from tests.mail.servers import DROP, HANG, SLOWLY, certificate, real_server, scripted, server_tls

MESSAGE = Outgoing(
    "events@example.org",
    "ada@example.org",
    "<1@example.org>",
    b"Subject: dots\r\n\r\n.\r\n..two\r\n.then words\r\nlast line\r\n",
)
SECRET = quote("p@ss:word", safe="")


def yes() -> bool:
    return True


def send(server: Smtp, *messages: Outgoing) -> list[bool]:
    with server.connect() as connection:
        return [connection.send(message, yes) for message in messages or (MESSAGE,)]


def plain(port: int, *, timeout: float = 5.0, final_timeout: float = 5.0) -> Smtp:
    return Smtp("127.0.0.1", port, "smtp", timeout=timeout, final_timeout=final_timeout)


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts the server's certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("localhost")))


def secured(port: int, scheme: str = "smtp+starttls", login: str = f"desk:{SECRET}@") -> Smtp:
    server = transport(f"{scheme}://{login}localhost:{port}", timeout=5)
    assert isinstance(server, Smtp)
    return server


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


def test_a_message_arrives_byte_by_byte() -> None:
    with real_server() as (desk, port):
        assert send(plain(port)) == [True]
    (envelope,) = desk.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("events@example.org", ["ada@example.org"])
    assert envelope.original_content == MESSAGE.data


def test_a_message_without_a_last_line_end_gets_one() -> None:
    with real_server() as (desk, port):
        send(plain(port), Outgoing("a@example.org", "b@example.org", "<2@example.org>", b".\r\n\r\nlast"))
    assert desk.taken[0].original_content == b".\r\n\r\nlast\r\n"


def test_one_connection_takes_many() -> None:
    with scripted() as server:
        assert send(plain(server.port), MESSAGE, MESSAGE, MESSAGE) == [True, True, True]
        assert server.heard.count("DATA") == 3
        assert [line.split()[0] for line in server.heard].count("ehlo") == 1
        assert server.heard[-1].upper() == "QUIT"
        assert server.messages == [MESSAGE.data] * 3


def test_what_the_fence_stops_never_reaches_data() -> None:
    with scripted() as server, plain(server.port).connect() as connection:
        assert connection.send(MESSAGE, lambda: False) is False
        assert connection.send(MESSAGE, yes) is True
        assert [line.split()[0].upper() for line in server.heard[1:]] == [
            "MAIL",
            "RCPT",
            "RSET",
            "MAIL",
            "RCPT",
            "DATA",
        ]


def test_the_fence_is_asked_after_the_recipient_was_taken() -> None:
    heard: list[list[str]] = []
    with scripted() as server, plain(server.port).connect() as connection:

        def fence() -> bool:
            heard.append([line.split()[0].upper() for line in server.heard])
            return True

        connection.send(MESSAGE, fence)
    assert heard == [["EHLO", "MAIL", "RCPT"]]


@pytest.mark.parametrize(
    ("phase", "answer", "error"),
    [
        *(
            (phase, answer, error)
            for phase in ("RCPT", "DATA", "dot")
            for answer, error in (("451 later", TransientMailError), ("550 never", PermanentMailError))
        ),
        # What is said of the sender, or wants a login, is about us, whoever the message is for.
        ("MAIL", "451 too much mail", SenderRefusedError),
        ("MAIL", "550 over the quota", SenderRefusedError),
        ("MAIL", "421 closing", TransientMailError),
        *((phase, "530 log in first", SenderRefusedError) for phase in ("MAIL", "RCPT", "DATA", "dot")),
        ("RCPT", "535 who are you", SenderRefusedError),
    ],
)
def test_a_refusal_says_the_phase_and_the_code(phase: str, answer: str, error: type[MailError]) -> None:
    with scripted(**{phase: answer}) as server, plain(server.port).connect() as connection:
        with pytest.raises(MailError) as caught:
            connection.send(MESSAGE, yes)
        assert type(caught.value) is error
        assert caught.value.code == int(answer[:3])
        assert str(caught.value) == f"{'end of DATA' if phase == 'dot' else phase}: {answer}"
        server.script = {}
        assert connection.send(MESSAGE, yes) is True, "the connection is good for the next"


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("how", [DROP, HANG])
def test_a_connection_lost_before_data_is_no_doubt(phase: str, how: str) -> None:
    with scripted(**{phase: how}) as server, plain(server.port, timeout=0.2).connect() as connection:
        with pytest.raises(TransientMailError, match=r"^lost the connection ") as caught:
            connection.send(MESSAGE, yes)
        assert caught.value.code == 0
        assert server.messages == []
        with pytest.raises(TransientMailError):
            connection.send(MESSAGE, yes)


@pytest.mark.parametrize("answer", [DROP, HANG, "what?", "354 more"])
def test_after_the_final_dot_nobody_knows(answer: str) -> None:
    with scripted(dot=answer) as server, plain(server.port, timeout=5, final_timeout=0.2).connect() as connection:
        with pytest.raises(UnknownMailError):
            connection.send(MESSAGE, yes)
        assert server.messages == [MESSAGE.data]
        with pytest.raises(TransientMailError):
            connection.send(MESSAGE, yes)


def test_the_word_on_a_whole_message_may_take_longer_than_a_step() -> None:
    with scripted(dot=f"{SLOWLY}250 taken") as server, plain(server.port, timeout=0.2).connect() as connection:
        assert connection.send(MESSAGE, yes) is True
        server.script = {"MAIL": f"{SLOWLY}250 fine"}
        with pytest.raises(TransientMailError, match="timed out"):
            connection.send(MESSAGE, yes)


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [({"hello": "554 not today"}, 554, "554 not today"), ({"hello": "421 busy"}, 421, "421 busy")],
)
def test_a_server_that_turns_us_away(script: dict[str, str], code: int, said: str) -> None:
    with scripted(**script) as server, pytest.raises(TransientMailError) as caught:
        send(plain(server.port))
    assert caught.value.code == code
    assert str(caught.value).startswith(f"SMTP 127.0.0.1:{server.port}: {said}")


@pytest.mark.parametrize("how", [DROP, HANG])
def test_a_server_that_never_greets(how: str) -> None:
    with scripted(hello=how) as server, pytest.raises(TransientMailError, match=f"^SMTP 127.0.0.1:{server.port}: "):
        send(plain(server.port, timeout=0.2))


def test_no_server_at_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TransientMailError, match=f"^SMTP 127.0.0.1:{port}: Connection refused$"):
        send(plain(port))
    with pytest.raises(MailError, match="Connection refused") as caught:
        plain(port).check()
    assert type(caught.value) is MailError


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


def test_a_server_without_starttls_gets_no_password() -> None:
    with scripted() as server, pytest.raises(TransientMailError, match="STARTTLS extension not supported"):
        send(secured(server.port))
    assert [line.split()[0].upper() for line in server.heard] == ["EHLO"]


def test_how_long_one_message_may_take() -> None:
    assert transport("smtp://127.0.0.1:1", timeout=60).longest_seconds == 720
    assert plain(1, timeout=5, final_timeout=7).longest_seconds == 17
