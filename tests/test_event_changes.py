"""Changing an event by its file: what differs, what raises which SEQUENCE, what is refused, and who is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from events_service import event_json, events
from events_service.db.session import Database
from events_service.db.tables import Delivery, Event, EventChange, EventSession
from events_service.errors import ConflictError, EventFileError, RefusedError
from events_service.event_changes import Changed
from events_service.letter_subjects import subject_of
from events_service.reading.event_files import read
from tests.attendance import make_attendee
from tests.event_texts import MUNICH, SLUG, toml, visit, wall
from tests.planned import NOW, add, load

LATER = datetime(2023, 3, 2, 9, tzinfo=UTC)
DINNER = visit(title="Dinner", kind="meeting", starts=wall("2023-10-10T19:00"), ends=wall("2023-10-10T22:00"))


@pytest.fixture
def session(rolled_back: Session) -> Session:
    load(rolled_back)
    return rolled_back


def change(
    session: Session, event: Event, now: datetime = LATER, sessions: tuple[dict[str, Any], ...] = (), **changes: Any
) -> Changed:
    """The mission to Munich with `changes`, over the event."""
    file = read("munich.toml", toml(MUNICH | changes, sessions=sessions))
    return events.change(session, event, file, "munich.toml", now)


def agenda(session: Session) -> list[tuple[int, str, int, bool]]:
    """Of each session its position, title, SEQUENCE, and whether it is cancelled."""
    rows = session.exec(select(EventSession).order_by(col(EventSession.position)))
    return [(row.position, row.title, row.sequence, row.cancelled_at is not None) for row in rows]


@pytest.mark.parametrize(
    ("changes", "raised"),
    [
        ({"title": "Cyber mission"}, False),
        ({"summary": "Four days"}, False),
        ({"url": "https://example.org"}, False),
        ({"themes": ["cyber", "health"]}, False),
        ({"markets": ["DE", "US"]}, False),
        ({"capacity": 20}, False),
        ({"budget": 0}, False),
        ({"region": "DE-BY"}, False),
        ({"visibility": "public"}, False),
        ({"organiser": "Somebody <else@example.org>"}, False),
        ({"venue": "universität  der Bundeswehr,"}, False),
        ({"venue": "Deutsches Museum"}, True),
        ({"city": "Neubiberg"}, True),
        ({"starts": wall("2023-10-09T09:05")}, True),
        ({"ends": wall("2023-10-12T16:00")}, True),
        ({"timezone": "Europe/Vienna"}, True),
    ],
)
def test_when_and_where_raise_the_sequence_and_nothing_else(
    session: Session, changes: dict[str, Any], raised: bool
) -> None:
    event = events.approve(session, add(session), NOW)
    done = change(session, event, **changes)
    assert {one.field for one in done.fields} >= set(changes)
    assert (event.sequence, event.changed_at) == (1 + raised, LATER)
    [row] = session.exec(select(EventChange).where(EventChange.action == "changed"))
    assert set(row.detail["fields"]) == {one.field for one in done.fields}


def test_the_difference_is_by_field_and_the_history_names_nobody(session: Session) -> None:
    event = add(session)
    done = change(session, event, title="Cyber mission", organiser="Ada <ada@example.org>", capacity=20)
    assert done.difference()["event"] == [
        {"field": "title", "before": "Cyber resilience mission to Munich", "after": "Cyber mission"},
        {"field": "capacity", "before": None, "after": 20},
        {"field": "organiser", "before": "Events desk <events@example.org>", "after": "Ada <ada@example.org>"},
    ]
    [row] = session.exec(select(EventChange).where(EventChange.action == "changed"))
    assert row.detail == {
        "fields": ["title", "capacity", "organiser"],
        "before": {"title": "Cyber resilience mission to Munich", "capacity": None},
        "after": {"title": "Cyber mission", "capacity": 20},
    }
    assert event.slug == SLUG


def test_the_same_file_changes_nothing(session: Session) -> None:
    event = add(session, sessions=(visit(), DINNER))
    done = change(session, event, sessions=(visit(), DINNER))
    assert (done.fields, done.sessions, done.feeds) == ((), (), 0)
    assert (event.sequence, event.changed_at) == (0, NOW)
    assert [row.action for row in session.exec(select(EventChange))] == ["added"]


def test_sessions_keep_their_uids_and_those_gone_stay_cancelled(session: Session) -> None:
    event = add(session, sessions=(visit(), DINNER))
    uids = {row.title: row.uid for row in session.exec(select(EventSession))}
    opening = visit(title="Opening", starts=wall("2023-10-09T10:00"), ends=wall("2023-10-09T11:00"))
    later = DINNER | {"starts": wall("2023-10-10T20:00"), "venue": "Ratskeller"}
    done = change(session, event, sessions=(opening, later))
    assert [(one.what, one.title) for one in done.sessions] == [
        ("changed", "Opening"), ("changed", "Dinner"),
    ]  # fmt: skip
    # By its place the visit has become the opening, and is still itself.
    assert agenda(session) == [(1, "Opening", 1, False), (2, "Dinner", 1, False)]
    done = change(session, event, now=LATER + timedelta(hours=1), sessions=(later,))
    assert [(one.what, one.title) for one in done.sessions] == [("cancelled", "Opening")]
    done = change(session, event, now=LATER + timedelta(hours=2), sessions=(opening, later | {"title": "Dinner "}))
    [added] = done.sessions
    assert (added.what, added.title) == ("added", "Opening")
    assert agenda(session) == [(1, "Opening", 0, False), (2, "Dinner", 1, False), (3, "Opening", 2, True)]
    by_position = {row.position: row for row in session.exec(select(EventSession))}
    assert by_position[2].uid == uids["Dinner"] and by_position[3].uid == uids["Visit: cyber range"]
    assert len({row.uid for row in by_position.values()}) == 3
    # The event is where and when it was.
    assert event.sequence == 0
    shown = event_json.detail(session, event, LATER)["sessions"]
    assert [(one["title"], one["sequence"], one["cancelled_at"] is None) for one in shown] == [
        ("Opening", 0, True), ("Dinner", 1, True), ("Opening", 2, False),
    ]  # fmt: skip


def test_a_session_that_is_only_worded_otherwise_keeps_its_sequence(session: Session) -> None:
    event = add(session, sessions=(visit(), DINNER))
    done = change(session, event, sessions=(visit(url="https://example.org/range"), DINNER | {"title": "Gala dinner"}))
    assert [[field.field for field in one.fields] for one in done.sessions] == [["url"], ["title"]]
    assert agenda(session) == [(1, "Visit: cyber range", 0, False), (2, "Gala dinner", 0, False)]
    assert {row.changed_at for row in session.exec(select(EventSession))} == {LATER}


def test_another_order_is_a_change_of_its_own(session: Session) -> None:
    event = add(session, sessions=(visit(), DINNER))
    done = change(session, event, sessions=(DINNER, visit()))
    assert [one.field for one in done.fields] == ["order of sessions"] and done.sessions == ()
    assert agenda(session) == [(1, "Dinner", 0, False), (2, "Visit: cyber range", 0, False)]


def test_an_approval_a_move_and_a_cancellation_raise_the_sequence_of_sessions_that_stand(session: Session) -> None:
    event = add(session, sessions=(visit(), DINNER))
    change(session, event, sessions=(visit(),))
    assert agenda(session) == [(1, "Visit: cyber range", 0, False), (2, "Dinner", 1, True)]
    events.approve(session, event, LATER)
    assert agenda(session) == [(1, "Visit: cyber range", 1, False), (2, "Dinner", 1, True)]
    events.move(session, event, None, wall("2023-10-12T18:00"), LATER)
    # The event became longer, and no session moved.
    assert agenda(session)[0] == (1, "Visit: cyber range", 1, False)
    events.move(session, event, wall("2023-10-10T09:00"), None, LATER)
    assert agenda(session) == [(1, "Visit: cyber range", 2, False), (2, "Dinner", 1, True)]
    events.cancel(session, event, "strike", LATER)
    assert agenda(session) == [(1, "Visit: cyber range", 3, False), (2, "Dinner", 1, True)]


def test_an_approved_event_is_weighed_again_where_the_rules_see_another(session: Session) -> None:
    event = events.approve(session, add(session), NOW)
    late = {"starts": wall("2024-05-13T09:00"), "ends": wall("2024-05-16T17:00")}
    with pytest.raises(RefusedError, match=f"{SLUG} breaks outside-window"):
        change(session, event, **late)
    assert (event.starts, event.sequence) == (datetime(2023, 10, 9, 7, tzinfo=UTC), 1)
    draft = add(session, slug="draft")
    assert "outside-window" in [one.code for one in change(session, draft, **late).violations]
    # A word may be mended even where an approval would be refused by now.
    overdue = datetime(2023, 5, 2, 9, tzinfo=UTC)
    assert change(session, event, overdue, title="Cyber mission").fields
    with pytest.raises(RefusedError, match="review-overdue"):
        change(session, event, overdue, title="Cyber mission", budget=5)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"slug": "other"}, f"munich.toml: slug: 'other' is another's; an event keeps its own, '{SLUG}'"),
        (
            {"kind": "conference"},
            f"munich.toml: kind: 'conference' is not what {SLUG} is, 'mission'; add another event",
        ),
        ({"hosted_by": "joined"}, "munich.toml: hosted_by: 'joined' is not what"),
    ],
)
def test_an_event_keeps_its_slug_kind_and_host(session: Session, changes: dict[str, Any], why: str) -> None:
    event = add(session)
    with pytest.raises(EventFileError) as refused:
        change(session, event, **changes)
    assert str(refused.value).startswith(why)
    assert change(session, event, slug=SLUG).fields == ()


def test_what_is_over_or_cancelled_is_not_changed(session: Session) -> None:
    event = add(session)
    events.cancel(session, event, "No budget.", NOW)
    with pytest.raises(ConflictError, match="is cancelled; it cannot be changed"):
        change(session, event)


def test_those_who_come_are_told_of_a_place_and_how_it_was(session: Session) -> None:
    event = events.approve(session, add(session), NOW)
    coming = make_attendee(session, event, reply="accepted")
    make_attendee(session, event, "grace@example.org", reply="declined")
    assert change(session, event, title="Cyber mission").deliveries == 0
    assert change(session, event, title="Cyber mission", venue="Deutsches Museum").deliveries == 1
    told = session.exec(select(Delivery)).one()
    assert (told.purpose, told.attendee_id, told.sequence) == ("update", coming.id, 2)
    subject = subject_of(session, event, "update")
    assert (subject.was, subject.was_at) == (None, "Universität der Bundeswehr, Munich, Germany")
    # A word that is mended since changes nothing of that.
    change(session, event, title="Cyber mission!", venue="Deutsches Museum")
    assert subject_of(session, event, "update").was_at == subject.was_at
    change(session, event, title="Cyber mission!", venue="Deutsches Museum", starts=wall("2023-10-09T10:00"))
    was = subject_of(session, event, "update").was
    assert was is not None and was.starts == datetime(2023, 10, 9, 7, tzinfo=UTC)


def test_a_dry_run_keeps_nothing(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        load(session)
        add(session, sessions=(visit(),))
    with sqlite_database.write(dry_run=True) as session:
        assert change(session, events.find(session, SLUG), title="Another").difference()["sessions"]
    with sqlite_database.read() as session:
        assert events.find(session, SLUG).title == MUNICH["title"]
        assert agenda(session) == [(1, "Visit: cyber range", 0, False)]
