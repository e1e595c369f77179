"""What came of it: outcomes that organisers record, the list of all, and where the programme's targets stand."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa
from babel.numbers import list_currencies
from sqlmodel import Session, col, select

from events_service.db.tables import Attendee, Event, Institution, Outcome, SurveyResponse
from events_service.domain.outcomes import CURRENCY, KINDS, MAX_VALUE, kind_of
from events_service.domain.programme import Programme
from events_service.errors import ConflictError, InputError, NotFoundError
from events_service.outcome_facts import Number, actual, as_number, gather

MAX_NOTE = 4000


def add(
    session: Session,
    event: Event,
    kind: str,
    now: datetime,
    *,
    value: str | None = None,
    currency: str | None = None,
    institution: str | None = None,
    note: str,
) -> Outcome:
    """Record an outcome that an organiser knows of. InputError says which word is wrong; a cancelled event has none.

    `value` is an amount for funding (pounds unless `currency` says otherwise) and a number for the rest; left out, it
    is not known. `institution` is our number or a ROR id.
    """
    known = kind_of(kind)
    if known is None:
        raise InputError(f"--kind {kind[:40]!r}: no kind of outcome; use one of {', '.join(KINDS)}")
    if event.state == "cancelled":
        raise ConflictError(f"{event.slug} was cancelled; nothing can have come of it")
    text = "".join(char for char in note if char == "\n" or char.isprintable()).strip()
    if not text or len(text) > MAX_NOTE:
        raise InputError(f"--note: say in 1 to {MAX_NOTE:,} characters what it is and how you know")
    if currency is not None and known != "funding":
        raise InputError("--currency is for funding; leave it out")
    outcome = Outcome(
        event_id=_id(event),
        kind=known,
        value=_value(known, value),
        currency=_currency(currency) if known == "funding" else None,
        institution_id=_institution(session, institution) if institution else None,
        source="organiser",
        note=text,
        recorded_at=now,
    )
    session.add(outcome)
    session.flush()
    return outcome


def listing(session: Session, kind: str | None = None) -> list[dict[str, Any]]:
    """Every outcome, by event and then as they came, as JSON values; InputError for an unknown kind.

    Left out is what somebody answered who was taken off the event since.
    """
    known = None
    if kind is not None:
        known = kind_of(kind)
        if known is None:
            raise InputError(f"--kind {kind[:40]!r}: no kind of outcome; use one of {', '.join(KINDS)}")
    rows = session.exec(
        select(Outcome, Event, Institution, col(SurveyResponse.wave))
        .join(Event, col(Outcome.event_id) == col(Event.id))
        .outerjoin(Institution, col(Outcome.institution_id) == col(Institution.id))
        .outerjoin(SurveyResponse, col(Outcome.response_id) == col(SurveyResponse.id))
        .outerjoin(Attendee, col(Attendee.id) == col(SurveyResponse.attendee_id))
        .where(sa.true() if known is None else col(Outcome.kind) == known, col(Attendee.removed_at).is_(None))
        .order_by(col(Event.starts), col(Event.slug), col(Outcome.recorded_at), col(Outcome.id))
    )
    return [_as_json(outcome, event, institution, wave) for outcome, event, institution, wave in rows]


def as_json(session: Session, outcome: Outcome) -> dict[str, Any]:
    """One outcome, as `listing` gives it."""
    institution = session.get(Institution, outcome.institution_id) if outcome.institution_id else None
    response = session.get(SurveyResponse, outcome.response_id) if outcome.response_id else None
    return _as_json(outcome, session.get_one(Event, outcome.event_id), institution, response.wave if response else None)


def target_actuals(session: Session, programme: Programme, now: datetime) -> dict[str, Number | None]:
    """The figure of each target of a programme, by its key; None where it is not known, which is never 0."""
    facts = gather(session, programme, now)
    return {target.key: actual(facts, target) for target in programme.targets}


def _value(kind: str, text: str | None) -> Decimal | None:
    if text is None:
        return None
    plain = text.strip().removeprefix("£").replace(",", "") if kind == "funding" else text.strip()
    try:
        value = Decimal(plain)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value <= MAX_VALUE:
        raise InputError(f"--value {text[:40]!r}: write a number from 0 to {MAX_VALUE:,}, such as 120000")
    if kind == "funding":
        if value != round(value, 2):
            raise InputError(f"--value {text[:40]!r}: an amount has at most two decimals")
    elif value != value.to_integral_value():
        raise InputError(f"--value {text[:40]!r}: {KINDS[kind].lower()} are counted in whole numbers")
    return value


def _currency(text: str | None) -> str:
    if text is None:
        return CURRENCY
    code = text.strip().upper()
    if code not in list_currencies():
        raise InputError(f"--currency {text[:40]!r} is no currency of ISO 4217; write it like GBP or EUR")
    return code


def _institution(session: Session, ref: str) -> int | None:
    bare = ref.strip().lower().removeprefix("https://ror.org/")
    found = session.exec(select(Institution.id).where(Institution.ror == bare)).first()
    if found is None and bare.isascii() and bare.isdigit() and len(bare) < 10:
        found = session.exec(select(Institution.id).where(Institution.id == int(bare))).first()
    if found is None:
        raise NotFoundError("institution", ref[:60], "`events institution list --search` finds its number or ROR id")
    return found


def _as_json(outcome: Outcome, event: Event, institution: Institution | None, wave: str | None) -> dict[str, Any]:
    return {
        "id": outcome.id,
        "event": event.slug,
        "kind": outcome.kind,
        "value": None if outcome.value is None else as_number(outcome.value),
        "currency": outcome.currency,
        "institution": institution.name if institution else None,
        "source": outcome.source,
        "wave": wave,
        "note": outcome.note,
        "recorded_at": outcome.recorded_at,
    }


def _id(event: Event) -> int:
    if event.id is None:
        raise ValueError("Event has no number yet; flush it first")
    return event.id
