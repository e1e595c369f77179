"""What letters are about: an event and its agenda as the templates of messages see them."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session, col, select

from events_service.db.tables import Event, EventChange, EventSession, Proposal
from events_service.feed_contents import place
from events_service.mail.moments import Span
from events_service.mail.render import AgendaItem, Subject


def subject_of(session: Session, event: Event, purpose: str, declined: Proposal | None = None) -> Subject:
    """The event as it is now; for the purpose `update` also when it was before its last move.

    With `declined` also the times that somebody proposed in vain, and the organiser's reason.
    """
    agenda = session.exec(
        select(EventSession).where(EventSession.event_id == event.id).order_by(col(EventSession.position))
    )
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
        was=_was(session, event) if purpose == "update" else None,
        proposed=_proposed(event, declined) if declined else None,
        reason=declined.reason if declined else event.cancel_reason or "",
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


def _was(session: Session, event: Event) -> Span | None:
    """When the event was before its last move, as its history has it."""
    query = select(EventChange).where(EventChange.event_id == event.id, EventChange.action == "moved")
    change = session.exec(query.order_by(col(EventChange.id).desc())).first()
    before = change.detail.get("before") if change else None
    if not before:
        return None
    starts, ends = (datetime.fromisoformat(str(before[key])) for key in ("starts", "ends"))
    return Span(starts, ends, event.timezone)
