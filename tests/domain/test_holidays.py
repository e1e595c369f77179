"""Days off: the right subdivision, the right weekend, and what is only estimated."""

from __future__ import annotations

from datetime import date

from events_service.domain.holidays import DayOff, days_off


def names(country: str, region: str | None, first: date, last: date | None = None) -> list[tuple[str, str | None]]:
    return [(off.day.isoformat(), off.name) for off in days_off(country, region, first, last or first)]


def test_england_for_lancashire_by_either_of_its_codes() -> None:
    august = date(2023, 8, 28)
    assert names("GB", "GB-ENG", august) == [("2023-08-28", "Late Summer Bank Holiday")]
    assert names("GB", "GB-LAN", august) == [("2023-08-28", "Late Summer Bank Holiday")]
    assert names("GB", "GB-BPL", august) == [("2023-08-28", "Late Summer Bank Holiday")]


def test_a_council_has_the_bank_holidays_of_its_country() -> None:
    january, july, may = date(2024, 1, 2), date(2023, 7, 12), date(2023, 5, 8)
    assert names("GB", "GB-GLG", january) == [("2024-01-02", "New Year Holiday")]
    assert names("GB", "GB-LAN", january) == []
    assert names("GB", "GB-BFS", july) == [("2023-07-12", "Battle of the Boyne")]
    assert names("GB", "GB-CRF", july) == []
    assert names("GB", "GB-CRF", may) == [("2023-05-08", "Coronation of Charles III")]


def test_the_subdivision_of_a_region() -> None:
    epiphany = date(2023, 1, 6)
    assert names("DE", "DE-BY", epiphany) == [("2023-01-06", "Epiphany")]
    assert names("DE", "DE-BE", epiphany) == []
    assert names("DE", None, epiphany) == []


def test_a_region_of_another_country_or_of_none_counts_as_none() -> None:
    epiphany = date(2023, 1, 6)
    assert names("DE", "GB-ENG", epiphany) == []
    assert names("DE", "DE-XX", epiphany) == []
    assert names("DE", "DE-", epiphany) == []
    assert names("FR", "FR-ARA", date(2023, 7, 14)) == [("2023-07-14", "National Day")]


def test_a_weekend_and_its_order() -> None:
    assert names("DE", "DE-BY", date(2023, 9, 29), date(2023, 10, 3)) == [
        ("2023-09-30", None),
        ("2023-10-01", None),
        ("2023-10-03", "German Unity Day"),
    ]


def test_a_holiday_on_a_weekend_goes_by_its_name() -> None:
    assert names("GB", "GB-ENG", date(2022, 1, 1)) == [("2022-01-01", "New Year's Day")]


def test_weekends_differ_by_country_and_over_time() -> None:
    friday, sunday = date(2023, 5, 12), date(2023, 5, 14)
    assert names("EG", None, friday) == [("2023-05-12", None)]
    assert names("EG", None, sunday) == []
    assert names("AE", None, date(2021, 5, 21)) == [("2021-05-21", None)]
    assert names("AE", None, friday) == []


def test_a_working_saturday_is_no_weekend() -> None:
    assert names("CN", None, date(2023, 1, 28)) == []
    assert names("CN", None, date(2023, 2, 4)) == [("2023-02-04", None)]


def test_what_the_library_estimates_is_marked() -> None:
    # The Malaysian dates of 2028 are calculated, as nobody has yet seen that moon.
    assert list(days_off("MY", None, date(2028, 5, 5), date(2028, 5, 5))) == [
        DayOff(date(2028, 5, 5), "MY", "Eid al-Adha (estimated)", estimated=True)
    ]
    assert list(days_off("MY", None, date(2023, 4, 22), date(2023, 4, 22))) == [
        DayOff(date(2023, 4, 22), "MY", "Eid al-Fitr", estimated=False)
    ]


def test_a_country_that_the_library_does_not_know_has_weekends_only() -> None:
    assert names("XX", None, date(2023, 12, 23), date(2023, 12, 26)) == [("2023-12-23", None), ("2023-12-24", None)]


def test_across_a_year_end_and_no_further_than_a_year() -> None:
    assert [day for day, _ in names("GB", "GB-ENG", date(2023, 12, 29), date(2024, 1, 1))] == [
        "2023-12-30",
        "2023-12-31",
        "2024-01-01",
    ]
    assert max(off.day for off in days_off("GB", None, date(2023, 1, 1), date(9999, 12, 31))) <= date(2024, 1, 1)
