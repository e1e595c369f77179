from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events_service.calendars.lines import (
    ContentLine,
    content_line,
    escape_text,
    fold,
    mailto,
    quote_param,
    read_address,
    read_line,
    unescape_text,
    unfold,
    uri,
)
from events_service.errors import InputError
from tests.calendars.given import texts
from tests.calendars.readers import logical_lines


def readable(text: str) -> str:
    """What a reader may get of a text: newlines as such, no other control characters, no half characters."""
    text = re.sub(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", "\n", text)
    return re.sub(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]", "", text).encode("utf-8", "replace").decode()


@given(texts)
def test_a_text_comes_back_and_stays_on_its_line(text: str) -> None:
    lines = logical_lines(content_line("SUMMARY", escape_text(text)))
    assert len(lines) == 1
    name, _, value = lines[0].partition(":")
    assert (name, unescape_text(value)) == ("SUMMARY", readable(text))
    assert len(lines[0].splitlines()) == 1


@given(st.text(max_size=400))
@example("a" * 74)
@example("a" * 75)
@example("a" * 76)
@example("a" * 74 + "é")
@example("a" * 73 + "👍" * 30)
def test_folding_is_undone_by_unfolding(text: str) -> None:
    line = b"X:" + text.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
    folded = fold(line)
    assert logical_lines(folded) == [line.decode()]
    assert unfold(folded) == [line]


def test_a_line_of_75_octets_is_whole_and_one_of_76_is_not() -> None:
    assert fold(b"x" * 75) == b"x" * 75 + b"\r\n"
    assert fold(b"x" * 76) == b"x" * 75 + b"\r\n x\r\n"
    assert fold(b"x" * 75 + b"y" * 75) == b"x" * 75 + b"\r\n " + b"y" * 74 + b"\r\n y\r\n"


def test_a_character_is_never_cut() -> None:
    assert fold(b"x" * 74 + "é".encode()) == b"x" * 74 + b"\r\n " + "é".encode() + b"\r\n"


@given(texts)
def test_a_parameter_comes_back_as_one_line_of_text(text: str) -> None:
    quoted = quote_param(text)
    line = read_line(f"ATTENDEE;CN={quoted};RSVP=TRUE:mailto:x@example.org")
    assert line is not None
    assert (line.name, line.value, line.param("RSVP")) == ("ATTENDEE", "mailto:x@example.org", "TRUE")
    assert line.param("CN") == re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip().replace("\\", "/")
    assert '"' not in quoted[1:-1]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("anna@example.org", "mailto:anna@example.org"),
        ("rsvp+a_b=c@example.org", "mailto:rsvp+a_b=c@example.org"),
        ("o'neill@example.org", "mailto:o'neill@example.org"),
        ("half%full?@example.org", "mailto:half%25full%3F@example.org"),
        ("jürgen@example.org", "mailto:j%C3%BCrgen@example.org"),
    ],
)
def test_an_address_comes_back_from_its_mailto(address: str, expected: str) -> None:
    assert mailto(address) == expected
    assert read_address(expected) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "@example.org",
        "a@",
        "a b@example.org",
        "a@b\r\nATTENDEE:x",
        "<a@b>",
        "a@b,c@d",
        'a"b@c',
        "a;b@c",
        "a:b@c",
    ],
)
def test_what_is_no_single_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is no e-mail address that a calendar can hold"):
        mailto(address)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("MAILTO:Anna@Example.ORG", "anna@example.org"),
        ("mailto:anna@example.org?subject=x", "anna@example.org"),
        ("anna@example.org", "anna@example.org"),
        ('"mailto:anna@example.org"', "anna@example.org"),
        ("mailto:<anna@example.org>", "anna@example.org"),
        ("mailto:a%0d%0ab@example.org", ""),
        ("urn:uuid:f81d4fae@x", ""),
        ("invalid:nomail", ""),
        ("/principals/users/anna", ""),
        ("", ""),
    ],
)
def test_addresses_are_read_however_they_are_written(value: str, expected: str) -> None:
    assert read_address(value) == expected


def test_a_uri_cannot_end_its_line() -> None:
    assert (
        uri(" https://example.org/a?b=c&d=é#e\r\nATTENDEE:x ") == "https://example.org/a?b=c&d=%C3%A9#e%0D%0AATTENDEE:x"
    )
    assert uri("https://example.org/a%20b") == "https://example.org/a%20b"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("UID:a:b", ContentLine("UID", "a:b")),
        ("uid : a", ContentLine("UID", "a")),
        ('X;A="b;c:d";E=f:g', ContentLine("X", "g", {"A": '"b;c:d"', "E": "f"})),
        ('ATTENDEE;CN="Broken:mailto:a@b', ContentLine("ATTENDEE", "mailto:a@b", {"CN": '"Broken'})),
        ("X;A:b", ContentLine("X", "b", {"A": ""})),
        ("no colon", None),
        (":value", None),
    ],
)
def test_lines_are_cut_apart(line: str, expected: ContentLine | None) -> None:
    read = read_line(line)
    if expected and expected.params == {"CN": '"Broken'}:
        assert read == ContentLine("ATTENDEE", "mailto:a@b", {"CN": '"Broken'})
    else:
        assert read == expected


def test_parameters_with_several_values_are_split_at_unquoted_commas() -> None:
    line = read_line('ATTENDEE;DELEGATED-TO="mailto:a,b@x.org","mailto:c@x.org":mailto:d@x.org')
    assert line is not None
    assert line.param_values("DELEGATED-TO") == ("mailto:a,b@x.org", "mailto:c@x.org")
    assert line.param_values("SENT-BY") == ()


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_any_line_end_is_read(end: bytes) -> None:
    assert unfold(end.join([b"A:b", b" c", b"\td", b"", b"  ", b"E:f"])) == [b"A:bcd", b"E:f"]


def test_a_cut_character_is_whole_after_unfolding() -> None:
    assert unfold(b"A:\xc3\r\n \xa9\r\n") == ["A:é".encode()]


def test_hostile_lines_take_linear_time() -> None:
    began = time.perf_counter()
    read_line("A" + ";B=" * 300_000)
    read_line('A;B="' * 200_000)
    unfold(b"\r\n " * 300_000)
    quote_param(" a" * 300_000)
    unescape_text("\\" * 500_000)
    assert time.perf_counter() - began < 5
