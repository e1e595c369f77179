"""From rows to letters: what a delivery says is rendered once, kept, and filled in with the recipient's own values.

Content is frozen when a delivery is first claimed: its row points at a `message_content` row, which never changes, and
holds the recipient's name. Tokens are not kept: they are made again from the secret key each time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from email import message_from_bytes, policy
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col, select

from events_service.calendars.invitation import InvitationTemplate
from events_service.calendars.model import Mailbox, Method
from events_service.config import Settings, templates_dir
from events_service.db.tables import (
    Attendee,
    CampaignStep,
    Delivery,
    Event,
    MessageContent,
    Person,
)
from events_service.domain.delivery import CONFIRMATION, delivery_key, message_id
from events_service.feed_contents import calendar_event
from events_service.letter_subjects import subject_of
from events_service.mail.compose import Form, Letter
from events_service.mail.headers import read_mailbox
from events_service.mail.marks import one_line
from events_service.mail.render import Occasion, Renderer
from events_service.mail.wire import Outgoing
from events_service.tokens import mail_token

_CONTENTS = SQLModel.metadata.tables["message_content"]
_KNOWN_KEPT = 4096


_PARTSTAT = {"accepted": "ACCEPTED", "declined": "DECLINED", "tentative": "TENTATIVE"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A claimed delivery that is ready to be filled: its row, whom it goes to, and the form of its content.

    `partstat` is what the calendar says of their answer (RFC 5545 3.2.12).
    """

    row: Delivery
    email: str
    wave: str
    event_slug: str
    form: Form
    calendar: InvitationTemplate | None
    partstat: str


@dataclass(frozen=True, slots=True)
class _Sources:
    """What the rows of one chunk are made from, by id."""

    events: Mapping[int, Event]
    steps: Mapping[int, CampaignStep]
    people: Mapping[int, Person]
    replies: Mapping[int, str]


