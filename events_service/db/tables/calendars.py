"""Feeds: who may read them, and the bytes they are answered with."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, maybe_instant


class Feed(SQLModel, table=True):
    """A calendar address. Its token is shown once; the table keeps the token's SHA-256.

    With `all_day` events that span several local dates are whole days in it.
    """

    __tablename__ = "feed"

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    of: str = ""
    all_day: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    token_sha256: str = Field(unique=True)
    created_at: datetime = instant()
    revoked_at: datetime | None = maybe_instant()
    last_used: datetime | None = maybe_instant()


class FeedContent(SQLModel, table=True):
    """One revision of what a kind of feed shows; shared by all its addresses. Its bytes are its blocks, joined.

    `stale_at` is set in the transaction that changes something it shows, and cleared by the rebuild of a tick. What is
    stale are the blocks that say so, or the whole of it where `all_stale` is set. `brotli` is the joined bytes
    compressed, where they are few enough to be compressed as a whole.
    """

    __tablename__ = "feed_content"
    __table_args__ = (sa.UniqueConstraint("kind", "of", "all_day"),)

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    of: str = ""
    all_day: bool = False
    revision: int
    etag: str
    changed_at: datetime = instant()
    stale_at: datetime | None = maybe_instant(index=True)
    all_stale: bool = False
    expires_at: datetime | None = maybe_instant(index=True)
    brotli: bytes | None = Field(default=None, sa_type=sa.LargeBinary, nullable=True)


class FeedBlock(SQLModel, table=True):
    """A part of a feed's bytes, plain and as a piece of a deflate stream. `feed_blocks.py` says which events it holds.

    Number 0 is the calendar's head. `timezones` names the zones that its events need defined there: `TZID FIRST LAST` a
    line. At `expires_at` time alone changes it. `digest` is the SHA-256 of its bytes.
    """

    __tablename__ = "feed_block"

    content_id: int = Field(foreign_key="feed_content.id", primary_key=True, ondelete="CASCADE")
    number: int = Field(primary_key=True)
    stale: bool = False
    expires_at: datetime | None = maybe_instant()
    timezones: str = Field(default="", sa_type=sa.Text)
    digest: str = ""
    body: bytes = Field(default=b"", sa_type=sa.LargeBinary)
    deflated: bytes = Field(default=b"", sa_type=sa.LargeBinary)


class EventObject(SQLModel, table=True):
    """The kept VEVENT bytes of one event and of its sessions, and the change of the event that they show.

    `timezones` and `session_timezones` name the zones that a calendar with them must define: `TZID FIRST LAST` a line.
    `sessions_until` is when the first of its cancelled sessions goes; null where none is shown.
    `day_body` is the event as whole days, which need no zone; empty where it ends on the day it begins.
    """

    __tablename__ = "event_object"

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    changed_at: datetime = instant()
    timezones: str = Field(default="", sa_type=sa.Text)
    body: bytes = Field(sa_type=sa.LargeBinary)
    day_body: bytes = Field(default=b"", sa_type=sa.LargeBinary)
    session_timezones: str = Field(default="", sa_type=sa.Text)
    session_body: bytes = Field(default=b"", sa_type=sa.LargeBinary)
    sessions_until: datetime | None = maybe_instant()
