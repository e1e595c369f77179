from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from babel import Locale

from events_service.errors import InputError
from events_service.reading import countries


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("DE", "DE"),
        ("de", "DE"),
        (" gB ", "GB"),
        ("UK", "GB"),
        ("Germany", "DE"),
        ("germany", "DE"),
        ("United States", "US"),
        ("U.S.A.", "US"),
        ("South Korea", "KR"),
        ("Trinidad and Tobago", "TT"),
        ("Trinidad & Tobago", "TT"),
        ("cote d’ivoire", "CI"),
        ("Turkey", "TR"),
        ("Türkiye", "TR"),
        ("Scotland", "GB"),
    ],
)
def test_country_code(text: str, code: str) -> None:
    assert countries.country_code(text) == code


@pytest.mark.parametrize("text", ["", "ZZ", "EU", "Deutschland", "X", "GBR", "12", "Atlantis" * 50])
def test_country_code_refuses(text: str) -> None:
    with pytest.raises(InputError, match="no country") as caught:
        countries.country_code(text)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("text", "tag"), [("de", "de"), ("en_gb", "en-GB"), ("en-GB", "en-GB"), ("EN", "en"), ("zh-hans-cn", "zh-Hans-CN")]
)
def test_locale_tag(text: str, tag: str) -> None:
    assert countries.locale_tag(text) == tag
    assert Locale.parse(tag, sep="-")


@pytest.mark.parametrize("text", ["", "xx", "english", "de DE", "en-GB-", "../etc/passwd"])
def test_locale_tag_refuses(text: str) -> None:
    with pytest.raises(InputError, match="no locale"):
        countries.locale_tag(text)


def test_zone_name_knows_zones_in_any_case() -> None:
    assert countries.zone_name("europe/berlin") == "Europe/Berlin"
    assert countries.zone_name("UTC") == "UTC"


@pytest.mark.parametrize("text", ["", "Europe/Nowhere", "../../etc/passwd", "Factory", "Berlin", "+01:00"])
def test_zone_name_refuses(text: str) -> None:
    with pytest.raises(InputError, match="no time zone"):
        countries.zone_name(text)


@pytest.mark.parametrize(
    ("country", "locale", "zone"),
    [
        ("GB", "en-GB", "Europe/London"),
        ("DE", "de-DE", "Europe/Berlin"),
        ("US", "en-US", "America/New_York"),
        ("MY", "ms-MY", "Asia/Kuala_Lumpur"),
        ("CN", "zh-Hans-CN", "Asia/Shanghai"),
        ("AU", "en-AU", "Australia/Sydney"),
        ("RU", "ru-RU", "Europe/Moscow"),
        ("AQ", "en", "Antarctica/McMurdo"),
        (None, "en", "UTC"),
    ],
)
def test_what_follows_from_a_country(country: str | None, locale: str, zone: str) -> None:
    assert countries.likely_locale(country) == locale
    assert countries.principal_zone(country) == zone


def test_every_country_has_a_locale_and_a_zone_that_exist() -> None:
    for code in countries._codes():
        assert ZoneInfo(countries.principal_zone(code))
        assert Locale.parse(countries.likely_locale(code), sep="-")
    without = {code for code in countries._codes() if countries.principal_zone(code) == "UTC"}
    assert without == {"BV", "HM"}
