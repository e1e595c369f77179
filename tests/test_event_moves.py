"""Moving events: times on the wall, the agenda with them, and a second look at an approved one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlmodel import select

from events_service import events
from events_service.db.session import Database
from events_service.db.tables import Delivery, EventChange, EventSession, Waiver
from events_service.errors import ConflictError, InputError, LocalTimeError, RefusedError, UsageError
from tests.attendance import make_attendee
from tests.event_texts import SLUG, visit, wall
from tests.planned import NOW, add, load

LATER = datetime(2023, 3, 2, 9, tzinfo=UTC)


def test_a_move_raises_the_sequence_and_keeps_the_old_times(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = events.approve(session, add(session), NOW)
        moved = events.move(session, event, wall("2023-10-16T10:00"), wall("2023-10-18T17:00"), LATER)
        assert (event.starts, event.ends) == (
            datetime(2023, 10, 16, 8, tzinfo=UTC),
            datetime(2023, 10, 18, 15, tzinfo=UTC),
        )
        assert (event.sequence, event.changed_at, event.state) == (2, LATER, "approved")
        assert (moved.changed, moved.deliveries, moved.feeds, moved.notes) == (True, 0, 0, ())
        change = session.exec(select(EventChange).where(EventChange.action == "moved")).one()
        assert change.detail == {
            "before": {"starts": "2023-10-09T09:00:00+02:00", "ends": "2023-10-12T17:00:00+02:00"},
            "after": {"starts": "2023-10-16T10:00:00+02:00", "ends": "2023-10-18T17:00:00+02:00"},
        }


def test_with_one_time_the_event_keeps_its_length_or_its_start(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session)
        # Over the end of summer time: the same times on the wall, an hour more between them.
        events.move(session, event, wall("2023-10-27T09:00"), None, NOW)
        assert (event.starts, event.ends) == (
            datetime(2023, 10, 27, 7, tzinfo=UTC),
            datetime(2023, 10, 30, 16, tzinfo=UTC),
        )
        events.move(session, event, None, wall("2023-10-27T17:00"), NOW)
        assert (event.starts, event.ends) == (
            datetime(2023, 10, 27, 7, tzinfo=UTC),
            datetime(2023, 10, 27, 15, tzinfo=UTC),
        )


def test_sessions_move_by_the_same_time_on_the_wall(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session, sessions=(visit(), visit(timezone="Europe/London")))
        # From summer into winter time, a week and an hour on.
        events.move(session, event, wall("2023-11-06T10:00"), wall("2023-11-09T18:00"), NOW)
        starts = [item.starts for item in session.exec(select(EventSession).order_by(EventSession.position))]
        assert starts == [datetime(2023, 11, 7, 9, 30, tzinfo=UTC), datetime(2023, 11, 7, 10, 30, tzinfo=UTC)]


def test_a_session_that_would_fall_into_a_gap_keeps_its_length(database: Database) -> None:
    night = visit(kind="leisure", starts=wall("2023-10-09T02:15"), ends=wall("2023-10-09T02:45"))
    with database.write() as session:
        load(session)
        event = add(session, sessions=(night,))
        events.move(session, event, wall("2023-03-26T09:00"), wall("2023-03-28T17:00"), NOW)
        item = session.exec(select(EventSession)).one()
        assert (item.starts, item.ends) == (
            datetime(2023, 3, 26, 1, 15, tzinfo=UTC),
            datetime(2023, 3, 26, 1, 45, tzinfo=UTC),
        )


def test_sessions_that_a_shorter_event_leaves_outside_are_said(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session, sessions=(visit(), visit(kind="leisure")))
        moved = events.move(session, event, None, wall("2023-10-09T17:00"), NOW)
        assert moved.notes == ("1 session lies outside the event's new times",)


def test_the_times_that_it_has_change_nothing(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session)
        moved = events.move(session, event, wall("2023-10-09T09:00"), wall("2023-10-12T17:00"), LATER)
        assert (moved.changed, event.sequence, event.changed_at) == (False, 0, NOW)
        assert [change.action for change in session.exec(select(EventChange))] == ["added"]


def test_an_approved_event_is_weighed_again_and_a_draft_is_not_refused(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = events.approve(session, add(session), NOW)
        with pytest.raises(RefusedError, match=f"{SLUG} breaks outside-window") as raised:
            events.move(session, event, wall("2024-05-13T09:00"), None, LATER)
        [error] = [one for one in raised.value.violations if one.severity == "error"]
        assert error.as_json()["allowed"] == {"from": "2023-04-01", "to": "2024-04-01"}
        assert (event.starts, event.sequence) == (datetime(2023, 10, 9, 7, tzinfo=UTC), 1)
        draft = add(session, slug="draft")
        moved = events.move(session, draft, wall("2024-05-13T09:00"), None, LATER)
        assert "outside-window" in [one.code for one in moved.violations]


def test_a_move_may_come_with_a_waiver(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = events.approve(session, add(session), NOW)
        events.move(session, event, wall("2024-05-13T09:00"), None, LATER, ("outside-window",), "The fair moved.")
        assert session.exec(select(Waiver.reason)).one() == "The fair moved."
        # A waiver is for the event, so it still holds at the next move.
        assert events.move(session, event, wall("2024-05-20T09:00"), None, LATER).changed


def test_a_move_behind_an_overdue_review_is_refused_like_an_approval(database: Database) -> None:
    with database.write() as session:
        load(session)
        early = {"starts": wall("2023-04-01T09:00"), "ends": wall("2023-04-01T17:00")}
        event = events.approve(session, add(session, slug="early", **early), NOW)
        with pytest.raises(RefusedError, match="early breaks review-overdue"):
            events.move(session, event, wall("2023-04-03T09:00"), None, datetime(2023, 4, 2, 9, tzinfo=UTC))


def test_those_who_know_the_old_times_are_told(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = events.approve(session, add(session), NOW)
        coming = make_attendee(session, event, reply="accepted")
        make_attendee(session, event, "grace@example.org", reply="declined")
        assert events.move(session, event, wall("2023-10-09T10:00"), None, LATER).deliveries == 1
        told = session.exec(select(Delivery)).one()
        assert (told.purpose, told.attendee_id, told.sequence) == ("update", coming.id, 2)


def test_a_repeated_time_is_said_and_a_skipped_one_refused(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        load(session)
        event = add(session)
        [note] = events.move(session, event, wall("2023-10-29T02:30"), wall("2023-10-30T17:00"), NOW).notes
        assert note.startswith("starts: 2023-10-29 02:30 happens twice")
        with pytest.raises(LocalTimeError, match="the clocks skip it"):
            events.move(session, event, wall("2024-03-31T02:30"), wall("2024-03-31T17:00"), NOW)


@pytest.mark.parametrize(
    ("starts", "ends", "error", "why"),
    [
        (None, None, UsageError, "needs --starts, --ends, or both"),
        ("2023-10-12T17:00", "2023-10-12T17:00", InputError, "would end at .* not after it starts"),
        (None, "2023-10-01T17:00", InputError, "would end at .* not after it starts"),
        ("1066-10-14T09:00", "2023-10-12T17:00", InputError, "starts: 1066-10-14 is not in the years"),
        ("2300-10-14T09:00", None, InputError, "starts: 2300-10-14 is not in the years"),
    ],
)
def test_times_that_make_no_event_are_refused(
    sqlite_database: Database, starts: str | None, ends: str | None, error: type[Exception], why: str
) -> None:
    with sqlite_database.write() as session:
        load(session)
        event = add(session)
        with pytest.raises(error, match=why):
            events.move(session, event, starts and wall(starts), ends and wall(ends), NOW)  # type: ignore[arg-type]
        assert event.sequence == 0


def test_what_is_done_or_cancelled_does_not_move(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        load(session)
        event = add(session)
        events.cancel(session, event, "No budget.", NOW)
        with pytest.raises(ConflictError, match="is cancelled; it cannot be moved"):
            events.move(session, event, wall("2023-10-16T09:00"), None, NOW)
