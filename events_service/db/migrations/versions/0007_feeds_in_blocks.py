"""A feed's bytes in blocks; whole days as a choice of each feed.

What feeds show goes on to be served as it is, as one block, until the next tick builds it anew.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from typing import Any

import sqlalchemy as sa
from alembic import op

from events_service.db.types import UTCDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TAIL = b"END:VCALENDAR\r\n"


def upgrade() -> None:
    op.add_column("feed", sa.Column("all_day", sa.Boolean(), server_default=sa.false(), nullable=False))
    before = _rows("kind", '"of"', "revision", "etag", "changed_at", "body")
    op.drop_index(op.f("ix_feed_content_stale_at"), table_name="feed_content")
    op.drop_index(op.f("ix_feed_content_expires_at"), table_name="feed_content")
    op.drop_table("feed_content")
    contents = op.create_table(
        "feed_content",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("of", sa.String(), nullable=False),
        sa.Column("all_day", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("etag", sa.String(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.Column("stale_at", UTCDateTime(), nullable=True),
        sa.Column("all_stale", sa.Boolean(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("brotli", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_content")),
        sa.UniqueConstraint("kind", "of", "all_day", name=op.f("uq_feed_content_kind_of_all_day")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_feed_content_expires_at"), "feed_content", ["expires_at"], unique=False)
    op.create_index(op.f("ix_feed_content_stale_at"), "feed_content", ["stale_at"], unique=False)
    blocks = op.create_table(
        "feed_block",
        sa.Column("content_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stale", sa.Boolean(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("timezones", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("deflated", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"], ["feed_content.id"], name=op.f("fk_feed_block_content_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("content_id", "number", name=op.f("pk_feed_block")),
    )
    for row in before:
        _in_one_block(contents, blocks, row)
    # Kept bytes of single events are made again when they are wanted.
    _event_objects(sa.Column("day_body", sa.LargeBinary(), nullable=False))


def downgrade() -> None:
    bodies: dict[int, list[bytes]] = {}
    for row in _rows("content_id", "number", "body", table="feed_block"):
        bodies.setdefault(row.content_id, []).append(row.body)
    before = _rows("id", "kind", '"of"', "revision", "etag", "changed_at", "all_day")
    op.drop_table("feed_block")
    op.drop_index(op.f("ix_feed_content_stale_at"), table_name="feed_content")
    op.drop_index(op.f("ix_feed_content_expires_at"), table_name="feed_content")
    op.drop_table("feed_content")
    contents = op.create_table(
        "feed_content",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("of", sa.String(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("etag", sa.String(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.Column("stale_at", UTCDateTime(), nullable=True),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("gzipped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_content")),
        sa.UniqueConstraint("kind", "of", name=op.f("uq_feed_content_kind_of")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_feed_content_expires_at"), "feed_content", ["expires_at"], unique=False)
    op.create_index(op.f("ix_feed_content_stale_at"), "feed_content", ["stale_at"], unique=False)
    kept: set[tuple[str, str]] = set()
    for row in sorted(before, key=lambda row: bool(row.all_day)):
        # Of two that differ in their whole days alone the plain one stays.
        if (row.kind, row.of) not in kept:
            kept.add((row.kind, row.of))
            body = b"".join([*bodies.get(row.id, []), _TAIL])
            values = {"body": body, "gzipped": gzip.compress(body, 6, mtime=0), "stale_at": row.changed_at}
            op.get_bind().execute(contents.insert().values(**_named(row), **values))
    _event_objects()
    with op.batch_alter_table("feed") as feed:
        feed.drop_column("all_day")


def _rows(*columns: str, table: str = "feed_content") -> list[Any]:
    query = sa.text(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2")  # noqa: S608 - names of our own
    types = {"changed_at": UTCDateTime()} if "changed_at" in columns else {}
    return list(op.get_bind().execute(query.columns(**types)))


def _named(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("kind", "of", "revision", "etag", "changed_at")}


def _in_one_block(contents: sa.Table, blocks: sa.Table, row: Any) -> None:
    values = {**_named(row), "all_day": False, "stale_at": row.changed_at, "all_stale": True}
    id = op.get_bind().execute(contents.insert().values(values).returning(contents.c.id)).scalar_one()
    body = bytes(row.body).removesuffix(_TAIL)
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    op.get_bind().execute(
        blocks.insert().values(
            content_id=id,
            number=0,
            stale=False,
            timezones="",
            digest=hashlib.sha256(body).hexdigest(),
            body=body,
            deflated=packer.compress(body) + packer.flush(zlib.Z_SYNC_FLUSH),
        )
    )


def _event_objects(*more: sa.Column[Any]) -> None:
    op.drop_table("event_object")
    op.create_table(
        "event_object",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.Column("timezones", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        *more,
        sa.Column("session_timezones", sa.Text(), nullable=False),
        sa.Column("session_body", sa.LargeBinary(), nullable=False),
        sa.Column("sessions_until", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_event_object_event_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_event_object")),
    )
