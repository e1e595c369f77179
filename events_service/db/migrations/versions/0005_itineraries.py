"""Who attends which session, steps that bring their calendar objects, and those objects as they were sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from events_service.db.types import UTCDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attendee_session",
        sa.Column("attendee_id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("attends", sa.Boolean(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.Column("declined_sequence", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["attendee_id"], ["attendee.id"], name=op.f("fk_attendee_session_attendee_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["event_session.id"], name=op.f("fk_attendee_session_session_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("attendee_id", "session_id", name=op.f("pk_attendee_session")),
    )
    op.create_index(op.f("ix_attendee_session_session_id"), "attendee_session", ["session_id"], unique=False)
    op.create_index(op.f("ix_attendee_session_changed_at"), "attendee_session", ["changed_at"], unique=False)
    op.add_column("campaign_step", sa.Column("itinerary", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("message_content", sa.Column("sessions", sa.JSON(), nullable=True))
    with op.batch_alter_table("attendee_reply", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("session_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_attendee_reply_session_id"), "event_session", ["session_id"], ["id"], ondelete="CASCADE"
        )


def downgrade() -> None:
    with op.batch_alter_table("attendee_reply", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_constraint(op.f("fk_attendee_reply_session_id"), type_="foreignkey")
        batch.drop_column("session_id")
    op.drop_column("message_content", "sessions")
    op.drop_column("campaign_step", "itinerary")
    op.drop_table("attendee_session")
