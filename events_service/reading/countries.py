"""Countries, and what follows from one where a person did not say: a language and a time zone.

Names, codes and likely languages are CLDR's (through babel), zones are tzdata's.
"""

from __future__ import annotations

import importlib.resources
import re
import zoneinfo
from functools import cache, lru_cache

from babel import Locale, UnknownLocaleError

from events_service.errors import InputError
from events_service.reading.folding import fold

DEFAULT_LOCALE = "en"
DEFAULT_ZONE = "UTC"

# CLDR has codes that are no country's: groupings, places without inhabitants of their own, tests.
_NO_COUNTRIES = frozenset(("AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"))
_OTHER_NAMES = {
    "america": "US",
    "bosnia": "BA",
    "burma": "MM",
    "czech republic": "CZ",
    "el": "GR",
    "england": "GB",
    "great britain": "GB",
    "holland": "NL",
    "hong kong": "HK",
    "ivory coast": "CI",
    "korea": "KR",
    "macao": "MO",
    "macedonia": "MK",
    "northern ireland": "GB",
    "people's republic of china": "CN",
    "republic of ireland": "IE",
    "republic of korea": "KR",
    "russian federation": "RU",
    "scotland": "GB",
    "swaziland": "SZ",
    "the netherlands": "NL",
    "turkey": "TR",
    "uk": "GB",
    "united states of america": "US",
    "usa": "US",
    "viet nam": "VN",
    "wales": "GB",
}
# Of countries with several zones, tzdata's list puts the principal one first; these are the exceptions.
_PRINCIPAL_ZONES = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "FM": "Pacific/Pohnpei",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UZ": "Asia/Tashkent",
    "XK": "Europe/Belgrade",
}


@lru_cache(maxsize=4096)
def country_code(text: str) -> str:
    """The ISO 3166-1 alpha-2 code of a code in any case, or of an English name; InputError if it is neither."""
    code = text.strip().upper()
    if code in _codes():
        return code
    found = _names().get(_folded(text))
    if found is None:
        raise InputError(f"no country {text[:60]!r}; write its two-letter code, such as GB, or its English name")
    return found


@lru_cache(maxsize=4096)
def locale_tag(text: str) -> str:
    """A locale as a BCP 47 tag, `en-GB`; InputError if it is none that we can write dates in.

    An underscore is taken for a hyphen, and case does not matter.
    """
    try:
        return str(Locale.parse(text.strip().replace("-", "_"))).replace("_", "-")
    except (ValueError, UnknownLocaleError) as error:
        raise InputError(f"no locale {text[:60]!r}; write a language, such as de, or en-GB") from error


@lru_cache(maxsize=4096)
def zone_name(text: str) -> str:
    """The IANA name of a time zone, in its own spelling whatever the case of `text`; InputError if there is none."""
    found = _zones().get(text.strip().lower())
    if found is None:
        raise InputError(f"no time zone {text[:60]!r}; write one such as Europe/Berlin")
    return found


@lru_cache(maxsize=512)
def likely_locale(country: str | None) -> str:
    """The locale most likely in a country (CLDR's likely subtags), `de-DE` for DE; `en` where none is known."""
    if country is None:
        return DEFAULT_LOCALE
    try:
        return locale_tag(f"und-{country}")
    except InputError:
        return DEFAULT_LOCALE


@lru_cache(maxsize=512)
def principal_zone(country: str | None) -> str:
    """The time zone of a country, of its principal city where there are several; UTC where none is known."""
    if country in _PRINCIPAL_ZONES:
        return _PRINCIPAL_ZONES[country]
    return _first_zones().get(country or "", DEFAULT_ZONE)


@cache
def _codes() -> dict[str, str]:
    """Every country's code and English name."""
    named = {str(code): str(name) for code, name in Locale("en").territories.items()}
    return {code: name for code, name in named.items() if re.fullmatch("[A-Z]{2}", code) and code not in _NO_COUNTRIES}


@cache
def _names() -> dict[str, str]:
    return {_folded(name): code for code, name in _codes().items()} | _OTHER_NAMES


def _folded(name: str) -> str:
    """A name as it is looked up: folded, without full stops, `&` as `and`."""
    return " ".join(fold(name.replace("&", " and ").replace("’", "'")).replace(".", "").split())


@cache
def _zones() -> dict[str, str]:
    names = zoneinfo.available_timezones() - {"Factory", "localtime", "posixrules"}
    return {name.lower(): name for name in names}


@cache
def _first_zones() -> dict[str, str]:
    """Each country's first zone in tzdata's `zone.tab`: lines of code, coordinates, zone and comment."""
    first: dict[str, str] = {}
    text = importlib.resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#"):
            fields = line.split("\t")
            first.setdefault(fields[0], fields[2])
    return first
