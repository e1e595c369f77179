"""What a message says: its template rendered once per event, step, language and zone, with marks for the rest.

A message is a folder of `templates/emails/` with subject.txt, text.txt and html.html; a folder below it named after a
language holds its translation. Templates see plain values only, in an immutable sandbox, autoescaped in HTML; an
undefined name is an error. They are read once for the life of a renderer.
"""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import css_inline
from babel import Locale, UnknownLocaleError
from jinja2 import FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from events_service.errors import InputError
from events_service.mail.marks import FIELDS, clean, mark, one_line
from events_service.mail.moments import Span, day, since, when
from events_service.mail.prose import tidy

PARTS = ("subject.txt", "text.txt", "html.html")
_MARKS = {name: mark(name) for name in FIELDS}
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:_[A-Za-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class AgendaItem:
    """A session as a message shows it. `offer` is who offers it and for how much, for days of leisure."""

    title: str
    span: Span
    place: str = ""
    kind: str = "talk"
    offer: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a session on somebody's agenda: new, changed, cancelled, or that they left it."""

    item: AgendaItem
    what: str


@dataclass(frozen=True, slots=True)
class Subject:
    """The event that a message is about. `was` and `was_at` are when and where it was before it moved.

    `proposed` is what its recipient proposed instead.
    `reason` is why it was cancelled, or why that was declined. Where it is `personal`, its agenda is the reader's own,
    and `changes` are what the calendar objects that come along say of it.
    """

    title: str
    span: Span
    place: str
    kind: str = "mission"
    hosted_by: str = "us"
    summary: str = ""
    url: str = ""
    organiser_name: str = ""
    organiser_email: str = ""
    agenda: Sequence[AgendaItem] = field(default_factory=tuple)
    was: Span | None = None
    was_at: str = ""
    proposed: Span | None = None
    reason: str = ""
    personal: bool = False
    changes: Sequence[Change] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Occasion:
    """What is said beside the event: who sends it, whether it must be told, and for a survey how many days after.

    `reply` is what a confirmation confirms: accepted, tentative or declined.
    """

    sender: str
    mandatory: bool = False
    days_after: int = 0
    reply: str = ""


_SPAN = Span(datetime(2023, 10, 9, 7, tzinfo=UTC), datetime(2023, 10, 12, 15, tzinfo=UTC), "Europe/Berlin")
# With everything in it that a template may ask for.
_SAMPLE = Subject(
    title="An event",
    span=_SPAN,
    place="A place",
    summary="What it is about.",
    url="https://example.org/event",
    organiser_name="Us",
    organiser_email="us@example.org",
    agenda=[
        AgendaItem("A session", _SPAN, "A place", kind, "An offer", "https://example.org")
        for kind in ("talk", "leisure")
    ],
    was=_SPAN,
    was_at="Another place",
    proposed=_SPAN,
    reason="A reason.",
    personal=True,
    changes=[
        Change(AgendaItem("A session", _SPAN, "A place"), what) for what in ("new", "changed", "cancelled", "left")
    ],
)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message with marks: one-line subject, plain text with LF, HTML with its CSS inlined, and what it came from."""

    subject: str
    text: str
    html: str
    template: str
    version: str
    language: str


class Renderer:
    """Renders the templates of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folder),
            autoescape=lambda name: bool(name and name.endswith(".html")),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True)
        self._versions: dict[str, str] = {}

    def names(self) -> list[str]:
        """The messages there are."""
        return sorted(path.name for path in self._folder.iterdir() if path.is_dir() and not path.name.startswith("_"))

    def language(self, template: str, locale: str) -> str:
        """The language in which a message can be said to somebody of `locale`: theirs, or English."""
        locale = locale.replace("-", "_")
        if _LOCALE.fullmatch(locale):
            for wanted in (locale, locale.split("_")[0]):
                if (self._folder / template / wanted / PARTS[0]).is_file():
                    return wanted
        return "en"

    def version(self, template: str, language: str) -> str:
        """What identifies the words of a message: a digest of its files and of the frame around them."""
        folder = _folder(template, language)
        if folder not in self._versions:
            self._versions[folder] = self._digest(folder)
        return self._versions[folder]

    def render(self, template: str, subject: Subject, locale: str, timezone: str, occasion: Occasion) -> Rendered:
        """Render for recipients of one locale in one zone. InputError names a template that is missing or faulty."""
        language = self.language(template, locale)
        folder = _folder(template, language)
        try:
            Locale.parse(language)
        except UnknownLocaleError as error:
            raise InputError(
                f"e-mail template {self._folder / folder}: {language!r} is no language; use de, say"
            ) from error
        values = values_of(subject, language, timezone, occasion)
        try:
            subject_line, text, html = (
                self._environment.get_template(f"{folder}/{part}").render(values, lang=language, me=_MARKS)
                for part in PARTS
            )
            html = self._inliner.inline(html)
        except Exception as error:  # whatever a template's own expressions raise is its author's to mend
            raise InputError(f"e-mail template {self._where(folder, error)}: {_why(error)}") from error
        return Rendered(
            subject=one_line(subject_line),
            text=tidy(text),
            html=html,
            template=template,
            version=self.version(template, language),
            language=language,
        )

    def check(self) -> int:
        """Render every message in every language that it has; how many. InputError names the first faulty template."""
        said = [
            self.render(template, _SAMPLE, language, "UTC", Occasion("Us"))
            for template in self.names()
            for language in self._languages(template)
        ]
        return len(said)

    def _languages(self, template: str) -> Iterator[str]:
        yield "en"
        yield from sorted(path.name for path in (self._folder / template).iterdir() if path.is_dir())

    def _digest(self, folder: str) -> str:
        digest = hashlib.sha256()
        for file in [*sorted(self._folder.glob("_*")), *(self._folder / folder / part for part in PARTS)]:
            try:
                digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
            except OSError as error:
                raise InputError(f"e-mail template {file}: {error.strerror}") from error
        return digest.hexdigest()[:16]

    def _where(self, folder: str, error: Exception) -> str:
        """The file at fault, and its line where that is known."""
        if isinstance(error, TemplateNotFound):
            return str(self._folder / (error.name or folder))
        if isinstance(error, TemplateSyntaxError) and error.filename:
            return f"{error.filename} line {error.lineno}"
        # jinja2 makes its templates' lines stand in the traceback.
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).suffix != ".py"]
        inside = [frame for frame in frames if Path(frame.filename).is_relative_to(self._folder)]
        return f"{inside[-1].filename} line {inside[-1].lineno}" if inside else str(self._folder / folder)


