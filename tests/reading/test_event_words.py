"""The words of an event, one by one."""

from __future__ import annotations

from datetime import date

import pytest

from events_service.errors import InputError
from events_service.reading.event_words import SLUG_LENGTH, country_code, is_link, mailbox, one_line, slug_of


def test_text_is_composed_so_that_equal_words_are_equal() -> None:
    assert one_line("Universita\u0308t") == "Universität"


def test_a_mailbox_is_a_name_and_a_normalised_address() -> None:
    assert mailbox('"Desk, Events" <Events@EXAMPLE.org>') == ("Desk, Events", "events@example.org")
    assert mailbox("events@example.org") == ("", "events@example.org")
    for wrong in ("", "Events", "Events desk events@example.org", "<>", "a@b@c"):
        with pytest.raises(InputError):
            mailbox(wrong)


def test_links_are_web_addresses() -> None:
    assert is_link("https://example.org/a?b=c#d") == "https://example.org/a?b=c#d"
    for wrong in ("ftp://example.org", "example.org", "https://exa mple.org", "https://[::1", "data:text/html,x"):
        with pytest.raises(ValueError, match="is no web address"):
            is_link(wrong)


def test_countries_are_codes_in_capitals() -> None:
    assert country_code("DE") == "DE"
    with pytest.raises(ValueError, match="write FR"):
        country_code("fr")


def test_a_long_slug_ends_with_a_whole_word_and_the_month() -> None:
    made = slug_of(
        "An introduction to the very long names that some conferences have in this century of ours",
        "x",
        date(2024, 5, 1),
    )
    assert made == "an-introduction-to-the-very-long-names-that-some-conferences-have-in-2024-05"
    assert len(made) <= SLUG_LENGTH
