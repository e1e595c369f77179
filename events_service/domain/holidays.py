"""Public holidays and weekends of a country, by the `holidays` library.

Names are English where the library has them. Dates that hang on a sighting of the moon are marked estimated where the
library says so. A country that the library does not know has weekends (Saturday and Sunday) and no holidays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

SATURDAY = 5
LONGEST_DAYS = 366

# ISO 3166-2:GB names councils; bank holidays belong to the countries of the kingdom. The rest are in England.
_HOMES = {
    "SCT": "ABD ABE AGB ANS CLK DGY DND EAY EDH EDU ELN ELS ERW FAL FIF GLG HLD IVC MLN MRY NAY NLK ORK PKN RFW SAY SCB"
    " SCT SLK STG WDU WLN ZET",
    "WLS": "AGY BGE BGW CAY CGN CMN CRF CWY DEN FLN GWN MON MTY NTL NWP PEM POW RCT SWA TOF VGL WLS WRX",
    "NIR": "ABC AND ANN BFS CCG DRS FMO LBC MEA MUL NIR NMD",
}


@dataclass(frozen=True, slots=True)
class DayOff:
    """One day on which people of `country` are not at work: a holiday by name, or a weekend (`name` is None)."""

    day: date
    country: str
    name: str | None
    estimated: bool = False


def days_off(country: str, region: str | None, first: date, last: date) -> Iterator[DayOff]:
    """The holidays and weekend days from `first` to `last`, both included, in order; at most the first 366 days.

    `country` is ISO 3166-1 alpha-2, `region` ISO 3166-2 of the same country or None. A region that the library does
    not know counts as none, and then only what the whole country keeps is a holiday.
    """
    subdivision = _subdivision(country, region)
    day, end = first, min(last, first + timedelta(days=LONGEST_DAYS - 1))
    while day <= end:
        year = _year(country, subdivision, day.year)
        if day in year:
            yield from year[day]
        day += timedelta(days=1)


@lru_cache(maxsize=1024)
def _subdivision(country: str, region: str | None) -> str | None:
    prefix, _, code = (region or "").partition("-")
    if prefix != country or not code:
        return None
    if country == "GB":
        return next((home for home, codes in _HOMES.items() if code in codes.split()), "ENG")
    return code if code in _subdivisions(country) else None


@lru_cache(maxsize=512)
def _subdivisions(country: str) -> frozenset[str]:
    import holidays

    try:
        known = holidays.country_holidays(country)
    except NotImplementedError:
        return frozenset()
    return frozenset((*known.subdivisions, *known.subdivisions_aliases))


@lru_cache(maxsize=1024)
def _year(country: str, subdivision: str | None, year: int) -> dict[date, tuple[DayOff, ...]]:
    """Every day off of a year. Built whole, because the library's own calendars change as they are read."""
    import holidays  # costs more than the rest of the domain together, and many commands never need it

    days = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    days = [day for day in days if day.year == year]
    try:
        english = _english(holidays.country_holidays(country).supported_languages)
        found = holidays.country_holidays(country, subdiv=subdivision, years=year, language=english)
    except NotImplementedError:
        return {day: (DayOff(day, country, None),) for day in days if day.weekday() >= SATURDAY}
    marks = {"estimated", str(getattr(found, "estimated_label", "")).replace("%s", "").strip(" ()") or "estimated"}
    table: dict[date, tuple[DayOff, ...]] = {}
    for day in days:
        names = found.get_list(day)
        off = [DayOff(day, country, name, any(mark in name for mark in marks)) for name in sorted(names)]
        if not off and found.is_weekend(day) and day not in found.weekend_workdays:
            off = [DayOff(day, country, None)]
        if off:
            table[day] = tuple(off)
    return table


def _english(languages: tuple[str, ...]) -> str | None:
    for wanted in ("en_GB", "en_US"):
        if wanted in languages:
            return wanted
    return next((language for language in languages if language.startswith("en")), None)
