"""Rows for tests of attendees, replies, surveys and outcomes: an event, people, and their places at it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, time

from sqlmodel import Session

from events_service.db.tables import Attendee, Campaign, CampaignStep, Delivery, Event, Person

ADDED = datetime(2023, 6, 1, 9, 0, tzinfo=UTC)
STARTS = datetime(2023, 10, 9, 7, 0, tzinfo=UTC)
ENDS = datetime(2023, 10, 12, 15, 0, tzinfo=UTC)


def make_event(session: Session, slug: str = "munich", **fields: object) -> Event:
    """An approved mission to Munich, 9-12 October 2023, unless `fields` say otherwise."""
    values: dict[str, object] = {
        "programme_key": "lancashire-2022-2025",
        "slug": slug,
        "uid": f"{slug}@example.org",
        "kind": "mission",
        "title": "Cyber resilience mission to Munich",
        "state": "approved",
        "starts": STARTS,
        "ends": ENDS,
        "timezone": "Europe/Berlin",
        "country": "DE",
        "themes": ["cyber"],
        "markets": ["DE"],
        "created_at": ADDED,
        "changed_at": ADDED,
    }
    event = Event(**(values | fields))  # type: ignore[arg-type]
    session.add(event)
    session.flush()
    return event


def make_person(session: Session, email: str = "ada@example.org", **fields: object) -> Person:
    """A person with that address."""
    values: dict[str, object] = {
        "email": email,
        "email_hash": hashlib.sha256(email.encode()).hexdigest(),
        "name": email.split("@")[0].title(),
        "created_at": ADDED,
        "changed_at": ADDED,
    }
    person = Person(**(values | fields))  # type: ignore[arg-type]
    session.add(person)
    session.flush()
    return person


def make_attendee(session: Session, event: Event, email: str = "ada@example.org", **fields: object) -> Attendee:
    """That person's place at an event; the person is made too."""
    person = make_person(session, email)
    values: dict[str, object] = {"event_id": event.id, "person_id": person.id, "added_at": ADDED}
    attendee = Attendee(**(values | fields))  # type: ignore[arg-type]
    session.add(attendee)
    session.flush()
    return attendee


def make_campaign(session: Session, event: Event, waves: dict[str, str]) -> dict[str, CampaignStep]:
    """A running campaign whose steps ask those waves, each with its survey."""
    campaign = Campaign(event_id=event.id or 0, cadence="mission", started_at=ADDED)
    session.add(campaign)
    session.flush()
    steps = {}
    for position, (wave, survey) in enumerate(waves.items()):
        step = CampaignStep(
            campaign_id=campaign.id or 0,
            position=position,
            key=f"ask-{wave}",
            template="survey",
            survey=survey,
            wave=wave,
            anchor="end",
            at_time=time(9),
        )
        session.add(step)
        steps[wave] = step
    session.flush()
    return steps


def make_delivery(session: Session, attendee: Attendee, step: CampaignStep, **fields: object) -> Delivery:
    """A message of that step, sent to that attendee unless `fields` say otherwise."""
    key = f"campaign:{attendee.event_id}:{step.key}:{attendee.person_id}:0"
    values: dict[str, object] = {
        "key": key,
        "purpose": "campaign",
        "event_id": attendee.event_id,
        "step_id": step.id,
        "step": step.key,
        "attendee_id": attendee.id,
        "person_id": attendee.person_id,
        "address": session.get_one(Person, attendee.person_id).email,
        "state": "sent",
        "due_at": ENDS,
        "next_at": ENDS,
        "message_id": f"<{hashlib.sha256(key.encode()).hexdigest()[:24]}@example.org>",
        "sent_at": ENDS,
        "created_at": ADDED,
        "changed_at": ENDS,
    }
    delivery = Delivery(**(values | fields))  # type: ignore[arg-type]
    session.add(delivery)
    session.flush()
    return delivery
