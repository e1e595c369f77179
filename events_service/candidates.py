"""Events that others run and that we could join: what a calendar offers, as the programme sees it, and taking it up.

Each kind of source has one function that makes `Candidate`s of it; what comes after is the same for all.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from events_service import event_checks, events
from events_service.calendars.foreign.model import Found
from events_service.calendars.foreign.reader import read_events
from events_service.db.tables import Event
from events_service.domain.events import EventFacts
from events_service.domain.programme import Programme
from events_service.domain.violations import Violation
from events_service.errors import ConflictError, FileError, InputError
from events_service.event_json import in_zone
from events_service.reading.countries import country_code
from events_service.reading.event_files import EventFile, described
from events_service.reading.event_words import SLUG_LENGTH
from events_service.reading.folding import fold

KIND = "conference"
STRONG = 4
"""From this weight on (of 5) a keyword alone speaks for its theme."""
_LONGEST = 200
"""Characters of a title and a venue that an event keeps."""


class Answers(NamedTuple):
    """What a person says of the events in a source, before what it says itself; None where they say nothing."""

    country: str | None = None
    city: str | None = None
    timezone: str | None = None
    themes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One event that we could join. Instants are aware UTC; `missing` are the options that would answer what nobody
    said. `event` is the slug of the event that it has become.
    """

    n: int
    title: str
    starts: datetime
    ends: datetime
    timezone: str
    all_day: bool
    venue: str
    city: str | None
    country: str | None
    url: str | None
    themes: tuple[str, ...]
    reasons: tuple[str, ...]
    missing: tuple[str, ...]
    violations: tuple[Violation, ...] = ()
    event: str | None = None

    def facts(self) -> EventFacts:
        """As the rules see it."""
        markets = (self.country,) if self.country else ()
        return EventFacts(
            "", KIND, "joined", self.themes, markets, self.starts, self.ends, self.timezone, self.country or ""
        )

    def as_json(self) -> dict[str, Any]:
        """As other programs read it, times on the wall of its zone."""
        return {
            "n": self.n,
            "title": self.title,
            "starts": in_zone(self.starts, self.timezone),
            "ends": in_zone(self.ends, self.timezone),
            "timezone": self.timezone,
            "all_day": self.all_day,
            "venue": self.venue,
            "city": self.city,
            "country": self.country,
            "url": self.url,
            "themes": list(self.themes),
            "score": None,
            "reasons": list(self.reasons),
            "missing": list(self.missing),
            "violations": [violation.as_json() for violation in self.violations],
            "event": self.event,
        }


class Listing(NamedTuple):
    """What a source offers, by start, and a line on each thing in it that is not offered."""

    candidates: list[Candidate]
    left_out: list[str]


def of_calendar(content: bytes, source: str, programme: Programme, now: datetime, answers: Answers) -> Listing:
    """The events of an iCalendar file from `now` to the programme's end. FileError, which names `source`."""
    until = programme.timeline.whole.ends
    if until <= now:
        last = programme.timeline.whole.last_day
        raise InputError(f"programme {programme.key} ended on {last}; there is nothing to join any more")
    try:
        calendar = read_events(content, answers.timezone or programme.timezone, now, until)
    except InputError as error:
        raise FileError(source, str(error)) from error
    there = [found for found in calendar.found if found.status != "CANCELLED"]
    left_out = [str(unused) for unused in calendar.unused]
    if len(there) < len(calendar.found):
        left_out.append(f"{len(calendar.found) - len(there)} that were called off")
    total, seen = Counter(found.uid for found in there), Counter[str]()
    themes = ThemeWords(programme)
    candidates = []
    for n, found in enumerate(there, 1):
        seen[found.uid] += 1
        reasons = [f"recurs: {seen[found.uid]} of {total[found.uid]}"] if found.recurring else []
        if found.status == "TENTATIVE":
            reasons.append("tentative, says the calendar")
        candidates.append(_from_found(n, found, answers, themes, reasons))
    return Listing(candidates, left_out)


def weighed(session: Session, programme: Programme, listing: Listing, now: datetime) -> list[Candidate]:
    """The candidates with the rules that each would break as an event we join, and the event that it is already."""
    there = listing.candidates
    known = _joined(session, programme, [each.starts for each in there])
    verdicts = event_checks.proposed(session, programme, [each.facts() for each in there], now)
    return [
        replace(
            each,
            violations=tuple(found),
            event=known.get((each.title, each.starts)),
            reasons=(*each.reasons, *_fit(found)),
        )
        for each, found in zip(there, verdicts, strict=True)
    ]


def accept(
    session: Session, programme: Programme, candidate: Candidate, source: str, organiser: str, now: datetime
) -> Event:
    """Make a draft of it: an event that others run and we join. `organiser` is who answers for it on our side.

    InputError where something that an event needs is told neither by the source nor by an answer; ConflictError where
    it is an event of ours already. It may break rules, as any draft may.
    """
    label = f"{source}: candidate {candidate.n}"
    if candidate.event:
        raise ConflictError(f"{label} is the event {candidate.event} already")
    if not candidate.title or candidate.ends <= candidate.starts:
        what = "title" if not candidate.title else "end"
        raise InputError(f"{label} has no {what}; write an event file for it, and add that with `events event add`")
    if candidate.missing:
        options = " and ".join(candidate.missing)
        raise InputError(f"{label}, {candidate.title[:80]!r}: the source does not tell enough of it; add {options}")
    file = _event_file(label, candidate, organiser)
    return events.add(session, file.model_copy(update={"slug": _free_slug(session, file.slug)}), label, now, programme)


