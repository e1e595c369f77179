"""What is left to do, as tasks in the organisers' feed: which there are, when they are due, done and gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from events_service import attendees, campaigns, events, feeds, outcomes, reviews, surveys
from events_service.db.session import Database
from events_service.db.tables import Attendee, Event, FeedBlock, FeedContent
from events_service.domain.cadence import load_cadence
from events_service.feed_blocks import join
from tests import planned
from tests.attendance import ENDS, STARTS, make_attendee, make_campaign, make_event
from tests.calendars.readers import tasks_with_vobject, with_icalendar, with_icaljs, with_libical
from tests.ledger import INVITED, SHORT, STARTED, given, started

DAY = timedelta(days=1)
CHECK_IN, OUTCOMES = "check-in-munich@example.org", "outcomes-munich@example.org"
ASKING = SHORT.replace('late = { policy = "send"', 'late = { policy = "ask"')


class Organiser:
    """Somebody who looks at the organisers' feed."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def subscribe(self, session: Session) -> None:
        feeds.create(session, "organiser", "", STARTED)

    def calendar(self, now: datetime) -> bytes:
        """The feed after a tick at `now`."""
        feeds.rebuild_stale(self.database, now)
        with self.database.read() as session:
            blocks = session.exec(select(FeedBlock).order_by(FeedBlock.number))  # type: ignore[arg-type]
            return join((block.body, block.deflated) for block in blocks)[0]

    def tasks(self, now: datetime) -> dict[str, Any]:
        """Its tasks then by UID, by icalendar."""
        return {str(task["UID"]): task for task in with_icalendar(self.calendar(now)).walk("VTODO")}

    def todo(self, now: datetime) -> dict[str, str]:
        """Their status by UID."""
        return {uid: str(task["STATUS"]) for uid, task in self.tasks(now).items()}


@pytest.fixture
def organiser(emptied: Database) -> Iterator[Organiser]:
    yield Organiser(emptied)


def event_of(session: Session) -> Event:
    return session.exec(select(Event)).one()


def attended(organiser: Organiser, at: datetime) -> None:
    with organiser.database.write() as session:
        attendees.check_in(session, session.exec(select(Attendee)).first() or Attendee(), at)


def over(organiser: Organiser, **fields: object) -> None:
    """An organisers' feed, and an approved event with one person who accepted."""
    with organiser.database.write() as session:
        make_attendee(session, make_event(session, **fields), reply="accepted")
        organiser.subscribe(session)


def test_an_event_that_is_over_leaves_two_tasks(organiser: Organiser) -> None:
    over(organiser)
    assert organiser.tasks(ENDS - timedelta(seconds=1)) == {}
    # Nobody touched anything: the moment itself changes the feed.
    found = organiser.tasks(ENDS)
    assert {uid: str(task["STATUS"]) for uid, task in found.items()} == {
        CHECK_IN: "NEEDS-ACTION",
        OUTCOMES: "NEEDS-ACTION",
    }
    assert [found[uid]["DUE"].dt for uid in (CHECK_IN, OUTCOMES)] == [ENDS + 7 * DAY, ENDS + 14 * DAY]
    assert {str(task["RELATED-TO"]) for task in found.values()} == {"munich@example.org"}
    assert {task["DTSTAMP"].dt for task in found.values()} == {ENDS}
    assert "events attendee checkin munich EMAIL" in str(found[CHECK_IN]["DESCRIPTION"])
    assert organiser.calendar(ENDS + 365 * DAY) == organiser.calendar(ENDS)


def test_a_task_is_completed_stays_thirty_days_and_goes(organiser: Organiser) -> None:
    over(organiser)
    assert len(organiser.todo(ENDS)) == 2
    came, recorded = ENDS + DAY, ENDS + 2 * DAY
    attended(organiser, came)
    assert organiser.todo(came) == {CHECK_IN: "COMPLETED", OUTCOMES: "NEEDS-ACTION"}
    assert organiser.tasks(came)[CHECK_IN]["COMPLETED"].dt == came
    with organiser.database.write() as session:
        outcomes.add(session, event_of(session), "contact", recorded, note="A card")
    assert organiser.todo(recorded) == {CHECK_IN: "COMPLETED", OUTCOMES: "COMPLETED"}
    assert organiser.todo(came + 30 * DAY - timedelta(seconds=1)) == {CHECK_IN: "COMPLETED", OUTCOMES: "COMPLETED"}
    assert organiser.todo(came + 30 * DAY) == {OUTCOMES: "COMPLETED"}
    assert organiser.todo(recorded + 30 * DAY) == {}
    with organiser.database.read() as session:
        assert session.exec(select(FeedContent.expires_at)).one() is None


def test_what_was_done_in_time_is_no_task(organiser: Organiser) -> None:
    over(organiser)
    attended(organiser, STARTS)
    with organiser.database.write() as session:
        outcomes.add(session, event_of(session), "contact", STARTS + DAY, note="A card")
    assert organiser.todo(ENDS) == {}


