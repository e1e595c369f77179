"""What alembic runs: migrations over the connection that `events_service.db.schema` hands in."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from events_service.db import tables  # noqa: F401  (fills the metadata)

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transactional_ddl=True,
)
# The transaction belongs to the caller, who also holds the lock.
context.run_migrations()