class Letters:
    """Writes letters for one installation, with the templates of a folder (by default those that ship).

    Keeps what it rendered, so one per worker process is enough; threads may share it.
    """

    def __init__(self, settings: Settings, templates: Path | None = None) -> None:
        self._settings = settings
        self._renderer = Renderer(templates or templates_dir() / "emails")
        self._sender_name, self._sender = read_mailbox(settings.resolved_mail_from)
        self._known: dict[tuple[Any, ...], tuple[int, str]] = {}

    def freeze(self, session: Session, rows: Sequence[Delivery], now: datetime) -> list[Draft]:
        """Give each row its content, the names in it and its Message-ID, unless it has them; then draft it.

        InputError where a template is faulty.
        """
        found = self._sources(session, rows)
        drafts = []
        for row in rows:
            event, person = found.events[row.event_id or 0], found.people[row.person_id or 0]
            step = found.steps.get(row.step_id or 0)
            # What has moved, everybody is asked again (RFC 5546 3.2.2.1); a reminder keeps the "maybe" that it had.
            told = step or row.purpose == CONFIRMATION
            reply = found.replies.get(row.attendee_id or 0, "") if told else ""
            if row.content_id is None:
                row.content_id = self._content(session, row, event, step, person, reply, now)
                row.fields = self._fields(event, person)
                row.sequence = event.sequence
            if row.message_id is None:
                row.message_id = message_id(row.key, self._settings.secret, self._settings.resolved_mail_domain)
            session.add(row)
            form, calendar = form_of(session.get_one(MessageContent, row.content_id))
            wave = (step.wave if step else None) or ""
            drafts.append(Draft(row, person.email, wave, event.slug, form, calendar, _partstat(reply)))
        session.flush()
        return drafts

    def preview(
        self, session: Session, event: Event, step: CampaignStep, attendee: Attendee, now: datetime
    ) -> Outgoing:
        """The message that a step would send to an attendee, as it would be filled at `now`; nothing is kept."""
        person = session.get_one(Person, attendee.person_id)
        form, calendar = form_of(self.rendered(session, event, step, "campaign", person, now))
        key = delivery_key("campaign", event.id or 0, step.key, person.id or 0)
        row = Delivery(
            key=key,
            purpose="campaign",
            step=step.key,
            attendee_id=attendee.id,
            person_id=person.id,
            fields=self._fields(event, person),
            message_id=message_id(key, self._settings.secret, self._settings.resolved_mail_domain),
            due_at=now,
            next_at=now,
            created_at=now,
            changed_at=now,
        )
        partstat = _partstat(attendee.reply)
        return self.fill(Draft(row, person.email, step.wave or "", event.slug, form, calendar, partstat), now)

    def fill(self, draft: Draft, at: datetime) -> Outgoing:
        """The message, dated `at`. InputError for an address or a link that no message can hold."""
        row, settings = draft.row, self._settings
        name, organiser_name = (one_line(str(row.fields.get(field, ""))) for field in ("name", "organiser"))
        reply_to = reply_address(settings, row.attendee_id) if row.attendee_id else ""
        urls = self._urls(row.attendee_id, row.person_id, draft.wave)
        calendar = None
        if draft.calendar is not None:
            organiser, attendee = Mailbox(organiser_name, reply_to), Mailbox(name, draft.email)
            calendar = draft.calendar.fill(attendee, organiser, draft.partstat, sent_by=self._sender)
        letter = Letter(
            sender=settings.resolved_mail_from,
            recipient=draft.email,
            name=name,
            message_id=row.message_id or "",
            values={"greeting": f"Dear {name}," if name else "Hello,", "name": name or draft.email, **urls},
            reply_to=reply_to,
            # The answer to what somebody did themselves is no mail of a list, and no unsubscribe stops it.
            unsubscribe_url="" if row.purpose == CONFIRMATION else urls["unsubscribe_url"],
            list_id="" if row.purpose == CONFIRMATION else f"<{draft.event_slug}.{settings.resolved_mail_domain}>",
            calendar=calendar,
            method=draft.calendar.method if draft.calendar else "",
        )
        return draft.form.fill(letter, at)

    def _fields(self, event: Event, person: Person) -> dict[str, str]:
        """The names that a message keeps on every attempt."""
        return {"name": person.name, "organiser": event.organiser_name or self._sender_name}

    def _urls(self, attendee_id: int | None, person_id: int | None, wave: str) -> dict[str, str]:
        base, secret = self._settings.public_base, self._settings.secret
        return {
            "reply_url": f"{base}/reply/{mail_token(secret, 'reply', attendee_id or 0)}",
            "survey_url": f"{base}/survey/{mail_token(secret, 'survey', attendee_id or 0, wave)}",
            "unsubscribe_url": f"{base}/unsubscribe/{mail_token(secret, 'unsubscribe', person_id or 0)}",
        }

    def _sources(self, session: Session, rows: Sequence[Delivery]) -> _Sources:
        events = session.exec(select(Event).where(col(Event.id).in_({row.event_id for row in rows})))
        steps = session.exec(select(CampaignStep).where(col(CampaignStep.id).in_({row.step_id for row in rows})))
        people = session.exec(select(Person).where(col(Person.id).in_({row.person_id for row in rows})))
        at = col(Attendee.id).in_({row.attendee_id for row in rows})
        replies = session.exec(select(Attendee.id, Attendee.reply).where(at))
        return _Sources(
            {event.id or 0: event for event in events},
            {step.id or 0: step for step in steps},
            {person.id or 0: person for person in people},
            {id or 0: reply for id, reply in replies},
        )

    def _content(
        self,
        session: Session,
        row: Delivery,
        event: Event,
        step: CampaignStep | None,
        person: Person,
        reply: str,
        now: datetime,
    ) -> int:
        template = step.template if step else row.purpose
        reply = reply if row.purpose == CONFIRMATION else ""
        language = self._renderer.language(template, person.locale)
        version = self._renderer.version(template, language)
        known = (
            template,
            version,
            language,
            person.timezone,
            event.id,
            event.changed_at,
            event.state,
            row.step_id,
            reply,
        )
        content_id, digest = self._known.get(known, (0, ""))
        # The transaction that wrote it may have been undone, and its number may be another's by now.
        kept = session.get(MessageContent, content_id) if content_id else None
        if kept is not None and kept.digest == digest:
            return content_id
        content = self.rendered(session, event, step, row.purpose, person, now, reply)
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        values = content.model_dump(exclude={"id"})
        session.connection().execute(insert(_CONTENTS).values(values).on_conflict_do_nothing())
        stored = sa.select(_CONTENTS.c.id).where(_CONTENTS.c.digest == content.digest)
        content_id = int(session.connection().execute(stored).scalar_one())
        if len(self._known) >= _KNOWN_KEPT:
            self._known.clear()
        self._known[known] = content_id, content.digest
        return content_id

    def rendered(
        self,
        session: Session,
        event: Event,
        step: CampaignStep | None,
        purpose: str,
        person: Person,
        now: datetime,
        reply: str = "",
    ) -> MessageContent:
        """What a step (or, without one, a message of that purpose) says to people like `person`, with marks.

        `reply` is what a confirmation confirms. Whoever declined gets no calendar: it would ask them again.
        """
        template = step.template if step else purpose
        occasion = Occasion(
            sender=self._sender_name or self._sender,
            mandatory=step is None,
            days_after=step.offset_days if step else 0,
            reply=reply,
        )
        subject = subject_of(session, event, purpose)
        said = self._renderer.render(template, subject, person.locale, person.timezone, occasion)
        method: Method | None = "CANCEL" if purpose == "cancellation" else "REQUEST"
        if (step and not step.calendar) or reply == "declined":
            method = None
        calendar = InvitationTemplate(calendar_event(event), method).head if method else None
        facts = json.dumps([asdict(said), method, (calendar or b"").decode()], sort_keys=True)
        return MessageContent(
            digest=hashlib.sha256(facts.encode()).hexdigest(),
            template=template,
            template_version=said.version,
            locale=said.language,
            timezone=person.timezone,
            subject=said.subject,
            text=said.text,
            html=said.html,
            calendar=calendar,
            method=method,
            created_at=now,
        )


def form_of(content: MessageContent) -> tuple[Form, InvitationTemplate | None]:
    """A kept content, ready to be filled."""
    calendar = None
    if content.calendar is not None:
        calendar = InvitationTemplate.kept(content.calendar, cast(Method, content.method))
    return _form(content.subject, content.text, content.html), calendar


@lru_cache(maxsize=256)
def _form(subject: str, text: str, html: str) -> Form:
    """Cutting a content takes as long as filling it, and many share one."""
    return Form(subject, text, html)


def _partstat(reply: str) -> str:
    return _PARTSTAT.get(reply, "NEEDS-ACTION")


def readable(message: Outgoing) -> dict[str, str | None]:
    """A message as a person, or a program without a mail parser, reads it: main headers, text, HTML and calendar."""
    read = message_from_bytes(message.data, policy=policy.default)
    parts = {part.get_content_type(): part.get_content() for part in read.walk() if not part.is_multipart()}
    return {
        **{name: read[name.replace("_", "-")] for name in ("from", "to", "subject", "reply_to", "message_id")},
        "text": parts["text/plain"],
        "html": parts["text/html"],
        "calendar": parts.get("text/calendar"),
    }


def reply_address(settings: Settings, attendee_id: int) -> str:
    """Where an attendee's calendar replies go, for the whole life of the event."""
    return f"reply+{mail_token(settings.secret, 'reply', attendee_id)}@{settings.resolved_mail_domain}"
