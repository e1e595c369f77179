"""The shipped programme says what the plan says, fact by fact."""

from __future__ import annotations

from datetime import date

import pytest
from pydantic import ValidationError

from tests.domain.given import LANCASHIRE, lancashire, late_market


def test_length_bands_and_start() -> None:
    programme = lancashire()
    assert programme.months == 36
    assert programme.bands == ((0, 6), (6, 12), (12, 18), (18, 24), (24, 30), (30, 36))
    assert programme.start == date(2022, 4, 1)
    assert "names no day" in programme.start_note
    assert "our reading" in programme.start_note
    assert programme.timezone == "Europe/London"
    assert (programme.country, programme.region) == ("GB", "GB-ENG")


def test_horizon_and_resources() -> None:
    programme = lancashire()
    assert programme.horizon_years == 10
    assert "activities will need to be reviewed and refreshed throughout" in programme.horizon_note
    assert (programme.budget, programme.currency, programme.fte) == (150_000, "GBP", 2.0)


def test_themes() -> None:
    assert [(theme.key, theme.title, theme.focus) for theme in lancashire().themes] == [
        ("cyber", "Cyber, Digital and Secure Systems", "cyber security"),
        ("mobility", "Advanced Mobility & Manufacturing", None),
        ("energy", "Energy, Low Carbon & Sustainable Technologies", "nuclear"),
        ("health", "Health analytics and Preventative Systems", "health"),
    ]


def test_every_theme_has_keywords_in_lower_case() -> None:
    for theme in lancashire().themes:
        words = {keyword.word: keyword.weight for keyword in theme.keywords}
        assert len(words) >= 20
        assert all(word == word.lower() for word in words)
    cyber = lancashire().theme("cyber")
    assert cyber is not None
    assert {keyword.word: keyword.weight for keyword in cyber.keywords}["cyber security"] == 5


def test_sectors() -> None:
    assert [(sector.name, sector.group) for sector in lancashire().sectors] == [
        ("Advanced Manufacturing", "key"),
        ("Energy & Low Carbon", "key"),
        ("Aerospace", "key"),
        ("Digital (Cybersecurity)", "investment"),
        ("Food & Drink", "investment"),
        ("Health", "investment"),
    ]
    named = {sector.name for sector in lancashire().sectors}
    assert {sector for theme in lancashire().themes for sector in theme.sectors} <= named


def test_markets() -> None:
    assert [(m.country, m.name, m.tier, m.term, m.from_month) for m in lancashire().markets] == [
        ("DE", "Germany", "core", "short", 0),
        ("US", "USA", "core", "short", 0),
        ("MY", "Malaysia", "emerging", "short", 0),
        ("FR", "France", "core", "medium to long", 12),
        ("CA", "Canada", "emerging", "medium to long", 12),
        ("DK", "Denmark", "emerging", "medium to long", 12),
    ]
    note = lancashire().market_note
    assert note is not None
    assert "without losing sight of the medium to long term markets" in note


def test_focus() -> None:
    focus = lancashire().focus
    assert focus.themes == ("cyber", "health", "energy")
    assert focus.topics == ("cyber security", "health", "nuclear")
    assert focus.until_month == 36


def test_workstreams() -> None:
    streams = lancashire().workstreams
    assert [(s.number, s.title, s.fte, s.months, s.cost, s.outcome) for s in streams] == [
        (1, "Leveraging Existing International Relationships", 0.25, 8, 20_000, "Map activities, gaps and targets"),
        (2, "Define the Offer", 0.75, 12, 60_000, "Synthesise opportunities and create propositions"),
        (3, "Events and Missions", 0.5, 8, 30_000, "Successful well attended events across all four themes"),
        (4, "Targeted Lead Generation", 0.5, 8, 40_000, "Leads generated in all four themes"),
    ]
    assert sum(stream.cost for stream in streams) == lancashire().budget
    assert sum(stream.fte for stream in streams) == lancashire().fte
    assert streams[2].person_months == 4.0


def test_the_file_says_why_workstream_4_has_half_a_person() -> None:
    text = LANCASHIRE.read_text()
    comment = next(line for line in text.splitlines() if line.startswith("#") and "0.25 FTE" in line)
    assert "the summary is taken" in comment


