"""The gates of reviews: from when on an overdue one holds what begins after it was due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events_service import programmes, reviews
from events_service.domain.reviews import overdue_from
from events_service.verdict import Gates, last_revision

_EVENTS = SQLModel.metadata.tables["event"]
_REVISION = sa.select(last_revision())
_PROGRAMMES = sa.select(_EVENTS.c.programme_key).distinct().order_by(_EVENTS.c.programme_key)


@dataclass(frozen=True, slots=True)
class GateTimes:
    """By programme, the instants from which its reviews are overdue unless they are held; as of which `revision`."""

    by_programme: Mapping[str, Sequence[datetime]]
    revision: int = 0

    def at(self, now: datetime) -> Gates:
        """The gates that stand at `now`: an overdue review gates what begins after it was due."""
        late = {key: [at for at in times if at <= now] for key, times in self.by_programme.items()}
        return {key: min(times) for key, times in late.items() if times}


def standing(session: Session, now: datetime) -> Gates:
    """By programme, the instant from which events wait for an overdue review at `now`."""
    return gate_times(session).at(now)


def gate_times(session: Session) -> GateTimes:
    """When the gates of reviews that are not held begin to stand, for a worker to ask at every message."""
    revision = session.connection().execute(_REVISION).scalar_one()
    found = {}
    for key in session.connection().execute(_PROGRAMMES).scalars().all():
        programme = programmes.current(session, key)
        held = reviews.held(session, key)
        found[key] = tuple(overdue_from(programme, one) for one in programme.review_points if one.id not in held)
    return GateTimes(found, revision)
