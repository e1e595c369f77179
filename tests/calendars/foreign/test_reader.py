"""Calendars that others wrote, read whole: what is found, where it is placed, and what is said of the rest."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events_service.calendars.foreign.model import Calendar, Found
from events_service.calendars.foreign.reader import read_events
from events_service.errors import InputError
from tests.calendars.foreign.hostile import HOSTILE, calendar, event

BEGIN, UNTIL = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
OWN_ZONE = (
    "BEGIN:VTIMEZONE", "TZID:Customized Time Zone",
    "BEGIN:STANDARD", "DTSTART:16011028T030000", "TZOFFSETFROM:+0200", "TZOFFSETTO:+0100",
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10", "END:STANDARD",
    "BEGIN:DAYLIGHT", "DTSTART:16010325T020000", "TZOFFSETFROM:+0100", "TZOFFSETTO:+0200",
    "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3", "END:DAYLIGHT", "END:VTIMEZONE",
)  # fmt: skip


def read(content: bytes, zone: str = "Europe/London") -> Calendar:
    return read_events(content, zone, BEGIN, UNTIL)


def read_one(*lines: str | bytes, start: str) -> Found:
    """The one occurrence of an event of which nothing is left out."""
    found, unused = read(calendar(*event(*lines, start=start)))
    assert (len(found), unused) == (1, ())
    return found[0]


def starts(content: bytes) -> list[str]:
    """When things start, in UTC, of a calendar of which nothing is left out."""
    found, unused = read(content)
    assert unused == ()
    return [f"{each.starts:%m-%d %H:%M}" for each in found]


def said(content: bytes) -> list[str]:
    return [str(unused) for unused in read(content).unused]


def test_an_event_is_read_with_all_that_it_says() -> None:
    content = calendar(*event(
        "UID:1@example.org", "DTEND;TZID=Europe/Berlin:20231012T170000", "SUMMARY:Cyber\\, and\\nmore",
        "LOCATION:Messe\\; Halle 2", "URL:https://example.org/e?a=1;b=2", "STATUS:tentative",
        "BEGIN:VALARM", "TRIGGER:nonsense", "SUMMARY:no", "DURATION:PT1M", "END:VALARM",
        start="DTSTART;TZID=Europe/Berlin:20231009T090000",
    ))  # fmt: skip
    assert read(content) == Calendar(
        (
            Found(
                title="Cyber, and more",
                starts=datetime(2023, 10, 9, 7, tzinfo=UTC),
                ends=datetime(2023, 10, 12, 15, tzinfo=UTC),
                timezone="Europe/Berlin",
                zone_told=True,
                all_day=False,
                place="Messe; Halle 2",
                url="https://example.org/e?a=1;b=2",
                uid="1@example.org",
                status="TENTATIVE",
                recurring=False,
            ),
        ),
        (),
    )


@pytest.mark.parametrize(
    ("start", "instant", "zone", "told"),
    [
        ("DTSTART:20230703T090000Z", "2023-07-03T09:00", "UTC", False),
        ("DTSTART:20230703T090000", "2023-07-03T08:00", "Europe/London", False),
        ("DTSTART;TZID=Europe/Berlin:20230703T090000", "2023-07-03T07:00", "Europe/Berlin", True),
        ('DTSTART;TZID="Europe/Berlin":20230703T090000', "2023-07-03T07:00", "Europe/Berlin", True),
        ("DTSTART;TZID=W. Europe Standard Time:20230703T090000", "2023-07-03T07:00", "Europe/Berlin", True),
        ("DTSTART;TZID=/mozilla.org/20070129_1/Europe/Rome:20230703T090000", "2023-07-03T07:00", "Europe/Rome", True),
        ("DTSTART;TZID=/a/b/America/Argentina/Salta:20230703T090000", "2023-07-03T12:00", "America/Argentina/Salta",
         True),
        ('DTSTART;TZID="(UTC-05:00) Eastern Time (US & Canada)":20230703T090000', "2023-07-03T13:00",
         "America/New_York", True),
        ('DTSTART;TZID="(UTC+10:00) Canberra, Melbourne, Sydney":20230703T090000', "2023-07-02T23:00",
         "Australia/Canberra", True),
        ("DTSTART;TZID=Customized Time Zone:20230703T090000", "2023-07-03T07:00", "Europe/London", False),
        ("DTSTART;TZID=Customized Time Zone:20231220T090000", "2023-12-20T08:00", "Europe/London", False),
        # A time that the clocks skip goes by the offset before, one that they repeat is the first (RFC 5545 3.3.5).
        ("DTSTART;TZID=Customized Time Zone:20230326T023000", "2023-03-26T01:30", "Europe/London", False),
        ("DTSTART;TZID=Europe/Berlin:20230326T023000", "2023-03-26T01:30", "Europe/Berlin", True),
        ("DTSTART;TZID=Customized Time Zone:20231029T023000", "2023-10-29T00:30", "Europe/London", False),
        ("DTSTART;TZID=Europe/Berlin:20231029T023000", "2023-10-29T00:30", "Europe/Berlin", True),
        ("DTSTART:20230703T0900", "2023-07-03T08:00", "Europe/London", False),
    ],
)  # fmt: skip
def test_a_time_is_placed(start: str, instant: str, zone: str, told: bool) -> None:
    found, unused = read(calendar(*OWN_ZONE, *event(start=start)))
    assert unused == ()
    assert [(each.starts, each.ends) for each in found] == [(datetime.fromisoformat(instant).replace(tzinfo=UTC),) * 2]
    assert [(each.timezone, each.zone_told) for each in found] == [(zone, told)]


def test_a_definition_of_the_file_s_own_agrees_with_the_zone_that_it_copies() -> None:
    days = [f"2023{month:02}{day}" for month in (3, 10) for day in (25, 26, 28, 29, 30)]
    times = [f"{day}T{hour:02}3000" for day in days for hour in range(6)]

    def placed(zone: str) -> list[tuple[str, datetime]]:
        content = calendar(
            *OWN_ZONE, *(line for at in times for line in event(f"UID:{at}", start=f"DTSTART;TZID={zone}:{at}"))
        )
        return sorted((each.uid, each.starts) for each in read(content).found)

    assert len(placed("Europe/Berlin")) == len(times)
    assert placed("Customized Time Zone") == placed("Europe/Berlin")


def test_a_definition_may_say_its_iana_name() -> None:
    zone = [line if line != "TZID:Customized Time Zone" else "TZID:x\r\nX-LIC-LOCATION:Asia/Tokyo" for line in OWN_ZONE]
    [found] = read(calendar(*zone, *event(start="DTSTART;TZID=x:20230703T090000"))).found
    assert (found.starts, found.timezone, found.zone_told) == (datetime(2023, 7, 3, tzinfo=UTC), "Asia/Tokyo", True)


def test_floating_times_and_whole_days_are_where_the_calendar_says() -> None:
    content = calendar(
        "X-WR-TIMEZONE:America/New_York",
        *event("SUMMARY:floating", start="DTSTART:20230703T090000"),
        *event("SUMMARY:day", start="DTSTART;VALUE=DATE:20230704"),
        *event("SUMMARY:utc", start="DTSTART:20230705T130000Z"),
    )
    assert [(each.title, each.starts, each.timezone, each.zone_told) for each in read(content).found] == [
        ("floating", datetime(2023, 7, 3, 13, tzinfo=UTC), "America/New_York", True),
        ("day", datetime(2023, 7, 4, 4, tzinfo=UTC), "America/New_York", True),
        ("utc", datetime(2023, 7, 5, 13, tzinfo=UTC), "America/New_York", True),
    ]
    wrong = calendar("X-WR-TIMEZONE:Nowhere", *event(start="DTSTART:20230703T090000"))
    assert [each.starts.hour for each in read(wrong).found] == [8]
    assert said(wrong) == ["VCALENDAR 1: X-WR-TIMEZONE: 'Nowhere' is no time zone; Europe/London is taken"]


def test_a_zone_that_nobody_knows_is_named_once() -> None:
    content = calendar(
        *event(start="DTSTART;TZID=Foo:20230703T090000"), *event(start="DTSTART;TZID=Foo:20230704T090000")
    )
    assert [(each.starts.hour, each.timezone, each.zone_told) for each in read(content).found] == [
        (8, "Europe/London", False)
    ] * 2
    assert said(content) == [
        "VEVENT 1: DTSTART: 'Foo' is no time zone that is known, nor does the file define it;"
        " Europe/London is taken for it"
    ]


@pytest.mark.parametrize(
    ("lines", "start", "span"),
    [
        ((), "DTSTART;VALUE=DATE:20231009", ("2023-10-08T23:00", "2023-10-09T23:00")),
        (("DTEND;VALUE=DATE:20231012",), "DTSTART;VALUE=DATE:20231009", ("2023-10-08T23:00", "2023-10-11T23:00")),
        (("DTEND;VALUE=DATE:20231009",), "DTSTART;VALUE=DATE:20231009", ("2023-10-08T23:00", "2023-10-09T23:00")),
        (("DURATION:P3D",), "DTSTART:20231009", ("2023-10-08T23:00", "2023-10-11T23:00")),
        (("DURATION:PT25H",), "DTSTART:20231009", ("2023-10-08T23:00", "2023-10-10T23:00")),
        # Days go by the calendar, hours by the clock: the clocks go back on the 29th (RFC 5545 3.3.6).
        (("DURATION:P1D",), "DTSTART:20231028T090000", ("2023-10-28T08:00", "2023-10-29T09:00")),
        (("DURATION:PT24H",), "DTSTART:20231028T090000", ("2023-10-28T08:00", "2023-10-29T08:00")),
        (("DURATION:P1W",), "DTSTART:20231009T090000Z", ("2023-10-09T09:00", "2023-10-16T09:00")),
        (("DTEND:20231009T100000Z",), "DTSTART;TZID=Europe/Berlin:20231009T090000",
         ("2023-10-09T07:00", "2023-10-09T10:00")),
    ],
)  # fmt: skip
def test_an_end_is_told_in_many_ways(lines: tuple[str, ...], start: str, span: tuple[str, str]) -> None:
    found = read_one(*lines, start=start)
    assert (found.starts, found.ends) == tuple(datetime.fromisoformat(at).replace(tzinfo=UTC) for at in span)
    assert found.all_day == ("T" not in start.partition(":")[2])


def test_an_end_that_cannot_be_is_none_and_said() -> None:
    content = calendar(*event("DTEND:20230102T080000Z"), *event("DURATION:-PT1H"), *event("DTEND:soon"))
    assert [(each.starts, each.ends) for each in read(content).found] == [(datetime(2023, 1, 2, 9, tzinfo=UTC),) * 2]
    assert said(content) == [
        "VEVENT 1: DTEND: 20230102T080000Z is before DTSTART, 20230102T090000; it is read as if there was none",
        "VEVENT 2: DURATION: '-PT1H' is no duration that an event can have; it is read as if there was none",
        "VEVENT 3: DTEND: 'soon' is no date or time; it is read as if there was none",
    ]


def test_a_series_keeps_its_wall_clock_and_its_exact_length() -> None:
    content = calendar(*event(
        "UID:1", "DTEND;TZID=Europe/Berlin:20231027T110000", "RRULE:FREQ=DAILY;UNTIL=20231030T080000Z",
        start="DTSTART;TZID=Europe/Berlin:20231027T090000",
    ))  # fmt: skip
    assert starts(content) == ["10-27 07:00", "10-28 07:00", "10-29 08:00", "10-30 08:00"]
    assert {each.ends - each.starts for each in read(content).found} == {timedelta(hours=2)}
    assert all(each.recurring for each in read(content).found)


def test_only_what_lies_in_the_time_asked_for_is_found() -> None:
    content = calendar(
        *event("UID:1", "DURATION:P3D", "RRULE:FREQ=YEARLY", start="DTSTART:20121230T000000Z"),
        *event("UID:2", "DTEND:20230101T000000Z", start="DTSTART:20221231T000000Z"),
        *event("UID:3", start="DTSTART:20240101T000000Z"),
        *event("UID:4", start="DTSTART:20230101T000000Z"),
        *event("UID:5", "DTEND:20300101T000000Z", start="DTSTART:20000101T000000Z"),
    )
    assert [(each.uid, f"{each.starts:%Y-%m-%d}") for each in read(content).found] == [
        ("5", "2000-01-01"),
        ("1", "2022-12-30"),
        ("4", "2023-01-01"),
        ("1", "2023-12-30"),
    ]


def test_dates_are_added_and_left_out() -> None:
    content = calendar(*event(
        "RRULE:FREQ=WEEKLY;COUNT=4", "DURATION:PT1H",
        "RDATE;TZID=Europe/Berlin:20230105T090000,20230106T100000",
        "RDATE;VALUE=PERIOD:20230107T080000Z/PT3H,20230108T080000Z/20230108T120000Z",
        "RDATE;VALUE=DATE:20230104",
        "EXDATE:20230109T080000Z", "EXDATE;VALUE=DATE:20230116", "EXDATE;TZID=Asia/Tokyo:20230105T170000",
        start="DTSTART;TZID=Europe/Berlin:20230102T090000",
    ))  # fmt: skip
    assert [(f"{each.starts:%m-%d %H}", each.ends - each.starts) for each in read(content).found] == [
        ("01-02 08", timedelta(hours=1)),
        ("01-04 08", timedelta(hours=1)),
        ("01-06 09", timedelta(hours=1)),
        ("01-07 08", timedelta(hours=3)),
        ("01-08 08", timedelta(hours=4)),
        ("01-23 08", timedelta(hours=1)),
    ]


def test_dates_that_cannot_be_used_are_named_and_the_others_stand() -> None:
    content = calendar(*event("RRULE:FREQ=DAILY;COUNT=2", "EXDATE:20230103T090000Z,nonsense,20239999T000000Z"))
    assert [f"{each.starts:%m-%d}" for each in read(content).found] == ["01-02"]
    assert said(content) == [
        "VEVENT 1: EXDATE: 'nonsense' is no date that can be used; it is left out",
        "VEVENT 1: EXDATE: '20239999T000000Z' is no date that can be used; it is left out",
    ]


@pytest.mark.parametrize(
    "instead",
    [
        "RECURRENCE-ID;TZID=Europe/Berlin:20230703T090000",
        "RECURRENCE-ID:20230703T070000Z",
        "RECURRENCE-ID;TZID=Asia/Tokyo:20230703T160000",
        "RECURRENCE-ID;VALUE=DATE:20230703",
    ],
)
def test_one_of_a_series_is_moved_renamed_or_called_off(instead: str) -> None:
    series = event(
        "UID:1", "SUMMARY:old", "RRULE:FREQ=DAILY;COUNT=3", start="DTSTART;TZID=Europe/Berlin:20230702T090000"
    )
    moved = event("UID:1", "SUMMARY:new", instead, start="DTSTART:20230801T090000Z")
    off = event("UID:1", "SUMMARY:old", instead, "STATUS:CANCELLED", start="DTSTART;TZID=Europe/Berlin:20230703T090000")
    for content in (calendar(*series, *moved), calendar(*moved, *series)):
        assert [(each.title, f"{each.starts:%m-%d %H}") for each in read(content).found] == [
            ("old", "07-02 07"),
            ("old", "07-04 07"),
            ("new", "08-01 09"),
        ]
    assert [each.status for each in read(calendar(*series, *off)).found] == ["CONFIRMED", "CANCELLED", "CONFIRMED"]


def test_one_that_is_moved_into_the_time_asked_for_or_out_of_it() -> None:
    series = event("UID:1", "RRULE:FREQ=YEARLY", start="DTSTART:20220630T090000Z")
    into = event("UID:1", "RECURRENCE-ID:20240630T090000Z", start="DTSTART:20231231T090000Z")
    out = event("UID:1", "RECURRENCE-ID:20230630T090000Z", start="DTSTART:20240630T090000Z")
    assert starts(calendar(*series, *into)) == ["06-30 09:00", "12-31 09:00"]
    assert starts(calendar(*series, *out)) == []


def test_a_change_of_all_that_follows_is_named_and_not_applied() -> None:
    content = calendar(
        *event("UID:1", "RRULE:FREQ=DAILY;COUNT=3"),
        *event("UID:1", "RECURRENCE-ID;RANGE=THISANDFUTURE:20230103T090000Z", start="DTSTART:20230103T100000Z"),
    )
    assert [f"{each.starts:%d %H}" for each in read(content).found] == ["02 09", "03 10", "04 09"]
    assert said(content) == ["VEVENT 2: RECURRENCE-ID: RANGE=THISANDFUTURE is not applied; only this one is changed"]


def test_a_change_without_its_series_stands_alone() -> None:
    assert read_one("UID:1", "RECURRENCE-ID:20230101T090000Z", start="DTSTART:20230103T100000Z").recurring


def test_the_newest_version_counts_and_two_alike_are_two_events() -> None:
    content = calendar(
        *event("UID:1", "SEQUENCE:2", "SUMMARY:new", start="DTSTART:20300101T000000Z"),
        *event("UID:1", "SEQUENCE:1", "SUMMARY:old"),
        *event("UID:2", "SUMMARY:one"),
        *event("UID:2", "SUMMARY:another"),
        *event("UID:3", "SUMMARY:said twice"),
        *event("UID:3", "SUMMARY:said twice"),
        *event("SUMMARY:nameless"),
        *event("SUMMARY:nameless too"),
    )
    assert sorted(each.title for each in read(content).found) == [
        "another", "nameless", "nameless too", "one", "said twice",
    ]  # fmt: skip
    assert said(content) == ["VEVENT 2: is an older version of another event of the file, and not used"]


def test_what_was_called_off_says_so_and_answers_are_no_events() -> None:
    cancelled = calendar("METHOD:CANCEL", *event("RRULE:FREQ=DAILY;COUNT=2", "STATUS:CONFIRMED"))
    assert [each.status for each in read(cancelled).found] == ["CANCELLED"] * 2
    reply = calendar("METHOD:REPLY", *event())
    assert read(reply).found == ()
    assert said(reply) == ["VCALENDAR 1: METHOD: REPLY: it is an answer to an invitation, and tells of no event"]


PLAIN = calendar(*event("UID:1", "SUMMARY:Größe", start="DTSTART:20230102T090000Z"))
LF = PLAIN.replace(b"\r\n", b"\n")


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        LF,
        PLAIN.replace(b"\r\n", b"\r"),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.decode().encode("latin-1"),
        PLAIN.decode().encode("utf-16"),
        PLAIN.decode().encode("utf-16-le"),
        PLAIN.decode().encode("utf-16-be"),
        PLAIN.lower().replace("Größe".lower().encode(), "Größe".encode()),
        PLAIN.replace(b"END:VEVENT\r\n", b""),
        LF.replace(b"END:VEVENT\nEND:VCALENDAR\n", b""),
        b"\n\nDear all,\nhere: is it\n\n" + LF + b"\n-- \nA signature\n",
        LF.replace(b"BEGIN:VCALENDAR\n", b"").replace(b"END:VCALENDAR\n", b""),
        LF.replace(b"SUMMARY:Gr", b"SUMM\n ARY:G\n\tr"),
        LF.replace(b"SUMMARY:", b"stray\nX-A;B\n;;;\n:\nSUMMARY;LANGUAGE=de:"),
        LF.replace(b"SUMMARY:", b"BEGIN:VALARM\nSUMMARY:no\nDURATION:PT1M\nEND:VALARM\nSUMMARY:"),
        LF.replace(b"END:VEVENT", b"BEGIN:VALARM\nSUMMARY:no\nEND:VEVENT"),
        LF.replace(b"SUMMARY:Gr", b"SUMMARY:G\0r"),
        LF + LF,
    ],
)
def test_what_is_wrong_with_a_file_does_not_hide_its_event(content: bytes) -> None:
    assert [(each.title, each.starts, each.uid) for each in read(content).found] == [
        ("Größe", datetime(2023, 1, 2, 9, tzinfo=UTC), "1")
    ]


def test_what_is_wrong_with_one_event_does_not_hide_another() -> None:
    bad = ("DTSTART:never", "DTSTART:20230230T000000Z", "X-NO-START:1", "DTSTART:", "DTSTART;TZID")
    content = calendar(
        "BEGIN:VTIMEZONE", "TZID:\\", "BEGIN:STANDARD", "TZOFFSETTO:late", "END:VTIMEZONE", "BEGIN:VTODO", "END:VTODO",
        *(line for start in bad for line in event(start=start)),
        *event("RRULE:FREQ=SECONDLY"),
        *event("SUMMARY:good"),
    )  # fmt: skip
    assert [each.title for each in read(content).found] == ["good"]
    assert said(content) == [
        "VEVENT 5: DTSTART: has no value, or too many parameters before it",
        "VTODO: 1 of them; only events (VEVENT) are read",
        "VEVENT 1: DTSTART: 'never' is no date or time",
        "VEVENT 2: DTSTART: '20230230T000000Z' is not on the calendar",
        "VEVENT 3: DTSTART: is missing",
        "VEVENT 4: DTSTART: '' is no date or time",
        "VEVENT 5: DTSTART: is missing",
        "VEVENT 6: RRULE: FREQ=SECONDLY: what repeats more than once a day is no event that people join",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no calendar: no BEGIN:VCALENDAR stands in it; give an .ics file"),
        (b"<!DOCTYPE html><html>", "it is a web page; look there for a link named iCal, .ics or subscribe"),
        (b"SUMMARY:x\nDTSTART:20230101\n", "is no calendar"),
        (b"x" * 10_000_001, "has 10,000,001 bytes; at most 10,000,000 of a calendar are read"),
    ],
)
def test_what_is_no_calendar_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(InputError) as raised:
        read(content)
    assert why in str(raised.value)


def test_the_time_asked_for_and_its_zone_must_make_sense() -> None:
    assert read_events(PLAIN, "Europe/London", UNTIL, BEGIN).found == ()
    with pytest.raises(InputError, match="fifty years"):
        read_events(PLAIN, "Europe/London", BEGIN, datetime(2090, 1, 1, tzinfo=UTC))
    with pytest.raises(InputError, match="no IANA time zone"):
        read_events(PLAIN, "../etc/passwd", BEGIN, UNTIL)


def test_every_real_calendar_is_read_or_refused_with_a_reason(shared: Path) -> None:
    files = sorted((shared / "data/ics").glob("*/*.ics"))
    begin, until = datetime(1990, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    events = 0
    for path in files:
        before = time.process_time()
        try:
            found, unused = read_events(path.read_bytes(), "Europe/London", begin, until)
        except InputError as error:
            assert path.parent.name == "broken" and str(error).startswith("is no calendar"), path
        else:
            # Whatever event there is was found, or is named.
            assert found or unused or b"BEGIN:VEVENT" not in path.read_bytes().upper(), path
            events += len(found)
        assert time.process_time() - before < 1, path
    assert len(files) > 200
    assert events > 10_000


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_is_refused_in_no_time(name: str) -> None:
    content = HOSTILE[name]()
    before = time.process_time()
    try:
        found, unused = read_events(
            content, "Europe/London", datetime(2022, 4, 1, tzinfo=UTC), datetime(2071, 1, 1, tzinfo=UTC)
        )
    except InputError as error:
        assert len(str(error)) < 300
    else:
        assert len(found) <= 5_000
        assert len(unused) <= 1_000
        assert all(len(str(each)) < 400 for each in unused)
    assert time.process_time() - before < 1


LINES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [line.encode() if isinstance(line, str) else line for line in (*OWN_ZONE, *event("UID:1", "RRULE:FREQ=WEEKLY"))]
    ),
    st.sampled_from([
        b"RECURRENCE-ID:20230109T090000Z", b"RDATE;VALUE=PERIOD:20230109T090000Z/P1D", b"EXDATE;VALUE=DATE:20230116",
        b"DTSTART;TZID=Customized Time Zone:20230102T090000", b"DTSTART;VALUE=DATE:00010101", b"DURATION:-P9999W",
        b"DTEND:99991231T235959Z", b"RRULE:FREQ=YEARLY;UNTIL=99991231T235959Z", b"TZOFFSETTO:-2359",
        b"DTSTART:00010101T000000",
    ]),
)  # fmt: skip


@settings(max_examples=400)
@given(st.one_of(st.binary(max_size=300), st.lists(LINES, max_size=25).map(lambda lines: calendar(*lines))))
def test_nothing_but_an_input_error_comes_of_any_bytes(content: bytes) -> None:
    for zone in ("Europe/London", "Pacific/Apia"):
        try:
            found, _ = read(content, zone)
        except InputError:
            continue
        assert all(each.ends >= BEGIN and each.starts < UNTIL and each.starts <= each.ends for each in found)
