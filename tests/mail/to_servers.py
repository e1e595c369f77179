"""Sending a message to a server of a test's own."""

from __future__ import annotations

from urllib.parse import quote

from events_service.mail.conversations import alone
from events_service.mail.smtp import Smtp
from events_service.mail.transports import transport
from events_service.mail.wire import Outgoing

MESSAGE = Outgoing(
    "events@example.org",
    "ada@example.org",
    "<1@example.org>",
    b"Subject: dots\r\n\r\n.\r\n..two\r\n.then words\r\nlast line\r\n",
)
SECRET = quote("p@ss:word", safe="")


def yes() -> bool:
    """A fence that lets everything pass."""
    return True


def send(server: Smtp, *messages: Outgoing) -> list[bool]:
    """Over one connection; whether each passed the fence."""
    with server.connect() as [connection]:
        return [alone(connection.send(message), yes) for message in messages or (MESSAGE,)]


def plain(port: int, *, timeout: float = 20.0, final_timeout: float = 20.0) -> Smtp:
    """In the clear."""
    return Smtp("127.0.0.1", port, "smtp", timeout=timeout, final_timeout=final_timeout)


PIPELINING = ("PIPELINING", "8BITMIME")


def secured(port: int, scheme: str = "smtp+starttls", login: str = f"desk:{SECRET}@") -> Smtp:
    """With TLS, to a server that knows one user."""
    server = transport(f"{scheme}://{login}localhost:{port}", timeout=5)
    assert isinstance(server, Smtp)
    return server
