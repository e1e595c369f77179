from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events_service.calendars.emit import COLOURS, feed, vevent, zone_uses
from events_service.calendars.lines import unescape_text
from events_service.calendars.model import CalendarEvent
from events_service.calendars.zones import ZoneUse
from events_service.errors import InputError
from tests.calendars.given import AWKWARD, MUNICH, event, texts
from tests.calendars.readers import (
    Seen,
    dates,
    instants,
    logical_lines,
    with_icalendar,
    with_icaljs,
    with_libical,
    with_vobject,
)
from tests.calendars.test_lines import readable


def calendar(*events: CalendarEvent, name: str = "Programme") -> bytes:
    return feed(name, "teal", map(vevent, events), [use for each in events for use in zone_uses(each)])


def seen(each: CalendarEvent) -> Seen:
    return Seen(each.uid, int(each.starts.timestamp()), int(each.ends.timestamp()))


def test_an_event_line_by_line() -> None:
    assert logical_lines(vevent(MUNICH)) == [
        "BEGIN:VEVENT",
        "UID:cyber-munich@example.org",
        "DTSTAMP:20230102T030405Z",
        "CREATED:20220401T093000Z",
        "LAST-MODIFIED:20230102T030405Z",
        "SEQUENCE:2",
        "SUMMARY:Cyber resilience mission to Munich",
        "DTSTART;TZID=Europe/Berlin:20231009T090000",
        "DTEND;TZID=Europe/Berlin:20231012T170000",
        "STATUS:CONFIRMED",
        "TRANSP:OPAQUE",
        "LOCATION:Universität der Bundeswehr\\, Munich",
        "DESCRIPTION:Visits\\, meetings\\; and a day of leisure.\\nBring a passport.",
        "URL:https://example.org/events/cyber-munich",
        "CATEGORIES:cyber,mission\\, outbound",
        "END:VEVENT",
    ]


def test_what_an_event_does_not_have_is_left_out() -> None:
    bare = event(description="", location="", url=None, categories=())
    names = {line.partition(":")[0].partition(";")[0] for line in logical_lines(vevent(bare))}
    assert not names & {"DESCRIPTION", "LOCATION", "URL", "CATEGORIES", "RELATED-TO", "ORGANIZER", "ATTENDEE"}


def test_a_session_names_its_event_and_a_cancelled_one_says_so() -> None:
    lines = logical_lines(vevent(event(uid="s1@x", related_to=MUNICH.uid, status="CANCELLED", transparent=True)))
    assert {"RELATED-TO:cyber-munich@example.org", "STATUS:CANCELLED", "TRANSP:TRANSPARENT"} <= set(lines)


def test_a_feed_line_by_line() -> None:
    content = feed("North, west", "teal", [vevent(MUNICH)], zone_uses(MUNICH))
    lines = logical_lines(content)
    assert lines[:11] == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Events service//Calendars//EN",
        "CALSCALE:GREGORIAN",
        "NAME:North\\, west",
        "X-WR-CALNAME:North\\, west",
        "COLOR:teal",
        "X-APPLE-CALENDAR-COLOR:#008080",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
        "X-PUBLISHED-TTL:PT1H",
        "BEGIN:VTIMEZONE",
    ]
    assert lines[-1] == "END:VCALENDAR"
    assert vevent(MUNICH) in content
    assert content.index(b"END:VTIMEZONE") < content.index(b"BEGIN:VEVENT")
    assert b"METHOD" not in content
    assert b"ATTENDEE" not in content


def test_a_feed_may_be_looked_at_less_often() -> None:
    assert b"X-PUBLISHED-TTL:PT12H" in feed("Programme", "teal", [], [], refresh_hours=12)


def test_the_same_input_gives_the_same_bytes() -> None:
    others = [event(uid=f"{place}@x", timezone=zone) for place, zone in enumerate(("Asia/Kolkata", "Europe/London"))]
    assert calendar(MUNICH, *others) == calendar(MUNICH, *others)


