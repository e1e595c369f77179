"""Four readers that are not ours: icalendar, ical.js (Thunderbird's), libical (Evolution's, KDE's) and vobject."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import io
import json
import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import vobject
from dateutil import tz
from icalendar import Calendar

TOOLS = Path(__file__).parents[1] / "tools"


class Seen(NamedTuple):
    """An event as a reader sees it; times are POSIX seconds."""

    uid: str
    starts: int
    ends: int


def with_icalendar(content: bytes) -> Calendar:
    """The calendar, which icalendar must read without a fault in any component."""
    calendar = Calendar.from_ical(content)
    assert isinstance(calendar, Calendar)
    for component in calendar.walk():
        assert component.errors == [], component.errors
    return calendar


def instants(content: bytes) -> list[Seen]:
    """The events' instants by icalendar, made to believe the VTIMEZONE rather than its own knowledge of the name."""
    seen = []
    for event in with_icalendar(_unknown_zones(content)).walk("VEVENT"):
        times = [event[name].dt for name in ("DTSTART", "DTEND")]
        assert all(isinstance(at, datetime) and at.tzinfo for at in times), times
        seen.append(Seen(str(event["UID"]), *(int(at.timestamp()) for at in times)))
    return seen


def _unknown_zones(content: bytes) -> bytes:
    """The calendar with names of zones that nobody has seen: readers keep the first definition of a name for good."""
    for tzid in re.findall(rb"^TZID:(.*)\r$", content, re.MULTILINE):
        name = b"x%08x" % zlib.crc32(content[: content.rindex(b"END:VTIMEZONE")] + tzid)
        content = content.replace(b"TZID:%b\r" % tzid, b"TZID:%b\r" % name)
        content = content.replace(b"TZID=%b:" % tzid, b"TZID=%b:" % name)
    return content


def with_vobject(content: bytes) -> list[Seen]:
    """The events by vobject (Radicale's reader), which must find the calendar valid; a date is its midnight in UTC."""
    return [
        Seen(event.uid.value, _second(event.dtstart.value), _second(event.dtend.value))
        for event in _vobject(content).contents.get("vevent", ())
    ]


def tasks_with_vobject(content: bytes) -> dict[str, str]:
    """The status of each task by its UID, by vobject."""
    return {task.uid.value: task.status.value for task in _vobject(content).contents.get("vtodo", ())}


def _vobject(content: bytes) -> Any:
    text = _unknown_zones(content).decode()
    # Without this it takes a zone for UTC that was so before the calendar's first event, and knows it by pytz alone.
    if "BEGIN:VTIMEZONE" in text:
        zones = tz.tzical(io.StringIO(text))
        for name in zones.keys():  # noqa: SIM118 - it is no mapping
            vobject.icalendar.registerTzid(name, zones.get(name))
    calendar = vobject.readOne(text)
    assert calendar.validate(raiseException=True)
    return calendar


def _second(at: date) -> int:
    if not isinstance(at, datetime):
        at = datetime(at.year, at.month, at.day, tzinfo=UTC)
    assert at.tzinfo, at
    return int(at.timestamp())


def dates(content: bytes) -> list[tuple[date, date]]:
    """First and exclusive last dates of all-day events, by icalendar."""
    return [(event["DTSTART"].dt, event["DTEND"].dt) for event in with_icalendar(content).walk("VEVENT")]


def with_icaljs(contents: Sequence[bytes]) -> list[dict[str, Any]]:
    """What ical.js makes of each calendar; skips without node or where `npm ci` was not run in tests/tools."""
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed, so ical.js cannot read along")
    if not (TOOLS / "node_modules" / "ical.js").is_dir():
        pytest.skip("ical.js is not installed: run npm ci in tests/tools")
    lines = "".join(json.dumps(content.decode()) + "\n" for content in contents)
    command = [node, str(TOOLS / "read_ical.mjs")]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True, timeout=100, cwd=TOOLS)
    answers = [json.loads(line) for line in done.stdout.split("\n") if line]
    assert [answer["error"] for answer in answers if "error" in answer] == []
    assert len(answers) == len(contents)
    return answers


class _Time(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_int)
            for name in ("year", "month", "day", "hour", "minute", "second", "is_date", "is_daylight")
        ),
        ("zone", ctypes.c_void_p),
    )


@functools.cache
def _libical() -> ctypes.CDLL | None:
    path = os.environ.get("EVENTS_TEST_LIBICAL") or ctypes.util.find_library("ical")
    if not path:
        return None
    library = ctypes.CDLL(path)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("icalparser_parse_string", pointer, [text]),
        ("icalcomponent_count_errors", number, [pointer]),
        ("icalcomponent_get_first_component", pointer, [pointer, number]),
        ("icalcomponent_get_next_component", pointer, [pointer, number]),
        ("icalcomponent_get_uid", text, [pointer]),
        ("icalcomponent_get_summary", text, [pointer]),
        ("icalcomponent_get_dtstart", _Time, [pointer]),
        ("icalcomponent_get_dtend", _Time, [pointer]),
        ("icaltime_as_timet_with_zone", ctypes.c_int64, [_Time, pointer]),
        ("icalrestriction_check", number, [pointer]),
        ("icalcomponent_as_ical_string", text, [pointer]),
        ("icalcomponent_free", None, [pointer]),
        ("icalcomponent_string_to_kind", number, [text]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def with_libical(content: bytes) -> list[Seen]:
    """The events by libical, which must find no error and no broken restriction; skips where libical is absent."""
    library = _libical()
    if library is None:
        pytest.skip("libical is not installed (Debian: libical3), so it cannot read along")
    calendar = library.icalparser_parse_string(content)
    assert calendar, "libical reads nothing"
    try:
        library.icalrestriction_check(calendar)
        assert library.icalcomponent_count_errors(calendar) == 0, library.icalcomponent_as_ical_string(
            calendar
        ).decode()
        vevent = library.icalcomponent_string_to_kind(b"VEVENT")
        seen = []
        event = library.icalcomponent_get_first_component(calendar, vevent)
        while event:
            times = (library.icalcomponent_get_dtstart(event), library.icalcomponent_get_dtend(event))
            starts, ends = (library.icaltime_as_timet_with_zone(at, at.zone) for at in times)
            seen.append(Seen(library.icalcomponent_get_uid(event).decode(), starts, ends))
            event = library.icalcomponent_get_next_component(calendar, vevent)
    finally:
        library.icalcomponent_free(calendar)
    return seen


def logical_lines(content: bytes) -> list[str]:
    """The content lines, unfolded by the letter of RFC 5545 3.1; fails where one is too long, bare or cut wrongly."""
    assert content.endswith(b"\r\n")
    physical = content[:-2].split(b"\r\n")
    for line in physical:
        assert len(line) <= 75
        assert b"\r" not in line
        assert b"\n" not in line
        line.decode()
    return content[:-2].replace(b"\r\n ", b"").decode().split("\r\n")
