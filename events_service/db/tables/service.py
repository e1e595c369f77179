"""What the service notes about itself."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from events_service.db.tables.base import instant, maybe_instant


class Heartbeat(SQLModel, table=True):
    """One row: when a live process last noted that it runs, and when a scheduler's tick last ended.

    `lineage` is random and made with the row: a copy of this database has the same, any other database another.
    A monitor reads `ended_at`, which a tick that fails leaves as it is. `restored_at` is when the ledger was last gone
    through after a restore, of a backup made at `restored_from`; what came due by `restored_until` was in doubt then.
    """

    __tablename__ = "heartbeat"

    id: int = Field(default=1, primary_key=True)
    lineage: str
    begun_at: datetime | None = maybe_instant()
    ended_at: datetime | None = maybe_instant()
    restored_from: datetime | None = maybe_instant()
    restored_until: datetime | None = maybe_instant()
    restored_at: datetime | None = maybe_instant()


class DataFolder(SQLModel, table=True):
    """How often live processes of one data folder have noted that they run, since that folder was made.

    Its file has the same `folder`, which is random, and the count as it was last: where that is more than here, the
    database was set back. It is a count, as clocks may be wrong.
    """

    __tablename__ = "data_folder"

    folder: str = Field(primary_key=True)
    noted: int
    begun_at: datetime = instant()
