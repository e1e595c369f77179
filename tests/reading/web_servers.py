"""A web server in a thread that answers as its script says, byte by byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Script = Callable[[str], Iterable[bytes]]
"""From the path that was asked for to the pieces of the answer, status line and all."""


def answer(body: bytes = b"", *fields: str, status: str = "200 OK") -> bytes:
    """A whole answer."""
    head = "\r\n".join((f"HTTP/1.1 {status}", *fields))
    return head.encode("latin-1") + b"\r\n\r\n" + body


@dataclass
class Web:
    """Where it listens, and what it was asked, as it came; `closing` is set when it is about to end."""

    port: int
    asked: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        """An address of it."""
        return f"{scheme}://{host}:{self.port}{path}"

    def drip(self, piece: bytes) -> Iterator[bytes]:
        """That piece over and over, never long after the last."""
        while not self.closing.wait(0.01):
            yield piece


@contextmanager
def web(script: Callable[[Web, str], Iterable[bytes]], tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """A server on a port of its own, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Web(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener, server, script, tls), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            with suppress(OSError), socket.create_connection(("127.0.0.1", server.port)):
                pass
            thread.join(10)


def _serve(
    listener: socket.socket,
    server: Web,
    script: Callable[[Web, str], Iterable[bytes]],
    tls: ssl.SSLContext | None,
) -> None:
    while not server.closing.is_set():
        connection, _ = listener.accept()
        # Who asked may leave at any moment; that is what some tests are about.
        with suppress(OSError), connection:
            if server.closing.is_set():
                return
            talk = tls.wrap_socket(connection, server_side=True) if tls else connection
            with talk:
                request = b""
                while b"\r\n\r\n" not in request and (piece := talk.recv(4096)):
                    request += piece
                server.asked.append(request.decode("latin-1"))
                for part in script(server, request.split(b" ")[1].decode("latin-1")):
                    talk.sendall(part)
