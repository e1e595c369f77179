"""What all tables share: constraint names that migrations can rely on, and column shorthands."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from events_service.db.types import UTCDateTime

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


def instant(**kwargs: Any) -> Any:
    """A column for an aware instant."""
    return Field(sa_type=UTCDateTime, **kwargs)


def maybe_instant(**kwargs: Any) -> Any:
    """A column for an aware instant that may be null."""
    return Field(default=None, sa_type=UTCDateTime, nullable=True, **kwargs)


def json_list() -> Any:
    """A column for a JSON list, empty by default."""
    return Field(default_factory=list, sa_type=sa.JSON, nullable=False)


def json_object() -> Any:
    """A column for a JSON object, empty by default."""
    return Field(default_factory=dict, sa_type=sa.JSON, nullable=False)
