from __future__ import annotations

from datetime import UTC, datetime

import pytest

from events_service.mail.moments import Span, day, since, when

MUNICH = Span(datetime(2023, 10, 9, 7, 0, tzinfo=UTC), datetime(2023, 10, 12, 15, 0, tzinfo=UTC), "Europe/Berlin")


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("locale", "zone", "words"),
    [
        ("en", None, "Monday 9 October, 09:00 to Thursday 12 October 2023, 17:00 (Berlin time, UTC+2)"),
        ("en", "Europe/London", "Monday 9 October, 08:00 to Thursday 12 October 2023, 16:00 (London time, UTC+1)"),
        ("en", "UTC", "Monday 9 October, 07:00 to Thursday 12 October 2023, 15:00 (UTC)"),
        (
            "en", "America/St_Johns",
            "Monday 9 October, 04:30 to Thursday 12 October 2023, 12:30 (St Johns time, UTC-2:30)",
        ),
        (
            "en", "Asia/Kuala_Lumpur",
            "Monday 9 October, 15:00 to Thursday 12 October 2023, 23:00 (Kuala Lumpur time, UTC+8)",
        ),
        ("en", "Asia/Tokyo", "Monday 9 October, 16:00 to Friday 13 October 2023, 00:00 (Tokyo time, UTC+9)"),
        (
            "de", None,
            "Montag, 9. Oktober 2023, 09:00 – Donnerstag, 12. Oktober 2023, 17:00"
            " (Mitteleuropäische Sommerzeit, UTC+2)",
        ),
        (
            "fr", None,
            "lundi 9 octobre 2023, 09:00 – jeudi 12 octobre 2023, 17:00 (heure d’été d’Europe centrale, UTC+2)",
        ),
    ],
)  # fmt: skip
def test_the_same_span_by_other_clocks_and_in_other_languages(locale: str, zone: str | None, words: str) -> None:
    assert when(MUNICH, locale, zone) == words


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (
            Span(at(2023, 10, 9, 7), at(2023, 10, 9, 15), "Europe/Berlin"),
            "Monday 9 October 2023, 09:00 to 17:00 (Berlin time, UTC+2)",
        ),
        (
            Span(at(2023, 12, 31, 12), at(2024, 1, 1, 12), "Europe/London"),
            "Sunday 31 December 2023, 12:00 to Monday 1 January 2024, 12:00 (London time, UTC)",
        ),
        (
            Span(at(2023, 10, 28, 8), at(2023, 10, 29, 9), "Europe/London"),
            "Saturday 28 October, 09:00 to Sunday 29 October 2023, 09:00 (London time)",
        ),
    ],
)
def test_one_day_two_years_and_a_clock_change(span: Span, words: str) -> None:
    assert when(span, "en") == words
    assert when(span, "en", zone=False) == words[: words.index(" (")]


def test_a_date_by_the_clock_there() -> None:
    late = at(2023, 10, 9, 23, 30)
    assert [day(late, zone, "en") for zone in ("UTC", "Europe/Berlin")] == ["9 October 2023", "10 October 2023"]
    assert day(late, "UTC", "de") == "9. Oktober 2023"


@pytest.mark.parametrize(
    ("days", "words", "german"),
    [(90, "three months", "3 Monate"), (180, "six months", "6 Monate"), (365, "a year", "12 Monate"),
     (730, "2 years", "2 Jahre"), (14, "14 days", "2 Wochen"), (1, "a day", "1 Tag"), (0, "a day", "0 Tage")],
)  # fmt: skip
def test_how_long_ago(days: int, words: str, german: str) -> None:
    assert since(days, "en") == since(days, "en_GB") == words
    assert since(days, "de") == german
