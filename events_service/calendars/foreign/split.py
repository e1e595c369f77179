"""Bytes cut into calendars and their components, line by line, with no opinion on what the lines say.

Nothing that is wrong with one component reaches another: a missing END ends where the next event begins, text around
a calendar is skipped, and what nobody asks for is not even cut apart.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass, field

from events_service.calendars.foreign.bounds import (
    LINE_COST,
    MAX_BYTES,
    MAX_COMPONENTS,
    MAX_DEPTH,
    MAX_LINE,
    MAX_LINES,
    MAX_REPEATED,
    MAX_UNUSED,
    Work,
)
from events_service.calendars.foreign.model import Unused
from events_service.calendars.lines import ContentLine, read_line, unfold
from events_service.errors import InputError

_REPEATED = frozenset(("RRULE", "RDATE", "EXDATE", "EXRULE"))
_WANTED = re.compile(
    rb"\s*(BEGIN|END|METHOD|X-WR-TIMEZONE|UID|RECURRENCE-ID|SEQUENCE|DTSTAMP|DTSTART|DTEND|DURATION|SUMMARY|LOCATION|URL"
    rb"|STATUS|RRULE|RDATE|EXDATE|EXRULE|TZID|TZOFFSETFROM|TZOFFSETTO|X-LIC-LOCATION)\s*(?:;|:\s*)",
    re.IGNORECASE,
)
# Those that stand in a VCALENDAR itself, so that one of them ends another whose END is missing.
_OUTER = frozenset(("VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE", "VAVAILABILITY", "VPOLL"))
_OBSERVANCES = frozenset(("STANDARD", "DAYLIGHT"))
_HEAD = 1_000
"""Octets within which a line's value must begin."""
_MARKS = (b'"', b";", b":")


@dataclass(slots=True)
class Component:
    """A VEVENT, a VTIMEZONE or a part of it, a VCALENDAR itself: the lines that matter, of each kind the first, and all
    of those that may be repeated. `place` is what people call it.
    """

    kind: str
    place: str
    lines: dict[str, ContentLine] = field(default_factory=dict)
    repeated: list[ContentLine] = field(default_factory=list)
    parts: list[Component] = field(default_factory=list)

    def text(self, name: str) -> str:
        """The raw value of a property, "" where it is missing."""
        line = self.lines.get(name)
        return line.value if line else ""

    def all(self, name: str) -> list[ContentLine]:
        """The lines of a property that may be repeated."""
        return [line for line in self.repeated if line.name == name]


@dataclass(slots=True)
class Sheet:
    """One VCALENDAR: its own lines, its events, and its definitions of zones."""

    own: Component
    events: list[Component] = field(default_factory=list)
    zones: list[Component] = field(default_factory=list)


@dataclass(slots=True)
class Parts:
    """A whole file. `others` counts components that are no events, by kind."""

    sheets: list[Sheet] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    unused: list[Unused] = field(default_factory=list)


def split(content: bytes, work: Work) -> Parts:
    """Cut a file apart. InputError where it is no calendar, or has more of anything than bounds.py allows."""
    if len(content) > MAX_BYTES:
        raise InputError(f"has {len(content):,} bytes; at most {MAX_BYTES:,} of a calendar are read")
    content = _plain(content)
    lines = content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")
    if lines > MAX_LINES:
        raise InputError(f"has {lines:,} lines; at most {MAX_LINES:,} of a calendar are read")
    splitter = _Splitter(work)
    for line in unfold(content):
        match = _WANTED.match(line)
        if match:
            splitter.take(match[1].decode().upper(), line, match.end())
    if not splitter.begun:
        page = re.match(rb"\s*(<!doctype|<html|<\?xml)", content, re.IGNORECASE)
        hint = "it is a web page; look there for a link named iCal, .ics or subscribe" if page else "give an .ics file"
        raise InputError(f"is no calendar: no BEGIN:VCALENDAR stands in it; {hint}")
    return splitter.parts


def _plain(content: bytes) -> bytes:
    """UTF-16, with its mark or without, as UTF-8; no mark, no NUL. The other charsets differ line by line."""
    first, second = content[:1], content[1:2]
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        content = content.decode("utf-16", "replace").encode()
    elif len(content) > 2 and (first == b"\0") != (second == b"\0"):
        content = content.decode("utf-16-be" if first == b"\0" else "utf-16-le", "replace").encode()
    return content.removeprefix(codecs.BOM_UTF8).replace(b"\0", b"")


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        # What calls itself Latin-1 is Windows' superset of it (https://encoding.spec.whatwg.org/#names-and-labels).
        return line.decode("cp1252", "replace")


