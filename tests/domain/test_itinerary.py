"""Itineraries: what to say of sessions to a calendar, over every order of changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.domain.itinerary import Known, Said, attends, news


def knowing(*said: Said, heard: bool = True) -> Known:
    known = Known()
    known.note(said, heard=heard)
    return known


@pytest.mark.parametrize(
    ("kind", "choice", "expected"),
    [
        ("talk", None, True),
        ("visit", None, True),
        ("leisure", None, False),
        ("talk", False, False),
        ("leisure", True, True),
    ],
)
def test_everybody_attends_everything_but_leisure_unless_they_say_otherwise(
    kind: str, choice: bool | None, expected: bool
) -> None:
    assert attends(kind, choice) is expected


def test_what_was_never_told_begins_with_the_session_s_own_sequence() -> None:
    assert news({7: 2, 8: 0, 9: 0}, {7, 8}, Known()) == [Said(7, 2, "REQUEST", 2), Said(8, 0, "REQUEST", 0)]


def test_a_session_that_left_their_itinerary_before_it_was_told_is_not_spoken_of() -> None:
    assert news({7: 0}, set(), Known()) == []
    assert news({7: 0}, set(), knowing(Said(7, 0, "REQUEST", 0), heard=False)) == []


def test_what_was_written_and_did_not_go_is_written_with_a_higher_sequence() -> None:
    known = knowing(Said(7, 0, "REQUEST", 0), heard=False)
    assert not known.told
    assert news({7: 0}, {7}, known) == [Said(7, 1, "REQUEST", 0)]


def test_a_cancelled_session_that_moves_is_not_cancelled_again() -> None:
    assert news({7: 3}, set(), knowing(Said(7, 1, "CANCEL", 0))) == []


def test_the_newest_counts_whichever_came_first() -> None:
    first, second = Said(7, 0, "REQUEST", 0), Said(7, 1, "CANCEL", 0)
    for order in ((first, second), (second, first)):
        assert knowing(*order).last == {7: second}


def test_declining_an_object_is_as_good_as_its_cancel_until_a_newer_one() -> None:
    known = knowing(Said(7, 0, "REQUEST", 0))
    known.declined(7, 0)
    assert news({7: 0}, set(), known) == []
    assert news({7: 0}, {7}, known) == [Said(7, 1, "REQUEST", 0)]
    known.note([Said(7, 1, "REQUEST", 0)], heard=True)
    known.declined(7, 0)
    assert news({7: 0}, {7}, known) == []
    assert news({7: 0}, set(), known) == [Said(7, 2, "CANCEL", 0)]


CHANGES = st.lists(
    st.tuples(st.sampled_from(["move", "toggle", "decline", "tell", "lose"]), st.sampled_from([7, 8])), max_size=30
)


@given(CHANGES)
def test_a_calendar_that_hears_the_news_shows_what_is_attended(changes: list[tuple[str, int]]) -> None:
    """A calendar that ignores what is no newer than what it has (RFC 5546 2.1.5) ends up right, whatever was lost."""
    agenda, attended, known = {7: 0, 8: 0}, {7}, Known()
    calendar: dict[int, Said] = {}
    for what, session in [*changes, ("tell", 7)]:
        if what == "move":
            agenda[session] += 1
        elif what == "toggle":
            attended ^= {session}
        elif what == "decline" and session in calendar and calendar[session].method == "REQUEST":
            known.declined(session, calendar[session].sequence)
            calendar[session] = calendar[session]._replace(method="CANCEL")
            attended -= {session}
        elif what in ("tell", "lose"):
            said = news(agenda, attended, known)
            known.note(said, heard=what == "tell")
            for one in said if what == "tell" else ():
                assert one.session not in calendar or one.sequence > calendar[one.session].sequence
                calendar[one.session] = one
    assert {session for session, one in calendar.items() if one.method == "REQUEST"} == attended
    assert {calendar[session].own for session in attended} <= set(agenda.values())
    assert all(calendar[session].own == agenda[session] for session in attended)
    assert news(agenda, attended, known) == []
