"""What `programme load` says about a new revision."""

from __future__ import annotations

from events_service.domain.programme_difference import difference
from events_service.domain.programme_file import load_programme
from tests.domain.given import LANCASHIRE, lancashire

TEXT = LANCASHIRE.read_text()


def after(*changes: tuple[str, str]) -> list[str]:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return difference(lancashire(), load_programme(text, "new.toml"))


def test_nothing_changed() -> None:
    assert after() == []


def test_a_window() -> None:
    assert after(("from_month = 12\nto_month = 24\nholds", "from_month = 13\nto_month = 24\nholds")) == [
        "workstream 3, activity Join missions and events in target markets: from_month 12 → 13"
    ]


def test_a_market_in_place_of_another() -> None:
    assert after(('country = "DK"\nname = "Denmark"', 'country = "SE"\nname = "Sweden"')) == [
        "market DK: gone",
        "market SE: new",
    ]


def test_targets_keywords_bands_and_reviews() -> None:
    lines = after(
        ("target = 2\n", "target = 3\n"),
        ("malware = 5\n", "malware = 4\nransomware = 5\n"),
        ('title = "Review progress"\n', 'title = "Halfway"\n'),
        ("fte = 2.0\n", "fte = 2.5\n"),
        ("[[0, 6], [6, 12],", "[[0, 12],"),
    )
    assert lines == [
        "programme: bands [0-6, 6-12, 12-18, 18-24, 24-30, 30-36] → [0-12, 12-18, 18-24, 24-30, 30-36]",
        "programme: fte 2.0 → 2.5",
        "theme cyber, keyword malware: weight 5 → 4",
        "theme cyber, keyword ransomware: new, weight 5",
        "review point progress-18: title Review progress → Halfway",
        "target partnerships: target 2 → 3",
    ]


def test_a_baseline_that_was_not_there() -> None:
    assert after(("target = 20\n", "baseline = 1500000\ntarget = 20\n")) == ["target funding: baseline none → 1500000"]


def test_an_activity_renamed_is_one_gone_and_one_new() -> None:
    assert after(("Leverage relationships", "Use relationships")) == [
        "workstream 1, activity Leverage relationships: gone, months 24-36",
        "workstream 1, activity Use relationships: new, months 24-36",
    ]


def test_only_the_order_changed() -> None:
    germany, usa = TEXT.index('[[markets]]\ncountry = "DE"'), TEXT.index('[[markets]]\ncountry = "US"')
    malaysia = TEXT.index('[[markets]]\ncountry = "MY"')
    text = TEXT[:germany] + TEXT[usa:malaysia] + TEXT[germany:usa] + TEXT[malaysia:]
    assert difference(lancashire(), load_programme(text, "new.toml")) == [
        "markets: in another order, US, DE, MY, FR, CA, DK"
    ]