class _Splitter:
    """Holds what is open while lines come in."""

    def __init__(self, work: Work) -> None:
        self.parts = Parts()
        self.begun = False
        self._work = work
        self._open: list[tuple[str, Component | None]] = []
        self._sheet: Sheet | None = None
        self._counts: Counter[str] = Counter()

    def take(self, name: str, line: bytes, end: int) -> None:
        """One unfolded line whose name is one of those that matter; `end` is where what follows its mark begins."""
        if name == "BEGIN":
            self._begin(_kind(line))
        elif name == "END":
            self._end(_kind(line))
        else:
            component = self._open[-1][1] if self._open else self._current().own
            if component is not None:
                self._keep(component, name, line, end)

    def _current(self) -> Sheet:
        """The calendar that is open; one that nobody began, where there is none."""
        if self._sheet is None:
            self._sheet = Sheet(Component("VCALENDAR", f"VCALENDAR {len(self.parts.sheets) + 1}"))
            self.parts.sheets.append(self._sheet)
        return self._sheet

    def _begin(self, kind: str) -> None:
        self._work.charge(LINE_COST)
        self._counts[kind] += 1
        if self._counts.total() > MAX_COMPONENTS:
            raise InputError(f"has more than {MAX_COMPONENTS:,} components; at most so many of a calendar are read")
        if kind == "VCALENDAR":
            self.begun, self._sheet = True, None
            self._open = [(kind, self._current().own)]
            return
        if kind in _OUTER:
            self.begun = True
            del self._open[1 if self._open and self._open[0][0] == "VCALENDAR" else 0 :]
        if len(self._open) >= MAX_DEPTH:
            raise InputError(f"has components that lie more than {MAX_DEPTH} deep; no calendar has")
        self._open.append((kind, self._made(kind)))

    def _made(self, kind: str) -> Component | None:
        """The component to fill; None where nobody asks for what is in it."""
        component = Component(kind, f"{kind} {self._counts[kind]}")
        outer = self._open[-1][1] if self._open else None
        if kind == "VEVENT":
            self._current().events.append(component)
        elif kind == "VTIMEZONE":
            self._current().zones.append(component)
        elif kind in _OBSERVANCES and outer is not None and outer.kind == "VTIMEZONE":
            outer.parts.append(component)
        else:
            if kind in _OUTER:
                self.parts.others[kind] += 1
            return None
        return component

    def _end(self, kind: str) -> None:
        depth = next((at for at in range(len(self._open) - 1, -1, -1) if self._open[at][0] == kind), None)
        if depth is not None:
            del self._open[depth:]
        if kind == "VCALENDAR":
            self._sheet = None

    def _keep(self, component: Component, name: str, raw: bytes, end: int) -> None:
        self._work.charge(1)
        repeated = name in _REPEATED
        if not repeated and name in component.lines:
            return
        if repeated and len(component.repeated) >= MAX_REPEATED:
            self._leave_out(component, name, f"is there too often; the first {MAX_REPEATED} such lines are read")
            return
        if len(raw) > MAX_LINE:
            self._leave_out(component, name, f"has {len(raw):,} octets; at most {MAX_LINE:,} of a line are read")
            return
        line = self._cut(name, raw, end)
        if line is None:
            self._leave_out(component, name, "has no value, or too many parameters before it")
        elif repeated:
            component.repeated.append(line)
        else:
            component.lines[name] = line

    def _cut(self, name: str, raw: bytes, end: int) -> ContentLine | None:
        if raw[end - 1 : end] != b";":
            self._work.charge(LINE_COST)
            return ContentLine(name, _decode(raw[end:]).rstrip())
        # What stands in quotes may hold any mark, so that all of such a line has to be looked through.
        before = raw[:_HEAD].partition(b":")[0]
        marks = sum(map((raw if b'"' in before else before).count, _MARKS))
        self._work.charge(3 * LINE_COST + marks // 4)
        return read_line(_decode(raw)) if b":" in raw[:_HEAD] else None

    def _leave_out(self, component: Component, name: str, why: str) -> None:
        note = Unused(component.place, name, why)
        if len(self.parts.unused) < MAX_UNUSED and note not in self.parts.unused[-1:]:
            self.parts.unused.append(note)


def _kind(line: bytes) -> str:
    return line[:100].partition(b":")[2].strip().upper()[:40].decode("ascii", "replace")
