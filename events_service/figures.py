"""Figures of the ledger for a monitor: what waits, what is in doubt, what went lately. None holds an address."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events_service import outbox
from events_service.outbox import ROWS

_PEOPLE, _FEED_CONTENTS, _SUPPRESSIONS = (
    SQLModel.metadata.tables[name] for name in ("person", "feed_content", "suppression")
)

BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
"""Upper bounds of the latencies' buckets in seconds; one without a bound follows."""

OTHER = "other"
_PRIORITIES = (0, 1)
_MOST_DOMAINS = 20
_FEWEST_PEOPLE = 10
"""A domain of fewer could be somebody's own, and its name would be theirs."""
_LATE_WORD = timedelta(minutes=15)
"""A server's word is committed with the next message's: this much later at the most is counted on."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is due and not sent at a moment, and since when; and since when the oldest unknown is so."""

    due: int
    oldest_due: datetime | None
    oldest_unknown: datetime | None


def waiting(session: Session, now: datetime) -> Waiting:
    """What waits at `now`. A row that is to be tried again later is not due until then."""
    due, oldest = 0, []
    for priority in _PRIORITIES:
        # Each is one range of the index.
        which = (ROWS.c.state == "pending", ROWS.c.priority == priority, ROWS.c.next_at <= now)
        query = sa.select(sa.func.count(), sa.func.min(ROWS.c.next_at)).where(*which)
        count, first = session.connection().execute(query).one()
        due += count
        oldest += [first] if first else []
    unknown = sa.select(sa.func.min(ROWS.c.changed_at)).where(ROWS.c.state == "unknown")
    return Waiting(due, min(oldest, default=None), session.connection().execute(unknown).scalar())


def held(session: Session) -> dict[str, int]:
    """How many are held, by reason."""
    query = sa.select(ROWS.c.hold_reason, sa.func.count()).where(ROWS.c.state == "held").group_by(ROWS.c.hold_reason)
    return {reason or "": count for reason, count in session.connection().execute(query)}


def by_state(session: Session) -> dict[str, int]:
    """How many are in each state."""
    return outbox.counts(session)


def suppressed(session: Session) -> dict[str, int]:
    """How many addresses get no mail, by the first word of the reason."""
    query = sa.select(_SUPPRESSIONS.c.reason, sa.func.count()).where(_SUPPRESSIONS.c.lifted_at.is_(None))
    found: Counter[str] = Counter()
    for reason, count in session.connection().execute(query.group_by(_SUPPRESSIONS.c.reason)):
        found[reason.split(":")[0].split()[0] if reason.strip() else ""] += count
    return dict(found)


def feed_revisions(session: Session) -> int:
    """How often the bytes of the feeds that there are have changed."""
    return session.connection().execute(sa.select(sa.func.sum(_FEED_CONTENTS.c.revision))).scalar() or 0


@dataclass
class Sent:
    """What was sent since this began, by domain, and how long after it was due: counted from the ledger itself.

    Each look reads the last quarter of an hour anew, as a word is committed a little after it was given; what is older
    is closed and added up. So nothing is counted by the workers, and a worker's death loses nothing. `domains` are the
    twenty that most people are at, ten at least, chosen while nothing is open; all others are one.
    """

    domains: frozenset[str] = frozenset()
    _closed: Counter[tuple[str, int]] = field(default_factory=Counter)
    _closed_seconds: float = 0.0
    _open: dict[str, dict[tuple[str, int], tuple[int, float]]] = field(default_factory=dict)

    def look(self, session: Session, now: datetime) -> None:
        """Count what was sent up to `now`."""
        if not self._open and len(self.domains) < _MOST_DOMAINS:
            self.domains = frozenset([*self.domains, *_largest_domains(session)][:_MOST_DOMAINS])
        since = min([*self._open, _minute(now - _LATE_WORD)])
        fresh: dict[str, dict[tuple[str, int], tuple[int, float]]] = {}
        for minute, domain, bucket, count, seconds in _sent_since(session, datetime.fromisoformat(f"{since}+00:00")):
            groups = fresh.setdefault(minute, {})
            key = (domain if domain in self.domains else OTHER, bucket)
            before = groups.get(key, (0, 0.0))
            groups[key] = (before[0] + count, before[1] + float(seconds))
        for minute, groups in fresh.items():
            known = self._open.setdefault(minute, {})
            # A count never goes down, even where a person's row, and with it their domain, has gone meanwhile.
            known.update({key: max(found, known.get(key, (0, 0.0))) for key, found in groups.items()})
        for minute in [one for one in self._open if one < _minute(now - _LATE_WORD)]:
            for key, (count, seconds) in self._open.pop(minute).items():
                self._closed[key] += count
                self._closed_seconds += seconds

    def by_domain(self) -> Mapping[str, int]:
        """How many went to each domain."""
        found: Counter[str] = Counter({domain: 0 for domain in (*self.domains, OTHER)})
        for (domain, _bucket), count in self._total().items():
            found[domain] += count
        return found

    def latencies(self) -> tuple[list[int], float]:
        """How many were sent within each of BUCKETS and at all, cumulative, and the sum of seconds."""
        total = self._total()
        counts = [0] * (len(BUCKETS) + 1)
        for (_domain, bucket), count in total.items():
            counts[bucket] += count
        cumulative = [sum(counts[: place + 1]) for place in range(len(counts))]
        return cumulative, self._closed_seconds + sum(
            seconds for groups in self._open.values() for _count, seconds in groups.values()
        )

    def _total(self) -> Counter[tuple[str, int]]:
        total = Counter(self._closed)
        for groups in self._open.values():
            for key, (count, _seconds) in groups.items():
                total[key] += count
        return total


