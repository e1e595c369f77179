"""A guest's browser: it speaks to the application in this process, over ASGI, and to nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Page:
    """What was answered."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


class Browser:
    """Opens pages of the site at `base`. An address of another site is a fault of whoever wrote it: ValueError."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app, self._base = app, base
        self._loop = asyncio.new_event_loop()
        self._asked: asyncio.Queue[tuple[dict[str, Any], bytes, asyncio.Future[Page]]] = asyncio.Queue()
        # One task serves all requests, as a server's does: threads that a request begins are there for the next.
        self._serving = self._loop.create_task(self._serve())

    def get(self, url: str) -> Page:
        """Open a page."""
        return self._ask("GET", url, b"")

    def post(self, url: str, fields: Mapping[str, str]) -> Page:
        """Send a form."""
        return self._ask("POST", url, urlencode(fields).encode())

    def close(self) -> None:
        """Let go of the event loop and its threads."""
        self._serving.cancel()
        self._loop.run_until_complete(asyncio.gather(self._serving, return_exceptions=True))
        self._loop.close()

    def _ask(self, method: str, url: str, body: bytes) -> Page:
        if not url.startswith(f"{self._base}/"):
            raise ValueError(f"{url!r} is no address of {self._base}")
        parts = urlsplit(url)
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": parts.scheme,
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [
                (b"host", parts.netloc.encode()),
                (b"content-type", b"application/x-www-form-urlencoded"),
                (b"content-length", str(len(body)).encode()),
            ],
            "client": ("127.0.0.1", 1),
            "server": (parts.hostname, 443),
        }
        answer: asyncio.Future[Page] = self._loop.create_future()
        self._asked.put_nowait((scope, body, answer))
        return self._loop.run_until_complete(answer)

    async def _serve(self) -> None:
        while True:
            scope, body, answer = await self._asked.get()
            try:
                answer.set_result(await self._talk(scope, body))
            except Exception as error:  # noqa: BLE001 it belongs to whoever asked
                answer.set_exception(error)

    async def _talk(self, scope: dict[str, Any], body: bytes) -> Page:
        sent: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        status, answered = 0, bytearray()

        async def receive() -> Message:
            return sent.pop() if sent else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                answered.extend(message.get("body", b""))

        await self._app(scope, receive, send)
        return Page(status, bytes(answered))
