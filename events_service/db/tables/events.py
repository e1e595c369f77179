"""Events, their agenda and history, and who comes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, json_list, json_object, maybe_instant


class Event(SQLModel, table=True):
    """A mission or a conference. `starts` and `ends` are instants; `timezone` says where their wall clock hangs.

    `sequence` is the calendar's SEQUENCE; `uid` its UID, stored once and never made again. `redated_sequence` is the
    SEQUENCE with which its dates were last others: who declined before that is asked again.
    """

    __tablename__ = "event"

    id: int | None = Field(default=None, primary_key=True)
    programme_key: str = Field(index=True)
    slug: str = Field(unique=True)
    uid: str = Field(unique=True)
    kind: str
    hosted_by: str = "us"
    title: str
    summary: str = Field(default="", sa_type=sa.Text)
    state: str = Field(default="draft", index=True)
    visibility: str = "private"
    starts: datetime = instant(index=True)
    ends: datetime = instant(index=True)
    timezone: str
    venue: str = ""
    city: str = ""
    country: str = ""
    region: str | None = None
    url: str | None = None
    organiser_name: str = ""
    organiser_email: str = ""
    themes: list[str] = json_list()
    markets: list[str] = json_list()
    capacity: int | None = None
    budget: int | None = None
    effort_days: float | None = None
    material_refreshed: date | None = None
    sequence: int = 0
    redated_sequence: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    cancel_reason: str | None = Field(default=None, sa_type=sa.Text)
    cancelled_at: datetime | None = maybe_instant()
    created_at: datetime = instant()
    changed_at: datetime = instant()


class EventSession(SQLModel, table=True):
    """One dated item on an event's agenda or itinerary, with a calendar object of its own.

    `sequence` and `changed_at` are its own, by the event's rule. One that was taken off the agenda stays, with when, so
    that its calendar entry can be crossed out; its `position` then comes after those that stand.
    """

    __tablename__ = "event_session"
    __table_args__ = (sa.UniqueConstraint("event_id", "position"),)

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(foreign_key="event.id", ondelete="CASCADE")
    position: int
    uid: str = Field(unique=True)
    title: str
    starts: datetime = instant()
    ends: datetime = instant()
    timezone: str
    kind: str = "talk"
    city: str = ""
    country: str = ""
    venue: str = ""
    url: str | None = None
    partner: str = ""
    price: str = ""
    sequence: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    # SQLite adds no column that must be there without a default; the migration then gives each row its event's.
    changed_at: datetime = instant(sa_column_kwargs={"server_default": "1970-01-01 00:00:00"})
    cancelled_at: datetime | None = maybe_instant()


class EventChange(SQLModel, table=True):
    """What happened to an event: added, approved, moved, changed, cancelled, done.

    `detail` has the values before and after, where they are nobody's own.
    """

    __tablename__ = "event_change"

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(foreign_key="event.id", ondelete="CASCADE", index=True)
    at: datetime = instant()
    action: str
    detail: dict[str, Any] = json_object()


class Waiver(SQLModel, table=True):
    """A recorded, reasoned permission to break one named rule for one event."""

    __tablename__ = "waiver"
    __table_args__ = (sa.UniqueConstraint("event_id", "code"),)

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(foreign_key="event.id", ondelete="CASCADE")
    code: str
    reason: str = Field(sa_type=sa.Text)
    granted_at: datetime = instant()


class Attendee(SQLModel, table=True):
    """One person's place at one event. `reply` is none, accepted, tentative or declined.

    `reply_sequence` and `reply_dtstamp` belong to the calendar reply that stands, if it came by calendar: an older one
    does not win over it.

    `person_id` is null once that person was erased: the row is counted, and nothing is ever sent to it or shown of it.

    `removed_at` is since when they are off the event, for `removal_reason`, which nobody is told: they are counted and
    listed nowhere. `returned_at` is when they were last put back; what was written to them before does not go any more.
    The SEQUENCE in their own calendar object is the event's plus `sequence_ahead`, which each of both raises by one.
    """

    __tablename__ = "attendee"
    __table_args__ = (
        sa.UniqueConstraint("event_id", "person_id"),
        # Who was taken off lately, which every tick asks; all others cost it nothing.
        sa.Index(
            "ix_attendee_removed_at",
            "removed_at",
            postgresql_where=sa.text("removed_at IS NOT NULL"),
            sqlite_where=sa.text("removed_at IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(foreign_key="event.id", ondelete="CASCADE")
    person_id: int | None = Field(foreign_key="person.id", ondelete="SET NULL", index=True)
    role: str = "delegate"
    reply: str = "none"
    replied_at: datetime | None = maybe_instant()
    reply_via: str | None = None
    reply_note: str = Field(default="", sa_type=sa.Text)
    reply_sequence: int | None = None
    reply_dtstamp: datetime | None = maybe_instant()
    attended: bool | None = None
    attended_at: datetime | None = maybe_instant()
    added_at: datetime = instant()
    removed_at: datetime | None = maybe_instant()
    removal_reason: str | None = Field(default=None, sa_type=sa.Text)
    returned_at: datetime | None = maybe_instant()
    sequence_ahead: int = Field(default=0, sa_column_kwargs={"server_default": "0"})


class AttendeeSession(SQLModel, table=True):
    """Whether an attendee attends a session, where that is not what its kind says by default.

    `changed_at` is when whoever decided it did so. `declined_sequence` is the SEQUENCE of the object that they declined
    in their calendar last: that one needs no CANCEL, and asking them again takes a higher one.
    """

    __tablename__ = "attendee_session"

    attendee_id: int = Field(foreign_key="attendee.id", primary_key=True, ondelete="CASCADE")
    session_id: int = Field(foreign_key="event_session.id", primary_key=True, ondelete="CASCADE", index=True)
    attends: bool
    changed_at: datetime = instant(index=True)
    declined_sequence: int | None = None


class AttendeeReply(SQLModel, table=True):
    """Every reply that ever came, applied or not, and by which way: link, mail, organiser.

    One with a `session_id` answers for that session alone.
    """

    __tablename__ = "attendee_reply"

    id: int | None = Field(default=None, primary_key=True)
    attendee_id: int = Field(foreign_key="attendee.id", ondelete="CASCADE", index=True)
    at: datetime = instant()
    via: str
    reply: str
    note: str = Field(default="", sa_type=sa.Text)
    applied: bool
    why: str = ""
    session_id: int | None = Field(default=None, foreign_key="event_session.id", ondelete="CASCADE")
