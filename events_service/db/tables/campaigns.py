"""Campaigns and the ledger of deliveries: one message to one person is one row, one key, one Message-ID."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, json_list, json_object, maybe_instant


class Campaign(SQLModel, table=True):
    """The running of one cadence for one event. `held_at` is set while an organiser holds it."""

    __tablename__ = "campaign"

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(foreign_key="event.id", ondelete="CASCADE", unique=True)
    cadence: str
    started_at: datetime = instant()
    held_at: datetime | None = maybe_instant()


class CampaignStep(SQLModel, table=True):
    """One step of a campaign, as its cadence said when the campaign started.

    Empty `roles` or `replies` mean any. `attendance` is any, attended or absent. `survey` names the wave that the
    step asks for; `unanswered` restricts it to those who have not answered that wave. `itinerary` adds the calendar
    objects of the sessions that the recipient attends. `answer` is what an organiser said of an `ask` step: send or
    skip.
    """

    __tablename__ = "campaign_step"
    __table_args__ = (sa.UniqueConstraint("campaign_id", "key"),)

    id: int | None = Field(default=None, primary_key=True)
    campaign_id: int = Field(foreign_key="campaign.id", ondelete="CASCADE")
    position: int
    key: str
    template: str
    roles: list[str] = json_list()
    replies: list[str] = json_list()
    attendance: str = "any"
    survey: str | None = None
    wave: str | None = None
    unanswered: bool = False
    anchor: str = "start"
    offset_days: int = 0
    at_time: time
    on_late: str = "send"
    grace_hours: float = 24
    min_gap_days: int = 0
    unknown_policy: str = "hold"
    calendar: bool = False
    itinerary: bool = Field(default=False, sa_column_kwargs={"server_default": sa.false()})
    answer: str | None = None


class MessageContent(SQLModel, table=True):
    """What a message says, rendered once for all recipients it is the same for, with marks where theirs go in.

    Rows are never changed: a delivery that points here says the same on every attempt. `calendar` is what the event's
    object begins with, up to the people in it; `sessions` has the same of each session's: its place on the agenda,
    METHOD and head.
    """

    __tablename__ = "message_content"

    id: int | None = Field(default=None, primary_key=True)
    digest: str = Field(unique=True)
    template: str
    template_version: str
    locale: str
    timezone: str
    subject: str = Field(sa_type=sa.Text)
    text: str = Field(sa_type=sa.Text)
    html: str = Field(sa_type=sa.Text)
    calendar: bytes | None = Field(default=None, sa_type=sa.LargeBinary, nullable=True)
    method: str | None = None
    sessions: list[Any] | None = Field(default=None, sa_type=sa.JSON(none_as_null=True), nullable=True)
    created_at: datetime = instant()


class Delivery(SQLModel, table=True):
    """One message to one person. ARCHITECTURE.md draws its states; every transition is one conditional UPDATE.

    `due_at` is when it should go; `next_at` is when the next attempt may begin; from `late_at` on its organiser is
    asked; at `expires_at` it is of no use any more. `rung_at` is when a worker was last told of it. `lease_until` and
    `in_data_at` are by the database's clock, everything else by now. `mandatory` passes gates, holds and unsubscribes:
    people must not travel to an event that is not there. What somebody waits for has `priority` 0, all else 1: the
    lower goes first. `sequence` is the event's SEQUENCE that the content speaks of. `doubted_at` is when a restore left
    it open whether the message had gone before. `lost_leases` counts the workers that were lost with it, one after the
    other, before DATA.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        sa.Index("ix_delivery_due", "state", "priority", "next_at", "id"),
        sa.Index("ix_delivery_event_id_state", "event_id", "state"),
        sa.Index("ix_delivery_step_id_state", "step_id", "state"),
        # What is too late, which every tick asks: without it all that waits would be read.
        sa.Index("ix_delivery_state_expires_at", "state", "expires_at"),
        # What was sent lately, for a monitor; rows that are not sent cost it nothing.
        sa.Index(
            "ix_delivery_sent_at",
            "sent_at",
            postgresql_where=sa.text("sent_at IS NOT NULL"),
            sqlite_where=sa.text("sent_at IS NOT NULL"),
        ),
        # Half of each page is left free for the rows' next versions: PostgreSQL then notes rings and fences beside the
        # old version (HOT), and writes to no index. Without room each ring writes to all of them.
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(unique=True)
    purpose: str
    event_id: int | None = Field(default=None, foreign_key="event.id", ondelete="CASCADE")
    step_id: int | None = Field(default=None, foreign_key="campaign_step.id", ondelete="CASCADE")
    step: str
    attendee_id: int | None = Field(default=None, foreign_key="attendee.id", ondelete="SET NULL", index=True)
    person_id: int | None = Field(default=None, foreign_key="person.id", ondelete="SET NULL", index=True)
    address: str | None = None
    mandatory: bool = False
    priority: int = 1
    state: str = "pending"
    hold_reason: str | None = None
    due_at: datetime = instant()
    next_at: datetime = instant()
    late_at: datetime | None = maybe_instant()
    expires_at: datetime | None = maybe_instant()
    unknown_policy: str = "hold"
    attempts: int = 0
    lost_leases: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    rung_at: datetime | None = maybe_instant()
    lease_token: str | None = None
    lease_until: datetime | None = maybe_instant()
    in_data_at: datetime | None = maybe_instant()
    sequence: int | None = None
    content_id: int | None = Field(default=None, foreign_key="message_content.id")
    fields: dict[str, Any] = json_object()
    message_id: str | None = Field(default=None, unique=True)
    sent_at: datetime | None = maybe_instant()
    doubted_at: datetime | None = maybe_instant()
    last_code: int | None = None
    last_error: str | None = Field(default=None, sa_type=sa.Text)
    created_at: datetime = instant()
    changed_at: datetime = instant()
