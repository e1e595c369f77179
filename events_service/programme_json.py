"""A programme as other programs read it, with where its reviews stand and how far its targets are reached."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session

from events_service import outcomes, programmes, reviews
from events_service.domain.programme_file import as_contract


def as_json(session: Session, key: str | None, now: datetime) -> dict[str, Any]:
    """The programme of `key` in force (without a key, the one loaded last) as the contract gives it."""
    programme, revision = programmes.current_revision(session, key)
    return as_contract(
        programme,
        revision=revision,
        review_states=reviews.states(session, programme, now),
        actuals=outcomes.target_actuals(session, programme, now),
    )
