from __future__ import annotations

import html

import pytest
from hypothesis import given

from events_service.mail.marks import CLOSE, FIELDS, OPEN, Cut, clean, fitting, mark, one_line
from tests.mail.reading import texts


def test_values_stand_where_the_marks_were() -> None:
    cut = Cut(f"<p>{mark('greeting')}</p><a href='{mark('reply_url')}'>{mark('reply_url')}</a>")
    assert cut.fields == {"greeting", "reply_url"}
    assert cut.fill(fitting({"greeting": "Dear <Ada>,", "reply_url": "https://x/?a&b"}, cut.fields, html.escape)) == (
        "<p>Dear &lt;Ada&gt;,</p><a href='https://x/?a&amp;b'>https://x/?a&amp;b</a>"
    )


def test_a_mark_without_its_value() -> None:
    with pytest.raises(KeyError, match="survey_url"):
        fitting({"reply_url": "x"}, ["survey_url"], str)


@given(texts)
def test_no_value_can_be_a_mark(value: str) -> None:
    values = {field: f"{value}{mark('reply_url')}" for field in FIELDS}
    filled = Cut("".join(map(mark, FIELDS))).fill(fitting(values, FIELDS, str))
    assert OPEN not in filled
    assert CLOSE not in filled
    assert filled == one_line(f"{value}reply_url") * len(FIELDS)


@given(texts)
def test_clean_text_can_be_written_and_breaks_only_at_newlines(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert "\n".join(cleaned.splitlines()) == cleaned.removesuffix("\n")
    assert all(char in "\n\t" or (ord(char) >= 32 and not 0x7F <= ord(char) < 0xA0) for char in cleaned)
    assert clean(cleaned) == cleaned
    assert "\n" not in one_line(text)


def test_what_turns_a_line_around_is_left_out() -> None:
    assert one_line("a\u202eb\u2066c\ufeffd") == "abcd"
    assert one_line("دنה\u200f כהן") == "دنה\u200f כהן", "marks that turn nothing around stay"


def test_every_kind_of_line_break_is_one() -> None:
    assert clean("a\r\nb\rc\x0bd\x0ce\x85f\u2028g\u2029h") == "a\nb\nc\nd\ne\nf\ng\nh"
