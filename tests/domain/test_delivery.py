from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from events_service.domain.delivery import (
    LEAVES_BY,
    STATES,
    TOLD,
    UNSENT,
    backoff,
    delivery_key,
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
    found = {waited: wait_for_server(timedelta(minutes=waited), 60) for waited in minutes}
    assert found == {waited: timedelta(minutes=wait) for waited, wait in minutes.items()}
