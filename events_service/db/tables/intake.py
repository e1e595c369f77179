"""Mail that came in, and the mailbox that is looked into for it."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, maybe_instant


class Intake(SQLModel, table=True):
    """One e-mail that came in: what it was and what was done with it. Its text is not kept.

    `kind` is reply, bounce, complaint, receipt, auto or other. `status` is a bounce's enhanced status code (RFC 3463),
    "" where it gave none; `soft` says that it refused the message and not the address.
    """

    __tablename__ = "intake"
    __table_args__ = (sa.Index("ix_intake_delivery_id_received_at", "delivery_id", "received_at"),)

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    kind: str
    applied: bool
    why: str = ""
    status: str = ""
    soft: bool = False
    attendee_id: int | None = Field(default=None, foreign_key="attendee.id", ondelete="CASCADE", index=True)
    delivery_id: int | None = Field(default=None, foreign_key="delivery.id", ondelete="CASCADE")
    received_at: datetime = instant()


class MailboxPoll(SQLModel, table=True):
    """Looking into a mailbox: one row, so that one process at a time does so, and none too often.

    `next_at` is when the next look may begin, `rung_at` when a worker was last told to look, `polled_at` the last look
    that succeeded, all by now; `failures` counts those since that did not. `lease_until` is by the database's clock.
    """

    __tablename__ = "mailbox_poll"

    name: str = Field(primary_key=True)
    next_at: datetime = instant()
    rung_at: datetime | None = maybe_instant()
    polled_at: datetime | None = maybe_instant()
    failures: int = 0
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    lease_token: str | None = None
    lease_until: datetime | None = maybe_instant()
