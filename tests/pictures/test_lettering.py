"""Text fits the room it is given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events_service.pictures.lettering import plain, width, wrap

words = st.text(st.characters(codec="latin-1"), min_size=1, max_size=60)


def test_width_grows_with_the_text_its_size_and_its_weight() -> None:
    assert 0 < width("month", 7) < width("months", 7) < width("months", 8) < width("months", 8, bold=True)


def test_wrapping_by_words() -> None:
    title = "Health analytics delegation to Kuala Lumpur and Penang"
    assert wrap(title, 1.9, 7, 2) == ["Health analytics delegation to Kuala", "Lumpur and Penang"]


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    (line,) = wrap("Health analytics delegation to Kuala Lumpur and Penang", 1.2, 7, 1)
    assert line.startswith("Health analytics")
    assert line.endswith("…")
    assert width(line, 7) <= 1.2


def test_a_word_without_spaces_is_broken() -> None:
    lines = wrap("x" * 10_000, 1.0, 7, 3)
    assert len(lines) == 3
    assert lines[2].endswith("…")
    assert all(0.5 < width(line, 7) <= 1.0 for line in lines)


def test_nothing_is_one_empty_line_and_controls_are_spaces() -> None:
    assert wrap("", 1.0, 7, 2) == [""]
    assert plain("a\r\nb\tc\x00d  e") == "a b c d e"


@given(words, st.floats(0.4, 3), st.integers(1, 3))
def test_no_line_is_wider_than_its_room_nor_are_there_more_than_allowed(text: str, room: float, most: int) -> None:
    lines = wrap(text, room, 7, most)
    assert 1 <= len(lines) <= most
    assert all(width(line, 7) <= room for line in lines)
    if not lines[-1].endswith("…"):
        assert "".join("".join(lines).split()) == "".join(plain(text).split())
