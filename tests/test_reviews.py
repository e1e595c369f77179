"""Review points: their states, the records that hold them, and the gate that an overdue one puts up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlmodel import Session, select

from events_service import feeds, programmes, reviews
from events_service.db.session import Database
from events_service.db.tables import FeedContent, ReviewRecord
from events_service.domain.programme import Programme
from events_service.errors import ConflictError, InputError, NotFoundError
from tests.domain.given import LANCASHIRE

DUE_DAY = datetime(2023, 4, 1, 12, tzinfo=UTC)
OVERDUE = datetime(2023, 4, 1, 23, tzinfo=UTC)  # midnight of 2 April in London
BEFORE_WINDOW = datetime(2022, 9, 30, 22, 59, tzinfo=UTC)


def plan(session: Session) -> Programme:
    return programmes.load(session, LANCASHIRE.read_text(), "plan.toml", datetime(2022, 4, 1, tzinfo=UTC)).programme


def record(session: Session, programme: Programme, now: datetime = DUE_DAY, **words: Any) -> ReviewRecord:
    return reviews.record(
        session,
        programme,
        words.pop("id", "review-12"),
        **({"decision": "continue", "notes": "On course."} | words),
        now=now,
    )


def test_recording_holds_a_review_and_keeps_what_was_said(database: Database) -> None:
    with database.write() as session:
        programme = plan(session)
        record(session, programme, present=["Ada", "Grace"], conditions=["report by May"])
        assert reviews.held(session, programme.key) == {"review-12": date(2023, 4, 1)}
        assert reviews.states(session, programme, OVERDUE)["review-12"] == "held"
        [first, *others] = reviews.listing(session, programme, OVERDUE)
    assert [row["state"] for row in others] == ["open", "upcoming", "upcoming"]
    assert (first["id"], first["scope"], first["due_on"]) == ("review-12", [2, 3], date(2023, 4, 1))
    assert (first["state"], first["decision"], first["held_on"]) == ("held", "continue", date(2023, 4, 1))
    [kept] = first["records"]
    assert (kept["notes"], kept["present"], kept["conditions"]) == ("On course.", ["Ada", "Grace"], ["report by May"])
    assert (kept["recorded_at"], kept["corrects"]) == (DUE_DAY, None)


def test_a_review_may_be_held_from_its_window_on_its_due_day_and_late_but_not_before(database: Database) -> None:
    with database.write() as session:
        programme = plan(session)
        with pytest.raises(ConflictError, match="review-12 cannot be held before its window opens on 2022-10-01"):
            record(session, programme, BEFORE_WINDOW)
        assert session.exec(select(ReviewRecord)).all() == []
        record(session, programme, datetime(2022, 9, 30, 23, tzinfo=UTC))
        record(session, programme, datetime(2023, 10, 1, 12, tzinfo=UTC), id="progress-18")
        record(session, programme, datetime(2024, 9, 9, tzinfo=UTC), id="review-24")
        assert set(reviews.held(session, programme.key)) == {"review-12", "progress-18", "review-24"}


def test_the_gate_stands_from_the_next_midnight_until_the_review_is_recorded(database: Database) -> None:
    with database.write() as session:
        programme = plan(session)
        assert reviews.gate(session, programme, DUE_DAY) is None
        assert reviews.gate(session, programme, OVERDUE) == OVERDUE
        record(session, programme, datetime(2023, 5, 9, tzinfo=UTC), held_on=date(2023, 3, 1))
        assert reviews.gate(session, programme, datetime(2023, 5, 9, tzinfo=UTC)) is None
        assert reviews.held(session, programme.key) == {"review-12": date(2023, 3, 1)}


def test_a_second_record_needs_to_say_what_it_corrects_and_changes_nothing_else(database: Database) -> None:
    with database.write() as session:
        programme = plan(session)
        first = record(session, programme)
        with pytest.raises(ConflictError, match=f"was held on 2023-04-01 .*add --corrects {first.id}$"):
            record(session, programme)
        second = record(
            session, programme, OVERDUE, corrects=str(first.id), decision="refresh", notes="It was refresh."
        )
        assert (second.corrects, second.held_on, second.ordinal) == (first.id, date(2023, 4, 1), 2)
        with pytest.raises(ConflictError, match=f"the latest record of review-12 is {second.id}, not '{first.id}'"):
            record(session, programme, corrects=str(first.id))
        record(session, programme, corrects="review-12", decision="stop")
        row = reviews.as_json(session, programme, "review-12", OVERDUE)
    assert [(one["decision"], one["notes"]) for one in row["records"]] == [
        ("continue", "On course."),
        ("refresh", "It was refresh."),
        ("stop", "On course."),
    ]
    assert row["decision"] == "stop"


def test_a_correction_of_nothing_is_refused(database: Database) -> None:
    with database.write() as session, pytest.raises(ConflictError, match="there is nothing to correct"):
        record(session, plan(session), corrects="1")


def test_two_who_record_at_once_do_not_both_win(database: Database) -> None:
    with database.write() as session:
        plan(session)
    together = threading.Barrier(2)

    def hold(decision: str) -> str:
        together.wait()
        try:
            with database.write() as session:
                record(session, programmes.current(session), decision=decision)
        except ConflictError as error:
            return str(error)
        return "recorded"

    with ThreadPoolExecutor(2) as pool:
        first, second = sorted(pool.map(hold, ("continue", "refresh")))
    assert first == "recorded" or second == "recorded"
    assert "review-12 was" in first + second
    with database.read() as session:
        assert len(session.exec(select(ReviewRecord)).all()) == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"decision": "perhaps"}, "decision 'perhaps' is unknown; use one of continue, refresh, stop"),
        ({"notes": "  "}, "notes: is empty"),
        ({"notes": "x" * 20_001}, "notes: is 20,001 characters long"),
        ({"notes": "bell\x07"}, "notes: holds a control character"),
        ({"present": ["two\nlines"]}, "present: holds a control character"),
        ({"conditions": [""]}, "condition: is empty"),
        ({"held_on": date(2023, 4, 2)}, "held on 2023-04-02: that day has not come; today is 2023-04-01"),
    ],
)
def test_words_that_cannot_be_kept_are_refused(sqlite_database: Database, words: dict[str, Any], why: str) -> None:
    with sqlite_database.write() as session:
        programme = plan(session)
        with pytest.raises(InputError, match=f"^{why}"):
            record(session, programme, **words)
        assert session.exec(select(ReviewRecord)).all() == []


def test_an_unknown_review_is_answered_with_those_there_are(sqlite_database: Database) -> None:
    with (
        sqlite_database.write() as session,
        pytest.raises(NotFoundError, match="has: review-12, progress-18, review-24"),
    ):
        record(session, plan(session), id="review-13")


def test_a_record_makes_the_organisers_feed_stale(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        programme = plan(session)
        feeds.create(session, "organiser", "", DUE_DAY)
    feeds.rebuild_stale(sqlite_database, DUE_DAY)
    with sqlite_database.write() as session:
        record(session, programme)
        assert session.exec(select(FeedContent.stale_at)).one() == DUE_DAY
