"""An SMTP server that keeps a record of what it has accepted: what a fault test believes, rather than the ledger.

It takes pipelined commands (RFC 2920). A message counts as accepted once its final dot is here and nothing holds the
word back, whether or not anybody is left to read that word.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^>\r\n]+>)", re.IGNORECASE | re.MULTILINE)
_HELLO = b"250-desk\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n"
_LONGEST = 1 << 22


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that the server said 250 to."""

    message_id: str
    recipient: str
    data: bytes

    @property
    def message(self) -> Message:
        """It, parsed."""
        return message_from_bytes(self.data)


class Desk:
    """The server. `seconds` is how long it thinks about each message before its word."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.seconds = 0.0
        self.in_data = 0
        self.port = 0
        self._after: int | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        """For EVENTS_SMTP_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def count(self) -> int:
        """How many it has accepted."""
        return len(self.accepted)

    @property
    def ids(self) -> Counter[str]:
        """How often it accepted each Message-ID."""
        return Counter(one.message_id for one in list(self.accepted))

    def hold(self, after: int = 0) -> None:
        """Once so many are accepted, leave whole messages without a word. `in_data` counts them."""
        self._tell(after)

    def release(self) -> None:
        """Say the words that were held, and no longer hold any."""
        self._tell(None)

    def _tell(self, after: int | None) -> None:
        done = threading.Event()

        def tell() -> None:
            self._hold(after)
            done.set()

        self._loop.call_soon_threadsafe(tell)
        done.wait()

    @property
    def held(self) -> bool:
        """Whether it leaves messages without a word."""
        return not self._open.is_set()

    def _hold(self, after: int | None) -> None:
        self._after = after
        if after is not None and len(self.accepted) >= after:
            self._open.clear()
        else:
            self._open.set()

    def start(self) -> None:
        """Serve, in a thread."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close every connection and end."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._open, self._over = asyncio.Event(), asyncio.Event()
        self._open.set()
        server = await asyncio.start_server(self._talk, "127.0.0.1", self.port, limit=_LONGEST, backlog=200)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        talks = asyncio.all_tasks() - {asyncio.current_task()}
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        # What was closed by that is let go of in the loop's next round.
        await asyncio.sleep(0)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._listen(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 desk ESMTP\r\n")
        recipient = ""
        while line := await reader.readline():
            match line[:4].upper():
                case b"EHLO":
                    writer.write(_HELLO)
                case b"RCPT":
                    recipient = line.split(b"<", 1)[1].split(b">", 1)[0].decode()
                    writer.write(b"250 fine\r\n")
                case b"DATA":
                    writer.write(b"354 go on\r\n")
                    await writer.drain()
                    await self._take(recipient, await reader.readuntil(b"\r\n.\r\n"))
                    writer.write(b"250 taken\r\n")
                case b"QUIT":
                    writer.write(b"221 bye\r\n")
                    await writer.drain()
                    return
                case _:
                    writer.write(b"250 fine\r\n")
            await writer.drain()

    async def _take(self, recipient: str, data: bytes) -> None:
        self.in_data += 1
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            await self._open.wait()
        finally:
            self.in_data -= 1
        found = _MESSAGE_ID.search(data)
        self.accepted.append(Accepted(found[1].decode() if found else "", recipient, data[:-5]))
        if self._after is not None:
            self._hold(self._after)


@contextmanager
def open_desk() -> Iterator[Desk]:
    """A desk that serves on a port of its own."""
    desk = Desk()
    desk.start()
    try:
        yield desk
    finally:
        desk.stop()
