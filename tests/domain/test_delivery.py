from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.domain.delivery import (
    LEAVES_BY,
    LOST_TOO_OFTEN,
    STATES,
    SUSPECT_FROM,
    TOLD,
    UNSENT,
    backoff,
    claimed_together,
    dead_address,
    delivery_key,
    enhanced_code,
    message_id,
    wait_for_server,
)

KEYS = st.tuples(
    st.sampled_from(("campaign", "update", "cancellation")),
    st.integers(1, 999),
    st.sampled_from(("invitation", "reminder-1", "-")),
    st.integers(1, 9999),
    st.integers(0, 9),
)


def test_every_state_has_its_ways_out_and_they_lead_to_states() -> None:
    assert set(LEAVES_BY) == set(STATES)
    assert {to for ways in LEAVES_BY.values() for to in ways} <= set(STATES)
    assert {state for state, ways in LEAVES_BY.items() if not ways} == {"bounced", "suppressed", "cancelled", "expired"}
    assert set(UNSENT) | set(TOLD) <= set(STATES)


def test_the_drawing_shows_these_ways_and_no_others(repository: Path) -> None:
    text = (repository / "ARCHITECTURE.md").read_text()
    drawing = text.split("## A delivery")[1].split("```")[1]
    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", drawing, re.MULTILINE))
    assert drawn == {(state, to) for state, ways in LEAVES_BY.items() for to in ways}


def test_what_was_sent_never_goes_again_by_itself() -> None:
    reached, last = {"sent"}, set[str]()
    while reached != last:
        last, reached = reached, reached | {to for state in reached for to in LEAVES_BY[state]}
    assert reached == {"sent", "bounced"}


def test_suspects_go_in_smaller_and_smaller_groups_and_twice_alone_before_they_fail() -> None:
    assert [claimed_together(lost) for lost in range(SUSPECT_FROM, LOST_TOO_OFTEN)] == [10, 1, 1]


@given(st.lists(KEYS, unique=True, min_size=2, max_size=30))
def test_keys_and_message_ids_are_as_many_as_the_facts(facts: list[tuple[str, int, str, int, int]]) -> None:
    keys = [delivery_key(*fact) for fact in facts]
    assert len(set(keys)) == len(facts)
    assert len({message_id(key, b"secret", "example.org") for key in keys}) == len(facts)


def test_a_message_id_belongs_to_its_key_and_its_installation() -> None:
    key = delivery_key("campaign", 3, "invitation", 41)
    assert key == "campaign:3:invitation:41:0"
    once = message_id(key, b"secret", "example.org")
    assert once == message_id(key, b"secret", "example.org")
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", once)
    assert once != message_id(key, b"another", "example.org")
    assert message_id(key, b"s" * 200, "example.org") != once


@given(st.integers(1, 1000), st.floats(0.1, 3600), st.text(max_size=20))
def test_the_wait_doubles_with_a_quarter_of_spread_up_to_six_hours(attempts: int, base: float, key: str) -> None:
    plain = min(base * 2 ** min(attempts - 1, 20), 6 * 3600)
    wait = backoff(attempts, base, key)
    assert timedelta(seconds=plain) - timedelta(milliseconds=1) <= wait <= timedelta(seconds=plain * 1.25)
    assert wait == backoff(attempts, base, key)


def test_messages_that_failed_together_do_not_come_back_together() -> None:
    assert len({backoff(1, 60, f"campaign:1:invitation:{n}:0") for n in range(100)}) > 90


def test_a_server_that_is_away_is_tried_after_as_long_again_within_a_minute_and_a_quarter_of_an_hour() -> None:
    minutes = {0: 1, 0.5: 1, 1: 1, 2: 2, 7: 7, 15: 15, 16: 15, 9999: 15, -5: 1}
    for waited, wait in minutes.items():
        found = [wait_for_server(timedelta(minutes=waited), 60, f"key {n}") for n in range(100)]
        assert found == [wait_for_server(timedelta(minutes=waited), 60, f"key {n}") for n in range(100)]
        assert timedelta(minutes=wait) <= min(found) < max(found) <= timedelta(minutes=wait * 1.25)
        assert len(set(found)) > 90


@pytest.mark.parametrize(
    ("code", "enhanced", "times"),
    [
        (0, "", 1),
        (421, "", 1),
        (421, "4.7.0", 1),
        (450, "", 1),
        (451, "4.3.0", 1),
        (450, "4.2.0", 1),
        (452, "4.2.2", 30),
        (552, "5.2.2", 1),
        (452, "4.3.1", 5),
        (451, "4.7.1", 5),
        (450, "4.7.650", 5),
        (450, "nonsense", 1),
    ],
)
def test_what_passes_slowly_is_tried_later(code: int, enhanced: str, times: int) -> None:
    key = delivery_key("campaign", 3, "invitation", 41)
    longer = backoff(1, 60, key, code, enhanced) / backoff(1, 60, key)
    assert longer == pytest.approx(times)
    assert backoff(30, 60, key, code, enhanced) <= timedelta(hours=7.5)


@pytest.mark.parametrize(
    ("said", "enhanced"),
    [
        ("RCPT: 452 4.2.2 mailbox full", "4.2.2"),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound", "5.1.10"),
        ("550-5.1.1 The account does not exist", "5.1.1"),
        ("450 <192.5.2.1> greylisted", ""),
        ("450 host 4.2.2.1 says no", ""),
        ("451 later", ""),
        ("550 3.1.1 what", ""),
        ("", ""),
    ],
)
def test_the_enhanced_code_in_what_a_server_said(said: str, enhanced: str) -> None:
    assert enhanced_code(said) == enhanced


@pytest.mark.parametrize("enhanced", ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"])
def test_codes_of_dead_addresses(enhanced: str) -> None:
    assert dead_address(enhanced)
    assert dead_address(enhanced, "blocked for spam")


@pytest.mark.parametrize(
    "enhanced", ["5.1.4", "5.1.5", "5.1.7", "5.1.8", "5.2.2", "5.2.3", "5.3.4", "5.7.1", "5.7.26", "4.1.1", "2.1.5"]
)
def test_codes_that_blame_something_else(enhanced: str) -> None:
    assert not dead_address(enhanced)
    assert not dead_address(enhanced, "no such user")


@pytest.mark.parametrize(
    ("said", "dead"),
    [
        ("550 no such user", True),
        ("550 No such user here", True),
        ("550 <ada@example.org>: User unknown in virtual mailbox table", True),
        ("550 Unknown user", True),
        ("550 unrouteable address", True),
        ("550 mailbox ada@example.org does not exist", True),
        ("550 the account was not found", True),
        ("550 account not found", True),
        ("550 Address doesn't exist", True),
        ("550 #5.1.0 Address rejected", False),
        ("550 mailbox unavailable", False),
        ("550 relay not permitted", False),
        ("550 sender address rejected: no such user", False),
        ("550 blocked: no such user accepts spam", False),
        ("554 rejected", False),
        ("552 mailbox full", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("enhanced", ["", "5.0.0", "5.1.0"])
def test_without_a_code_that_says_something_the_words_must_be_plain(said: str, dead: bool, enhanced: str) -> None:
    assert dead_address(enhanced, said) is dead
