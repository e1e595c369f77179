"""Mail that came in, what attendees propose in it, and the mailbox that is looked into for it."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, maybe_instant


class Intake(SQLModel, table=True):
    """One e-mail that came in: what it was and what was done with it. Its text is not kept.

    `kind` is reply, proposal, refresh, bounce, complaint, receipt, auto or other. `said` is a calendar's answer as it
    stands there, such as accepted, or "". `status` is a bounce's enhanced status code (RFC 3463), "" where it gave
    none; `soft` says that it refused the message and not the address.
    """

    __tablename__ = "intake"
    __table_args__ = (sa.Index("ix_intake_delivery_id_received_at", "delivery_id", "received_at"),)

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    kind: str
    applied: bool
    why: str = ""
    said: str = Field(default="", sa_column_kwargs={"server_default": sa.text("''")})
    status: str = ""
    soft: bool = False
    attendee_id: int | None = Field(default=None, foreign_key="attendee.id", ondelete="CASCADE", index=True)
    delivery_id: int | None = Field(default=None, foreign_key="delivery.id", ondelete="CASCADE")
    received_at: datetime = instant()


class Proposal(SQLModel, table=True):
    """Something an attendee proposes and an organiser decides: other times for the event, or somebody in their place.

    `kind` is time (RFC 5546 3.2.7) or delegate (RFC 5545 3.2.5). A time has `starts`, and `ends` unless the length
    shall stay; `was_starts` and `was_ends` are the event's own when it came. `delegate` is an address, emptied once it
    is settled. `sequence` and `dtstamp` are those of the calendar it came in. `state` is open, accepted, declined or
    withdrawn, `reason` why it is settled.
    """

    __tablename__ = "proposal"
    # Of an attendee one of each kind is open: a later one replaces it.
    __table_args__ = (
        sa.Index(
            "uq_proposal_open",
            "attendee_id",
            "kind",
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    attendee_id: int = Field(foreign_key="attendee.id", ondelete="CASCADE", index=True)
    kind: str
    starts: datetime | None = maybe_instant()
    ends: datetime | None = maybe_instant()
    was_starts: datetime = instant()
    was_ends: datetime = instant()
    delegate: str = ""
    comment: str = Field(default="", sa_type=sa.Text)
    sequence: int = 0
    dtstamp: datetime | None = maybe_instant()
    received_at: datetime = instant()
    state: str = "open"
    settled_at: datetime | None = maybe_instant()
    reason: str = Field(default="", sa_type=sa.Text)


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
