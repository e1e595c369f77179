"""What messages say, rendered once for all who read the same, kept in `message_content`, and ready to be filled in.

A row of it never changes. What a process has rendered or read before it keeps in memory, within bounds.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel

from events_service.calendars.invitation import InvitationTemplate
from events_service.calendars.model import CalendarEvent, Method
from events_service.db.statements import made_once
from events_service.db.tables import CampaignStep, Event, MessageContent, Proposal
from events_service.domain.delivery import DECLINE_COUNTER, ITINERARY
from events_service.event_rows import sessions_of
from events_service.feed_contents import calendar_event, session_event
from events_service.itinerary_rows import Plan
from events_service.letter_subjects import subject_of
from events_service.mail.compose import Form
from events_service.mail.render import Occasion, Renderer

_CONTENTS = SQLModel.metadata.tables["message_content"]
_DIGEST = sa.select(_CONTENTS.c.digest).where(_CONTENTS.c.id == sa.bindparam("number"))
_STORED = sa.select(_CONTENTS.c.id).where(_CONTENTS.c.digest == sa.bindparam("of_digest"))
_KNOWN_KEPT = 4096
_READY_KEPT = 256

_METHODS: dict[str, Method] = {"cancellation": "CANCEL", "uninvited": "CANCEL", DECLINE_COUNTER: "DECLINECOUNTER"}


class Ready(NamedTuple):
    """A content that is cut and encoded, its calendar, and the calendars of sessions that go along."""

    form: Form
    calendar: InvitationTemplate | None
    sessions: tuple[InvitationTemplate, ...]


class Own(NamedTuple):
    """What a calendar object has of its own, beside its event's: how far its SEQUENCE is ahead, and since when.

    Both are of who was taken off an event or put back on it; `since` is when that was last.
    """

    ahead: int = 0
    since: datetime | None = None


_NOTHING_OWN = Own()


@dataclass(frozen=True, slots=True)
class About:
    """What a message is made from, but for its recipient: the event, and the step or else the purpose.

    `reply` is what a confirmation confirms, `plan` what is told of an itinerary, `declined` the proposal that the
    message says no to. `own` is the same for all but those who were taken off, or put back.
    """

    event: Event
    step: CampaignStep | None
    purpose: str
    reply: str = ""
    own: Own = _NOTHING_OWN
    plan: Plan | None = None
    declined: Proposal | None = None

    @property
    def template(self) -> str:
        """The message's folder."""
        return self.step.template if self.step else self.purpose


