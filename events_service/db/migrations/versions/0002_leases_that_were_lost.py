"""How many workers were lost with a message before its DATA."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("delivery", sa.Column("lost_leases", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("delivery", "lost_leases")
