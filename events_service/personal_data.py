"""What is held on one person: all of it as one document, and its erasure.

Erasing takes the person and everything personal; what only counts stays, without them: that a place at a past event
was taken, accepted or attended, that a message was sent, numbers and choices of a survey, the value of an outcome.
A standing suppression stays as a hash, so that nobody who unsubscribed is written to when they turn up again.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from events_service import feeds, people, surveys
from events_service.db.session import Database
from events_service.db.tables import (
    Attendee,
    AttendeeReply,
    AttendeeSession,
    Delivery,
    Event,
    EventSession,
    Feed,
    Intake,
    Outcome,
    Person,
    Proposal,
    Suppression,
    SurveyAnswer,
    SurveyResponse,
)
from events_service.domain.delivery import UNSENT

_SHORTEST_NAME = 5
_NOT_PERSONAL = (
    "id",
    "person_id",
    "attendee_id",
    "event_id",
    "session_id",
    "response_id",
    "email_hash",
    "token_sha256",
    "lease_token",
)


def export(session: Session, email: str) -> dict[str, Any]:
    """Everything held on the person with that address, as JSON values by kind; NotFoundError."""
    person = people.find(session, email)
    (row,) = [row for row in people.listing(session, person.email) if row["email"] == person.email]
    slugs = {id: slug for id, slug in session.exec(select(Event.id, Event.slug))}
    places = session.exec(select(Attendee).where(Attendee.person_id == person.id).order_by(col(Attendee.id))).all()
    ids = [place.id for place in places]
    event_of = {place.id: slugs.get(place.event_id) for place in places}
    choices = session.exec(_of(AttendeeSession, "attendee_id", ids)).all()
    replies = session.exec(_of(AttendeeReply, "attendee_id", ids)).all()
    titles = _titles(session, [row.session_id for row in (*choices, *replies)])
    responses = session.exec(_of(SurveyResponse, "attendee_id", ids)).all()
    wave_of = {answered.id: (event_of[answered.attendee_id], answered.wave) for answered in responses}
    return {
        "person": {**row, "created_at": person.created_at, "changed_at": person.changed_at},
        "attendances": [{"event": event_of[place.id], **_plain(place)} for place in places],
        "replies": [
            {"event": event_of[reply.attendee_id], "session": titles.get(reply.session_id), **_plain(reply)}
            for reply in replies
        ],
        "sessions": [
            {"event": event_of[choice.attendee_id], "session": titles[choice.session_id], **_plain(choice)}
            for choice in choices
        ],
        "deliveries": [
            {"event": slugs.get(delivery.event_id), **_plain(delivery)}
            for delivery in session.exec(select(Delivery).where(_theirs(person, ids)).order_by(col(Delivery.id)))
        ],
        "responses": [{"event": event_of[answered.attendee_id], **_plain(answered)} for answered in responses],
        "answers": [
            {"event": wave_of[answer.response_id][0], "wave": wave_of[answer.response_id][1], **_plain(answer)}
            for answer in session.exec(_of(SurveyAnswer, "response_id", list(wave_of)))
        ],
        "outcomes": [
            {"event": slugs.get(outcome.event_id), **_plain(outcome)}
            for outcome in session.exec(_of(Outcome, "response_id", list(wave_of)))
        ],
        "mail_received": [
            {"event": event_of[taken.attendee_id], **_plain(taken)}
            for taken in session.exec(_of(Intake, "attendee_id", ids))
            if taken.attendee_id is not None
        ],
        # Whom they named is somebody else's to be told of.
        "proposals": [
            {"event": event_of[row.attendee_id], **_plain(row), "delegate": bool(row.delegate)}
            for row in session.exec(_of(Proposal, "attendee_id", ids))
        ],
        "named_as_delegate": [
            {"kind": row.kind, "received_at": row.received_at, "state": row.state}
            for row in session.exec(select(Proposal).where(Proposal.delegate == person.email))
        ],
        "feeds": [_plain(feed) for feed in session.exec(_feeds(person))],
        "suppressions": [
            _plain(row) for row in session.exec(select(Suppression).where(Suppression.email_hash == person.email_hash))
        ],
    }


def erase(session: Session, email: str, now: datetime) -> dict[str, Any]:
    """Erase the person with that address, for good.

    Gives `{email, erased: {kind: how many}}`. NotFoundError. Rows in which an organiser's own words still hold the
    address or the whole name, which only a person can judge, are found by `mentions` afterwards: in this transaction,
    it would keep all other writers waiting while every text is read.
    """
    person = people.find(session, email)
    address = person.email
    if session.connection().dialect.name == "sqlite":
        # Deleted rows are overwritten with zeros instead of lying in free pages.
        session.connection().exec_driver_sql("PRAGMA secure_delete=ON")
    places = session.exec(select(Attendee).where(Attendee.person_id == person.id)).all()
    ids = [place.id for place in places if place.id is not None]
    counts = {
        "feeds": len(session.exec(_feeds(person)).all()),
        "deliveries": _strip_deliveries(session, person, ids, now),
        "replies": _delete(session, AttendeeReply, col(AttendeeReply.attendee_id).in_(ids)),
        "sessions": _delete(session, AttendeeSession, col(AttendeeSession.attendee_id).in_(ids)),
        "proposals": _strip_proposals(session, person, ids),
        "answers": _strip_answers(session, ids),
        "attendances": _strip_places(session, ids, now),
    }
    feeds.forget_person(session, person.id or 0, now)
    lifted = sa.and_(col(Suppression.email_hash) == person.email_hash, col(Suppression.lifted_at).is_not(None))
    counts["suppressions"] = _delete(session, Suppression, lifted)
    session.delete(person)
    session.flush()
    session.expire_all()
    return {"email": address, "erased": counts}


def names(session: Session, email: str) -> tuple[str, str]:
    """What `mentions` looks for, to be asked before the erasure: the address, normalised, and the name."""
    person = people.find(session, email)
    return person.email, person.name


def mentions(
    session: Session, email: str, name: str, among: Sequence[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """The rows whose text holds a normalised address, or a whole name of some length, as `{table, id}`.

    It reads every text there is, unless it is told `among` which rows to look. Of an erasure that is committed, it
    misses nothing: what was written meanwhile is there by then.
    """
    written = [email, *([name] if len(name) >= _SHORTEST_NAME else [])]
    # SQLite knows case in ASCII only, and JSON columns keep what is not ASCII as \\uXXXX.
    cases = {case for text in written for case in (text, text.lower(), text.upper())}
    texts = sorted(cases | {json.dumps(case)[1:-1] for case in cases})
    found = []
    for table in SQLModel.metadata.sorted_tables:
        columns = [column for column in table.columns if _holds_words(column)]
        holds = [
            sa.cast(column, sa.Text).icontains(text, autoescape=True)
            for column in columns
            if column.name not in _NOT_PERSONAL
            for text in texts
        ]
        if not holds:
            continue
        keys = list(table.primary_key.columns)
        looked = sa.select(*keys).where(sa.or_(*holds)).order_by(*keys)
        if among is None:
            rows = list(session.execute(looked))
        else:
            ids = [
                one["id"] if isinstance(one["id"], list) else [one["id"]] for one in among if one["table"] == table.name
            ]
            rows = [row for id in ids for row in session.execute(looked.where(*map(operator.eq, keys, id)))]
        found += [{"table": table.name, "id": row[0] if len(row) == 1 else list(row)} for row in rows]
    return found


def _holds_words(column: sa.Column[Any]) -> bool:
    # A model's plain `str` is a decorator around a String, so what it wraps is asked.
    kind = column.type.impl_instance if isinstance(column.type, sa.TypeDecorator) else column.type
    return isinstance(kind, sa.String | sa.JSON)


def scrub(database: Database) -> None:
    """After an erasure was committed, let go of copies that SQLite keeps in its log; elsewhere there is nothing to do.

    PostgreSQL's own log and dead rows go with its usual vacuum and log rotation, backups with theirs.
    """
    if database.is_sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


def _strip_deliveries(session: Session, person: Person, ids: list[int], now: datetime) -> int:
    """Cancel what is not in DATA yet, and take the address and what was filled in from all; they stay in the ledger."""
    theirs = _theirs(person, ids)
    claimed = sa.and_(col(Delivery.state) == "sending", col(Delivery.in_data_at).is_(None))
    unsent = {"state": "cancelled", "hold_reason": None, "last_error": "the person was erased", "changed_at": now}
    # A fence that waits for this on PostgreSQL looks again at its row's own columns alone, not at the verdict's tables.
    unsent |= {"lease_token": None, "lease_until": None}
    stopped = sa.or_(col(Delivery.state).in_(UNSENT), claimed)
    session.execute(sa.update(Delivery).where(theirs, stopped).values(**unsent))
    # A server's refusal may quote the address. What nobody knows the fate of may not be sent once more.
    quoted = sa.and_(theirs, col(Delivery.state) != "cancelled")
    session.execute(sa.update(Delivery).where(quoted).values(last_error=None))
    stripped: dict[str, Any] = {"person_id": None, "address": None, "fields": {}, "unknown_policy": "hold"}
    numbers = sa.select(col(Delivery.id)).where(theirs)
    of_mail = col(Intake.attendee_id).in_(ids) | col(Intake.delivery_id).in_(numbers)
    session.execute(sa.update(Intake).where(of_mail).values(why=""))
    return _changed(session.execute(sa.update(Delivery).where(theirs).values(**stripped)))


def _strip_proposals(session: Session, person: Person, ids: list[int]) -> int:
    """Delete what they proposed, and their address where somebody named them as a delegate."""
    named = sa.update(Proposal).where(col(Proposal.delegate) == person.email).values(delegate="")
    gone = _delete(session, Proposal, col(Proposal.attendee_id).in_(ids))
    return gone + _changed(session.execute(named))


def _strip_answers(session: Session, ids: list[int]) -> int:
    """Take their own words from answers and outcomes; numbers, and choices of a survey we know, stay counted."""
    stripped = 0
    responses = session.exec(_of(SurveyResponse, "attendee_id", ids)).all()
    for response in responses:
        survey = surveys.definitions().get(response.survey)
        counted = [question.key for question in survey.questions if question.kind != "text"] if survey else []
        words = sa.and_(
            col(SurveyAnswer.response_id) == response.id,
            col(SurveyAnswer.text).is_not(None),
            col(SurveyAnswer.question).not_in(counted),
        )
        stripped += _delete(session, SurveyAnswer, words)
    numbers = [response.id for response in responses]
    session.execute(sa.update(Outcome).where(col(Outcome.response_id).in_(numbers)).values(note=""))
    return stripped


def _strip_places(session: Session, ids: list[int], now: datetime) -> int:
    """Free their places at events to come; at past ones, keep that somebody was there."""
    to_come = sa.select(col(Event.id)).where(col(Event.starts) > now)
    changed = _delete(session, Attendee, col(Attendee.id).in_(ids) & col(Attendee.event_id).in_(to_come))
    past = (
        sa.update(Attendee).where(col(Attendee.id).in_(ids)).values(person_id=None, reply_note="", removal_reason=None)
    )
    return changed + _changed(session.execute(past))


def _titles(session: Session, ids: Sequence[int | None]) -> dict[int | None, str]:
    """What those sessions are called, by number."""
    return dict(session.exec(select(EventSession.id, EventSession.title).where(col(EventSession.id).in_(ids))).all())


def _theirs(person: Person, ids: list[Any]) -> sa.ColumnElement[bool]:
    """The deliveries to a person; one to their address alone, such as a test of an organiser's, too."""
    return sa.or_(
        col(Delivery.person_id) == person.id,
        col(Delivery.attendee_id).in_(ids),
        sa.func.lower(col(Delivery.address)) == person.email,
    )


def _feeds(person: Person) -> Any:
    return select(Feed).where(Feed.kind == "person", Feed.of == str(person.id)).order_by(col(Feed.id))


def _of(table: Any, column: str, ids: list[Any]) -> Any:
    return select(table).where(getattr(table, column).in_(ids)).order_by(*sa.inspect(table).primary_key)


def _delete(session: Session, table: Any, which: sa.ColumnElement[bool]) -> int:
    return _changed(session.execute(sa.delete(table).where(which)))


def _changed(result: Any) -> int:
    changed: int = result.rowcount
    return changed


def _plain(row: SQLModel) -> dict[str, Any]:
    return {name: value for name, value in row.model_dump().items() if name not in _NOT_PERSONAL}