@pytest.mark.parametrize("fields", [{"state": "draft"}, {"state": "cancelled", "cancelled_at": STARTED}])
def test_what_did_not_take_place_leaves_nothing(organiser: Organiser, fields: dict[str, Any]) -> None:
    over(organiser, **fields)
    assert organiser.todo(ENDS + DAY) == {}


def test_where_nobody_accepted_nobody_is_to_be_checked_in(organiser: Organiser) -> None:
    with organiser.database.write() as session:
        make_attendee(session, make_event(session), reply="tentative")
        organiser.subscribe(session)
    assert organiser.todo(ENDS).keys() == {OUTCOMES}


def test_a_survey_that_brings_the_first_outcome_completes_the_task(organiser: Organiser) -> None:
    over(organiser)
    assert organiser.todo(ENDS)[OUTCOMES] == "NEEDS-ACTION"
    with organiser.database.write() as session:
        make_campaign(session, event_of(session), {"90": "outcomes"})
        attendee = session.exec(select(Attendee)).one()
        surveys.submit(session, attendee.id or 0, "90", {"contacts": "2", "leads": "0"}, ENDS + DAY)
    assert organiser.todo(ENDS + DAY)[OUTCOMES] == "COMPLETED"


def test_a_step_that_asks_is_a_task_until_it_is_answered(organiser: Organiser) -> None:
    late = INVITED + timedelta(hours=72)
    with organiser.database.write() as session:
        organiser.subscribe(session)
        event = given(session, "ada@example.org")
    assert organiser.todo(STARTED) == {}
    with organiser.database.write() as session:
        campaigns.start(session, event_of(session), load_cadence(ASKING, "asking.toml"), STARTED)
    assert organiser.todo(late - timedelta(seconds=1)) == {}
    ((uid, task),) = organiser.tasks(late).items()
    assert uid.startswith("answer-") and uid.endswith("-munich@example.org")
    assert (task["DTSTART"].dt, task["DUE"].dt) == (late, STARTS)
    assert f"events campaign answer {event.slug} invitation send|skip" in str(task["DESCRIPTION"])
    with organiser.database.write() as session:
        campaigns.answer(session, event_of(session), "invitation", "send", late)
    assert organiser.todo(late) == {}


def test_a_step_that_does_not_ask_is_no_task(organiser: Organiser) -> None:
    with organiser.database.write() as session:
        organiser.subscribe(session)
        started(session, "ada@example.org")
    assert organiser.todo(INVITED + timedelta(hours=72)) == {}


def test_material_older_than_a_review_is_to_be_refreshed(organiser: Organiser) -> None:
    held_on = date(2023, 4, 1)
    with organiser.database.write() as session:
        plan = planned.load(session)
        make_event(session, material_refreshed=held_on - DAY)
        make_event(session, "fresh", material_refreshed=held_on)
        make_event(session, "draft", material_refreshed=held_on - DAY, state="draft")
        organiser.subscribe(session)
    assert organiser.todo(STARTED) == {}
    with organiser.database.write() as session:
        first = plan.review_points[0].id
        reviews.record(session, plan, first, decision="continue", notes="Good", held_on=held_on, now=STARTED)
    ((uid, task),) = organiser.tasks(STARTED).items()
    assert (uid, task["DUE"].dt) == ("material-munich@example.org", STARTS)
    with organiser.database.write() as session:
        event = session.exec(select(Event).where(Event.slug == "munich")).one()
        event.material_refreshed = held_on + DAY
        session.add(event)
        feeds.touch_event(session, event, STARTED + DAY)
    assert organiser.todo(STARTED + DAY) == {}


def test_a_move_takes_its_tasks_along(organiser: Organiser) -> None:
    with organiser.database.write() as session:
        given(session)
        organiser.subscribe(session)
        events.move(session, event_of(session), STARTS + 7 * DAY, ENDS + 7 * DAY, STARTED)
    assert OUTCOMES not in organiser.todo(ENDS)
    assert organiser.tasks(ENDS + 7 * DAY)[OUTCOMES]["DUE"].dt == ENDS + 21 * DAY


def test_other_readers_take_them_for_what_they_are(organiser: Organiser) -> None:
    over(organiser, title='Ünïcödé, "quotes"; and\nlines ' + "é" * 80)
    attended(organiser, ENDS + DAY)
    body = organiser.calendar(ENDS + DAY)
    expected = {CHECK_IN: "COMPLETED", OUTCOMES: "NEEDS-ACTION"}
    assert tasks_with_vobject(body) == expected
    (answer,) = with_icaljs([body])
    assert {task["uid"]: task["status"] for task in answer["todos"]} == expected
    assert {task["related"] for task in answer["todos"]} == {"munich@example.org"}
    assert [seen.uid for seen in with_libical(body)] == ["munich@example.org"]


def test_no_other_feed_has_tasks(organiser: Organiser) -> None:
    over(organiser, visibility="public")
    with organiser.database.write() as session:
        for kind, of in (("public", ""), ("person", "ada@example.org"), ("event", "munich")):
            feeds.create(session, kind, of, STARTED)
    feeds.rebuild_stale(organiser.database, ENDS)
    with organiser.database.read() as session:
        assert sum(b"VTODO" in body for body in session.exec(select(FeedBlock.body))) == 1