def test_an_unknown_colour_is_refused() -> None:
    with pytest.raises(InputError, match="'mauve' is no colour of a feed; use one of black, blue"):
        feed("Programme", "mauve", [], [])


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InputError, match="'Mars/Olympus' is no time zone"):
        vevent(event(timezone="Mars/Olympus"))


def test_colours_are_what_css_calls_them() -> None:
    assert COLOURS["teal"] == "#008080"
    assert all(len(value) == 7 and int(value[1:], 16) >= 0 for value in COLOURS.values())


@settings(max_examples=60)
@given(texts, texts, texts, st.lists(texts, max_size=3))
def test_icalendar_reads_back_whatever_was_written(
    summary: str, description: str, location: str, categories: list[str]
) -> None:
    written = event(summary=summary, description=description, location=location, categories=tuple(categories))
    events = with_icalendar(calendar(written)).walk("VEVENT")
    assert len(events) == 1
    read = events[0]
    assert read["UID"] == written.uid
    assert read["SEQUENCE"] == written.sequence
    assert [read["DTSTAMP"].dt, read["LAST-MODIFIED"].dt] == [written.changed, written.changed]
    assert [read["CREATED"].dt, read["DTSTART"].dt, read["DTEND"].dt] == [written.created, written.starts, written.ends]
    assert read["SUMMARY"] == readable(summary)
    assert read.get("DESCRIPTION", "") == readable(description)
    assert read.get("LOCATION", "") == readable(location)
    assert "ATTENDEE" not in read


@settings(max_examples=40)
@given(texts)
def test_a_name_of_a_feed_comes_back(name: str) -> None:
    content = calendar(MUNICH, name=name)
    lines = logical_lines(content)
    assert [unescape_text(line[5:]) for line in lines if line.startswith("NAME:")] == [readable(name)]
    assert len(with_icalendar(content).walk("VEVENT")) == 1


def test_icaljs_reads_awkward_texts_as_they_were() -> None:
    events = [event(uid=f"{place}@x", summary=text, location=text) for place, text in enumerate(AWKWARD)]
    (answer,) = with_icaljs([calendar(*events, name='A "name", with; marks')])
    # ical.js 2.2 knows neither property, and hands on their values as they were written.
    assert unescape_text(answer["calname"]) == unescape_text(answer["name"]) == 'A "name", with; marks'
    assert answer["colour"] == "teal"
    assert answer["refresh"] == "PT1H"
    assert answer["method"] is None
    assert answer["zones"] == ["Europe/Berlin"]
    assert [each["summary"] for each in answer["events"]] == [readable(text) for text in AWKWARD]
    assert [each["location"] for each in answer["events"]] == [readable(text) for text in AWKWARD]
    assert {each["zone"] for each in answer["events"]} == {"Europe/Berlin"}
    assert {(each["starts"], each["ends"]) for each in answer["events"]} == {seen(MUNICH)[1:]}


def test_libical_finds_no_fault_in_awkward_texts() -> None:
    events = [event(uid=f"{place}@x", summary=text, location=text) for place, text in enumerate(AWKWARD)]
    assert with_libical(calendar(*events)) == [seen(each) for each in events]


def test_vobject_finds_no_fault_in_awkward_texts() -> None:
    events = [event(uid=f"{place}@x", summary=text, location=text) for place, text in enumerate(AWKWARD)]
    assert with_vobject(calendar(*events)) == [seen(each) for each in events]


def test_titles_cannot_add_lines_or_components() -> None:
    attack = "x\r\nATTENDEE:mailto:x@evil.example\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:2"
    content = calendar(
        event(uid=attack, summary=attack, location=attack, description=attack, url="https://x/" + attack,
              categories=(attack,), related_to=attack),
        name=attack,
    )  # fmt: skip
    starts = [line.split(":")[0].split(";")[0] for line in logical_lines(content)]
    assert starts.count("BEGIN") == starts.count("END") == 5
    assert "ATTENDEE" not in starts
    assert len(with_icalendar(content).walk("VEVENT")) == 1


def test_times_in_utc_where_the_zone_is_utc() -> None:
    utc = event(timezone="UTC")
    assert b"DTSTART:20231009T070000Z\r\nDTEND:20231012T150000Z\r\n" in vevent(utc)
    assert zone_uses(utc) == ()


