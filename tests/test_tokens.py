"""Tokens open what they were made for and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from events_service.tokens import feed_token, mail_token, open_mail_token, token_sha256

KEY = b"a key"


@given(st.integers(0, 10**12), st.sampled_from(["thanks", "90", "a-b"]))
def test_a_token_opens_its_own_row_and_purpose_in_any_case(id: int, wave: str) -> None:
    token = mail_token(KEY, "survey", id, wave)
    assert open_mail_token(KEY, "survey", token) == [str(id), *wave.split("-")]
    assert open_mail_token(KEY, "survey", token.upper()) == [str(id), *wave.split("-")]
    assert open_mail_token(KEY, "reply", token) is None
    assert open_mail_token(b"another key", "survey", token) is None


@given(st.text(max_size=80))
def test_nothing_else_opens(text: str) -> None:
    assert open_mail_token(KEY, "reply", text) is None


def test_another_row_does_not_open_with_a_mac_that_fits_this_one() -> None:
    token = mail_token(KEY, "reply", 7)
    assert open_mail_token(KEY, "reply", token.replace("7.", "8.", 1)) is None


def test_a_token_fits_the_local_part_of_an_address() -> None:
    assert len("reply+" + mail_token(KEY, "reply", 10**15)) <= 64


def test_feed_tokens_are_long_random_and_kept_as_a_hash() -> None:
    made = {feed_token() for _ in range(50)}
    assert len(made) == 50
    for token, kept in made:
        assert len(token) == 32
        assert kept == token_sha256(token) != token