def bucket_of(seconds: float) -> int:
    """The place in BUCKETS that a latency falls in; their number for one beyond the last."""
    return bisect_left(BUCKETS, seconds)


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _sent_since(session: Session, since: datetime) -> list[Any]:
    """(minute, domain, bucket, how many, seconds in all) of what was sent from `since` on.

    A latency counts from when the message was due, or from when it was written if that was later.
    """
    sqlite = session.get_bind().dialect.name == "sqlite"
    began = sa.case((ROWS.c.created_at > ROWS.c.due_at, ROWS.c.created_at), else_=ROWS.c.due_at)
    address = sa.func.coalesce(ROWS.c.address, _PEOPLE.c.email, "")
    if sqlite:
        seconds: Any = (sa.func.julianday(ROWS.c.sent_at) - sa.func.julianday(began)) * 86400.0
        minute: Any = sa.func.substr(ROWS.c.sent_at, 1, 16)
        domain: Any = sa.func.substr(address, sa.func.instr(address, "@") + 1)
    else:
        seconds = sa.cast(sa.extract("epoch", ROWS.c.sent_at - began), sa.Float)
        minute = sa.func.to_char(sa.func.timezone("UTC", ROWS.c.sent_at), "YYYY-MM-DD HH24:MI")
        domain = sa.func.split_part(address, "@", 2)
    bucket = sa.case(*((seconds <= bound, place) for place, bound in enumerate(BUCKETS)), else_=len(BUCKETS))
    each = (
        sa.select(minute.label("minute"), domain.label("domain"), bucket.label("bucket"), seconds.label("seconds"))
        .select_from(ROWS.outerjoin(_PEOPLE, _PEOPLE.c.id == ROWS.c.person_id))
        .where(ROWS.c.sent_at.is_not(None), ROWS.c.sent_at >= since)
        .subquery()
    )
    keys = (each.c.minute, each.c.domain, each.c.bucket)
    query = sa.select(*keys, sa.func.count(), sa.func.sum(each.c.seconds)).group_by(*keys)
    return list(session.connection().execute(query))


def _largest_domains(session: Session) -> list[str]:
    """The domains of most people; left out are those of fewer than ten people, or than one in a hundred."""
    email = _PEOPLE.c.email
    if session.get_bind().dialect.name == "sqlite":
        domain: Any = sa.func.substr(email, sa.func.instr(email, "@") + 1)
    else:
        domain = sa.func.split_part(email, "@", 2)
    people = session.connection().execute(sa.select(sa.func.count()).select_from(_PEOPLE)).scalar_one()
    query = sa.select(domain).group_by(domain).having(sa.func.count() >= max(_FEWEST_PEOPLE, people / 100))
    found = session.connection().execute(query.order_by(sa.func.count().desc(), domain).limit(_MOST_DOMAINS))
    return list(found.scalars())
