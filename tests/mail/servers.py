"""Mail servers in a thread: aiosmtpd, which is a real one, and one that fails where its script says so."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

CERTIFICATES = Path(__file__).parent / "certificates"
"""Keys and certificates of no use anywhere else: localhost's, another host's, and one that has expired."""

DROP, HANG, SLOWLY, HELD, AFTER_HELD = "<drop>", "<hang>", "<slowly>", "<held>", "<after held>"


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


@dataclass(frozen=True)
class Heard:
    """A command as an answer may depend on it.

    Its line, the recipient ("" before there is one), the number of its connection, from 1, and how many messages that
    connection has brought so far, this one included where it is the end of one.
    """

    line: str
    recipient: str
    connection: int
    messages: int


Answer: TypeAlias = "str | bytes | Sequence[str | bytes] | Callable[[Heard], str | bytes]"


class Scripted:
    """A server that says 250 (or 354) to everything but what its script names; any number of connections at once.

    The script's keys are commands in capitals, `hello` for the greeting and `.` for the word on a whole message. An
    answer is a line without its end; or bytes that are sent as they are; or several of these, one after the other, the
    last for good; or a function of what was `Heard`.

    In an answer `DROP` closes the connection, after what stands before it; `HANG` says nothing more; what begins with
    `SLOWLY` is said half a second later, what begins with `HELD` once `go` is set, what begins with `AFTER_HELD` once
    something is held. `offers` are its extensions. `trickling`, it sends octet by octet.

    `open` has the connections there are, `heard` every line but messages, `messages` what came after DATA, with its
    dots as they were meant, and `taken` how often it took a message to whom.
    """

    def __init__(self, script: Mapping[str, Answer], *, offers: Sequence[str] = (), trickling: bool = False) -> None:
        self.script = script
        self.offers, self.trickling = offers, trickling
        self.heard: list[str] = []
        self.messages: list[bytes] = []
        self.taken: Counter[str] = Counter()
        self.connections = 0
        self.over, self.go, self.held = threading.Event(), threading.Event(), threading.Event()
        self._said: Counter[str] = Counter()
        self.open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    @property
    def commands(self) -> list[str]:
        """What was heard, the first word of each line in capitals."""
        return [line.split()[0].upper() if line.split() else "" for line in self.heard]

    def close(self) -> None:
        """End all connections and threads."""
        self.over.set()
        self.go.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(10)

    def hang_up(self, words: str = "") -> None:
        """Close every connection there is, maybe with a word."""
        with self._lock:
            for connection in self.open:
                with suppress(OSError):
                    if words:
                        connection.sendall(words.encode() + b"\r\n")
                    connection.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self.open.append(connection)
                talk = threading.Thread(target=self._attend, args=(connection, self.connections), daemon=True)
                self._threads.append(talk)
            talk.start()

    def _attend(self, connection: socket.socket, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, suppress(OSError):
            self._talk(connection, number)
        with self._lock:
            self.open.remove(connection)

    def _talk(self, connection: socket.socket, number: int) -> None:
        lines = connection.makefile("rb")
        messages, recipient = 0, ""

        def say(command: str, line: str, usual: str, to: str = "") -> str | None:
            return self._say(connection, command, Heard(line, recipient, number, messages), usual, to)

        if say("hello", "", "220 here") is None:
            return
        while raw := lines.readline():
            line = raw.decode("utf-8", "replace").strip()
            self.heard.append(line)
            command = line.split()[0].upper() if line else ""
            usual = {"DATA": "354 go on", "EHLO": self._hello(), "QUIT": "221 goodbye"}.get(command, "250 fine")
            if command == "RCPT":
                recipient = line.split("<")[1].split(">")[0]
            said = say(command, line, usual)
            if said is None or command == "QUIT":
                return
            if command == "MAIL" or (command == "RCPT" and not said.startswith("25")):
                recipient = ""
            if command == "DATA" and said.startswith("354"):
                message = b""
                while (raw := lines.readline()) not in (b".\r\n", b""):
                    message += raw[1:] if raw.startswith(b".") else raw
                if not raw:
                    return
                messages += 1
                self.messages.append(message)
                to = recipient if message else ""
                said = say(".", line, "250 taken", to)
                if said is None:
                    return

    def _hello(self) -> str:
        return "\r\n".join(f"250{'-' if number < len(self.offers) else ' '}{line}"
                           for number, line in enumerate(("here", *self.offers)))  # fmt: skip

    def _say(self, connection: socket.socket, command: str, heard: Heard, usual: str, to: str) -> str | None:
        """What was said; None where the connection is over."""
        said = self.script.get(command, usual)
        if callable(said):
            said = said(heard)
        elif not isinstance(said, str | bytes):
            said = said[min(self._said[command], len(said) - 1)]
        self._said[command] += 1
        text = said if isinstance(said, str) else said.decode("latin-1")
        if text.startswith(SLOWLY):
            self.over.wait(0.5)
        if text.startswith(HELD):
            self.held.set()
            self.go.wait(60)
        if text.startswith(AFTER_HELD):
            self.held.wait(60)
        text = text.removeprefix(SLOWLY).removeprefix(HELD).removeprefix(AFTER_HELD)
        words, drop, _ = text.partition(DROP)
        words, hang, _ = words.partition(HANG)
        if to and words.startswith("250 "):
            # Before it is said: whoever has read it may look.
            self.taken[to] += 1
        if words:
            self._send(connection, words.encode("latin-1") + (b"\r\n" if isinstance(said, str) else b""))
        if hang:
            self.over.wait(60)
        return None if drop or hang else words

    def _send(self, connection: socket.socket, data: bytes) -> None:
        step = 1 if self.trickling else len(data)
        for start in range(0, len(data), step):
            connection.sendall(data[start : start + step])


@contextmanager
def scripted(*, offers: Sequence[str] = (), trickling: bool = False, **script: Answer) -> Iterator[Scripted]:
    """A server that follows that script; `dot` stands for the word on a whole message."""
    named = {("." if key == "dot" else key): value for key, value in script.items()}
    server = Scripted(named, offers=offers, trickling=trickling)
    try:
        yield server
    finally:
        server.close()
