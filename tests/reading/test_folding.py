from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.reading.folding import fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Köln", "koln"),
        ("Ko\u0308ln", "koln"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Ærø", "aero"),
        ("İzmir", "izmir"),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text(st.characters(codec="ascii")))
def test_ascii_takes_the_short_way_to_the_same_end(text: str) -> None:
    assert fold(text) == fold(text + "é")[:-1]