def chosen(candidates: Sequence[Candidate], number: int, source: str) -> Candidate:
    """The candidate of that number; InputError where there is none."""
    if not 1 <= number <= len(candidates):
        there = f"they are numbered 1 to {len(candidates)}" if candidates else "there is none at all"
        raise InputError(f"{source}: no candidate {number}; {there}")
    return candidates[number - 1]


class ThemeWords:
    """Which themes of a programme a title speaks of: those of which a strong keyword stands in it."""

    def __init__(self, programme: Programme) -> None:
        self._patterns = []
        for theme in programme.themes:
            words = sorted((fold(each.word) for each in theme.keywords if each.weight >= STRONG), key=len, reverse=True)
            if words:
                either = "|".join(map(re.escape, words))
                self._patterns.append((theme.key, re.compile(rf"(?<!\w)(?:{either})(?!\w)")))

    def of(self, title: str) -> dict[str, str]:
        """The word that was found, by theme."""
        folded = fold(title)
        found = ((key, pattern.search(folded)) for key, pattern in self._patterns)
        return {key: match[0] for key, match in found if match}


def _from_found(n: int, found: Found, answers: Answers, words: ThemeWords, reasons: Iterable[str]) -> Candidate:
    spoken = words.of(found.title)
    themes = answers.themes or tuple(spoken)
    city, country = _place(found.place)
    city, country = answers.city or city, answers.country or country
    told = found.zone_told or answers.timezone is not None
    notes = [*reasons, *(f"its title says {word!r} ({key})" for key, word in spoken.items())]
    if not told:
        notes.append(f"its calendar names no time zone; {found.timezone} is taken")
    needs = {"--country CC": country, "--city NAME": city, "--timezone ZONE": told, "--theme KEY": themes}
    return Candidate(
        n=n,
        title=found.title[:_LONGEST].rstrip(),
        starts=found.starts,
        ends=found.ends,
        timezone=answers.timezone or found.timezone,
        all_day=found.all_day,
        venue=found.place[:_LONGEST].rstrip(),
        city=city,
        country=country,
        url=found.url,
        themes=themes,
        reasons=tuple(notes),
        missing=tuple(option for option, answer in needs.items() if not answer),
    )


def _place(text: str) -> tuple[str | None, str | None]:
    """City and country of a location: a country only where its name comes last, a city only where nothing else does."""
    pieces = [piece.strip() for piece in text.split(",")]
    # Two letters at the end are a country's or a state's: CA, DE and IN are both.
    if len(pieces) < 2 or (len(pieces[-1]) <= 2 and pieces[-1] != "UK"):
        return None, None
    try:
        country = country_code(pieces[-1])
    except InputError:
        return None, None
    return (pieces[0] or None) if len(pieces) == 2 else None, country


def _fit(violations: Sequence[Violation]) -> list[str]:
    outside = {"outside-programme", "outside-window"} & {violation.code for violation in violations}
    return [] if outside else ["in the programme's window"]


def _joined(session: Session, programme: Programme, starts: Sequence[datetime]) -> dict[tuple[str, datetime], str]:
    """The slugs of events that we join already, by title and start."""
    if not starts:
        return {}
    rows = session.exec(
        select(Event).where(
            Event.hosted_by == "joined",
            Event.state != "cancelled",
            Event.programme_key == programme.key,
            col(Event.starts).between(min(starts), max(starts)),
        )
    )
    return {(event.title, event.starts): event.slug for event in rows}


def _event_file(label: str, candidate: Candidate, organiser: str) -> EventFile:
    zone = ZoneInfo(candidate.timezone)
    fields = {
        "kind": KIND,
        "hosted_by": "joined",
        "title": candidate.title,
        "themes": list(candidate.themes),
        "markets": [candidate.country],
        "starts": candidate.starts.astimezone(zone),
        "ends": candidate.ends.astimezone(zone),
        "timezone": candidate.timezone,
        "venue": candidate.venue,
        "city": candidate.city,
        "country": candidate.country,
        "organiser": organiser,
        "url": candidate.url,
    }
    return described(label, {name: value for name, value in fields.items() if value is not None})


def _free_slug(session: Session, slug: str) -> str:
    """A slug that ends in a month, or that with the first number after it that is free."""
    words, month = slug[: -len("-2023-10")], slug[-len("-2023-10") :]
    near = col(Event.slug).startswith(words[: SLUG_LENGTH // 2], autoescape=True)
    taken = set(session.exec(select(Event.slug).where(near)))
    free, number = slug, 1
    while free in taken:
        number += 1
        end = f"{month}-{number}"
        free = words[: SLUG_LENGTH - len(end)].rstrip("-") + end
    return free