@pytest.mark.parametrize("hour", [0, 1])
def test_times_in_utc_where_the_local_one_happens_twice(hour: int) -> None:
    starts = datetime(2023, 10, 29, hour, 30, tzinfo=UTC)
    twice = event(starts=starts, ends=starts + timedelta(hours=5))
    assert f"DTSTART:20231029T0{hour}3000Z\r\nDTEND:20231029T0{5 + hour}3000Z".encode() in vevent(twice)
    assert zone_uses(twice) == ()
    assert instants(calendar(twice)) == [seen(twice)]


def test_the_use_of_a_zone() -> None:
    assert zone_uses(MUNICH) == (ZoneUse("Europe/Berlin", date(2023, 10, 8), date(2023, 10, 13)),)


def test_sessions_in_zones_of_their_own() -> None:
    flight = event(uid="flight@x", timezone="Europe/London")
    landed = event(uid="landed@x", timezone="Asia/Kuala_Lumpur")
    content = calendar(flight, landed, MUNICH)
    assert content.count(b"BEGIN:VTIMEZONE") == 3
    assert b"DTSTART;TZID=Asia/Kuala_Lumpur:20231009T150000" in content
    assert instants(content) == [seen(each) for each in (flight, landed, MUNICH)]


ALL_DAY = [
    (datetime(2023, 10, 9, 7, tzinfo=UTC), datetime(2023, 10, 12, 15, tzinfo=UTC), (9, 13)),
    (datetime(2023, 10, 8, 22, tzinfo=UTC), datetime(2023, 10, 9, 22, tzinfo=UTC), (9, 10)),  # midnight to midnight
    (datetime(2023, 10, 8, 22, tzinfo=UTC), datetime(2023, 10, 8, 22, tzinfo=UTC), (9, 10)),  # no time at all
    (datetime(2023, 10, 9, 21, 59, tzinfo=UTC), datetime(2023, 10, 9, 22, 1, tzinfo=UTC), (9, 11)),
]


@pytest.mark.parametrize(("starts", "ends", "days"), ALL_DAY)
def test_an_all_day_event_spans_its_local_dates(starts: datetime, ends: datetime, days: tuple[int, int]) -> None:
    whole = event(starts=starts, ends=ends, all_day=True)
    content = calendar(whole)
    assert f"DTSTART;VALUE=DATE:202310{days[0]:02}\r\nDTEND;VALUE=DATE:202310{days[1]:02}".encode() in content
    assert dates(content) == [(date(2023, 10, days[0]), date(2023, 10, days[1]))]
    assert b"VTIMEZONE" not in content


def test_other_readers_read_all_day_events() -> None:
    events = [
        event(uid=f"{place}@x", starts=starts, ends=ends, all_day=True)
        for place, (starts, ends, _) in enumerate(ALL_DAY)
    ]
    content = calendar(*events)
    assert [each.uid for each in with_libical(content)] == [each.uid for each in events]
    midnights = [[int(datetime(2023, 10, day, tzinfo=UTC).timestamp()) for day in days] for *_, days in ALL_DAY]
    assert [[each.starts, each.ends] for each in with_vobject(content)] == midnights
    (answer,) = with_icaljs([content])
    assert [each["dates"] for each in answer["events"]] == [
        [f"2023-10-{first:02}", f"2023-10-{last:02}"] for _, _, (first, last) in ALL_DAY
    ]
    assert all(each["all_day"] for each in answer["events"])


def test_a_task_is_due_when_it_ends() -> None:
    lines = logical_lines(vevent(event(kind="VTODO")))
    assert lines[0] == "BEGIN:VTODO"
    assert "DUE;TZID=Europe/Berlin:20231012T170000" in lines
    assert "STATUS:NEEDS-ACTION" in lines
    assert "STATUS:CANCELLED" in logical_lines(vevent(event(kind="VTODO", status="CANCELLED")))
    assert len(with_icalendar(calendar(event(kind="VTODO"))).walk("VTODO")) == 1
