"""What came of it: survey answers and typed outcomes."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant


class SurveyResponse(SQLModel, table=True):
    """One answer set of one attendee for one wave."""

    __tablename__ = "survey_response"
    __table_args__ = (sa.UniqueConstraint("attendee_id", "wave"),)

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(foreign_key="event.id", ondelete="CASCADE", index=True)
    attendee_id: int = Field(foreign_key="attendee.id", ondelete="CASCADE")
    survey: str
    wave: str
    submitted_at: datetime = instant()


class SurveyAnswer(SQLModel, table=True):
    """One answered question. A question left open has no row: no answer is never a zero."""

    __tablename__ = "survey_answer"

    response_id: int = Field(foreign_key="survey_response.id", primary_key=True, ondelete="CASCADE")
    question: str = Field(primary_key=True)
    number: Decimal | None = Field(default=None, sa_type=sa.Numeric(16, 2), nullable=True)
    text: str | None = Field(default=None, sa_type=sa.Text)
    currency: str | None = None


class Outcome(SQLModel, table=True):
    """A typed result of an event. `value` is pounds for funding and a number for the rest; null where unknown.

    `source` is survey or organiser; a survey's outcome is unique by response and question, so that answers count once.
    """

    __tablename__ = "outcome"
    __table_args__ = (sa.UniqueConstraint("response_id", "question"),)

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(foreign_key="event.id", ondelete="CASCADE", index=True)
    kind: str = Field(index=True)
    value: Decimal | None = Field(default=None, sa_type=sa.Numeric(16, 2), nullable=True)
    currency: str | None = None
    institution_id: int | None = Field(default=None, foreign_key="institution.id", ondelete="SET NULL")
    source: str = "organiser"
    response_id: int | None = Field(default=None, foreign_key="survey_response.id", ondelete="CASCADE")
    question: str | None = None
    note: str = Field(default="", sa_type=sa.Text)
    recorded_at: datetime = instant()
