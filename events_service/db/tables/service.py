"""What the service notes about itself."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from events_service.db.tables.base import maybe_instant


class Heartbeat(SQLModel, table=True):
    """One row: when a live scheduler's ticks last began and ended.

    `lineage` is random and made with the row: a copy of this database has the same, any other database another.
    A restored backup is known by `begun_at`; a monitor reads `ended_at`, which a tick that fails leaves as it is.
    Both are by now. `restored_at` is when the ledger was last gone through after a restore, of a backup made at
    `restored_from`.
    """

    __tablename__ = "heartbeat"

    id: int = Field(default=1, primary_key=True)
    lineage: str
    begun_at: datetime | None = maybe_instant()
    ended_at: datetime | None = maybe_instant()
    restored_from: datetime | None = maybe_instant()
    restored_at: datetime | None = maybe_instant()
