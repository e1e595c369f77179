"""Programme revisions and what reviews decided. Neither is ever changed: a correction is a new row."""

from __future__ import annotations

from datetime import date, datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, json_list


class ProgrammeRevision(SQLModel, table=True):
    """A programme file as it was loaded. The highest revision of a key is the one in force."""

    __tablename__ = "programme_revision"
    __table_args__ = (sa.UniqueConstraint("key", "revision"),)

    id: int | None = Field(default=None, primary_key=True)
    key: str
    revision: int
    source: str = Field(sa_type=sa.Text)
    loaded_at: datetime = instant()


class ReviewRecord(SQLModel, table=True):
    """A held review. `ordinal` is 1 for the first record of a review and one more for each correction."""

    __tablename__ = "review_record"
    __table_args__ = (sa.UniqueConstraint("programme_key", "review_id", "ordinal"),)

    id: int | None = Field(default=None, primary_key=True)
    programme_key: str
    review_id: str
    ordinal: int
    corrects: int | None = Field(default=None, foreign_key="review_record.id")
    decision: str
    notes: str = Field(sa_type=sa.Text)
    present: list[str] = json_list()
    conditions: list[str] = json_list()
    held_on: date
    recorded_at: datetime = instant()