def _folder(template: str, language: str) -> str:
    return template if language == "en" else f"{template}/{language}"


def _why(error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return "is missing"
    return " ".join(str(error).split()) or type(error).__name__


def values_of(subject: Subject, locale: str, timezone: str, occasion: Occasion) -> dict[str, Any]:
    """What a template may use, but for the recipient's own: plain text, cleaned, times in words."""
    span = subject.span
    elsewhere = any(
        at.astimezone(ZoneInfo(timezone)).utcoffset() != at.astimezone(ZoneInfo(span.timezone)).utcoffset()
        for at in (span.starts, span.ends)
    )
    agenda = [_agenda_item(item, span.timezone, locale) for item in subject.agenda]
    return {
        "sender": one_line(occasion.sender),
        "mandatory": occasion.mandatory,
        "since": since(occasion.days_after, locale),
        "reply": occasion.reply,
        "event": {
            "title": one_line(subject.title),
            "kind": subject.kind,
            "hosted_by": subject.hosted_by,
            "summary": _paragraphs(subject.summary),
            "place": one_line(subject.place),
            "when": when(span, locale),
            "when_local": when(span, locale, timezone) if elsewhere else "",
            "date": day(span.starts, span.timezone, locale),
            "was": when(subject.was, locale) if subject.was else "",
            "was_at": one_line(subject.was_at),
            "proposed": when(subject.proposed, locale) if subject.proposed else "",
            "url": one_line(subject.url),
            "organiser_name": one_line(subject.organiser_name),
            "organiser_email": one_line(subject.organiser_email),
            "reason": one_line(subject.reason),
            "agenda": [item for item in agenda if item["kind"] != "leisure"],
            "leisure": [item for item in agenda if item["kind"] == "leisure"],
            "personal": subject.personal,
            "changes": [
                _agenda_item(change.item, span.timezone, locale) | {"what": change.what} for change in subject.changes
            ],
        },
    }


def _agenda_item(item: AgendaItem, timezone: str, locale: str) -> dict[str, str]:
    return {
        "title": one_line(item.title),
        "kind": item.kind,
        "place": one_line(item.place),
        "when": when(item.span, locale, zone=item.span.timezone != timezone),
        "offer": one_line(item.offer),
        "url": one_line(item.url),
    }


def _paragraphs(text: str) -> list[str]:
    return [one_line(paragraph) for paragraph in re.split(r"\n\s*\n", clean(text)) if paragraph.strip()]
