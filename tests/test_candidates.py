"""Events that we could join: what a calendar offers, what the programme says of it, and taking one up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import Session

from events_service import candidates, events
from events_service.candidates import Answers, Candidate, ThemeWords
from events_service.db.session import Database
from events_service.domain.programme import Programme
from events_service.errors import ConflictError, FileError, InputError
from tests.calendars.foreign.hostile import calendar, event
from tests.planned import NOW, load

WINDOW = "in the programme's window"
UNTOLD = ("its calendar names no time zone; Europe/London is taken",)
BY_HAND = "; write an event file for it, and add that with `events event add`"
DESK = "Events desk <events@example.org>"
EXPO = event(
    "UID:expo", "DTEND;TZID=Europe/Berlin:20231012T170000", "SUMMARY:Cyber Security Expo",
    "LOCATION:Nuremberg\\, Germany", "URL:https://example.org/expo", start="DTSTART;TZID=Europe/Berlin:20231010T090000",
)  # fmt: skip
MEETUP = event(
    "UID:meetup", "DURATION:PT2H", "SUMMARY:Meetup", "STATUS:TENTATIVE", "RRULE:FREQ=MONTHLY;COUNT=3",
    start="DTSTART:20230904T180000",
)  # fmt: skip


def offered(
    session: Session, programme: Programme, *lines: str | bytes, now: datetime = NOW, **answers: Any
) -> list[Candidate]:
    """What a calendar of these lines offers."""
    listing = candidates.of_calendar(calendar(*lines), "a.ics", programme, now, Answers(**answers))
    return candidates.weighed(session, programme, listing, now)


def codes(candidate: Candidate) -> list[str]:
    return [violation.code for violation in candidate.violations]


def test_a_calendar_offers_what_lies_between_now_and_the_programme_s_end(database: Database) -> None:
    with database.write() as session:
        programme = load(session)
        found = offered(
            session, programme, *MEETUP, *EXPO,
            *event("UID:past", start="DTSTART:20230228T090000Z"),
            *event("UID:late", "SUMMARY:Late", "DTEND:20250402T090000Z", start="DTSTART:20250331T090000Z"),
            *event("UID:never", start="DTSTART:20250401T090000Z"),
            *event("UID:off", "STATUS:CANCELLED", start="DTSTART:20230801T090000Z"),
        )  # fmt: skip
    assert [(each.n, each.title, each.reasons) for each in found] == [
        (1, "Meetup", ("recurs: 1 of 3", "tentative, says the calendar", *UNTOLD, WINDOW)),
        (2, "Meetup", ("recurs: 2 of 3", "tentative, says the calendar", *UNTOLD, WINDOW)),
        (3, "Cyber Security Expo", ("its title says 'cyber security' (cyber)", WINDOW)),
        (4, "Meetup", ("recurs: 3 of 3", "tentative, says the calendar", *UNTOLD, WINDOW)),
        (5, "Late", ("its calendar names no time zone; UTC is taken",)),
    ]
    assert [codes(each) for each in found] == [[]] * 4 + [["outside-programme", "outside-window"]]
    assert [each.missing for each in found[1:3]] == [
        ("--country CC", "--city NAME", "--timezone ZONE", "--theme KEY"), (),
    ]  # fmt: skip


def test_a_candidate_as_other_programs_read_it(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        [expo] = offered(session, load(session), *EXPO)
    assert expo.as_json() == {
        "n": 1,
        "title": "Cyber Security Expo",
        "starts": "2023-10-10T09:00:00+02:00",
        "ends": "2023-10-12T17:00:00+02:00",
        "timezone": "Europe/Berlin",
        "all_day": False,
        "venue": "Nuremberg, Germany",
        "city": "Nuremberg",
        "country": "DE",
        "url": "https://example.org/expo",
        "themes": ["cyber"],
        "score": None,
        "reasons": ["its title says 'cyber security' (cyber)", WINDOW],
        "missing": [],
        "violations": [],
        "event": None,
    }


def test_what_is_left_out_is_said(sqlite_database: Database) -> None:
    content = calendar(
        *event("STATUS:CANCELLED", start="DTSTART:20230801T090000Z"), *event("RRULE:FREQ=HOURLY"), "BEGIN:VTODO"
    )
    with sqlite_database.write() as session:
        found, left_out = candidates.of_calendar(content, "a.ics", load(session), NOW, Answers())
    assert (found, left_out) == (
        [],
        [
            "VTODO: 1 of them; only events (VEVENT) are read",
            "VEVENT 2: RRULE: FREQ=HOURLY: what repeats more than once a day is no event that people join",
            "1 that were called off",
        ],
    )


def test_an_answer_goes_before_what_the_calendar_says(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        programme = load(session)
        answers = {"country": "MY", "city": "Penang", "timezone": "Asia/Kuala_Lumpur", "themes": ("health",)}
        meetup, expo = offered(session, programme, *EXPO, *event("SUMMARY:Day", start="DTSTART:20230904"), **answers)
        assert (meetup.missing, expo.missing) == ((), ())
        # A whole day is one there; an instant stays the instant it is.
        assert meetup.starts == datetime(2023, 9, 3, 16, tzinfo=UTC)
        assert (expo.starts, expo.timezone) == (datetime(2023, 10, 10, 7, tzinfo=UTC), "Asia/Kuala_Lumpur")
        assert (expo.city, expo.country, expo.themes) == ("Penang", "MY", ("health",))
        [stranger] = offered(session, programme, *EXPO, country="FJ")
        assert "market-not-targeted" in codes(stranger)


@pytest.mark.parametrize(
    ("location", "city", "country"),
    [
        ("Nuremberg\\, Germany", "Nuremberg", "DE"),
        ("London\\, UK", "London", "GB"),
        ("Messe\\, Am Messesee 2\\, 81829 Munich\\, Germany", None, "DE"),
        # A state, not Canada.
        ("San Francisco\\, CA", None, None),
        ("Germany", None, None),
        ("Hall 3", None, None),
        ("", None, None),
    ],
)
def test_a_place_is_taken_from_a_location_only_where_it_is_plain(
    sqlite_database: Database, location: str, city: str | None, country: str | None
) -> None:
    with sqlite_database.write() as session:
        [found] = offered(session, load(session), *event(f"LOCATION:{location}", start="DTSTART:20230904T090000Z"))
    assert (found.city, found.country) == (city, country)


def test_a_theme_is_one_of_whose_words_a_title_has_one(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        words = ThemeWords(load(session))
    assert words.of("Cybersécurité") == {}
    assert words.of("NUCLEAR and Healthcare week") == {"energy": "nuclear", "health": "healthcare"}
    assert words.of("The unclear") == {}


def test_one_that_is_accepted_is_a_draft_that_we_join(database: Database) -> None:
    with database.write() as session:
        programme = load(session)
        [expo] = offered(session, programme, *EXPO)
        made = candidates.accept(session, programme, expo, "a.ics", DESK, NOW)
        assert made.slug == "cyber-security-expo-2023-10"
        assert events.as_json(session, made, NOW) | {"uid": "", "attendees": {}} == {
            "slug": "cyber-security-expo-2023-10",
            "kind": "conference",
            "hosted_by": "joined",
            "title": "Cyber Security Expo",
            "summary": "",
            "state": "draft",
            "visibility": "private",
            "starts": "2023-10-10T09:00:00+02:00",
            "ends": "2023-10-12T17:00:00+02:00",
            "timezone": "Europe/Berlin",
            "month": 18,
            "programme": "lancashire-2022-2025",
            "themes": ["cyber"],
            "markets": ["DE"],
            "venue": "Nuremberg, Germany",
            "city": "Nuremberg",
            "country": "DE",
            "region": None,
            "url": "https://example.org/expo",
            "organiser": {"name": "Events desk", "email": "events@example.org"},
            "capacity": None,
            "budget": None,
            "effort_days": None,
            "material_refreshed": None,
            "uid": "",
            "sequence": 0,
            "cancel_reason": None,
            "violations": [],
            "attendees": {},
        }
        [again] = offered(session, programme, *EXPO)
        assert again.event == made.slug
        with pytest.raises(ConflictError) as raised:
            candidates.accept(session, programme, again, "a.ics", DESK, NOW)
        assert str(raised.value) == "a.ics: candidate 1 is the event cyber-security-expo-2023-10 already"
        # One that was called off may be taken up anew.
        events.cancel(session, made, "no money", NOW)
        [anew] = offered(session, programme, *EXPO)
        assert anew.event is None
        assert candidates.accept(session, programme, anew, "a.ics", DESK, NOW).slug == "cyber-security-expo-2023-10-2"


def test_a_slug_that_is_taken_gets_a_number(database: Database) -> None:
    title = "A very long title " * 10
    lines = [
        line
        for day in range(4, 15)
        for line in event(
            f"UID:{day}", f"SUMMARY:{title}", "DURATION:PT1H", start=f"DTSTART;TZID=Europe/Berlin:202309{day:02}T090000"
        )
    ]
    with database.write() as session:
        programme = load(session)
        found = offered(session, programme, *lines, country="DE", city="Bonn", themes=("cyber",))
        slugs = [candidates.accept(session, programme, each, "a.ics", DESK, NOW).slug for each in found]
    assert len(set(slugs)) == 11
    assert [slug[-10:] for slug in (slugs[0], slugs[1], slugs[10])] == ["le-2023-09", "-2023-09-2", "2023-09-11"]
    assert max(map(len, slugs)) <= 80


@pytest.mark.parametrize(
    ("lines", "start", "why"),
    [
        (("SUMMARY:x",), "20230904T090000Z", f" has no end{BY_HAND}"),
        (("DURATION:PT1H",), "20230904T090000Z", f" has no title{BY_HAND}"),
        (("SUMMARY:x", "DURATION:PT1H"), "20230904T090000Z",
         ", 'x': the source does not tell enough of it;"
         " add --country CC and --city NAME and --timezone ZONE and --theme KEY"),
        (("SUMMARY:Cyber", "DURATION:PT1H", "X:1", "LOCATION:a\\, b\\, France"), "20230904",
         ", 'Cyber': the source does not tell enough of it; add --city NAME and --timezone ZONE"),
    ],
)  # fmt: skip
def test_what_nobody_told_is_asked_for(sqlite_database: Database, lines: tuple[str, ...], start: str, why: str) -> None:
    with sqlite_database.write() as session:
        programme = load(session)
        [found] = offered(session, programme, *event(*lines, start=f"DTSTART:{start}"))
        with pytest.raises(InputError) as raised:
            candidates.accept(session, programme, found, "a.ics", DESK, NOW)
        assert str(raised.value) == f"a.ics: candidate 1{why}"
        assert events.select_events(session) == []


def test_an_organiser_that_is_none_is_named_like_any_field(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        programme = load(session)
        [expo] = offered(session, programme, *EXPO)
        with pytest.raises(InputError, match="candidate 1: organiser: 'nobody' is no mailbox"):
            candidates.accept(session, programme, expo, "a.ics", "nobody", NOW)


def test_a_number_must_be_one_of_those_listed(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        found = offered(session, load(session), *EXPO)
    assert candidates.chosen(found, 1, "a.ics") is found[0]
    for number in (0, 2, -1):
        with pytest.raises(InputError, match="they are numbered 1 to 1"):
            candidates.chosen(found, number, "a.ics")
    with pytest.raises(InputError, match="no candidate 1; there is none at all"):
        candidates.chosen([], 1, "a.ics")


def test_what_is_no_calendar_or_too_late_is_one_line(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        programme = load(session)
    with pytest.raises(FileError, match="is no calendar: "):
        candidates.of_calendar(b"hello", "a.ics", programme, NOW, Answers())
    with pytest.raises(InputError, match="ended on 2025-03-31; there is nothing to join any more"):
        candidates.of_calendar(calendar(), "a.ics", programme, datetime(2025, 4, 1, tzinfo=UTC), Answers())
