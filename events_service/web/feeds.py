"""GET and HEAD of `/feeds/<token>.ics`: a thin route ahead of the application's own, answered from kept bytes.

A request costs one look by the token's hash, which also tells whether the address is revoked and whether the bytes in
memory are still the revision in force. Nothing is written: which addresses were used is noted in memory.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import sqlalchemy as sa
from anyio import to_thread
from sqlmodel import col
from starlette.types import Receive, Scope, Send

from events_service.clock import Clock
from events_service.db.session import Database
from events_service.db.tables import FeedContent
from events_service.errors import DatabaseError
from events_service.tokens import token_sha256
from events_service.web.conditional import Headers, Representation, answer, representation

_PATH = re.compile(r"/feeds/([a-z2-7]{20,64})\.ics")
_CACHE_BYTES = 64 * 1024 * 1024
_LOOK = (
    'SELECT f.id, f.kind, f."of", c.etag FROM feed f JOIN feed_content c ON c.kind = f.kind AND c."of" = f."of" '
    "WHERE f.token_sha256 = {} AND f.revoked_at IS NULL"
)


class LastUsed:
    """The feeds that were asked for since somebody last took the note."""

    def __init__(self) -> None:
        self._ids: set[int] = set()

    def note(self, feed_id: int) -> None:
        """This feed was asked for."""
        self._ids.add(feed_id)

    def take(self) -> set[int]:
        """The note, and a clean page."""
        taken, self._ids = self._ids, set()
        return taken


class FeedRoute:
    """An ASGI application for everything under `/feeds/`."""

    def __init__(self, database: Database, clock: Clock, used: LastUsed) -> None:
        self._database, self._clock, self._used = database, clock, used
        self._look = _LOOK.format("?" if database.is_sqlite else "%s")
        self._kept: OrderedDict[tuple[str, str], Representation] = OrderedDict()
        self._kept_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        if scope["method"] not in ("GET", "HEAD"):
            await _plain(send, 405, b"Method not allowed\n", [(b"allow", b"GET, HEAD")])
            return
        matched = _PATH.fullmatch(scope["path"])
        try:
            shown = await self._find(matched[1]) if matched else None
        except DatabaseError:
            await _plain(send, 503, b"Try again later\n", [(b"retry-after", b"60")])
            return
        if shown is None:
            await _plain(send, 404, b"Not found\n", [])
            return
        status, headers, body = answer(scope["headers"], shown)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _find(self, token: str) -> Representation | None:
        digest = token_sha256(token)
        # SQLite answers from its page cache in microseconds, a thread would cost ten times that; PostgreSQL is away.
        row = self._row(digest) if self._database.is_sqlite else await to_thread.run_sync(self._row, digest)
        if row is None:
            return None
        feed_id, kind, of, etag = row
        self._used.note(feed_id)
        kept = self._kept.get((kind, of))
        if kept is not None and kept.etag == etag:
            self._kept.move_to_end((kind, of))
            return kept
        loaded = await to_thread.run_sync(self._load, kind, of)
        if loaded is not None:
            self._keep((kind, of), loaded)
        return loaded

    def _row(self, digest: str) -> tuple[int, str, str, str] | None:
        # Straight to the driver: this runs at every request, and the ORM would be most of its cost.
        dialect = self._database.engine.dialect
        driver_error: type[Exception] = dialect.loaded_dbapi.Error
        try:
            connection = self._database.engine.raw_connection()
            try:
                cursor: Any = connection.cursor()
                cursor.execute(self._look, (digest,))
                row: tuple[int, str, str, str] | None = cursor.fetchone()
                cursor.close()
                return row
            finally:
                connection.close()
        except (driver_error, sa.exc.SQLAlchemyError) as error:
            raise DatabaseError(f"database {self._database}: {error}") from error

    def _load(self, kind: str, of: str) -> Representation | None:
        columns = (FeedContent.etag, FeedContent.changed_at, FeedContent.body, FeedContent.gzipped)
        with self._database.read() as session:
            row = session.execute(
                sa.select(*map(col, columns)).where(col(FeedContent.kind) == kind, col(FeedContent.of) == of)
            ).first()
        return None if row is None else representation(row.etag, row.changed_at, row.body, row.gzipped, self._clock())

    def _keep(self, key: tuple[str, str], loaded: Representation) -> None:
        self._kept_bytes += _size(loaded) - (_size(self._kept[key]) if key in self._kept else 0)
        self._kept[key] = loaded
        self._kept.move_to_end(key)
        while self._kept_bytes > _CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= _size(self._kept.popitem(last=False)[1])


def _size(shown: Representation) -> int:
    return len(shown.body) + len(shown.gzipped or b"")


async def _plain(send: Send, status: int, text: bytes, extra: Headers) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
