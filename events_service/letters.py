"""From rows to letters: what a delivery says is rendered once, kept, and filled in with the recipient's own values.

Content is frozen when a delivery is first claimed: its row points at a `message_content` row, which never changes, and
holds the recipient's name. Tokens are not kept: they are made again from the secret key each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes, policy
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from events_service.calendars.invitation import InvitationTemplate
from events_service.calendars.model import Mailbox
from events_service.config import Settings, templates_dir
from events_service.db.session import one_of
from events_service.db.tables import Attendee, CampaignStep, Event, Person, Proposal
from events_service.db.writer import run_many
from events_service.domain.delivery import (
    ANSWERS,
    CONFIRMATION,
    DECLINE_COUNTER,
    ITINERARY,
    delivery_key,
    message_id,
)
from events_service.itinerary_rows import CARRIERS, Plan, Reader, plans
from events_service.leases import ROWS, Claimed
from events_service.letter_contents import About, Contents, Own, Ready, form_of
from events_service.mail.compose import Form, Letter
from events_service.mail.headers import read_mailbox
from events_service.mail.marks import one_line
from events_service.mail.wire import Outgoing
from events_service.tokens import mail_token

_PEOPLE, _ATTENDEES = SQLModel.metadata.tables["person"], SQLModel.metadata.tables["attendee"]
_PARTSTAT = {"accepted": "ACCEPTED", "declined": "DECLINED", "tentative": "TENTATIVE"}
_FROZEN = ("content_id", "fields", "sequence", "message_id")


class Draft(NamedTuple):
    """A claimed delivery that is ready to be filled: its row, whom it goes to, and the form of its content.

    `sessions` are the objects of sessions that go along. `partstat` is what the calendar says of their answer to the
    event (RFC 5545 3.2.12).
    """

    row: Claimed
    email: str
    wave: str
    event_slug: str
    form: Form
    calendar: InvitationTemplate | None
    sessions: tuple[InvitationTemplate, ...]
    partstat: str


class _Recipient(NamedTuple):
    """A person as far as a letter needs them."""

    email: str
    name: str
    locale: str
    timezone: str


class _Place(NamedTuple):
    """An attendee as far as a letter needs them."""

    reply: str
    sequence_ahead: int
    removed_at: datetime | None
    returned_at: datetime | None
    replied_at: datetime | None

    @property
    def own(self) -> Own:
        """What their calendar object has of its own."""
        return Own(self.sequence_ahead, self.removed_at or self.returned_at)


_NOWHERE = _Place("", 0, None, None, None)


@dataclass(frozen=True, slots=True)
class _Sources:
    """What the rows of one chunk are made from, by id."""

    events: Mapping[int, Event]
    steps: Mapping[int, CampaignStep]
    people: Mapping[int, _Recipient]
    places: Mapping[int, _Place]
    declined: Mapping[int, Proposal]


class Letters:
    """Writes letters for one installation, with the templates of a folder (by default those that ship).

    Keeps what it rendered, so one per worker process is enough; threads may share it.
    """

    def __init__(self, settings: Settings, templates: Path | None = None) -> None:
        self._settings = settings
        self._secret, self._domain, self._base = settings.secret, settings.resolved_mail_domain, settings.public_base
        self._from = settings.resolved_mail_from
        self._sender_name, self._sender = read_mailbox(self._from)
        self._contents = Contents(templates or templates_dir() / "emails", self._sender_name or self._sender)

    def freeze(self, session: Session, rows: Sequence[Claimed], now: datetime) -> list[Draft]:
        """Give each row its content, the names in it and its Message-ID, unless it has them; then draft it.

        One whose person is there no longer is left out, and so is one of an itinerary that has nothing new to say.
        InputError where a template is faulty.
        """
        found = _sources(session, rows)
        itineraries = _plans(session, rows, found)
        drafts: list[Draft] = []
        frozen: list[dict[str, Any]] = []
        numbers: dict[tuple[Any, ...], int] = {}
        ready: dict[int, Ready] = {}
        for row in rows:
            if row.person_id and row.person_id not in found.people:
                # Erased since the verdict, which stops it when it is claimed again.
                continue
            event, person = found.events[row.event_id or 0], found.people[row.person_id or 0]
            step = found.steps.get(row.step_id or 0)
            # What has moved, everybody is asked again (RFC 5546 3.2.2.1); a reminder keeps the "maybe" that it had.
            told = step or row.purpose in ANSWERS
            place = found.places.get(row.attendee_id or 0, _NOWHERE)
            reply = place.reply if told else ""
            number = row.content_id
            if number is None:
                plan = itineraries.get(row.id)
                if row.purpose == ITINERARY and not (plan and plan.news):
                    continue
                confirmed = reply if row.purpose == CONFIRMATION else ""
                own, declined = place.own, found.declined.get(row.id)
                group = (
                    row.event_id, row.step_id, row.purpose, person.locale, person.timezone, confirmed, own, plan,
                    declined and declined.id,
                )  # fmt: skip
                if group not in numbers:
                    about = About(event, step, row.purpose, confirmed, own, plan, declined)
                    numbers[group] = self._contents.number(session, about, person.locale, person.timezone, now)
                number = numbers[group]
                id = row.message_id or message_id(row.key, self._secret, self._domain)
                said = self._fields(event, person.name, plan, place.replied_at if reply in _PARTSTAT else None)
                row = row._replace(content_id=number, fields=said, sequence=event.sequence, message_id=id)
                frozen.append({"row": row.id} | {f"to_{name}": getattr(row, name) for name in _FROZEN})
            if number not in ready:
                ready[number] = self._contents.ready(session, number)
            wave = (step.wave if step else None) or ""
            drafts.append(Draft(row, person.email, wave, event.slug, *ready[number], _partstat(reply)))
        if frozen:
            run_many(session, _freezing(), frozen)
        return drafts

    def preview(
        self, session: Session, event: Event, step: CampaignStep, attendee: Attendee, now: datetime
    ) -> Outgoing:
        """The message that a step would send to an attendee, as it would be filled at `now`; nothing is kept."""
        person = session.get_one(Person, attendee.person_id)
        place = _Place(*(getattr(attendee, name) for name in _Place._fields))
        reader = Reader(0, event.id or 0, attendee.id or 0, introduces=True)
        plan = plans(session, [reader], {reader.event_id: event}).get(0) if step.itinerary else None
        about = About(event, step, "campaign", own=place.own, plan=plan)
        ready = form_of(self._contents.rendered(session, about, person.locale, person.timezone, now))
        key = delivery_key("campaign", event.id or 0, step.key, person.id or 0, attendee.sequence_ahead)
        row = Claimed(
            id=0, key=key, purpose="campaign", priority=1, event_id=event.id, step_id=step.id, attendee_id=attendee.id,
            person_id=person.id, attempts=1, due_at=now, next_at=now, sequence=event.sequence, content_id=None,
            fields=self._fields(event, person.name, plan, place.replied_at),
            message_id=message_id(key, self._secret, self._domain),
        )  # fmt: skip
        partstat = _partstat(attendee.reply)
        return self.fill(Draft(row, person.email, step.wave or "", event.slug, *ready, partstat), now)

    def fill(self, draft: Draft, at: datetime) -> Outgoing:
        """The message, dated `at`. InputError for an address or a link that no message can hold."""
        row = draft.row
        name, organiser_name = (one_line(str(row.fields.get(field, ""))) for field in ("name", "organiser"))
        token = mail_token(self._secret, "reply", row.attendee_id or 0)
        reply_to = f"reply+{token}@{self._domain}" if row.attendee_id else ""
        values = {
            "greeting": f"Dear {name}," if name else "Hello,",
            "name": name or draft.email,
            "reply_url": f"{self._base}/reply/{token}",
        }
        # The answer to what somebody did themselves is no mail of a list, and no unsubscribe stops it.
        listed = row.purpose not in ANSWERS
        wanted = draft.form.fields | {"unsubscribe_url"}
        values |= {field: self._url(field, row, draft.wave) for field in wanted if field not in values}
        calendar, sessions = None, []
        if draft.calendar is not None or draft.sessions:
            organiser, attendee = Mailbox(organiser_name, reply_to), Mailbox(name, draft.email)
            if draft.calendar is not None:
                as_of = datetime.fromisoformat(row.fields["as_of"]) if "as_of" in row.fields else None
                calendar = draft.calendar.fill(attendee, organiser, draft.partstat, sent_by=self._sender, as_of=as_of)
            sessions = [
                # Whoever has an itinerary has accepted the event.
                (one.method, one.fill(attendee, organiser, "ACCEPTED", sent_by=self._sender))
                for one in draft.sessions
            ]
        letter = Letter(
            sender=self._from,
            recipient=draft.email,
            name=name,
            message_id=row.message_id or "",
            values=values,
            reply_to=reply_to,
            unsubscribe_url=values["unsubscribe_url"] if listed else "",
            list_id=f"<{draft.event_slug}.{self._domain}>" if listed else "",
            calendar=calendar,
            method=draft.calendar.method if draft.calendar else "",
            return_path=bounce_address(self._settings, row.id) if self._settings.verp else "",
            sessions=sessions,
        )
        return draft.form.fill(letter, at)

    def _fields(self, event: Event, name: str, plan: Plan | None, replied_at: datetime | None) -> dict[str, Any]:
        """The names that a message keeps on every attempt, what it says of sessions, and since when their answer is so.

        The calendar's object is as new as the answer in it.
        """
        kept: dict[str, Any] = {"name": name, "organiser": event.organiser_name or self._sender_name}
        if plan is not None:
            kept["sessions"] = plan.sessions
        if replied_at is not None:
            kept["as_of"] = replied_at.isoformat()
        return kept

    def _url(self, field: str, row: Claimed, wave: str) -> str:
        """The link that a mark stands for."""
        if field == "survey_url":
            return f"{self._base}/survey/{mail_token(self._secret, 'survey', row.attendee_id or 0, wave)}"
        return f"{self._base}/unsubscribe/{mail_token(self._secret, 'unsubscribe', row.person_id or 0)}"


def _plans(session: Session, rows: Sequence[Claimed], found: _Sources) -> dict[int, Plan]:
    """What those of the rows that have no content yet say of their readers' itineraries; most say nothing of it."""
    introducing = {id for id, step in found.steps.items() if step.itinerary}
    readers = [
        Reader(row.id, row.event_id or 0, row.attendee_id, row.step_id in introducing)
        for row in rows
        if row.content_id is None and row.attendee_id and (row.step_id in introducing or row.purpose in CARRIERS)
    ]
    return plans(session, readers, found.events)


