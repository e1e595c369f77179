"""Whether this installation can work: each part looked at once, with what to do where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from events_service import deliveries, figures, heartbeat, mailbox, outbox, proposals
from events_service.config import Settings, shipped, templates_dir
from events_service.db.schema import HEAD, current_revision, open_database
from events_service.db.session import Database, database_now
from events_service.domain.cadence import read_cadence
from events_service.domain.delivery import HELD_IN_DOUBT
from events_service.domain.programme_file import load_programme
from events_service.domain.survey_file import load_survey
from events_service.errors import DatabaseError, EventsError, InputError, SettingsError
from events_service.mail.render import Renderer
from events_service.mail.transports import transport
from events_service.outbox import ROWS

_SKEW = timedelta(seconds=5)
_QUIET = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Check:
    """One part, whether it can work, and what it is or what to do."""

    check: str
    ok: bool
    detail: str

    def as_json(self) -> dict[str, str | bool]:
        """As the contract has it."""
        return asdict(self)


def examine(load: Callable[[], Settings], broker: Callable[[Settings], str], now: datetime) -> list[Check]:
    """Look at everything. `load` gives the settings, `broker` says what the broker is; both raise what is wrong."""
    try:
        settings = load()
    except EventsError as error:
        return [Check("settings", False, str(error))]
    found = [Check("settings", True, f"data in {settings.data_dir}, public address {settings.public_base}")]
    found += list(_database(settings, now))
    found.append(_look("broker", lambda: broker(settings)))
    found.append(_look("smtp", lambda: _mail(settings)))
    if settings.imap_url:
        found.append(_look("mailbox", lambda: mailbox.check(settings)))
    found.append(Check("rates", True, _rates(settings)))
    found.append(_look("templates", _templates))
    found.append(_look("schedules", _schedules))
    found.append(_look("secret key", lambda: _secret(settings)))
    return found


def _look(check: str, look: Callable[[], str]) -> Check:
    try:
        return Check(check, True, look())
    except EventsError as error:
        return Check(check, False, str(error))


def _database(settings: Settings, now: datetime) -> Iterator[Check]:
    try:
        database = open_database(settings.resolved_database_url)
    except EventsError as error:
        yield Check("database", False, str(error))
        return
    try:
        yield _look("database", lambda: _writable(database))
        yield _look("schema", lambda: f"{current_revision(database)} of {HEAD}")
        yield _look("clock", lambda: _clock(database, now))
        yield _look("deliveries", lambda: _deliveries(database))
        yield _look("proposals", lambda: _proposals(database))
        yield _look("ticks", lambda: _ticks(database, settings, now))
    finally:
        database.dispose()


def _writable(database: Database) -> str:
    with database.write(dry_run=True) as session:
        # A write that is rolled back: a read-only file or a full disk shows only when one is tried.
        session.connection().execute(sa.update(ROWS).where(ROWS.c.id == 0).values(attempts=0))
    return str(database)


def _clock(database: Database, now: datetime) -> str:
    dialect = database.engine.dialect.name
    with database.read() as session:
        there = session.connection().execute(sa.select(database_now(dialect))).scalar_one()
    apart = abs(there - now)
    if apart > _SKEW:
        raise DatabaseError(
            f"this machine's clock and the database's are {apart.total_seconds():.0f} s apart; set them by NTP"
        )
    return f"{_utc(now)}, the database agrees"


def _deliveries(database: Database) -> str:
    with database.read() as session:
        counts = outbox.counts(session)
        in_doubt = figures.held(session).get(HELD_IN_DOUBT, 0)
    doubtful = {state: counts[state] for state in (deliveries.UNKNOWN, deliveries.FAILED) if counts.get(state)}
    words = [f"{count} {state}" for state, count in doubtful.items()]
    if in_doubt:
        words.append(f"{in_doubt} held in doubt after a restore")
        doubtful["held"] = in_doubt
    if not words:
        return f"{sum(counts.values())} in all, none that needs a person"
    return f"{', '.join(words)}: look at them with `events delivery list --state {next(iter(doubtful))}`"


def _proposals(database: Database) -> str:
    with database.read() as session:
        count = proposals.open_count(session)
    return f"{count} open: look at them with `events proposal list --state open`" if count else "none is open"


def _ticks(database: Database, settings: Settings, now: datetime) -> str:
    """It is a fault only where a scheduler ran and is gone: who works by hand has none."""
    with database.read() as session:
        waits, beat = figures.waiting(session, now), heartbeat.last(session)
    due = "nothing is due"
    if waits.oldest_due:
        due = f"{waits.due} due, the oldest since {_utc(waits.oldest_due)}"
    if beat is None or beat.ended_at is None:
        return f"none yet, {due}; `events up` or `events scheduler` sends what is"
    if waits.oldest_due and now - beat.ended_at > max(_QUIET, 5 * timedelta(seconds=settings.tick_seconds)):
        raise DatabaseError(
            f"{due}, and no tick has ended since {_utc(beat.ended_at)}; see that `events up` or `events scheduler` runs"
        )
    return f"the last ended at {_utc(beat.ended_at)}, {due}"


def _rates(settings: Settings) -> str:
    bounds = [f"{settings.rate_per_second:g} a second in all"] if settings.rate_per_second else []
    if settings.domain_rate_per_second:
        bounds.append(f"{settings.domain_rate_per_second:g} a second to one domain")
    return f"{' and '.join(bounds)}, for each worker process" if bounds else "as fast as the mail server takes them"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _mail(settings: Settings) -> str:
    return transport(settings.resolved_smtp_url, timeout=settings.smtp_timeout_seconds).check()


def _templates() -> str:
    folder = templates_dir() / "emails"
    said = Renderer(folder).check() if folder.is_dir() else 0
    if not said:
        raise InputError(f"{folder}: no e-mail templates; install the service again")
    return f"{said} messages in {folder}"


def _schedules() -> str:
    kinds = {"programmes": load_programme, "surveys": load_survey}
    for kind, load in kinds.items():
        for path in shipped(kind).values():
            load(path.read_text(encoding="utf-8"), path.name)
    for path in shipped("cadences").values():
        read_cadence(path)
    counts = {kind: len(shipped(kind)) for kind in ("programmes", "cadences", "surveys")}
    if not all(counts.values()):
        raise InputError("a programme, cadence or survey that ships is missing; install the service again")
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _secret(settings: Settings) -> str:
    if not settings.secret_key and not settings.resolved_database_url.startswith("sqlite"):
        raise SettingsError("EVENTS_SECRET_KEY is not set: every machine would make tokens of its own; set it")
    _ = settings.secret
    if settings.secret_key and len(settings.secret_key) < 32:
        return "set, but short: whoever guesses it can answer for anybody; use 32 random characters or more"
    return "set" if settings.secret_key else f"kept in {settings.data_dir / 'secret.key'}"
