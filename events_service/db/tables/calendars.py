"""Feeds: who may read them, and the bytes they are answered with."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, maybe_instant


class Feed(SQLModel, table=True):
    """A calendar address. Its token is shown once; the table keeps the token's SHA-256."""

    __tablename__ = "feed"

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    of: str = ""
    token_sha256: str = Field(unique=True)
    created_at: datetime = instant()
    revoked_at: datetime | None = maybe_instant()
    last_used: datetime | None = maybe_instant()


class FeedContent(SQLModel, table=True):
    """The bytes of one revision of what a kind of feed shows, plain and gzipped; shared by all its addresses.

    `stale_at` is set in the transaction that changes something it shows, and cleared by the rebuild of a tick.
    """

    __tablename__ = "feed_content"
    __table_args__ = (sa.UniqueConstraint("kind", "of"),)

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    of: str = ""
    revision: int
    etag: str
    changed_at: datetime = instant()
    stale_at: datetime | None = maybe_instant(index=True)
    expires_at: datetime | None = maybe_instant(index=True)
    body: bytes = Field(sa_type=sa.LargeBinary)
    gzipped: bytes = Field(sa_type=sa.LargeBinary)


class EventObject(SQLModel, table=True):
    """The kept VEVENT bytes of one event and of its sessions, and the change of the event that they show.

    `timezones` and `session_timezones` name the zones that a calendar with them must define: `TZID FIRST LAST` a line.
    `sessions_until` is when the first of its cancelled sessions goes; null where none is shown.
    """

    __tablename__ = "event_object"

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    changed_at: datetime = instant()
    timezones: str = Field(default="", sa_type=sa.Text)
    body: bytes = Field(sa_type=sa.LargeBinary)
    session_timezones: str = Field(default="", sa_type=sa.Text)
    session_body: bytes = Field(default=b"", sa_type=sa.LargeBinary)
    sessions_until: datetime | None = maybe_instant()
