"""Mail servers in a thread: aiosmtpd, which is a real one, and one that fails where its script says so."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

CERTIFICATES = Path(__file__).parent / "certificates"
"""Keys and certificates of no use anywhere else: localhost's, another host's, and one that has expired."""

DROP, HANG, SLOWLY = "drop", "hang", "slowly "


def certificate(name: str) -> Path:
    """The file of a certificate and its key."""
    return CERTIFICATES / f"{name}.pem"


def server_tls(name: str) -> ssl.SSLContext:
    """What a server needs to show that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(name))
    return context


class Desk:
    """Takes mail and keeps it; knows one user."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.logins: list[tuple[bytes, bytes]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        return "250 taken"

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append((data.login, data.password))
        return AuthResult(success=data == LoginPassword(b"desk", b"p@ss:word"), handled=False)


class _OnAnyPort(Controller):
    def _trigger_server(self) -> None:
        # The system has chosen the port by now.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def real_server(**words: Any) -> Iterator[tuple[Desk, int]]:
    """aiosmtpd on a port of its own, with those settings; its desk and the port."""
    desk = Desk()
    controller = _OnAnyPort(desk, hostname="127.0.0.1", port=0, authenticator=desk.authenticate, **words)
    controller.start()
    try:
        yield desk, controller.port
    finally:
        controller.stop()


class Scripted:
    """A server that says 250 (or 354) to everything but what its script names.

    The script's keys are commands, `hello` for the greeting and `.` for the word on a whole message; `DROP` closes the
    connection there, `HANG` says nothing more, and what begins with `SLOWLY` is said half a second later.
    """

    def __init__(self, script: Mapping[str, str]) -> None:
        self.script = script
        self.heard: list[str] = []
        self.messages: list[bytes] = []
        self.over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        if not self._say(connection, "hello", "220 here"):
            return
        while line := lines.readline():
            self.heard.append(line.decode().strip())
            command = line.split()[0].decode().upper()
            if not self._say(connection, command, "354 go on" if command == "DATA" else "250 fine"):
                return
            if command == "DATA" and self.script.get("DATA", "354").startswith("354"):
                message = b""
                while (line := lines.readline()) not in (b".\r\n", b""):
                    message += line[1:] if line.startswith(b".") else line
                self.messages.append(message)
                if not self._say(connection, ".", "250 taken"):
                    return
            if command == "QUIT":
                return

    def _say(self, connection: socket.socket, command: str, usual: str) -> bool:
        said = self.script.get(command, usual)
        if said == HANG:
            self.over.wait(60)
        if said in (DROP, HANG):
            return False
        if said.startswith(SLOWLY):
            self.over.wait(0.5)
        connection.sendall(said.removeprefix(SLOWLY).encode() + b"\r\n")
        return True


@contextmanager
def scripted(**script: str) -> Iterator[Scripted]:
    """A server that follows that script; `dot` stands for the word on a whole message."""
    server = Scripted({("." if key == "dot" else key): value for key, value in script.items()})
    try:
        yield server
    finally:
        server.close()
