"""Institutions, people, and the addresses that get no mail."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, json_list, maybe_instant


class Institution(SQLModel, table=True):
    """A university, research organisation or company. `ror` is the bare id, such as `00003g016`.

    `folded` is what a search looks in: every name and the city, without case and accents, a line each.
    """

    __tablename__ = "institution"

    id: int | None = Field(default=None, primary_key=True)
    ror: str | None = Field(default=None, unique=True)
    name: str = Field(index=True)
    names: list[str] = json_list()
    folded: str = Field(default="", sa_type=sa.Text)
    country: str | None = Field(default=None, index=True)
    city: str | None = None
    region: str | None = None
    types: list[str] = json_list()
    website: str | None = None
    status: str = "active"
    changed_at: datetime = instant()


class InstitutionDomain(SQLModel, table=True):
    """A web or mail domain of an institution, by which people are matched to it."""

    __tablename__ = "institution_domain"

    domain: str = Field(primary_key=True)
    institution_id: int = Field(foreign_key="institution.id", primary_key=True, ondelete="CASCADE", index=True)


class InstitutionTarget(SQLModel, table=True):
    """An institution marked as one to approach for a theme."""

    __tablename__ = "institution_target"

    institution_id: int = Field(foreign_key="institution.id", primary_key=True, ondelete="CASCADE")
    theme: str = Field(primary_key=True)
    marked_at: datetime = instant()


class Person(SQLModel, table=True):
    """Somebody who can be invited. `email` is normalised; `email_hash` is its SHA-256, kept apart for suppression."""

    __tablename__ = "person"

    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(unique=True)
    email_hash: str = Field(index=True)
    name: str = ""
    organisation: str = ""
    institution_id: int | None = Field(default=None, foreign_key="institution.id", ondelete="SET NULL", index=True)
    country: str | None = None
    locale: str = "en"
    timezone: str = "UTC"
    role: str = "delegate"
    source: str = ""
    unsubscribed_at: datetime | None = maybe_instant()
    created_at: datetime = instant()
    changed_at: datetime = instant()


class Suppression(SQLModel, table=True):
    """An address that gets no campaign mail, kept as a hash so that erasing a person keeps the wish."""

    __tablename__ = "suppression"
    # One that stands for an address and a reason; those that were lifted stay as a record.
    __table_args__ = (
        sa.Index(
            "uq_suppression_standing",
            "email_hash",
            "reason",
            unique=True,
            sqlite_where=sa.text("lifted_at IS NULL"),
            postgresql_where=sa.text("lifted_at IS NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    email_hash: str = Field(index=True)
    reason: str
    suppressed_at: datetime = instant()
    lifted_at: datetime | None = maybe_instant()
    lift_reason: str | None = Field(default=None, sa_type=sa.Text)
