"""Country codes, against the list that the time zone database ships."""

from __future__ import annotations

from importlib import resources

import pytest

from events_service.domain.markets import COUNTRIES, is_country


def test_the_codes_are_those_of_the_time_zone_database() -> None:
    text = resources.files("tzdata").joinpath("zoneinfo/iso3166.tab").read_text("utf-8")
    assert {line.split("\t")[0] for line in text.splitlines() if line and not line.startswith("#")} == COUNTRIES


@pytest.mark.parametrize(("code", "known"), [("GB", True), ("UK", False), ("gb", False), ("", False), ("EU", False)])
def test_a_code(code: str, known: bool) -> None:
    assert is_country(code) is known
