"""Faulty programme files are refused by file, table and field; good ones come out as the contract says."""

from __future__ import annotations

import json

import pytest

from events_service.domain.programme_file import as_contract, load_programme
from events_service.errors import ProgrammeFileError
from tests.domain.given import LANCASHIRE, lancashire

TEXT = LANCASHIRE.read_text()
FOCUS = TEXT[TEXT.index("[focus]") : TEXT.index("# --- Workstreams")]


def refused(text: str) -> ProgrammeFileError:
    with pytest.raises(ProgrammeFileError) as caught:
        load_programme(text, "plan.toml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("plan.toml: ")
    return caught.value


# What is in the file, what is put in its place, and the table, field and words of the refusal.
FAULTS = {
    "37 months": ("months = 36", "months = 37", "programme", "months", "is 37; a programme runs 36 months"),
    "35 months": ("months = 36", "months = 35", "programme", "months", "is 35; a programme runs 36 months"),
    "unknown key": ("horizon_years", "horizon_yaers", "programme", "horizon_yaers", "check its spelling"),
    "unknown key in a row": ('tier = "core"', 'teir = "core"', "markets #1", "teir", "check its spelling"),
    "unknown table": ("[[sectors]]", "[[sectorz]]", "sectorz", "", "no table of a programme file"),
    "a field is missing": ("horizon_years = 10\n", "", "programme", "horizon_years", "is missing"),
    "a table is missing": (FOCUS, "", "focus", "", "is missing"),
    "no programme": ("[programme]", "[program]", "programme", "", "there must be one table"),
    "twice a programme": ("[programme]", "[[programme]]", "programme", "", "there must be one table"),
    "a table inside": ('key = "lanc', 'targets = []\nkey = "lanc', "programme", "targets", "is also a table"),
    "not TOML": ("[[themes]]", "[[themes]", "", "", "is not TOML"),
    "overlap": ("from_month = 24", "from_month = 23", "workstreams #1.activities #3", "from_month", "overlap 12-24"),
    "past the end": (
        "to_month = 36",
        "to_month = 37",
        "workstreams #1.activities #3",
        "to_month",
        "37 is past the end",
    ),
    "backwards": ("to_month = 12", "to_month = 0", "workstreams #1.activities #1", "to_month", "does not come after"),
    "market twice": ('country = "FR"', 'country = "DE"', "markets #4", "country", "'DE' is there twice; #1"),
    "no such country": ('country = "FR"', 'country = "UK"', "markets #4", "country", "no ISO 3166-1 code"),
    "market past the end": (
        'long"\nfrom_month = 12',
        'long"\nfrom_month = 36',
        "markets #4",
        "from_month",
        "past the last month, 35",
    ),
    "tier": ('tier = "core"', 'tier = "main"', "markets #1", "tier", "'core' or 'emerging'"),
    "theme twice": ('key = "health"', 'key = "cyber"', "themes #4", "key", "'cyber' is there twice"),
    "keyword": ("cyber = 5", "cyber = 6", "themes #1", "", "'cyber' is given 6; a weight is 1"),
    "keyword true": ("cyber = 5", "cyber = true", "themes #1", "", "'cyber' is given True"),
    "focus": ('themes = ["cyber",', 'themes = ["cycling",', "focus", "themes", "'cycling' is no theme"),
    "focus twice": ('["cyber", "health", "energy"]', '["cyber", "cyber"]', "focus", "themes", "names a theme twice"),
    "focus past the end": ("until_month = 36", "until_month = 40", "focus", "until_month", "40 is past the end"),
    "workstream twice": ("number = 2", "number = 1", "workstreams #2", "number", "1 is there twice"),
    "review twice": ('id = "review-24"', 'id = "review-12"', "review_points #3", "id", "'review-12' is there twice"),
    "review past the end": ("due_month = 36", "due_month = 42", "review_points #4", "due_month", "42 is past the end"),
    "review backwards": ("due_month = 12", "due_month = 6", "review_points #1", "due_month", "does not come after"),
    "review of nothing": ("scope = [2, 3]", "scope = []", "review_points #1", "scope", "rising order"),
    "review of a stranger": ("scope = [2, 3]", "scope = [2, 7]", "review_points #1", "scope", "no workstream 7"),
    "target twice": ('key = "leads"', 'key = "funding"', "targets #5", "key", "'funding' is there twice"),
    "target of a stranger": ("workstream = 2", "workstream = 7", "targets #3", "workstream", "no workstream 7"),
    "target of nothing": ('kinds = ["lead"]', "kinds = []", "targets #5", "measure.kinds", "names no kind"),
    "growth of a count": ('add = "sum"', 'add = "count"', "targets #1", "measure.growth", "percentage of a sum"),
    "bands leave a gap": ("[6, 12]", "[7, 12]", "programme", "bands", "from 0 to 36"),
    "bands stop early": (", [30, 36]]", "]", "programme", "bands", "from 0 to 36"),
    "nothing holds joined": (
        '["mission", "joined"]',
        '["mission"]',
        "workstreams",
        "activities.holds",
        "no activity holds",
    ),
    "held twice": (
        '["mission", "joined"]',
        '["mission", "joined", "conference"]',
        "workstreams #3.activities #3",
        "holds",
        "held by 'Join missions",
    ),
    "zone": ("Europe/London", "Europe/Lodnon", "programme", "timezone", "such as Europe/London"),
    "region": ('"GB-ENG"\nmonths', '"DE-BY"\nmonths', "programme", "region", "is not in GB"),
    "home": (
        'country = "GB"\nregion = "GB-ENG"\nmonths',
        'country = "XX"\nmonths',
        "programme",
        "country",
        "no ISO 3166-1",
    ),
    "a time for a date": ("2022-04-01", "2022-04-01T00:00:00", "programme", "start", "must be a date"),
    "far away": ("2022-04-01", "9999-04-01", "programme", "start", "years 1970 to 2200"),
    "text for a number": ("budget = 150000", 'budget = "150000"', "programme", "budget", "whole number"),
    "true for a number": ("months = 36", "months = true", "programme", "months", "whole number"),
    "below zero": ("cost = 20000", "cost = -1", "workstreams #1", "cost", "greater than or equal to 0"),
    "control character": ('title = "Inn', r'title = "\u0007Inn', "programme", "title", "control characters"),
    "too long": ('title = "Inn', f'title = "{"n" * 10_000}', "programme", "title", "at most 600"),
    "key": ('key = "leads"', 'key = "The Leads"', "targets #5", "key", "match pattern"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_file_is_refused_by_table_and_field(name: str) -> None:
    old, new, table, field, words = FAULTS[name]
    assert old in TEXT
    error = refused(TEXT.replace(old, new, 1))
    assert (error.file, error.table, error.field) == ("plan.toml", table, field)
    assert words in error.why
    assert len(str(error)) < 300


def test_a_misspelt_field_is_named_before_the_one_it_leaves_missing() -> None:
    assert refused(TEXT.replace("fte = 0.25", "fet = 0.25", 1)).field == "fet"


def test_several_faults_are_counted() -> None:
    error = refused(TEXT.replace('country = "FR"', 'country = "DE"').replace('key = "leads"', 'key = "funding"'))
    assert error.why.endswith("(and 1 more)")


def test_no_themes_is_no_programme() -> None:
    head = TEXT[: TEXT.index("# --- Themes")]
    tail = TEXT[TEXT.index("# --- Sectors") :].replace('themes = ["cyber", "health", "energy"]', "themes = []")
    text = head.replace("[programme]", "[programme]", 1) + tail
    assert (refused(text).table, refused(text).field) == ("themes", "")


def test_the_contract_shape() -> None:
    programme = lancashire()
    states = {"review-12": "held", "progress-18": "overdue", "review-24": "open", "progress-36": "upcoming"}
    found = as_contract(programme, revision=3, review_states=states, actuals={"leads": 2, "roadmap": None})
    assert json.loads(json.dumps(found)) == found
    assert found["key"] == "lancashire-2022-2025"
    assert (found["revision"], found["start"], found["end"]) == (3, "2022-04-01", "2025-04-01")
    assert (found["months"], found["timezone"]) == (36, "Europe/London")
    assert found["themes"][1] == {"key": "mobility", "title": "Advanced Mobility & Manufacturing"}
    assert found["markets"][3] == {"country": "FR", "name": "France", "tier": "core", "from_month": 12}
    stream = found["workstreams"][2]
    assert (stream["number"], stream["fte"], stream["months"], stream["cost"]) == (3, 0.5, 8, 30_000)
    assert stream["activities"][1] == {
        "title": "Join missions and events in target markets",
        "from_month": 12,
        "to_month": 24,
        "holds": ["mission", "joined"],
    }
    assert [(p["id"], p["due_on"], p["state"]) for p in found["review_points"]] == [
        ("review-12", "2023-04-01", "held"),
        ("progress-18", "2023-10-01", "overdue"),
        ("review-24", "2024-04-01", "open"),
        ("progress-36", "2025-04-01", "upcoming"),
    ]
    assert found["review_points"][1]["scope"] == [1, 2, 3, 4]


def test_a_figure_that_is_not_known_is_null() -> None:
    states = dict.fromkeys(("review-12", "progress-18", "review-24", "progress-36"), "upcoming")
    found = as_contract(lancashire(), revision=1, review_states=states, actuals={"leads": 0})
    assert {target["key"]: (target["baseline"], target["actual"]) for target in found["targets"]} == {
        "funding": (None, None),
        "partnerships": (None, None),
        "roadmap": (None, None),
        "events": (None, None),
        "leads": (None, 0),
    }


def test_a_review_point_without_a_state_is_an_error() -> None:
    with pytest.raises(KeyError, match="progress-18"):
        as_contract(lancashire(), revision=1, review_states={"review-12": "held"}, actuals={})