class Contents:
    """The contents that one installation writes, with the templates of a folder. Threads may share it.

    `sender` is the name, or the address, that messages are signed with.
    """

    def __init__(self, templates: Path, sender: str) -> None:
        self._renderer, self._sender = Renderer(templates), sender
        self._languages: dict[tuple[str, str], str] = {}
        self._known: dict[tuple[Any, ...], tuple[int, str]] = {}
        self._ready: dict[str, Ready] = {}

    def rendered(self, session: Session, about: About, locale: str, timezone: str, now: datetime) -> MessageContent:
        """What is said to people of a locale and a zone, with marks. InputError where a template is faulty.

        Whoever declined gets no calendar of the event with their confirmation: it would ask them again.
        """
        event, step = about.event, about.step
        occasion = Occasion(
            sender=self._sender,
            mandatory=step is None,
            days_after=step.offset_days if step else 0,
            reply=about.reply,
        )
        subject = subject_of(session, event, about.purpose, about.plan, about.declined)
        said = self._renderer.render(about.template, subject, locale, timezone, occasion)
        method: Method | None = _METHODS.get(about.purpose, "REQUEST")
        if (step and not step.calendar) or about.reply == "declined" or about.purpose == ITINERARY:
            method = None
        calendar = _head(about, method) if method else None
        sessions = _session_heads(session, event, about.plan) if about.plan and about.plan.news else None
        facts = json.dumps(
            [asdict(said), method, (calendar or b"").decode(), *([sessions] if sessions else [])], sort_keys=True
        )
        return MessageContent(
            digest=hashlib.sha256(facts.encode()).hexdigest(),
            template=about.template,
            template_version=said.version,
            locale=said.language,
            timezone=timezone,
            subject=said.subject,
            text=said.text,
            html=said.html,
            calendar=calendar,
            method=method,
            sessions=sessions,
            created_at=now,
        )

    def number(self, session: Session, about: About, locale: str, timezone: str, now: datetime) -> int:
        """The number of the content for people of a locale and a zone; it is written if it is not there yet."""
        event, language = about.event, self._language(about.template, locale)
        key = (
            about.template, self._renderer.version(about.template, language), language, timezone,
            event.id, event.changed_at, event.state, about.step.id if about.step else None, about.reply, about.own,
            about.plan, about.declined.id if about.declined else None,
        )  # fmt: skip
        id, digest = self._known.get(key, (0, ""))
        # The transaction that wrote it may have been undone, and its number may be another's by now.
        if id and self._digest(session, id) == digest:
            return id
        content = self.rendered(session, about, locale, timezone, now)
        connection = session.connection()
        connection.execute(_insert(session), content.model_dump(exclude={"id"}))
        id = int(connection.execute(_STORED, {"of_digest": content.digest}).scalar_one())
        if len(self._known) >= _KNOWN_KEPT:
            self._known.clear()
        self._known[key] = id, content.digest
        return id

    def ready(self, session: Session, id: int) -> Ready:
        """A kept content, ready to be filled: cutting and encoding it takes longer than filling it."""
        digest = self._digest(session, id)
        ready = self._ready.get(digest)
        if ready is None:
            ready = form_of(session.get_one(MessageContent, id))
            if len(self._ready) >= _READY_KEPT:
                self._ready.clear()
            self._ready[digest] = ready
        return ready

    def _digest(self, session: Session, id: int) -> str:
        return str(session.connection().execute(_DIGEST, {"number": id}).scalar() or "")

    def _language(self, template: str, locale: str) -> str:
        # It looks at the disk, and answers the same for the life of a renderer.
        language = self._languages.get((template, locale))
        if language is None:
            language = self._languages[template, locale] = self._renderer.language(template, locale)
        return language


def _entry(about: About) -> CalendarEvent:
    """The event as the calendar of whom it is about has it."""
    entry, own = calendar_event(about.event), about.own
    changed = max(entry.changed, own.since or entry.changed)
    return replace(entry, sequence=entry.sequence + own.ahead, changed=changed)


def _head(about: About, method: Method) -> bytes:
    """The calendar as far as it is the same for all. What says no is as new as that, and not as the event."""
    entry = _entry(about)
    if about.declined is None:
        return InvitationTemplate(entry, method).head
    entry = replace(entry, changed=about.declined.settled_at or entry.changed)
    return InvitationTemplate(entry, method, about.declined.reason).head


@made_once
def _insert(session: Session) -> postgresql.Insert | sqlite.Insert:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    return insert(_CONTENTS).on_conflict_do_nothing()


def form_of(content: MessageContent) -> Ready:
    """A content, ready to be filled."""
    calendar = None
    if content.calendar is not None:
        calendar = InvitationTemplate.kept(content.calendar, cast(Method, content.method))
    sessions = tuple(InvitationTemplate.kept(head.encode(), method) for method, head in content.sessions or ())
    heads = [template.head for template in sessions]
    return Ready(Form(content.subject, content.text, content.html, content.calendar or b"", heads), calendar, sessions)


def _session_heads(session: Session, event: Event, plan: Plan) -> list[tuple[Method, str]]:
    """METHOD and head of the object of each session that a message has news of."""
    items = {item.id: item for item in sessions_of(session, event)}
    return [
        (said.method, _session_head(session_event(event, items[said.session]), said.sequence, as_of, said.method))
        for said, as_of, _ in plan.news
    ]


def _session_head(entry: CalendarEvent, sequence: int, as_of: datetime, method: Method) -> str:
    return InvitationTemplate(replace(entry, sequence=sequence, changed=as_of), method).head.decode()
