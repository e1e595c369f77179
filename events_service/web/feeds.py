"""GET and HEAD of `/feeds/<token>.ics`: a thin route ahead of the application's own, answered from kept bytes.

A request costs one look by the token's hash, which also tells whether the address is revoked and whether the bytes in
memory are still the revision in force. A new revision is read once, in a thread, by one statement: whatever is rebuilt
meanwhile, its blocks are of one revision. Nothing is written: which addresses were used is noted in memory.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from typing import Any

import sqlalchemy as sa
from anyio import to_thread
from sqlmodel import col
from starlette.types import Receive, Scope, Send

from events_service.clock import Clock
from events_service.db.session import Database
from events_service.db.tables import FeedBlock, FeedContent
from events_service.errors import DatabaseError
from events_service.feed_blocks import HEAD, join
from events_service.tokens import token_sha256
from events_service.web.conditional import Headers, Representation, answer, representation

_PATH = re.compile(r"/feeds/([a-z2-7]{20,64})\.ics")
_CACHE_BYTES = 64 * 1024 * 1024
_LOOK = (
    'SELECT f.id, c.id, c.etag FROM feed f JOIN feed_content c ON c.kind = f.kind AND c."of" = f."of" '
    "AND c.all_day = f.all_day WHERE f.token_sha256 = {} AND f.revoked_at IS NULL"
)
# Each row has a block; what is of all of them stands in the first alone.
_BLOCKS = (
    sa.select(
        col(FeedContent.etag),
        col(FeedContent.changed_at),
        sa.case((col(FeedBlock.number) == HEAD, col(FeedContent.brotli))).label("brotli"),
        col(FeedBlock.body),
        col(FeedBlock.deflated),
    )
    .join(FeedBlock, col(FeedBlock.content_id) == col(FeedContent.id))
    .where(col(FeedContent.id) == sa.bindparam("content"))
    .order_by(col(FeedBlock.number))
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
        self._own: Any = None
        # The database closes what is in its pool, and this connection is not.
        sa.event.listen(database.engine, "engine_disposed", lambda _engine: self.close())
        self._kept: OrderedDict[int, Representation] = OrderedDict()
        self._kept_bytes = 0
        self._loading: dict[tuple[int, str], asyncio.Future[Representation | None]] = {}

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

    def close(self) -> None:
        """Let go of the connection of its own."""
        if self._own is not None:
            self._own.close()
            self._own = None

    async def _find(self, token: str) -> Representation | None:
        digest = token_sha256(token)
        # SQLite answers from its page cache in microseconds, a thread would cost ten times that; PostgreSQL is away.
        row = self._row(digest) if self._database.is_sqlite else await to_thread.run_sync(self._row, digest)
        if row is None:
            return None
        feed_id, content_id, etag = row
        self._used.note(feed_id)
        kept = self._kept.get(content_id)
        if kept is not None and kept.etag == etag:
            self._kept.move_to_end(content_id)
            return kept
        return await self._loaded(content_id, etag)

    async def _loaded(self, content_id: int, etag: str) -> Representation | None:
        """Read it, or wait for who is reading it: a hundred subscribers after a change are one read."""
        key = (content_id, etag)
        reading = self._loading.get(key)
        if reading is None:
            reading = asyncio.ensure_future(to_thread.run_sync(self._load, content_id))
            self._loading[key] = reading
            reading.add_done_callback(lambda _: self._loading.pop(key, None))
        loaded = await asyncio.shield(reading)
        if loaded is not None and self._kept.get(content_id) is not loaded:
            self._keep(content_id, loaded)
        return loaded

    def _row(self, digest: str) -> tuple[int, int, str] | None:
        # Straight to the driver: this runs at every request, and the ORM would be most of its cost.
        dialect = self._database.engine.dialect
        driver_error: type[Exception] = dialect.loaded_dbapi.Error
        try:
            if self._database.is_sqlite:
                return self._row_of_sqlite(digest)
            connection = self._database.engine.raw_connection()
            try:
                cursor: Any = connection.cursor()
                cursor.execute(self._look, (digest,))
                row: tuple[int, int, str] | None = cursor.fetchone()
                cursor.close()
                return row
            finally:
                connection.close()
        except (driver_error, sa.exc.SQLAlchemyError) as error:
            self.close()
            raise DatabaseError(f"database {self._database}: {error}") from error

    def _row_of_sqlite(self, digest: str) -> tuple[int, int, str] | None:
        """The same over a connection of the event loop's own: the pool's bookkeeping costs twice the look itself.

        Outside a transaction each statement sees what was committed last; read to its end, it holds nothing.
        """
        if self._own is None:
            pooled = self._database.engine.raw_connection()
            pooled.detach()
            self._own = pooled.dbapi_connection
        rows: list[tuple[int, int, str]] = self._own.execute(self._look, (digest,)).fetchall()
        return rows[0] if rows else None

    def _load(self, content_id: int) -> Representation | None:
        with self._database.read() as session:
            rows = session.execute(_BLOCKS, {"content": content_id}).all()
        if not rows:
            return None
        body, gzipped = join((row.body, row.deflated) for row in rows)
        first = rows[0]
        return representation(first.etag, first.changed_at, body, gzipped, self._clock(), brotli=first.brotli)

    def _keep(self, content_id: int, loaded: Representation) -> None:
        before = self._kept.pop(content_id, None)
        self._kept_bytes += loaded.size - (before.size if before else 0)
        self._kept[content_id] = loaded
        while self._kept_bytes > _CACHE_BYTES and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].size


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
