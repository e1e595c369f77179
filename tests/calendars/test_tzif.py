from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta

import pytest

from events_service.calendars.tzif import (
    Onset,
    PosixRule,
    YearlyDate,
    days_in_month,
    load_zone,
    parse_footer,
    read_zone,
)
from events_service.calendars.zones import is_utc
from events_service.errors import InputError

ZONES = sorted(zone for zone in zoneinfo.available_timezones() if zone not in ("localtime", "Factory"))


def posix(*numbers: int) -> int:
    return int(datetime(*numbers, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


def test_the_footer_of_central_europe() -> None:
    rule = parse_footer("CET-1CEST,M3.5.0,M10.5.0/3")
    begins, ends = YearlyDate(3, 5, 0, 7200), YearlyDate(10, 5, 0, 10_800)
    assert rule == PosixRule(3600, "CET", 7200, "CEST", begins, ends)
    assert rule.onsets(2024) == (
        Onset(posix(2024, 3, 31, 1), 3600, 7200, "CEST"),
        Onset(posix(2024, 10, 27, 1), 7200, 3600, "CET"),
    )


@pytest.mark.parametrize(
    ("footer", "expected"),
    [
        ("<+0545>-5:45", PosixRule(20_700, "+0545")),
        ("EST5", PosixRule(-18_000, "EST")),
        ("", None),
        ("IRST-3:30IRDT,J80/0,J264/0", None),
        ("nonsense", None),
    ],
)
def test_other_footers(footer: str, expected: PosixRule | None) -> None:
    assert parse_footer(footer) == expected


def test_summer_time_that_is_the_standard_one_and_hours_beyond_the_day() -> None:
    dublin, gaza = parse_footer("IST-1GMT0,M10.5.0,M3.5.0/1"), parse_footer("EET-2EEST,M3.4.4/50,M10.4.4/50")
    assert dublin is not None
    assert gaza is not None
    assert [(onset.local.isoformat(), onset.after) for onset in dublin.onsets(2024)] == [
        ("2024-03-31T01:00:00", 3600),
        ("2024-10-27T02:00:00", 0),
    ]
    assert [onset.local.isoformat() for onset in gaza.onsets(2026)] == ["2026-03-28T02:00:00", "2026-10-24T02:00:00"]


def test_onsets_are_the_moments_at_which_zoneinfo_changes_its_offset() -> None:
    begins, ends = posix(2020, 1, 1), posix(2045, 1, 1)
    for tzid in ZONES:
        zone, file = zoneinfo.ZoneInfo(tzid), read_zone(tzid)
        onsets = file.between(begins, ends)
        assert [onset.at for onset in onsets] == sorted({onset.at for onset in onsets})
        offset, _ = file.offset_at(begins)
        for onset in onsets:
            just_before, then = (datetime.fromtimestamp(at, zone) for at in (onset.at - 1, onset.at))
            assert just_before.utcoffset() == timedelta(seconds=offset) == timedelta(seconds=onset.before), tzid
            assert then.utcoffset() == timedelta(seconds=onset.after), tzid
            offset = onset.after
        assert datetime.fromtimestamp(ends, zone).utcoffset() == timedelta(seconds=offset), tzid


def test_offsets_before_during_and_after_what_the_file_records() -> None:
    london = read_zone("Europe/London")
    assert london.offset_at(posix(1700, 1, 1)) == (-75, "LMT")
    assert london.offset_at(posix(1970, 7, 1)) == (3600, "BST")
    assert london.offset_at(posix(2150, 7, 1)) == (3600, "BST")
    assert london.offset_at(posix(2150, 1, 1)) == (0, "GMT")
    assert read_zone("Asia/Kolkata").offset_at(posix(2150, 1, 1)) == (19_800, "IST")


@pytest.mark.parametrize(
    "tzid", ["Europe/Atlantis", "", "../../etc/passwd", "/etc/passwd", "Europe", "a\0b", "x" * 5000]
)
def test_what_is_no_zone_is_refused(tzid: str) -> None:
    with pytest.raises(InputError, match="is no time zone; use an IANA name like Europe/London"):
        load_zone(tzid)


def test_a_file_that_is_no_time_zone_is_refused() -> None:
    with pytest.raises(InputError):
        read_zone("tzdata.zi")


def test_days_in_month() -> None:
    assert [days_in_month(2023, month) for month in range(1, 13)] == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert days_in_month(2024, 2) == 29


def test_utc_goes_by_many_names() -> None:
    utc = {tzid for tzid in ZONES if is_utc(tzid)}
    assert {"UTC", "Etc/UTC", "Zulu", "GMT", "Etc/GMT-0"} <= utc
    assert all(not read_zone(tzid).between(0, posix(2040, 1, 1)) for tzid in utc)
    assert not is_utc("Africa/Abidjan")
