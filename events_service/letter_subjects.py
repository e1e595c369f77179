"""What letters are about: an event and its agenda as the templates of messages see them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from events_service.db.tables import Event, EventChange, EventSession, Proposal
from events_service.event_rows import sessions_of
from events_service.feed_contents import place
from events_service.itinerary_rows import Plan
from events_service.mail.moments import Span
from events_service.mail.render import AgendaItem, Change, Subject


def subject_of(
    session: Session, event: Event, purpose: str, plan: Plan | None = None, declined: Proposal | None = None
) -> Subject:
    """The event as it is now; for the purpose `update` also when and where it was before it last moved.

    With a `plan` its agenda is the reader's own, and what is new of that is said beside it. With `declined` also the
    times that somebody proposed in vain, and the organiser's reason.
    """
    items = {item.id: item for item in sessions_of(session, event)}
    agenda = [item for item in items.values() if item.cancelled_at is None]
    if plan is not None:
        agenda = [items[id] for id, _ in plan.attended]
    was, was_at = _was(session, event) if purpose == "update" else (None, "")
    return Subject(
        title=event.title,
        span=Span(event.starts, event.ends, event.timezone),
        place=place(event.venue, event.city, event.country),
        kind=event.kind,
        hosted_by=event.hosted_by,
        summary=event.summary,
        url=event.url or "",
        organiser_name=event.organiser_name,
        organiser_email=event.organiser_email,
        agenda=[_agenda_item(event, item) for item in agenda],
        was=was,
        was_at=was_at,
        proposed=_proposed(event, declined) if declined else None,
        reason=declined.reason if declined else event.cancel_reason or "",
        personal=plan is not None,
        changes=[Change(_agenda_item(event, items[one.said.session]), one.what) for one in (plan.news if plan else ())],
    )


def _proposed(event: Event, declined: Proposal) -> Span | None:
    """The times of a proposal; one without an end keeps the event's length."""
    if declined.starts is None:
        return None
    ends = declined.ends or declined.starts + (declined.was_ends - declined.was_starts)
    return Span(declined.starts, ends, event.timezone)


def _agenda_item(event: Event, item: EventSession) -> AgendaItem:
    where = place(item.venue, item.city, "" if item.country == event.country else item.country)
    return AgendaItem(
        title=item.title,
        span=Span(item.starts, item.ends, item.timezone),
        place=where,
        kind=item.kind,
        offer=", ".join(filter(None, [item.partner, item.price])),
        url=item.url or "",
    )


def _was(session: Session, event: Event) -> tuple[Span | None, str]:
    """When and where the event was before it last moved, as its history has it; None and "" for what is as it was."""
    query = select(EventChange).where(
        EventChange.event_id == event.id, col(EventChange.action).in_(("moved", "changed"))
    )
    for change in session.exec(query.order_by(col(EventChange.id).desc())):
        before = change.detail.get("before") or {}
        span, at = _span_before(event, before), _place_before(event, before)
        if span or at:
            return span, at
    return None, ""


def _span_before(event: Event, before: Mapping[str, Any]) -> Span | None:
    if not before.keys() & {"starts", "ends"}:
        return None
    starts, ends = (
        datetime.fromisoformat(str(before[key])) if before.get(key) else now
        for key, now in (("starts", event.starts), ("ends", event.ends))
    )
    return Span(starts, ends, str(before.get("timezone") or event.timezone))


def _place_before(event: Event, before: Mapping[str, Any]) -> str:
    if not before.keys() & {"venue", "city", "country"}:
        return ""
    venue, city, country = (
        str(before[key] or "") if key in before else now
        for key, now in (("venue", event.venue), ("city", event.city), ("country", event.country))
    )
    return place(venue, city, country)
