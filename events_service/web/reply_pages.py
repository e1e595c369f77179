"""The reply page. A GET shows and never changes; a link in a mail may choose an answer beforehand, a POST sends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from sqlmodel import Session, col, select

from events_service import attendees, removals
from events_service.db.tables import Attendee, Event, EventSession, Person
from events_service.errors import ConflictError
from events_service.web.site import Site, not_found, posted
from events_service.web.views import view

CHOICES = (("accepted", "Yes, I will come"), ("tentative", "Perhaps"), ("declined", "No, I cannot come"))
_LABELS = dict(CHOICES)
_THANKS = {
    "accepted": "Thank you: we look forward to seeing you",
    "tentative": "Thank you: we have you down as perhaps",
    "declined": "Thank you for letting us know",
}


def routes(site: Site) -> APIRouter:
    """`/reply/<token>`."""
    router = APIRouter()

    @router.api_route("/reply/{token}", methods=["GET", "HEAD"])
    def show(token: str, reply: str = "") -> Response:
        with site.database.read() as session:
            attendee, person, event = _find(session, site, token)
            if attendees.closed(event, site.now()) or attendee.removed_at:
                return _closed(site, event, status=200)
            return _form(session, site, token, attendee, person, event, chosen=reply, note=attendee.reply_note)

    @router.post("/reply/{token}")
    def send(token: str, fields: Annotated[Mapping[str, str], Depends(posted)]) -> Response:
        answer, waited_for = take(token, fields.get("reply", ""), fields.get("note", ""))
        # After the commit: a worker that is faster would find nothing.
        site.tell(waited_for)
        return answer

    def take(token: str, reply: str, note: str) -> tuple[Response, Sequence[int]]:
        with site.database.write() as session:
            attendee, person, event = _find(session, site, token)
            now = site.now()
            if attendees.closed(event, now):
                return _closed(site, event, status=409), ()
            if reply in _LABELS and (why := removals.standing(event, attendee)):
                attendees.refused(session, attendee, reply, "link", note, why, now)
            if attendee.removed_at:
                return _closed(site, event, status=409), ()
            if reply not in _LABELS:
                error = "Choose one of the three answers"
                return _form(session, site, token, attendee, person, event, chosen="", note=note, error=error), ()
            try:
                applied = attendees.set_reply(session, attendee, reply, via="link", note=note, now=now)
            except ConflictError:
                session.rollback()
                return _closed(site, event, status=409), ()
            page = site.pages.page(
                "replied",
                heading=_THANKS[attendee.reply],
                answered=_LABELS[attendee.reply],
                note=attendee.reply_note,
                event=view(event, (), now, person.timezone),
                action=f"/reply/{token}",
            )
            return page, applied.waited_for

    return router


def _find(session: Session, site: Site, token: str) -> tuple[Attendee, Person, Event]:
    attendee = session.get(Attendee, site.row("reply", token))
    person = session.get(Person, attendee.person_id) if attendee and attendee.person_id is not None else None
    if attendee is None or person is None:
        raise not_found()
    return attendee, person, session.get_one(Event, attendee.event_id)


def _form(
    session: Session, site: Site, token: str, attendee: Attendee, person: Person, event: Event, **values: Any
) -> Response:
    chosen = values.pop("chosen")
    sessions = session.exec(
        select(EventSession)
        .where(EventSession.event_id == event.id, col(EventSession.cancelled_at).is_(None))
        .order_by(col(EventSession.starts))
    ).all()
    error = values.pop("error", "")
    return site.pages.page(
        "reply",
        status=422 if error else 200,
        event=view(event, sessions, site.now(), person.timezone),
        name=person.name,
        answered=_LABELS.get(attendee.reply, ""),
        chosen=chosen if chosen in _LABELS else ("" if error else attendee.reply),
        choices=CHOICES,
        action=f"/reply/{token}",
        error=error,
        **values,
    )


def _closed(site: Site, event: Event, status: int) -> Response:
    if event.state == "cancelled":
        heading, said = "This event was cancelled", "There is nothing to reply to any more. Please do not travel to it."
    elif event.state in ("draft", "approved") and event.ends > site.now():
        heading = "You are not on the guest list any more"
        said = "There is nothing to reply to, so please do not plan to come. "
        said += f"If you think that this is a mistake, please write to {event.organiser_email or 'the organiser'}."
    else:
        heading, said = "This event is over", "There is nothing to reply to any more. Thank you for your interest."
    return site.pages.page("message", status=status, lead=event.title, heading=heading, paragraphs=[said])
