from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events_service.mail.marks import mark
from events_service.mail.prose import WIDTH, tidy


def test_long_lines_hang_under_their_label() -> None:
    text = (
        "When:  Monday 9 October, 09:00 to Thursday 12 October 2023, 17:00 (Berlin time, UTC+2)\n"
        "       Monday 9 October, 08:00 to Thursday 12 October 2023, 16:00 (London time, UTC+1)\n"
        "- Visit to the cyber range of the University of the Armed Forces, with lunch and a talk\n"
    )
    assert tidy(text) == (
        "When:  Monday 9 October, 09:00 to Thursday 12 October 2023, 17:00 (Berlin\n"
        "       time, UTC+2)\n"
        "       Monday 9 October, 08:00 to Thursday 12 October 2023, 16:00 (London\n"
        "       time, UTC+1)\n"
        "- Visit to the cyber range of the University of the Armed Forces, with lunch\n"
        "  and a talk\n"
    )


def test_empty_lines_come_alone_and_never_first_or_last() -> None:
    assert tidy("\n \n one  \n\n\n\ntwo\n \n\t\nthree\n\n") == "one\n\ntwo\n\nthree\n"


def test_links_marks_and_the_signature_stay_whole() -> None:
    link = "https://example.org/" + "a-b" * 60
    marked = f"{mark('greeting')} " + "word " * 40 + "end"
    assert tidy(f"{link}\n\n{marked}\n\n-- \nfoot") == f"{link}\n\n{marked}\n\n-- \nfoot\n"


@given(st.lists(st.text(alphabet="ab .-:\n", max_size=30), max_size=20).map(" ".join))
def test_no_word_is_lost(text: str) -> None:
    wrapped = tidy(text)
    assert wrapped.split() == text.split()
    assert "\n\n\n" not in wrapped
    assert all(len(line) <= WIDTH or " " not in line.strip() for line in wrapped.splitlines())
    assert tidy(wrapped) == wrapped
