"""Looking into the mailbox of EVENTS_IMAP_URL for mail that came in.

Any number of processes may be told to look: a row in the database lets one in at a time, and none before the next look
is due. A message is marked as read only after what it says was committed, so one that was taken just before a crash is
taken again, which changes nothing. What cannot be taken stays unread, and does not keep the rest; after five tries
of one process, in looks that took others, it is flagged for a person.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col

from events_service import intake
from events_service.config import Settings
from events_service.db.session import Database, database_in, database_now
from events_service.db.tables import MailboxPoll
from events_service.errors import ConflictError, DatabaseError, EventsError
from events_service.mail.imap import Mailbox, open_mailbox, read_address

NAME = "imap"
TIMEOUT_SECONDS = 30.0
LONGEST_WAIT = timedelta(hours=1)
_MOST_FAILURES = 3
"""So many messages in a row that the database does not take mean that it takes none."""

_MOST_TRIES = 5
_FAILED: dict[str, int] = {}
"""How often this process could not take a message, by its digest; those that it gave up or took in the end are out."""

POLLS = SQLModel.metadata.tables["mailbox_poll"]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Polled:
    """What one look came to: messages taken, those of them that changed something, too large ones, and those left."""

    taken: int = 0
    applied: int = 0
    too_large: int = 0
    left: int = 0


def ring_due(session: Session, settings: Settings, now: datetime) -> bool:
    """Whether a worker should be told to look now, and the note that it was; it is told again if it never did."""
    if not settings.imap_url:
        return False
    _make(session, now)
    again = now - timedelta(seconds=settings.ring_again_seconds)
    free = sa.or_(POLLS.c.lease_until.is_(None), POLLS.c.lease_until < database_now(_dialect(session)))
    untold = sa.or_(POLLS.c.rung_at.is_(None), POLLS.c.rung_at <= again)
    ring = sa.update(POLLS).where(POLLS.c.name == NAME, POLLS.c.next_at <= now, untold, free).values(rung_at=now)
    return session.connection().execute(ring).rowcount == 1


def check(settings: Settings) -> str:
    """Look into the mailbox once, taking nothing, and say what is there; SettingsError or MailboxError."""
    address = read_address(settings.imap_url)
    with open_mailbox(address, TIMEOUT_SECONDS) as box:
        return f"{address}, {address.folder}: {sum(1 for _ in box.unseen()):,} unread"


def imap_poll(
    settings: Settings, database: Database, now: datetime, *, monotonic: Callable[[], float] = time.monotonic
) -> dict[str, int]:
    """Take what is unread in the mailbox; `{taken, applied, too_large, left}`, zeros where it is not our turn.

    MailboxError where the mailbox cannot be read, DatabaseError where nothing can be kept: the next look then waits
    twice as long as the one before, an hour at most. After half a lease it ends, and the next look goes on.
    """
    polled = Polled()
    if not settings.imap_url:
        return asdict(polled)
    address = read_address(settings.imap_url)
    token = secrets.token_hex(8)
    with database.write() as session:
        if not _begin(session, token, now, settings.lease_seconds):
            return asdict(polled)
    deadline = monotonic() + settings.lease_seconds / 2
    try:
        with open_mailbox(address, min(TIMEOUT_SECONDS, settings.lease_seconds / 2)) as box:
            _take_all(box, database, settings, polled, now, lambda: monotonic() > deadline)
    except EventsError as error:
        with suppress(DatabaseError), database.write() as session:
            _end(session, token, now, settings, str(error))
        raise
    with database.write() as session:
        _end(session, token, now, settings, None)
    if polled != Polled():
        log.info("mailbox read", **asdict(polled))
    return asdict(polled)


def _take_all(
    box: Mailbox, database: Database, settings: Settings, polled: Polled, now: datetime, over: Callable[[], bool]
) -> None:
    failures = 0
    troubled: list[tuple[int, str, bool]] = []
    for uid in box.unseen():
        if over():
            break
        size = box.size(uid)
        if size is not None and size > intake.MAX_MESSAGE_BYTES:
            # No reply and no report is so large; somebody may want to see what it is.
            box.mark(uid, flagged=True)
            polled.too_large += 1
            log.warning("a message is too large to be read; flagged for a person", uid=uid, bytes=size)
            continue
        message = box.fetch(uid, intake.MAX_READ)
        if message is None:
            continue
        try:
            proof = intake.proof_of(message, settings, now)
            with database.write() as session:
                applied = intake.take(session, message, settings, now, proof).applied
        except DatabaseError as error:
            polled.left += 1
            failures += 1
            log.warning("a message could not be taken; left unread", uid=uid, why=str(error))
            if failures == _MOST_FAILURES:
                raise
            troubled.append((uid, intake.digest(message), False))
            continue
        except ConflictError as error:
            # A bounce of what is in DATA at this moment: that ends.
            polled.left += 1
            log.info("a message cannot be taken yet; left unread", uid=uid, why=str(error))
            continue
        except Exception as error:  # noqa: BLE001  (whatever one message does, the others are taken)
            polled.left += 1
            log.error("a message could not be taken; left unread", uid=uid, error=type(error).__name__)
            troubled.append((uid, intake.digest(message), True))
            continue
        failures = 0
        box.mark(uid)
        _FAILED.pop(intake.digest(message), None)
        polled.taken += 1
        polled.applied += applied
    # Where nothing at all was taken, what the database refused may be the database's fault.
    _give_up(box, [(uid, digest) for uid, digest, its_own in troubled if its_own or polled.taken])


def _give_up(box: Mailbox, troubled: list[tuple[int, str]]) -> None:
    """Count once more what could not be taken, and flag for a person what never can."""
    for uid, digest in troubled:
        _FAILED[digest] = _FAILED.get(digest, 0) + 1
        if _FAILED[digest] >= _MOST_TRIES:
            box.mark(uid, flagged=True)
            del _FAILED[digest]
            log.error("a message can never be taken; flagged for a person", uid=uid, tries=_MOST_TRIES)


def _make(session: Session, now: datetime) -> None:
    insert = sqlite.insert if _dialect(session) == "sqlite" else postgresql.insert
    session.connection().execute(insert(POLLS).values(name=NAME, next_at=now, failures=0).on_conflict_do_nothing())


def _begin(session: Session, token: str, now: datetime, lease_seconds: float) -> bool:
    """Take the lease if a look is due and nobody else is looking."""
    _make(session, now)
    dialect = _dialect(session)
    free = sa.or_(POLLS.c.lease_until.is_(None), POLLS.c.lease_until < database_now(dialect))
    take = sa.update(POLLS).where(POLLS.c.name == NAME, POLLS.c.next_at <= now, free)
    values = {"lease_token": token, "lease_until": database_in(dialect, lease_seconds)}
    return session.connection().execute(take.values(values)).rowcount == 1


def _end(session: Session, token: str, now: datetime, settings: Settings, why: str | None) -> None:
    row = session.get(MailboxPoll, NAME, populate_existing=True)
    failures = 0 if row is None or why is None else row.failures + 1
    wait = min(timedelta(seconds=settings.imap_poll_seconds) * 2 ** min(failures, 12), LONGEST_WAIT)
    values = {"failures": failures, "last_error": why, "next_at": now + wait, "rung_at": None, "lease_until": None}
    if why is None:
        values["polled_at"] = now
    ours = sa.update(POLLS).where(POLLS.c.name == NAME, col(MailboxPoll.lease_token) == token)
    session.connection().execute(ours.values(values))


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name
