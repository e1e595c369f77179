"""Sessions that change by themselves, attendees who are taken off, and with which SEQUENCE an event's dates changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from events_service.db.types import UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ADDED = {
    "event": ("redated_sequence",),
    "event_session": ("sequence", "changed_at", "cancelled_at"),
    "event_object": ("sessions_until",),
    "attendee": ("removed_at", "removal_reason", "returned_at", "sequence_ahead"),
}


def upgrade() -> None:
    op.add_column("event", sa.Column("redated_sequence", sa.Integer(), server_default="0", nullable=False))
    op.add_column("event_session", sa.Column("sequence", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "event_session", sa.Column("changed_at", UTCDateTime(), server_default="1970-01-01 00:00:00", nullable=False)
    )
    op.add_column("event_session", sa.Column("cancelled_at", UTCDateTime(), nullable=True))
    # Until now a session was shown with its event's SEQUENCE and time of change, and neither may go back.
    op.execute(
        "UPDATE event_session SET"
        " sequence = (SELECT event.sequence FROM event WHERE event.id = event_session.event_id),"
        " changed_at = (SELECT event.changed_at FROM event WHERE event.id = event_session.event_id)"
    )
    op.add_column("event_object", sa.Column("sessions_until", UTCDateTime(), nullable=True))
    op.add_column("attendee", sa.Column("removed_at", UTCDateTime(), nullable=True))
    op.add_column("attendee", sa.Column("removal_reason", sa.Text(), nullable=True))
    op.add_column("attendee", sa.Column("returned_at", UTCDateTime(), nullable=True))
    op.add_column("attendee", sa.Column("sequence_ahead", sa.Integer(), server_default="0", nullable=False))
    standing = sa.text("removed_at IS NOT NULL")
    op.create_index(
        "ix_attendee_removed_at", "attendee", ["removed_at"], postgresql_where=standing, sqlite_where=standing
    )


def downgrade() -> None:
    op.drop_index("ix_attendee_removed_at", table_name="attendee")
    for table, columns in _ADDED.items():
        for column in columns:
            op.drop_column(table, column)