def test_activities_and_their_windows() -> None:
    found = [(s.number, a.from_month, a.to_month, a.title, a.holds) for s, a in lancashire().activities()]
    assert found == [
        (1, 0, 12, "Map international collaborations", ()),
        (1, 12, 24, "Map students, research networks and alumni across locations and fields of work", ()),
        (1, 24, 36, "Leverage relationships", ()),
        (2, 0, 12, "Identify assets and innovation priorities", ()),
        (2, 12, 24, "Map priorities against government policies", ()),
        (2, 24, 36, "Create Innovation Internationalisation Roadmap", ()),
        (3, 0, 12, "Identify institutions to target re innovation", ()),
        (3, 12, 24, "Join missions and events in target markets", ("mission", "joined")),
        (3, 24, 36, "Curate conferences to promote innovation", ("conference",)),
        (4, 0, 12, "Create target list of universities and research organisations", ()),
        (4, 12, 24, "Interrogate DiT pipeline for research projects", ()),
        (4, 24, 36, "Campaign to target internationally mobile research projects", ()),
    ]


def test_review_points() -> None:
    assert [(p.scope, p.from_month, p.due_month, p.title) for p in lancashire().review_points] == [
        ((2, 3), 6, 12, "Review"),
        ((1, 2, 3, 4), 12, 18, "Review progress"),
        ((2, 3), 18, 24, "Review"),
        ((1, 2, 3, 4), 30, 36, "Review progress and refresh"),
    ]


def test_targets() -> None:
    targets = {target.key: target for target in lancashire().targets}
    assert list(targets) == ["funding", "partnerships", "roadmap", "events", "leads"]
    assert all(target.baseline is None for target in targets.values())
    assert {key: (target.target, target.unit, target.workstream) for key, target in targets.items()} == {
        "funding": (20, "% increase", None),
        "partnerships": (2, "markets", None),
        "roadmap": (1, "roadmap", 2),
        "events": (4, "themes", 3),
        "leads": (4, "themes", 4),
    }
    funding, roadmap = targets["funding"], targets["roadmap"]
    assert funding.note is not None
    assert "no baseline" in funding.note
    assert "specialisation for each of the four themes" in roadmap.title
    assert roadmap.note is not None
    assert "technology roadmap" in roadmap.note


def test_targets_say_what_adds_up_to_them() -> None:
    measures = {target.key: target.measure for target in lancashire().targets}
    assert (measures["funding"].kinds, measures["funding"].add, measures["funding"].growth) == (
        ("funding",),
        "sum",
        True,
    )
    assert (measures["partnerships"].kinds, measures["partnerships"].add) == (("agreement",), "distinct-markets")
    assert measures["roadmap"].of == "record"
    assert (measures["events"].of, measures["events"].add, measures["events"].min_share) == (
        "events",
        "distinct-themes",
        0.6,
    )
    assert (measures["leads"].kinds, measures["leads"].add) == (("lead",), "distinct-themes")


def test_places() -> None:
    (place,) = lancashire().places
    assert (place.name, place.city) == ("Blackpool conference centre", "Blackpool")
    assert place.hosts == ("North West Cyber Corridor", "Net Zero technologies", "defence")


def test_what_workstream_3_does() -> None:
    events = lancashire().workstream(3)
    assert events is not None
    assert [line.split(" ", 1)[0] for line in events.does] == ["Build", "Use", "Identify", "Curate", "Work"]
    assert "students" in events.does[1]
    assert "alumni" in events.does[2]
    assert "Lancashire, national and international companies and academics" in events.does[3]
    assert "Visitor Economy" in events.does[4]
    assert len(events.desired_outcomes) == 2
    assert "knowledge transfer" in events.desired_outcomes[0]
    assert "research funding" in events.desired_outcomes[1]
    assert "inward investment and export missions that others run" in events.notes[0]


def test_audiences() -> None:
    assert lancashire().audiences == (
        "local, national and international funders",
        "research organisations",
        "companies",
        "academics",
        "students",
        "Visitor Economy partners",
    )


def test_what_holds_an_event() -> None:
    def title(kind: str, hosted_by: str) -> str:
        return lancashire().holding(kind, hosted_by)[1].title

    assert title("mission", "us") == "Join missions and events in target markets"
    assert title("mission", "joined") == "Join missions and events in target markets"
    assert title("conference", "joined") == "Join missions and events in target markets"
    assert title("conference", "us") == "Curate conferences to promote innovation"


def test_looking_up_by_key() -> None:
    programme = lancashire()
    health, france, point = programme.theme("health"), programme.market("FR"), programme.review_point("progress-18")
    assert health is not None
    assert health.focus == "health"
    assert france is not None
    assert france.from_month == 12
    assert point is not None
    assert point.due_month == 18
    assert programme.theme("fishing") is None
    assert programme.market("BR") is None
    assert programme.review_point("review-99") is None
    assert programme.workstream(9) is None


def test_a_programme_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        late_market().months = 24  # type: ignore[misc]
