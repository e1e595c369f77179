"""All that ever came of an attendee's reply, by link, by mail or by an organiser, applied or not."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from events_service.db.tables import Attendee, AttendeeReply


def listing(session: Session, attendee: Attendee) -> list[dict[str, Any]]:
    """It in the order it came, as JSON values. What is no reply, such as a proposal, is among it and never applied."""
    query = select(AttendeeReply).where(AttendeeReply.attendee_id == attendee.id).order_by(col(AttendeeReply.id))
    return [
        {"at": row.at, "via": row.via, "reply": row.reply, "applied": row.applied, "why": row.why, "note": row.note}
        for row in session.exec(query)
    ]
