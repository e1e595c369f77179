"""A feed's bytes in blocks, so that a change costs what it touches and not what the feed holds.

Which block an event is in follows from its number alone, so the same events are the same blocks whether they were built
one by one or all at once. A block is kept plain and as a piece of a deflate stream that ends at a byte (RFC 1951 3.2.4:
an empty stored block), so the gzipped form is made of pieces, as one member that every client reads (RFC 1952 2.2).
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import brotli
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from events_service.db.tables import FeedBlock

HEAD = 0
"""The number of the block with what stands before all events."""
TAIL = b"END:VCALENDAR\r\n"
_EVENTS = 128
_LEVEL = 6
_BROTLI_QUALITY = 5
_BROTLI_MOST = 1024 * 1024
# No name, no time, no operating system: the same bytes wherever they are made.
_GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class Block:
    """A block at a moment. At `expires_at` time alone changes it (None: never)."""

    number: int
    body: bytes
    timezones: str
    expires_at: datetime | None


class Joined(NamedTuple):
    """What a content's blocks come to: the validator of their bytes, how many bytes, and when time changes them."""

    etag: str
    length: int
    expires_at: datetime | None


def number_of(event_id: int) -> int:
    """The number of the block that holds an event."""
    return event_id // _EVENTS + 1


def events_of(number: int) -> range:
    """The numbers of the events that a block may hold."""
    return range((number - 1) * _EVENTS, number * _EVENTS)


def deflate(body: bytes) -> bytes:
    """A piece of a raw deflate stream, ending at a byte and referring to nothing before it."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH)


def join(blocks: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """The calendar of these blocks (each plain and deflated), plain and gzipped."""
    plain, pieces = zip(*blocks, strict=True)
    body = b"".join([*plain, TAIL])
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    last = packer.compress(TAIL) + packer.flush(zlib.Z_FINISH)
    trailer = struct.pack("<II", zlib.crc32(body), len(body) & 0xFFFFFFFF)
    return body, b"".join([_GZIP_HEAD, *pieces, last, trailer])


def brotlied(body: bytes) -> bytes:
    """The calendar by brotli (RFC 7932)."""
    compressed: bytes = brotli.compress(body, mode=brotli.MODE_TEXT, quality=_BROTLI_QUALITY)
    return compressed


def mark(session: Session, content_ids: Sequence[int], number: int) -> None:
    """Say of one block of these contents that it is stale, whether or not there is such a block yet."""
    if not content_ids:
        return
    insert: Any = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    marks = insert(FeedBlock).on_conflict_do_update(index_elements=["content_id", "number"], set_={"stale": True})
    rows = [FeedBlock(content_id=id, number=number, stale=True).model_dump() for id in sorted(content_ids)]
    session.execute(marks, rows)


def stale(session: Session, content_id: int, now: datetime) -> list[int]:
    """The numbers of its blocks that are stale or that time has changed."""
    query = sa.select(col(FeedBlock.number)).where(
        col(FeedBlock.content_id) == content_id, sa.or_(col(FeedBlock.stale), col(FeedBlock.expires_at) <= now)
    )
    return list(session.scalars(query))


def keep(session: Session, content_id: int, made: Iterable[Block], numbers: Collection[int] | None) -> None:
    """Put what was made in the place of the blocks of those numbers, or of all but the head; none is stale then.

    A block whose bytes are the same is not compressed or written again.
    """
    its = col(FeedBlock.content_id) == content_id
    if numbers is not None:
        its = sa.and_(its, col(FeedBlock.number).in_(sorted(numbers)))
    query = sa.select(col(FeedBlock.number), col(FeedBlock.digest)).where(its, col(FeedBlock.number) != HEAD)
    kept = {number: digest for number, digest in session.execute(query)}
    blocks = {block.number: block for block in made}
    if gone := kept.keys() - blocks.keys():
        session.execute(sa.delete(FeedBlock).where(its, col(FeedBlock.number).in_(sorted(gone))))
    for number in sorted(blocks):
        _keep(session, content_id, blocks[number], kept.get(number))


def keep_head(session: Session, content_id: int, body: bytes) -> None:
    """Put these bytes before all events."""
    query = sa.select(col(FeedBlock.digest)).where(
        col(FeedBlock.content_id) == content_id, col(FeedBlock.number) == HEAD
    )
    _keep(session, content_id, Block(HEAD, body, "", None), session.scalar(query))


def timezones(session: Session, content_id: int) -> list[str]:
    """What zones its blocks need, each text once."""
    query = sa.select(col(FeedBlock.timezones)).where(col(FeedBlock.content_id) == content_id).distinct()
    return sorted(session.scalars(query))


def joined(session: Session, content_id: int) -> Joined:
    """What its blocks come to, without reading their bytes."""
    length = sa.func.length(col(FeedBlock.body))
    query = (
        sa.select(col(FeedBlock.digest), length, col(FeedBlock.expires_at))
        .where(col(FeedBlock.content_id) == content_id)
        .order_by(col(FeedBlock.number))
    )
    rows = session.execute(query).all()
    etag = hashlib.sha256("".join(row[0] for row in rows).encode()).hexdigest()[:32]
    expiries = [row[2] for row in rows if row[2] is not None]
    return Joined(etag, sum(row[1] for row in rows) + len(TAIL), min(expiries, default=None))


def compressed_whole(session: Session, content_id: int, length: int) -> bytes | None:
    """The content by brotli; None where it is so long that compressing it as a whole would take too long.

    Brotli's streams cannot be joined from pieces, so it is done anew at every change.
    """
    if length > _BROTLI_MOST:
        return None
    query = sa.select(col(FeedBlock.body)).where(col(FeedBlock.content_id) == content_id)
    return brotlied(b"".join([*session.scalars(query.order_by(col(FeedBlock.number))), TAIL]))


def _keep(session: Session, content_id: int, block: Block, kept: str | None) -> None:
    digest = hashlib.sha256(block.body).hexdigest()
    values: dict[str, Any] = {"stale": False, "expires_at": block.expires_at, "timezones": block.timezones}
    if digest != kept:
        values |= {"digest": digest, "body": block.body, "deflated": deflate(block.body)}
    if kept is None:
        session.execute(sa.insert(FeedBlock).values(content_id=content_id, number=block.number, **values))
    else:
        which = sa.and_(col(FeedBlock.content_id) == content_id, col(FeedBlock.number) == block.number)
        session.execute(sa.update(FeedBlock).where(which).values(values))
