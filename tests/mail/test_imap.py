"""The mailbox on the wire: whom it trusts, what it refuses, and what it says when it cannot go on."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from events_service.errors import MailboxError, SettingsError
from events_service.mail.imap import Address, open_mailbox, read_address
from tests.mail.servers import certificate, server_tls


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("imaps://desk:h1dden@mail.example.org", Address("mail.example.org", 993, "desk", "h1dden", "INBOX")),
        (
            "imaps://desk%40example.org:p%2Fw%C3%B6@[::1]:1993/Reply/In%20box",
            Address("::1", 1993, "desk@example.org", "p/wö", "Reply/In box"),
        ),
    ],
)
def test_an_address_is_read(url: str, address: Address) -> None:
    assert read_address(url) == address
    assert "h1dden" not in str(address)


@pytest.mark.parametrize(
    "url",
    [
        "imap://desk:h1dden@mail.example.org/INBOX",
        "imaps://mail.example.org/INBOX",
        "imaps://desk@mail.example.org",
        "imaps://desk:h1dden@/INBOX",
        "imaps://desk:h1dden@mail.example.org:port/INBOX",
        "imaps://desk:h1dden@mail.example.org/Postf%C3%A4cher",
        "imaps://desk:sec%0Dret@mail.example.org",
        "mailbox",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^EVENTS_IMAP_URL: ") as refused:
        read_address(url)
    assert "h1dden" not in str(refused.value)


@contextmanager
def scripted(*answers: bytes, tls: str = "localhost") -> Iterator[tuple[Address, list[bytes]]]:
    """A server that gives those answers, one to each line that it hears after its greeting, and then hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            plain, _ = listener.accept()
            with plain, server_tls(tls).wrap_socket(plain, server_side=True) as connection:
                connection.sendall(b"* OK [CAPABILITY IMAP4rev1] here\r\n")
                lines = connection.makefile("rb")
                for answer in answers:
                    heard.append(line := lines.readline())
                    tag = line.split(b" ")[0]
                    connection.sendall(answer.replace(b"TAG", tag))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Address("localhost", listener.getsockname()[1], 'de"sk', "h1dden", "INBOX"), heard
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


CAPABLE = b"* CAPABILITY IMAP4rev1\r\nTAG OK fine\r\n"
FINE = b"TAG OK fine\r\n"
SELECTED = b"* 2 EXISTS\r\nTAG OK [READ-WRITE] fine\r\n"


@pytest.fixture(autouse=True)
def _trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate("localhost")))


def failure(address: Address) -> str:
    """Why what is unread there cannot be told."""
    with pytest.raises(MailboxError) as failed, open_mailbox(address, 10) as box:
        list(box.unseen())
    return str(failed.value)


@pytest.mark.parametrize("name", ["elsewhere", "expired"])
def test_a_certificate_that_is_not_trusted_gets_no_password(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(name)))
    with scripted(CAPABLE, tls=name) as (address, heard):
        assert re.search("its certificate is not trusted .*; no password was sent", failure(address))
        assert heard == []


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ((CAPABLE, b"TAG NO [AUTHENTICATIONFAILED] no\r\n"), "refused the user name or password of EVENTS_IMAP_URL"),
        ((CAPABLE, b"* BYE full\r\n"), "."),
        ((CAPABLE, FINE, b"TAG NO no such\r\n"), "no folder 'INBOX' to read"),
        ((CAPABLE, FINE, b"* 2 EXISTS\r\nTAG OK [READ-ONLY] fine\r\n"), "'INBOX' is read-only"),
        ((CAPABLE, FINE, SELECTED, b"TAG NO later\r\n"), "refused SEARCH"),
        ((CAPABLE, FINE, SELECTED, b"TAG BAD what\r\n"), "command error: BAD"),
        ((CAPABLE, FINE, SELECTED, b""), "."),
        ((), "."),
    ],
)
def test_whatever_goes_wrong_is_one_line(answers: tuple[bytes, ...], why: str) -> None:
    with scripted(*answers) as (address, _heard):
        failed = failure(address)
    assert re.fullmatch(rf"IMAP localhost:{address.port}: .*{why}.*", failed)
    assert "h1dden" not in failed


def test_nobody_there_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "refused" in failure(Address("localhost", port, "desk", "h1dden", "INBOX"))


def test_a_message_is_cut_where_the_server_sends_more_than_was_asked_for() -> None:
    literal = b"* 1 FETCH (UID 7 BODY[]<0> {20}\r\n" + b"x" * 20 + b")\r\nTAG OK fine\r\n"
    answers = (CAPABLE, FINE, SELECTED, b"* SEARCH 9 7\r\n" + FINE, literal, FINE, FINE, FINE)
    with scripted(*answers) as (address, heard), open_mailbox(address, 10) as box:
        assert list(box.unseen()) == [7, 9]
        assert box.fetch(7, 10) == b"x" * 10
        # It has gone meanwhile.
        assert box.size(8) is None
        box.mark(7)
    commands = [line.split(b" ", 1)[1].strip() for line in heard]
    assert commands[1:] == [
        b'LOGIN "de\\"sk" "h1dden"',
        b'SELECT "INBOX"',
        b"UID SEARCH 1:2 UNSEEN UNDELETED",
        b"UID FETCH 7 (BODY.PEEK[]<0.10>)",
        b"UID FETCH 8 (RFC822.SIZE)",
        b"UID STORE 7 +FLAGS.SILENT (\\Seen)",
        b"LOGOUT",
    ]
