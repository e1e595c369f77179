"""What stands around every page: a cap on what may be posted, and the headers that keep a browser on our side."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 * 1024
"""Bytes. The largest honest post is a survey of a few long answers."""


class BodyCap:
    """Reads a request's body before anything else does, and answers 413 where it is too large."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        # What the client declares is only a hint: what arrives is counted.
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        too_large = declared.isdigit() and int(declared) > self._limit
        while not too_large:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            too_large = len(body) > self._limit
            if not message.get("more_body", False):
                break
        if too_large:
            text = f"At most {self._limit // 1024} KiB may be sent here\n".encode()
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
            await send({"type": "http.response.start", "status": 413, "headers": [*headers, (b"connection", b"close")]})
            await send({"type": "http.response.body", "body": text})
            return
        pending: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


class SecurityHeaders:
    """Sets the headers below on every answer that does not set them itself.

    Pages need no script, no picture and no other site, so a browser is told to allow none. `style_hash` is the CSP
    source of the one inline style sheet. Nothing is kept by caches unless a page says so: most addresses hold a token.
    """

    def __init__(self, app: ASGIApp, style_hash: str) -> None:
        self._app = app
        self._headers = {
            "content-security-policy": (
                f"default-src 'none'; style-src '{style_hash}'; form-action 'self'; base-uri 'none';"
                " frame-ancestors 'none'"
            ),
            "x-content-type-options": "nosniff",
            "x-frame-options": "DENY",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
            "cache-control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)
