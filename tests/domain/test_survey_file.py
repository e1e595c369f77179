"""Survey files: those that ship, and faults named by table and field."""

from __future__ import annotations

import pytest

from events_service.config import shipped
from events_service.domain.outcomes import KINDS
from events_service.domain.survey_file import load_survey
from events_service.errors import SurveyFileError
from tests.domain.test_survey import TEXT


def test_the_shipped_surveys_load_and_ask_for_every_kind_of_outcome() -> None:
    surveys = {key: load_survey(path.read_text(), path.name) for key, path in shipped("surveys").items()}
    assert {key: survey.waves for key, survey in surveys.items()} == {
        "conference": ("thanks",),
        "mission": ("thanks",),
        "outcomes": ("90", "180", "365"),
    }
    assert all(survey.key == key for key, survey in surveys.items())
    assert surveys["outcomes"].kinds() == set(KINDS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[survey]", "[survey", "is not TOML"),
        ("[survey]", "[poll]", "s.toml: [survey]: there must be one table of this name, with key, title and waves"),
        ('title = "Small"', 'titel = "Small"', "s.toml: [survey] titel: is no field here; check its spelling"),
        ('waves = ["90"]', "waves = []", "s.toml: [survey] waves: needs at least one"),
        ('waves = ["90"]', 'waves = ["90", "90"]', "s.toml: [survey] waves: names a wave twice"),
        ('key = "leads"', 'key = "useful"', "s.toml: [questions #2] key: 'useful' is already the key"),
        ('label = "Leads?"\n', "", "s.toml: [questions #2] label: is missing"),
        ("max = 200", 'max = "200"', "s.toml: [questions #2] max: must be a whole number"),
        ("max = 200", "min = 200\nmax = 3", "s.toml: [questions #2] max: must be more than min (200)"),
        ('kind = "lead"', 'kind = "leed"', "s.toml: [questions #2.outcome] kind: 'leed' is no kind of outcome"),
        ('kind = "lead"', 'kind = "funding"', "s.toml: [questions #2.outcome] kind: funding comes from a question"),
        ('"yes"], partner', '"si"], partner', "s.toml: [questions #3.outcome] when: 'si' is no option"),
        (' when = ["yes"],', "", "s.toml: [questions #3.outcome] when: says which options"),
        ('partner = "whom"', 'partner = "won"', "s.toml: [questions #3.outcome] partner: 'won' is no text question"),
        (', { value = "no", label = "No" }', "", "s.toml: [questions #3] options: a choice needs two or more"),
        ('value = "no"', 'value = "yes"', "s.toml: [questions #3] options: give one value twice"),
        ('kind = "text"', 'kind = "text"\nmax = 3', "s.toml: [questions #4] max: means nothing for a text"),
        ('kind = "text"', 'kind = "essay"', "s.toml: [questions #4] kind: input should be"),
        ("required = true", "required = true\nmax = 90", "s.toml: [questions #1] max: makes a scale of more than 11"),
        ("required = true", "outcome = { kind = 'lead' }", "s.toml: [questions #1.outcome] kind: a scale says how"),
        ("[[questions]]", "[[quests]]\n[[questions]]", "s.toml: [quests]: is no table of a survey file"),
    ],
)
def test_a_fault_is_named_by_file_table_and_field(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(SurveyFileError) as caught:
        load_survey(TEXT.replace(old, new, 1), "s.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