def _sources(session: Session, rows: Sequence[Claimed]) -> _Sources:
    events = session.exec(select(Event).where(col(Event.id).in_({row.event_id for row in rows})))
    steps = session.exec(select(CampaignStep).where(col(CampaignStep.id).in_({row.step_id for row in rows})))
    connection = session.connection()
    recipients, attendees = _of_those_named(connection.dialect.name)
    people = connection.execute(recipients, {"ids": sorted({row.person_id for row in rows if row.person_id})})
    places = connection.execute(attendees, {"ids": sorted({row.attendee_id for row in rows if row.attendee_id})})
    return _Sources(
        {event.id or 0: event for event in events},
        {step.id or 0: step for step in steps},
        {id: _Recipient(*person) for id, *person in people},
        {id: _Place(*place) for id, *place in places},
        _declined(session, rows),
    )


def _declined(session: Session, rows: Sequence[Claimed]) -> dict[int, Proposal]:
    """By row the proposal that it says no to: the number is the revision in its key."""
    numbers = {row.id: int(row.key.rpartition(":")[2]) for row in rows if row.purpose == DECLINE_COUNTER}
    if not numbers:
        return {}
    there = session.exec(select(Proposal).where(col(Proposal.id).in_(set(numbers.values()))))
    by_number = {proposal.id: proposal for proposal in there}
    return {id: by_number[number] for id, number in numbers.items() if number in by_number}


