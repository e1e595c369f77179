"""What a feed's content would be answered with."""

from __future__ import annotations

from sqlmodel import Session, col, select

from events_service.db.tables import FeedBlock, FeedContent
from events_service.feed_blocks import join


def served(session: Session, kept: FeedContent) -> tuple[bytes, bytes]:
    """Its bytes, plain and gzipped."""
    blocks = select(FeedBlock).where(FeedBlock.content_id == kept.id).order_by(col(FeedBlock.number))
    return join((block.body, block.deflated) for block in session.exec(blocks))
