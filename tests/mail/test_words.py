from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.mail.words import without_addresses


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("550 5.1.1 <ada@example.org>: no such user", "550 5.1.1 <address>: no such user"),
        ("550 ada@example.org is not here", "550 <address> is not here"),
        ("smtp; 550 rfc822;Ada.O'Hara+x@mail.example.org, gone", "smtp; 550 rfc822;<address>, gone"),
        ('550 <"Ada Lovelace"@example.org> unknown', "550 <address> unknown"),
        ("550 zoë@exämple.org", "550 <address>"),
        ("553 <ada@[192.0.2.1]> (see mailto:help@example.net)", "553 <address> (see mailto:<address>)"),
        ("450 <@relay.example.net:ada@example.org> later", "450 <address> later"),
        ("cut off at ada@", "cut off at <address>"),
        ("ada@example.org bob@example.org", "<address> <address>"),
        ("452 4.2.2 The mailbox is full", "452 4.2.2 The mailbox is full"),
        ("550 " + "x" * 400 + "@example.org", "550 <address>"),
        ('550 <"a@b"@example.org> and "a@b"@example.org', "550 <address> and <address>"),
        ("meet @ noon", "meet @ noon"),
        ("", ""),
    ],
)
def test_each_address_is_taken_out_and_the_rest_is_left(words: str, left: str) -> None:
    assert without_addresses(words) == left


@given(st.text(alphabet="ab.@<>\"'; ,:[]()", max_size=60))
def test_whatever_is_said_no_mailbox_is_left_and_twice_changes_nothing(words: str) -> None:
    once = without_addresses(words)
    assert not any(before.isalnum() and at == "@" for before, at in pairwise(once))
    assert without_addresses(once) == once


@pytest.mark.parametrize("char", ["a", '"', "<", "'", "."])
def test_long_words_take_no_long_time(char: str) -> None:
    # A quadratic pattern would take minutes here, and the test its whole timeout.
    assert without_addresses(char * 200_000 + " ada@example.org") == char * 200_000 + " <address>"
