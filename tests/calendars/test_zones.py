from __future__ import annotations

import zoneinfo
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events_service.calendars.emit import feed, vevent, zone_uses
from events_service.calendars.tzif import read_zone
from events_service.calendars.zones import ZoneUse, is_utc, needs, vtimezone, vtimezones
from events_service.errors import InputError
from tests.calendars.given import event
from tests.calendars.readers import Seen, instants, logical_lines, with_icaljs, with_libical, with_vobject

FIRST, LAST = date(2022, 1, 1), date(2027, 12, 31)
ZONES = sorted(
    zone for zone in zoneinfo.available_timezones() if zone not in ("localtime", "Factory") and not is_utc(zone)
)
MINUTES_AROUND = (-1440, -180, -60, -30, 0, 30, 60, 180, 1440)


def posix(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def calendar(tzid: str, starts: Iterable[int]) -> tuple[bytes, list[Seen]]:
    """A feed with an event of ninety minutes at each of these moments, and what must be read of it."""
    expected = [Seen(f"{place}", at, at + 5400) for place, at in enumerate(starts)]
    events = [
        event(
            uid=uid,
            starts=datetime.fromtimestamp(begins, UTC),
            ends=datetime.fromtimestamp(ends, UTC),
            timezone=tzid,
            description="",
        )
        for uid, begins, ends in expected
    ]
    uses = [use for each in events for use in zone_uses(each)]
    return feed(tzid, "teal", [vevent(each) for each in events], uses), expected


@pytest.fixture(scope="module")
def around_every_change() -> dict[str, tuple[bytes, list[Seen]]]:
    """For each zone whose VTIMEZONE differs from all others': events around all changes of its clocks, 2022 to 2027."""
    found: dict[bytes, str] = {}
    for tzid in ZONES:
        component = vtimezone(tzid, FIRST, LAST)
        assert component is not None
        found.setdefault(component.split(b"\r\n", 2)[2], tzid)
    assert len(found) > 80
    result = {}
    for tzid in found.values():
        changes = [onset.at for onset in read_zone(tzid).between(posix(FIRST), posix(LAST))]
        seasons = [posix(date(year, month, 15)) for year in range(2022, 2028) for month in (1, 7)]
        starts = [at + 60 * minutes - 1 for at in changes for minutes in MINUTES_AROUND]
        result[tzid] = calendar(tzid, [*starts, *seasons])
    return result


def test_icalendar_agrees_around_every_change(around_every_change: dict[str, tuple[bytes, list[Seen]]]) -> None:
    for tzid, (content, expected) in around_every_change.items():
        assert instants(content) == expected, tzid


def test_icaljs_agrees_around_every_change(around_every_change: dict[str, tuple[bytes, list[Seen]]]) -> None:
    answers = with_icaljs([content for content, _ in around_every_change.values()])
    for (tzid, (_, expected)), answer in zip(around_every_change.items(), answers, strict=True):
        assert [Seen(each["uid"], each["starts"], each["ends"]) for each in answer["events"]] == expected, tzid
        assert {each["zone"] for each in answer["events"]} <= {tzid, "UTC"}


def test_libical_agrees_around_every_change(around_every_change: dict[str, tuple[bytes, list[Seen]]]) -> None:
    for tzid, (content, expected) in around_every_change.items():
        assert with_libical(content) == expected, tzid


def test_vobject_agrees_around_every_change(around_every_change: dict[str, tuple[bytes, list[Seen]]]) -> None:
    for tzid, (content, expected) in around_every_change.items():
        assert with_vobject(content) == expected, tzid


@settings(max_examples=60)
@given(
    st.sampled_from(ZONES),
    st.lists(st.integers(posix(date(1985, 1, 1)), posix(date(2060, 1, 1))), min_size=1, max_size=5),
)
def test_any_moments_of_any_zone_come_back(tzid: str, starts: list[int]) -> None:
    content, expected = calendar(tzid, starts)
    assert instants(content) == expected


def test_a_zone_with_a_yearly_rule() -> None:
    assert vtimezone("Europe/London", date(2023, 5, 1), date(2024, 5, 1)) == (
        b"BEGIN:VTIMEZONE\r\nTZID:Europe/London\r\n"
        b"BEGIN:DAYLIGHT\r\nDTSTART:20220327T010000\r\nTZOFFSETFROM:+0000\r\nTZOFFSETTO:+0100\r\nTZNAME:BST\r\n"
        b"RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\nEND:DAYLIGHT\r\n"
        b"BEGIN:STANDARD\r\nDTSTART:20221030T020000\r\nTZOFFSETFROM:+0100\r\nTZOFFSETTO:+0000\r\nTZNAME:GMT\r\n"
        b"RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    )


def test_a_zone_of_one_offset() -> None:
    assert vtimezone("Etc/GMT+5", FIRST, LAST) == (
        b"BEGIN:VTIMEZONE\r\nTZID:Etc/GMT+5\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\nTZOFFSETFROM:-0500\r\n"
        b"TZOFFSETTO:-0500\r\nTZNAME:-05\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n"
    )


def test_a_rule_whose_hour_falls_on_another_day() -> None:
    nuuk = vtimezone("America/Nuuk", date(2026, 1, 1), date(2026, 12, 31))
    assert nuuk is not None
    assert b"RRULE:FREQ=YEARLY;BYMONTH=3;BYMONTHDAY=24,25,26,27,28,29,30;BYDAY=SA" in nuuk


def test_a_zone_that_keeps_to_no_rule_is_one_onset_a_line_and_only_of_the_years_used() -> None:
    component = vtimezone("Africa/Casablanca", date(2024, 1, 1), date(2024, 12, 31))
    assert component is not None
    lines = logical_lines(component)
    assert not [line for line in lines if line.startswith("RRULE")]
    assert [line for line in lines if line.startswith("RDATE")] == [
        "RDATE:20230319T030000", "RDATE:20240310T030000", "RDATE:20230423T020000", "RDATE:20240414T020000",
    ]  # fmt: skip


@pytest.mark.parametrize("tzid", ["UTC", "Etc/UTC", "GMT", "Etc/Zulu"])
def test_utc_needs_no_component(tzid: str) -> None:
    assert vtimezone(tzid, FIRST, LAST) is None


def test_a_zone_that_had_another_offset_before_its_last_rule() -> None:
    component = vtimezone("Africa/El_Aaiun", date(1985, 1, 1), date(1985, 12, 31))
    assert component is not None
    assert b"TZOFFSETTO:+0000" in component
    assert b"+0100" not in component


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InputError, match="'Europe/Atlantis' is no time zone"):
        vtimezone("Europe/Atlantis", FIRST, LAST)


def test_the_same_years_give_the_same_bytes() -> None:
    assert vtimezone("Europe/Berlin", date(2023, 1, 2), date(2024, 3, 4)) == vtimezone(
        "Europe/Berlin", date(2023, 11, 12), date(2024, 10, 9)
    )


def test_uses_of_a_zone_become_one_component_that_spans_them_all_in_order_of_name() -> None:
    uses = [
        ZoneUse("Europe/London", date(2024, 1, 1), date(2024, 1, 2)),
        ZoneUse("Asia/Kuala_Lumpur", date(2023, 1, 1), date(2023, 1, 2)),
        ZoneUse("UTC", date(2023, 1, 1), date(2023, 1, 2)),
        ZoneUse("Europe/London", date(2022, 1, 1), date(2022, 1, 2)),
    ]
    expected = [vtimezone("Asia/Kuala_Lumpur", FIRST, LAST), vtimezone("Europe/London", FIRST, date(2024, 2, 2))]
    assert vtimezones(uses) == vtimezones(reversed(uses)) == b"".join(part or b"" for part in expected)


def test_an_event_on_the_edge_of_a_year_needs_the_year_before_too() -> None:
    starts = datetime(2024, 1, 1, 4, tzinfo=UTC)
    use = needs("America/New_York", starts, starts + timedelta(hours=1))
    assert use == ZoneUse("America/New_York", date(2023, 12, 31), date(2024, 1, 2))
