"""Mail that comes in: what calendars send is for `calendar_mail`, bounces and complaints for `bounces`.

What it is not is noted, and left. Of a mail's text only a reply's comment is kept, and of a bounce its words without
the addresses in them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col, select

from events_service import bounces, calendar_mail
from events_service.calendars.replies import MAX_MESSAGE_BYTES as MAX_MESSAGE_BYTES
from events_service.calendars.replies import CalendarMail, read_calendar_mail
from events_service.config import Settings
from events_service.db.statements import made_once
from events_service.db.tables import Attendee, Event, Intake, Person
from events_service.errors import InputError
from events_service.mail.bounds import bounded
from events_service.mail.guesses import guess_report
from events_service.mail.reports import read_report
from events_service.mail.signatures import Proof, prove, wanted
from events_service.mail.words import without_addresses

MAX_READ = MAX_MESSAGE_BYTES + 1
"""How much of a mail to read at most: one byte more than is taken, so that a longer one is seen to be too long."""

_ROWS = SQLModel.metadata.tables["intake"]
_SETTLED_IN = ("kind", "applied", "why", "said", "status", "soft", "attendee_id", "delivery_id")
_SETTLED = (
    sa.update(_ROWS)
    .where(_ROWS.c.id == sa.bindparam("number"))
    .values({name: sa.bindparam(f"to_{name}", type_=_ROWS.c[name].type) for name in _SETTLED_IN})
)
_TRACE = (b"from:", b"to:", b"message-id:", b"date:", b"subject:")


def proof_of(message: bytes, settings: Settings, now: datetime) -> Proof | None:
    """Who signed a calendar mail, to be asked before `take`: it may look up keys, which no transaction waits for.

    None where no signature is wanted, and for mail that carries no calendar.
    """
    if not wanted(settings):
        return None
    try:
        mail = read_calendar_mail(bounded(message))
    except InputError:
        return None
    return prove(message, mail.sender, mail.authentication_results, settings, now) if mail.replies else None


def take(session: Session, message: bytes, settings: Settings, now: datetime, proof: Proof | None = None) -> Intake:
    """Read one e-mail and do what it calls for; the row says what it was, and what was done.

    `proof` is what `proof_of` said of it. It never raises for what a mail says: whatever cannot be used is
    `applied=False` with the reason. The same mail again is answered with a row that is not kept, and changes nothing;
    so is what is empty. ConflictError, and nothing kept, for a bounce of a message that is in DATA at this moment: give
    it again later.
    """
    if not message.strip():
        return Intake(digest="", kind="other", applied=False, why="empty: there is no mail in it", received_at=now)
    taken = Intake(digest=digest(message), kind="other", applied=False, received_at=now)
    # Whoever takes the same mail at this moment waits for us here.
    taken.id = session.connection().execute(_insert(session), taken.model_dump(exclude={"id"})).scalar()
    if taken.id is None:
        before = session.exec(select(Intake).where(Intake.digest == taken.digest)).one()
        return Intake(
            digest=before.digest, kind=before.kind, applied=False, why="the same mail was taken before", received_at=now
        )
    try:
        readable = bounded(message)
        mail = read_calendar_mail(readable)
    except InputError as error:
        taken.why = str(error)
    else:
        _take_read(session, mail, readable, taken, settings, proof, now)
    taken.why = "".join(char for char in without_addresses(taken.why) if char.isprintable())
    session.flush()
    settled = {f"to_{name}": getattr(taken, name) for name in _SETTLED_IN}
    session.connection().execute(_SETTLED, {"number": taken.id, **settled})
    return taken


@made_once
def _insert(session: Session) -> Any:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(_ROWS).on_conflict_do_nothing().returning(_ROWS.c.id)


def _take_read(
    session: Session,
    mail: CalendarMail,
    message: bytes,
    taken: Intake,
    settings: Settings,
    proof: Proof | None,
    now: datetime,
) -> None:
    report = read_report(message) or (None if mail.method else guess_report(message))
    if report is not None:
        bounces.take_report(session, report, mail.recipients, taken, settings, now)
    elif mail.bounce:
        taken.kind, taken.why = "bounce", "it names no recipient's status; left alone"
    elif mail.auto_replied or (mail.auto_submitted and mail.method not in ("REPLY", "COUNTER")):
        # A REFRESH is answered by mail, and what a program sent by itself never is (RFC 3834 section 2).
        taken.kind, taken.why = "auto", "an automatic message; left alone"
    else:
        place, has_token = calendar_mail.addressee(session, mail, settings)
        taken.attendee_id = place.attendee.id if place else None
        calendar_mail.take(session, mail, place, has_token, taken, settings, proof, now)
        _take_as_proof(session, mail, place.attendee if place and has_token else None, taken, now)


def digest(message: bytes) -> str:
    """What makes a mail the same again: From, To, Message-ID, Date, Subject and body, not what servers wrote on it."""
    whole = message.replace(b"\r\n", b"\n")
    head, _, body = whole.partition(b"\n\n")
    lines = head.replace(b"\n ", b" ").replace(b"\n\t", b" ").split(b"\n")
    kept = sorted(line for line in lines if line.lower().startswith(_TRACE))
    return hashlib.sha256(b"\n".join([*kept, b"", body])).hexdigest()


def _take_as_proof(
    session: Session, mail: CalendarMail, attendee: Attendee | None, taken: Intake, now: datetime
) -> None:
    """What somebody answers has arrived, whatever they say.

    Its Message-ID names the message. The reply address alone does so where only one message can have told it.
    """
    answered = bounces.doubtful(session, mail.answers_to)
    if not answered and attendee is not None:
        answered = bounces.only_one_told(session, attendee.id)
    if bounces.arrived(session, [row.id for row in answered if row.id], now):
        taken.why = f"{taken.why}; it answers {answered[0].step}, which has arrived then"
        if taken.kind == "other":
            taken.applied, taken.delivery_id = True, answered[0].id
            taken.attendee_id = answered[0].attendee_id


def listing(session: Session, event: Event | None = None, *, not_applied: bool = False) -> list[dict[str, Any]]:
    """The calendar mail that came in, in the order it came, as JSON values: what it said, and what became of it.

    `not_applied` leaves only what changed nothing. Of somebody who was erased no address is there to give.
    """
    query = (
        select(Intake, Event.slug, Person.email)
        .outerjoin(Attendee, col(Attendee.id) == col(Intake.attendee_id))
        .outerjoin(Event, col(Event.id) == col(Attendee.event_id))
        .outerjoin(Person, col(Person.id) == col(Attendee.person_id))
        .where(col(Intake.kind).in_(calendar_mail.KINDS))
        .order_by(col(Intake.id))
    )
    if event is not None:
        query = query.where(Event.id == event.id)
    if not_applied:
        query = query.where(col(Intake.applied).is_(False))
    return [
        {
            "id": row.id,
            "received_at": row.received_at,
            "event": slug,
            "email": email,
            "kind": row.kind,
            "said": row.said,
            "applied": row.applied,
            "why": row.why,
        }
        for row, slug, email in session.exec(query)
    ]
