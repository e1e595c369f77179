"""What the service notes about itself."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from events_service.db.tables.base import maybe_instant


class Heartbeat(SQLModel, table=True):
    """One row: when a live scheduler last ticked, which a monitor reads, and which a restored backup is known by.

    `lineage` is random and made with the row: a copy of this database has the same, any other database another.
    `ticked_at` is the latest end of a tick, by now. `restored_at` is when the ledger was last gone through after a
    restore, and `restored_from` the moment from which on it doubted.
    """

    __tablename__ = "heartbeat"

    id: int = Field(default=1, primary_key=True)
    lineage: str
    ticked_at: datetime | None = maybe_instant()
    restored_from: datetime | None = maybe_instant()
    restored_at: datetime | None = maybe_instant()
