"""An LMTP server (RFC 2033): mail comes in from the mail server beside it, and is taken before its 250.

It knows nothing of what mail says. `take` is given each message whole, with the envelope on top as RFC 5321 section 4.4
has it: a Return-Path, and a Delivered-To for each recipient. What `take` cannot take now it raises, and the mail server
hears 451 and tries again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import structlog
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope, Session

from events_service.errors import EventsError, SettingsError, UsageError

MAX_RECIPIENTS = 100
MAX_CONNECTIONS = 50
THREADS = 4
MAX_LINE = 1024 * 1024
"""Longer than RFC 5321 allows: a bounce that quotes such a line must not bounce itself."""
IDLE_SECONDS = 300.0
GRACE_SECONDS = 30.0

Take = Callable[[bytes], None]

log = structlog.get_logger(__name__)
# It writes down whole commands, with the addresses in them.
logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)


def read_listen(addr: str) -> tuple[str, int]:
    """Host and port of EVENTS_LMTP_ADDR, on loopback where it names no host; UsageError if unset, SettingsError."""
    if not addr:
        raise UsageError("EVENTS_LMTP_ADDR is not set; set it to where mail is to come in, such as 127.0.0.1:8024")
    found = re.fullmatch(r"(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)?:)?(\d{1,5})", addr.strip())
    if found is None or not 0 <= int(found[2]) <= 65535:
        raise SettingsError(f"EVENTS_LMTP_ADDR={addr}: not HOST:PORT; write it like 127.0.0.1:8024")
    return (found[1] or "127.0.0.1").strip("[]"), int(found[2])


def serve(host: str, port: int, take: Take, max_bytes: int, started: Callable[[int], None]) -> None:
    """Take mail until SIGTERM or Ctrl-C; messages that are being taken then are finished.

    `started` is told the port. SettingsError where the address cannot be listened on.
    """
    asyncio.run(_serve(host, port, take, max_bytes, started))


async def _serve(host: str, port: int, take: Take, max_bytes: int, started: Callable[[int], None]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    with ThreadPoolExecutor(THREADS, "lmtp") as threads:
        desk = _Desk(take, threads)
        try:
            server = await loop.create_server(lambda: _Lmtp(desk, data_size_limit=max_bytes), host, port)
        except OSError as error:
            # What asyncio says of it repeats the address; a name that is not found has a number below zero.
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise SettingsError(f"EVENTS_LMTP_ADDR={host}:{port}: cannot listen there: {why}") from error
        started(server.sockets[0].getsockname()[1])
        await stopped.wait()
        server.close()
        await desk.finish(GRACE_SECONDS)


class _Lmtp(LMTP):
    """A connection. It answers a message once for each of its recipients, also where it refuses it for its form."""

    line_length_limit = MAX_LINE

    def __init__(self, desk: _Desk, *, data_size_limit: int) -> None:
        super().__init__(
            desk,
            data_size_limit=data_size_limit,
            enable_SMTPUTF8=True,
            hostname="localhost",
            ident="events LMTP",
            timeout=IDLE_SECONDS,
            loop=asyncio.get_running_loop(),
        )
        self._desk, self._answers = desk, 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._desk.come(transport):
            assert isinstance(transport, asyncio.Transport)  # noqa: S101  (a stream's always is)
            transport.write(b"421 4.3.2 too many connections; try again later\r\n")
            transport.close()
            return
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._desk.go(self.transport):
            super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        """After the final dot there is one answer for each recipient (RFC 2033 section 4.2)."""
        self._answers = max(len(self.envelope.rcpt_tos), 1) if self.envelope else 1
        try:
            await super().smtp_DATA(arg)
        finally:
            self._answers = 1
            self._desk.answered(self)

    async def push(self, status: Any) -> None:
        """Say it; what is said of a whole message, for each recipient."""
        text = status if isinstance(status, str) else bytes(status).decode("utf-8", "replace")
        # 354 asks for the message; 5xx before it is about the command, and nobody's in particular.
        of_message = self._answers > 1 and not text.startswith(("354", "501", "503"))
        await super().push("\r\n".join([text] * self._answers) if of_message else status)


class _Desk:
    """What is common to the connections: who is connected, and who waits for the word on a message."""

    def __init__(self, take: Take, threads: ThreadPoolExecutor) -> None:
        self._take, self._threads = take, threads
        self._connected: set[asyncio.BaseTransport] = set()
        self._waiting: set[LMTP] = set()
        self._over = False
        self._idle = asyncio.Event()

    def come(self, transport: asyncio.BaseTransport) -> bool:
        """Note a connection, unless there are too many."""
        if self._over or len(self._connected) >= MAX_CONNECTIONS:
            return False
        self._connected.add(transport)
        return True

    def go(self, transport: asyncio.BaseTransport | None) -> bool:
        """Forget a connection; whether it was noted."""
        if transport is None or transport not in self._connected:
            return False
        self._connected.remove(transport)
        return True

    def answered(self, server: LMTP) -> None:
        """A connection has the word on its message, or is lost."""
        self._waiting.discard(server)
        if self._over and not self._waiting:
            self._idle.set()

    async def finish(self, grace: float) -> None:
        """Have everybody who waits for a word answered, within `grace` seconds, and close all connections."""
        self._over = True
        if self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), grace)
        for transport in list(self._connected):
            transport.close()
        # What was written last goes out, and the connections are told that they are over.
        await asyncio.sleep(0.01)

    async def handle_EHLO(  # noqa: N802
        self, _server: LMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """What RFC 2033 section 5 wants said in answer to LHLO."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", responses[-1]]

    async def handle_RCPT(  # noqa: N802
        self, _server: LMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Anybody, but not too many at a time."""
        if len(envelope.rcpt_tos) >= MAX_RECIPIENTS:
            return "452 4.5.3 too many recipients at once"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 fine"

    async def handle_DATA(self, server: LMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take it in a thread: the database may keep us waiting, and others are served meanwhile."""
        if self._over:
            return "451 4.3.2 shutting down; try again later"
        self._waiting.add(server)
        message = _with_envelope(envelope)
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._take, message)
        except EventsError as error:
            log.warning("a message could not be taken; its server tries again", why=str(error))
            return "451 4.3.0 cannot be taken now; try again later"
        except Exception as error:  # noqa: BLE001  (whatever it is, the mail must not be lost)
            log.error("a message could not be taken; its server tries again", error=type(error).__name__)
            return "451 4.3.0 cannot be taken now; try again later"
        return "250 2.0.0 taken"


def _with_envelope(envelope: Envelope) -> bytes:
    content = envelope.content or b""
    message = content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")
    sender = (envelope.mail_from or "").strip("<>")
    lines = [f"Return-Path: <{sender}>" for sender in _plain([sender])]
    lines += [f"Delivered-To: {recipient}" for recipient in _plain(envelope.rcpt_tos)]
    return "\r\n".join([*lines, ""]).encode("utf-8", "surrogateescape") + message


def _plain(addresses: Sequence[str | None]) -> list[str]:
    # One with a line end in it would be a header of its own.
    return [address for address in addresses if address is not None and address.isprintable()]