@lru_cache(maxsize=2)
def _of_those_named(dialect: str) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """The people, and the attendees' places, of the numbers that each is told."""
    people = sa.select(*(_PEOPLE.c[name] for name in ("id", "email", "name", "locale", "timezone")))
    places = sa.select(*(_ATTENDEES.c[name] for name in ("id", *_Place._fields)))
    return (
        people.where(one_of(dialect, _PEOPLE.c.id, "ids")),
        places.where(one_of(dialect, _ATTENDEES.c.id, "ids")),
    )


@lru_cache(maxsize=1)
def _freezing() -> sa.Update:
    values = {name: sa.bindparam(f"to_{name}", type_=ROWS.c[name].type) for name in _FROZEN}
    return sa.update(ROWS).where(ROWS.c.id == sa.bindparam("row")).values(values)


def _partstat(reply: str) -> str:
    return _PARTSTAT.get(reply, "NEEDS-ACTION")


def readable(message: Outgoing) -> dict[str, Any]:
    """A message as a person, or a program without a mail parser, reads it: main headers, text, HTML and calendar.

    `calendar` is the event's, null where there is none; `sessions` has those of sessions.
    """
    read = message_from_bytes(message.data, policy=policy.default)
    leaves = [part for part in read.walk() if not part.is_multipart()]
    parts = {part.get_content_type(): part.get_content() for part in leaves if not part.is_attachment()}
    attached = [part for part in leaves if part.is_attachment() and part.get_content_type() == "text/calendar"]
    return {
        **{name: read[name.replace("_", "-")] for name in ("from", "to", "subject", "reply_to", "message_id")},
        "text": parts["text/plain"],
        "html": parts["text/html"],
        "calendar": parts.get("text/calendar"),
        "sessions": [part.get_content() for part in attached],
    }


def reply_address(settings: Settings, attendee_id: int) -> str:
    """Where an attendee's calendar replies go, for the whole life of the event."""
    return f"reply+{mail_token(settings.secret, 'reply', attendee_id)}@{settings.resolved_mail_domain}"


def bounce_address(settings: Settings, delivery_id: int) -> str:
    """Where the bounces of one delivery go (VERP): the address says which it was."""
    return f"bounce+{mail_token(settings.secret, 'bounce', delivery_id)}@{settings.resolved_mail_domain}"
