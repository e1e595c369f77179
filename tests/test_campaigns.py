from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from events_service import attendees, campaign_changes, campaigns, claims, events, outbox, people, review_gates, surveys
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, Delivery, Event
from events_service.errors import ConflictError, NotFoundError, RefusedError, UsageError
from events_service.mail.wire import Outgoing
from events_service.outbox import ROWS
from tests.ledger import (
    INVITED,
    SHORT,
    STARTED,
    House,
    given,
    hold_reviews,
    invite,
    open_gate,
    person_of,
    row_of,
    short,
    started,
    states,
    utc,
)

ADA, BOB, CEM = "ada@example.org", "bob@example.org", "cem@example.org"
ASKING = SHORT.replace('late = { policy = "send"', 'late = { policy = "ask"')


@pytest.fixture
def session(rolled_back: Session) -> Session:
    return rolled_back


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


def reply(session: Session, event: Event, email: str, word: str, now: datetime) -> None:
    """By calendar mail, so that no confirmation comes between the steps."""
    attendees.set_reply(session, attendees.find(session, event, email), word, via="mail", note="", now=now)


def moves(session: Session, event: Event, days: int, now: datetime) -> None:
    """Move an event by whole days."""
    events.move(session, event, event.starts + timedelta(days=days), event.ends + timedelta(days=days), now)


# Starting


def test_starting_writes_every_step_for_everybody_where_they_are(session: Session) -> None:
    event = given(session, ADA)
    invite(session, event, BOB, "Asia/Kuala_Lumpur")
    assert campaigns.start(session, event, short(), STARTED) == 8
    due = {(row.step, row.person_id): row.due_at for row in session.exec(select(Delivery))}
    ada, bob = (attendee.person_id for attendee in session.exec(select(Attendee).order_by(sa.text("id"))))
    assert due["invitation", ada] == utc("2023-08-10T09:00")
    assert due["invitation", bob] == utc("2023-08-10T01:00")
    assert due["reminder-1", ada] == utc("2023-08-30T09:30")
    assert due["reminder-2", bob] == utc("2023-09-13T01:30")
    assert due["joining", ada] == utc("2023-10-02T09:00")
    assert set(states(session).values()) == {"pending"}
    keys = set(session.exec(select(Delivery.key)))
    assert f"campaign:{event.id}:invitation:{ada}:0" in keys
    assert len(keys) == 8


@pytest.mark.parametrize(
    ("state", "now", "why"),
    [
        ("draft", STARTED, "only an approved event"),
        ("cancelled", STARTED, "only an approved event"),
        ("approved", utc("2023-10-12T15:00"), "is over"),
    ],
)
def test_what_is_not_to_come_has_no_campaign(session: Session, state: str, now: datetime, why: str) -> None:
    event = given(session, ADA, state=state)
    with pytest.raises(ConflictError, match=why):
        campaigns.start(session, event, short(), now)


def test_an_event_has_one_campaign(session: Session) -> None:
    event = given(session, ADA)
    with pytest.raises(NotFoundError, match="campaign start munich"):
        campaigns.find(session, event)
    campaigns.start(session, event, short(), STARTED)
    with pytest.raises(ConflictError, match="has a campaign already"):
        campaigns.start(session, event, short(), STARTED)


def test_behind_a_gate_it_is_refused_with_the_violations(session: Session) -> None:
    event = given(session, ADA)
    open_gate(session, "review-12")
    with pytest.raises(RefusedError) as refused:
        campaigns.start(session, event, short(), STARTED)
    [violation] = refused.value.violations
    assert (violation.code, violation.severity) == ("review-overdue", "error")
    assert states(session) == {}


def test_a_plan_says_what_a_start_would_write(session: Session) -> None:
    event = given(session, ADA, BOB)
    late = utc("2023-09-10T09:00")
    plan = campaigns.plan(session, event, short(), late)
    assert [(step["step"], step["pending"], step["expired"]) for step in plan["steps"]] == [
        ("invitation", 2, 0), ("reminder-1", 0, 2), ("reminder-2", 2, 0), ("joining", 2, 0),
    ]  # fmt: skip
    assert states(session) == {}
    campaigns.start(session, event, short(), late)
    outbox.expire(session, late)
    status = campaigns.status(session, event)
    assert [(step["step"], step["pending"], step["expired"]) for step in status["steps"]] == [
        (step["step"], step["pending"], step["expired"]) for step in plan["steps"]
    ]
    assert [step["due_at"] for step in status["steps"]] == [step["due_at"] for step in plan["steps"]]


def test_the_cadence_is_that_of_the_kind(session: Session) -> None:
    event = given(session)
    assert campaigns.cadence_for(event).key == "mission"
    event.hosted_by = "joined"
    assert campaigns.cadence_for(event).key == "joined"
    assert campaigns.cadence_for(event, "conference").key == "conference"
    with pytest.raises(NotFoundError, match="conference, joined, mission"):
        campaigns.cadence_for(event, "party")


# Who comes later


def test_somebody_added_later_gets_the_steps_that_are_still_of_use(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    with database.write() as session:
        event = started(session, ADA)
        house.clock.at = utc("2023-09-14T12:00")
    house.work()
    with database.write() as session:
        bob = invite(session, event, BOB)
        assert campaigns.attendee_added(session, bob, house.clock()) == 4
        assert campaigns.attendee_added(session, bob, house.clock()) == 0
    # The first reminder is long past; the second is in its grace, but comes not so soon after the invitation.
    assert house.work() == ["invitation bob"]
    assert house.run(utc("2023-09-30T00:00")) == []
    with database.read() as session:
        found = {step: state for step, state in states(session).items() if step.endswith("bob")}
    assert found == {
        "invitation bob": "sent", "reminder-1 bob": "expired", "reminder-2 bob": "expired", "joining bob": "pending",
    }  # fmt: skip


def test_many_added_at_once_get_theirs(session: Session) -> None:
    event = started(session, ADA)
    new = [invite(session, event, BOB), invite(session, event, CEM)]
    assert campaigns.attendees_added(session, event, new, STARTED) == 8
    assert campaigns.attendees_added(session, event, new, STARTED) == 0
    assert campaigns.attendees_added(session, event, [], STARTED) == 0


def test_a_cancelled_event_has_nothing_for_somebody_new(session: Session) -> None:
    event = started(session, ADA)
    events.cancel(session, event, "strike", STARTED)
    assert campaigns.attendee_added(session, invite(session, event, BOB), STARTED) == 0


def test_a_new_role_brings_the_steps_that_are_for_it(session: Session) -> None:
    text = SHORT.replace('replies = ["accepted"]', 'roles = ["speaker"]')
    event = started(session, ADA, text=text)
    assert "joining ada" not in states(session)
    ada = session.exec(select(Attendee)).one()
    attendees.add(session, event, person_of(session, ada), "speaker", STARTED)
    assert states(session)["joining ada"] == "pending"


# The days of a campaign


def test_a_whole_campaign_by_hand(database: Database, settings: Settings) -> None:
    """Ada never replies, Bob accepts after the first reminder, Cem declines the invitation."""
    house = House(database, settings)
    with database.write() as session:
        event = started(session, ADA, BOB, CEM)
    assert house.run(INVITED) == [("08-10 09:00", f"invitation {name}") for name in ("ada", "bob", "cem")]
    with database.write() as session:
        reply(session, event, CEM, "declined", house.clock())
    assert house.run(utc("2023-09-01T00:00")) == [("08-30 09:30", f"reminder-1 {name}") for name in ("ada", "bob")]
    with database.write() as session:
        reply(session, event, BOB, "accepted", house.clock())
    assert house.run(utc("2023-10-03T00:00")) == [("09-13 09:30", "reminder-2 ada"), ("10-02 09:00", "joining bob")]
    with database.read() as session:
        status = {step["step"]: step for step in campaigns.status(session, event)["steps"]}
        assert campaigns.status(session, event)["hold_reasons"] == {"waits for an acceptance": 2}
    assert (status["reminder-1"]["cancelled"], status["reminder-2"]["cancelled"]) == (1, 2)
    # Ada makes up her mind three days before: what waited for that goes at once.
    assert house.run(utc("2023-10-06T12:00")) == []
    with database.write() as session:
        reply(session, event, ADA, "accepted", house.clock())
    assert house.run(utc("2023-10-20T00:00")) == [("10-06 12:00", "joining ada")]
    with database.read() as session:
        assert states(session)["joining ada"] == "sent"
        assert states(session)["joining cem"] == "cancelled"


def test_the_mission_cadence_after_the_event(database: Database, settings: Settings) -> None:
    """Ada accepts and never answers, Bob answers after the first chase, Cem never accepts."""
    house = House(database, settings, now=utc("2023-10-01T00:00"))
    with database.write() as session:
        event = given(session, ADA, BOB, CEM)
        campaigns.start(session, event, campaigns.cadence_for(event), house.clock())
        for email in (ADA, BOB):
            reply(session, event, email, "accepted", house.clock())
    before = house.run(utc("2023-10-12T15:00"))
    # Started a week before: an invitation still, no reminder, and the joining instructions to those who accepted.
    assert [what for _day, what in before] == [
        "invitation ada", "invitation bob", "invitation cem", "joining ada", "joining bob",
    ]  # fmt: skip
    assert house.run(utc("2023-10-22T00:00")) == [
        ("10-14 10:00", "thanks ada"), ("10-14 10:00", "thanks bob"), ("10-21 10:00", "chase-1 ada"),
        ("10-21 10:00", "chase-1 bob"),
    ]  # fmt: skip
    with database.write() as session:
        bob = attendees.find(session, event, BOB)
        form = surveys.form(session, bob.id or 0, "thanks")
        question = next(one for one in form.survey.questions if one.kind == "scale")
        surveys.submit(session, bob.id or 0, "thanks", {question.key: "4"}, house.clock())
    assert house.run(utc("2024-11-01T00:00")) == [
        ("10-31 10:00", "chase-2 ada"),
        ("01-10 10:00", "outcomes-90 ada"), ("01-10 10:00", "outcomes-90 bob"),
        ("04-09 10:00", "outcomes-180 ada"), ("04-09 10:00", "outcomes-180 bob"),
        ("10-11 10:00", "outcomes-365 ada"), ("10-11 10:00", "outcomes-365 bob"),
    ]  # fmt: skip
    with database.read() as session:
        assert {states(session)[f"{step} cem"] for step in ("thanks", "chase-1", "outcomes-365")} == {"cancelled"}
        assert states(session)["chase-2 bob"] == "cancelled"


def test_six_hours_down_each_goes_once_or_is_expired(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    text = SHORT.replace("grace_hours = 72 }\nrepeat", "grace_hours = 5 }\nrepeat")
    with database.write() as session:
        started(session, ADA, text=text)
    assert house.work(INVITED + timedelta(hours=6)) == ["invitation ada"]
    assert house.work(utc("2023-08-30T15:30")) == []
    with database.read() as session:
        assert states(session)["reminder-1 ada"] == "expired"
    assert house.work(utc("2023-09-13T14:29")) == ["reminder-2 ada"]


def test_months_down_fire_one_message_and_not_three(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    text = SHORT.replace("grace_hours = 72 }\nrepeat", "grace_hours = 1000 }\nrepeat")
    with database.write() as session:
        started(session, ADA, text=text)
    assert house.work(utc("2023-09-20T12:00")) == ["invitation ada"]
    assert house.run(utc("2023-10-09T06:00")) == [("09-27 12:00", "reminder-1 ada"), ("10-04 12:00", "reminder-2 ada")]


def test_an_invitation_that_is_still_on_its_way_keeps_the_reminder_waiting(
    database: Database, settings: Settings
) -> None:
    house = House(database, settings, now=utc("2023-08-31T12:00"))
    with database.write() as session:
        started(session, ADA, now=house.clock())
        [first, second] = (row_of(session, step).id or 0 for step in ("invitation", "reminder-1"))
    with database.write() as session:
        claims.claim(session, [first], "another worker", house.clock(), 120)
    house.postroom.deliver([second])
    with database.read() as session:
        reminder = row_of(session, "reminder-1")
    assert (reminder.state, reminder.attempts) == ("pending", 0)
    assert reminder.next_at == house.clock() + timedelta(seconds=settings.retry_base_seconds)
    assert house.wire.taken == []


# Lateness that asks


def test_a_step_that_asks_waits_for_its_answer(session: Session) -> None:
    event = started(session, ADA, text=ASKING)
    late = INVITED + timedelta(hours=72)
    campaigns.settle_holds(session, {}, late - timedelta(seconds=1))
    assert states(session)["invitation ada"] == "pending"
    assert campaigns.settle_holds(session, {}, late) == (1, 0)
    assert row_of(session, "invitation").hold_reason == "late: ask"
    assert campaigns.settle_holds(session, {}, late) == (0, 0)
    assert campaigns.answer(session, event, "invitation", "send", late) == 1
    assert campaigns.settle_holds(session, {}, late + timedelta(days=9)) == (0, 0)
    assert (row_of(session, "invitation").state, row_of(session, "invitation").hold_reason) == ("pending", None)


def test_a_step_that_is_skipped_is_over_for_those_who_were_late(session: Session) -> None:
    event = started(session, ADA, text=ASKING)
    late = INVITED + timedelta(hours=73)
    campaigns.settle_holds(session, {}, late)
    bob = invite(session, event, BOB, "Pacific/Midway")
    campaigns.attendee_added(session, bob, late)
    assert campaigns.answer(session, event, "invitation", "skip", late) == 1
    found = row_of(session, "invitation")
    assert (found.state, found.hold_reason, found.last_error) == ("expired", None, "the organiser skipped it")
    assert row_of(session, "invitation", BOB).state == "pending"


def test_an_answer_is_about_lateness_alone(session: Session) -> None:
    event = started(session, ADA, text=ASKING)
    campaigns.hold(session, event, STARTED)
    assert campaigns.answer(session, event, "invitation", "send", INVITED + timedelta(days=4)) == 0
    assert row_of(session, "invitation").hold_reason == "organiser"


def test_wrong_answers_are_refused(session: Session) -> None:
    event = started(session, ADA)
    with pytest.raises(UsageError, match="say send or skip"):
        campaigns.answer(session, event, "invitation", "maybe", INVITED)
    with pytest.raises(ConflictError, match="its policy is send"):
        campaigns.answer(session, event, "invitation", "send", INVITED)
    with pytest.raises(NotFoundError, match="there are invitation, reminder-1, reminder-2, joining"):
        campaigns.answer(session, event, "bye", "send", INVITED)


# Holds and gates


def test_an_organiser_holds_and_lets_go(session: Session) -> None:
    event = started(session, ADA, BOB)
    assert campaigns.hold(session, event, STARTED) == 8
    assert campaigns.hold(session, event, STARTED) == 0
    assert campaigns.status(session, event)["hold_reasons"] == {"organiser": 8}
    assert campaigns.release(session, event, STARTED) == 8
    assert set(states(session).values()) == {"pending"}
    with pytest.raises(ConflictError, match="is not held"):
        campaigns.release(session, event, STARTED)


def holding(session: Session, step: str, reason: str) -> None:
    """As a worker leaves it that read its verdict before somebody's word and committed after it."""
    values = {"state": "held", "hold_reason": reason, "rung_at": INVITED}
    session.execute(sa.update(ROWS).where(ROWS.c.step == step).values(values))


@pytest.mark.parametrize(
    ("word", "attended", "freed"),
    [("accepted", None, 1), ("none", None, 0), ("tentative", None, 0), ("declined", None, 0), ("none", True, 1)],
)
def test_a_tick_lets_go_of_what_waits_for_a_reply_that_is_there(
    session: Session, word: str, attended: bool | None, freed: int
) -> None:
    started(session, ADA)
    holding(session, "joining", "waits for an acceptance")
    session.execute(sa.update(Attendee).values(reply=word, attended=attended))
    assert campaigns.settle_holds(session, {}, INVITED) == (0, freed)
    joining = row_of(session, "joining")
    assert (joining.state, joining.hold_reason, joining.rung_at) == (
        ("pending", None, None) if freed else ("held", "waits for an acceptance", INVITED)
    )


@pytest.mark.parametrize(("word", "freed"), [("send", 1), ("skip", 1), (None, 0)])
def test_a_tick_lets_go_of_what_waits_for_an_answer_that_is_there(
    session: Session, word: str | None, freed: int
) -> None:
    event = started(session, ADA, text=ASKING)
    late = INVITED + timedelta(hours=73)
    if word:
        campaigns.answer(session, event, "invitation", word, late)
    holding(session, "invitation", "late: ask")
    assert campaigns.settle_holds(session, {}, late) == (0, freed)
    assert row_of(session, "invitation").state == ("pending" if freed else "held")


def test_a_late_acceptance_beside_a_workers_verdict_loses_nothing(
    postgres_database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ada accepts between the worker's look at her joining instructions and its commit."""
    from events_service import chunk

    house = House(postgres_database, settings, now=utc("2023-10-02T09:00"))
    with postgres_database.write() as session:
        event = started(session, ADA)
    ids = house.tick()
    real = chunk.verdicts

    def look(*words: Any) -> Any:
        found = real(*words)
        monkeypatch.setattr(chunk, "verdicts", real)
        with postgres_database.write() as session:
            reply(session, event, ADA, "accepted", house.clock())
        return found

    monkeypatch.setattr(chunk, "verdicts", look)
    house.postroom.deliver(ids)
    assert house.run(utc("2023-10-09T00:00"))[-1:] == [("10-02 09:00", "joining ada")]


def test_a_gate_holds_what_begins_after_it_and_its_review_releases_it(session: Session) -> None:
    started(session, ADA)
    open_gate(session, "review-12")
    gates = review_gates.standing(session, STARTED)
    assert campaigns.settle_holds(session, gates, STARTED) == (4, 0)
    hold_reviews(session, "review-12")
    assert campaigns.settle_holds(session, review_gates.standing(session, STARTED), STARTED) == (0, 4)


def test_what_a_review_lets_go_of_and_an_organiser_still_holds_stays_held(session: Session) -> None:
    event = started(session, ADA)
    open_gate(session, "review-12")
    campaigns.settle_holds(session, review_gates.standing(session, STARTED), STARTED)
    campaigns.hold(session, event, STARTED)
    hold_reviews(session, "review-12")
    campaigns.settle_holds(session, {}, STARTED)
    assert campaigns.status(session, event)["hold_reasons"] == {"organiser": 4}
    open_gate(session, "review-12")
    campaigns.release(session, event, STARTED)
    assert campaigns.status(session, event)["hold_reasons"] == {"review overdue": 4}


def test_a_gate_stands_from_the_midnight_after_the_due_day_in_the_programmes_zone(session: Session) -> None:
    given(session)
    open_gate(session, "review-12", "progress-18")
    midnight = datetime(2023, 4, 1, 23, tzinfo=UTC)
    times = review_gates.gate_times(session)
    assert times.at(midnight - timedelta(microseconds=1)) == {}
    assert times.at(midnight) == {"lancashire-2022-2025": midnight} == review_gates.standing(session, midnight)
    assert times.at(midnight + timedelta(days=300)) == {"lancashire-2022-2025": midnight}


def test_what_a_gate_releases_late_follows_its_steps_policy(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA)
        open_gate(session, "review-12")
    assert house.run(utc("2023-09-04T00:00")) == []
    with database.write() as session:
        assert states(session)["reminder-1 ada"] == "expired"
        assert states(session)["invitation ada"] == "held"
        hold_reviews(session, "review-12")
    assert [what for _day, what in house.run(utc("2023-10-01T00:00"))] == ["invitation ada", "reminder-2 ada"]


# Moved and cancelled


def test_a_move_gives_what_is_unsent_its_new_moment_and_tells_those_who_knew(
    database: Database, settings: Settings
) -> None:
    house = House(database, settings)
    with database.write() as session:
        event = started(session, ADA, BOB, CEM)
    house.run(INVITED)
    with database.write() as session:
        reply(session, event, CEM, "declined", house.clock())
        event = events.find(session, "munich")
        campaigns.attendee_added(session, invite(session, event, "dee@example.org"), house.clock())
        moves(session, event, 7, house.clock())
    # Who knew the old days is told, Cem too, as they may be why he declined. Dee hears of the new ones by her
    # invitation alone: its moment has moved to 17 August as well.
    assert house.work() == ["update ada", "update bob", "update cem"]
    with database.read() as session:
        assert row_of(session, "reminder-1").due_at == utc("2023-09-06T09:30")
        assert row_of(session, "joining").due_at == utc("2023-10-09T09:00")
        assert row_of(session, "joining").expires_at == utc("2023-10-16T07:00")
        assert row_of(session, "update").key.endswith(":1")
    with database.write() as session:
        event = events.find(session, "munich")
        moves(session, event, 1, house.clock())
        moves(session, event, 1, house.clock())
    # Moved twice before anybody was told: one message, about where it stands.
    assert house.work() == ["update ada", "update bob", "update cem"]
    with database.read() as session:
        found = session.exec(select(Delivery.state).where(Delivery.purpose == "update").order_by(Delivery.key)).all()
        assert sorted(found) == ["cancelled"] * 3 + ["sent"] * 6
    assert house.run(utc("2023-08-20T00:00")) == [("08-19 09:00", "invitation dee")]


def test_the_gate_holds_no_change_and_no_cancellation(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    with database.write() as session:
        event = started(session, ADA, BOB, CEM)
    house.run(INVITED)
    with database.write() as session:
        bob = attendees.find(session, event, BOB)
        people.unsubscribe(session, bob.person_id or 0, house.clock())
        people.suppress(session, people.email_hash(CEM), "bounced", house.clock())
        campaigns.hold(session, event, house.clock())
        open_gate(session)
        events.cancel(session, events.find(session, "munich"), "strike", house.clock())
    assert house.work() == ["cancellation ada", "cancellation bob"]
    assert house.run(utc("2023-10-20T00:00")) == []
    with database.read() as session:
        found = states(session)
        assert found["cancellation cem"] == "suppressed"
        assert {state for step, state in found.items() if step.split()[0] in ("joining", "reminder-1")} == {"cancelled"}
        assert set(session.exec(select(Delivery.hold_reason))) == {None}


def test_a_cancellation_reaches_exactly_those_who_were_told(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    with database.write() as session:
        event = started(session, ADA)
    house.run(INVITED)
    with database.write() as session:
        event = events.find(session, "munich")
        for email in (BOB, CEM):
            campaigns.attendee_added(session, invite(session, event, email), house.clock())
        # Cem said by telephone that he comes; Bob never heard a word.
        attendees.set_reply(
            session, attendees.find(session, event, CEM), "accepted", via="organiser", note="", now=house.clock()
        )
        events.cancel(session, event, "strike", house.clock())
    assert house.work() == ["cancellation ada", "cancellation cem"]


def test_who_was_told_while_it_was_called_off_is_told_that_too(database: Database, settings: Settings) -> None:
    """A worker is in DATA with an invitation when the event is cancelled: the tick finds that it was sent."""
    house = House(database, settings, now=INVITED)
    with database.write() as session:
        started(session, ADA)
        [id] = [row_of(session, "invitation").id or 0]

    def cancel(message: object) -> None:
        with database.write() as session:
            events.cancel(session, events.find(session, "munich"), "strike", INVITED)

    house.wire.after = cancel
    house.postroom.deliver([id])
    house.wire.after = lambda message: None
    assert house.work() == ["cancellation ada"]
    assert house.work(INVITED + timedelta(hours=1)) == []
    with database.write() as session:
        assert campaign_changes.retell_cancelled(session, house.clock()) == 0


def test_of_a_chunk_that_a_move_cuts_in_two_only_those_who_had_heard_are_told(
    database: Database, settings: Settings
) -> None:
    """Ada's invitation has gone when the event moves; Bob's and Cem's are claimed, and not in DATA."""
    house = House(database, settings, now=INVITED)
    with database.write() as session:
        started(session, ADA, BOB, CEM)

    def move(message: Outgoing) -> None:
        house.wire.before = lambda message: None
        with database.write() as session:
            moves(session, events.find(session, "munich"), 30, INVITED)

    house.wire.before = lambda message: move(message) if message.recipient == BOB else None
    assert house.work() == ["invitation ada", "update ada"]
    with database.write() as session:
        # Bob and Cem never heard of it, so they are not told that it is off.
        events.cancel(session, events.find(session, "munich"), "strike", INVITED + timedelta(days=1))
    assert house.work(INVITED + timedelta(days=1)) == ["cancellation ada"]
    assert house.run(utc("2023-12-01T00:00")) == []


def test_an_invitation_that_slipped_out_beside_a_move_is_followed_by_the_change(
    database: Database, settings: Settings
) -> None:
    """A fence that read the event as it was before the move: the tick finds who was told of the old days."""
    house = House(database, settings)
    with database.write() as session:
        event = started(session, ADA, BOB)
        moves(session, event, 7, INVITED)
        ada = row_of(session, "invitation")
        ada.state, ada.sequence, ada.sent_at = "sent", 0, INVITED
        session.add(ada)
    assert house.work(INVITED) == ["update ada"]
    assert house.work(INVITED + timedelta(hours=1)) == []
    with database.write() as session:
        assert campaign_changes.retell_moved(session, INVITED + timedelta(days=1)) == 0


@pytest.mark.parametrize(
    ("reply_", "state", "in_data", "days", "told"),
    [
        ("none", "sent", False, 1, True),
        ("none", "unknown", True, 1, True),
        ("none", "sending", True, 1, True),
        ("none", "sending", False, 1, False),
        ("none", "pending", False, 1, False),
        ("none", "bounced", False, 1, False),
        ("declined", "sent", False, 1, True),
        ("none", "sent", False, 3, False),
    ],
)
def test_who_is_told_again_of_a_move(
    session: Session, reply_: str, state: str, in_data: bool, days: int, told: bool
) -> None:
    event = started(session, ADA)
    moves(session, event, 30, STARTED)
    session.execute(sa.update(Attendee).values(reply=reply_))
    values = {"state": state, "sequence": 0, "in_data_at": STARTED if in_data else None}
    session.execute(sa.update(ROWS).where(ROWS.c.step == "invitation").values(values))
    session.expire_all()
    assert campaign_changes.retell_moved(session, STARTED + timedelta(days=days)) == int(told)
    assert campaign_changes.retell_moved(session, STARTED + timedelta(days=days)) == 0
    assert states(session).get("update ada") == ("pending" if told else None)


def test_who_heard_of_the_last_sequence_is_not_told_of_it_again(session: Session) -> None:
    event = started(session, ADA)
    moves(session, event, 30, STARTED)
    session.execute(sa.update(ROWS).where(ROWS.c.step == "invitation").values(state="sent", sequence=0))
    session.execute(sa.update(ROWS).where(ROWS.c.step == "reminder-1").values(state="sent", sequence=1))
    assert campaign_changes.retell_moved(session, STARTED) == 0


@pytest.mark.parametrize("state", ["sent", "unknown", "sending"])
def test_who_heard_of_a_change_alone_is_told_that_it_is_off(session: Session, state: str) -> None:
    """Ada accepted by telephone, heard of the change, and was then written down as not having answered."""
    event = started(session, ADA, BOB)
    attendee = attendees.find(session, event, ADA)
    attendees.set_reply(session, attendee, "accepted", via="organiser", note="", now=STARTED)
    moves(session, event, 30, STARTED)
    values = {"state": state, "in_data_at": STARTED, "sent_at": STARTED}
    session.execute(sa.update(ROWS).where(ROWS.c.purpose == "update").values(values))
    attendee.reply = "none"
    session.add(attendee)
    events.cancel(session, event, "strike", STARTED)
    assert {one for one in states(session) if one.startswith("cancellation")} == {"cancellation ada"}


def test_a_row_that_was_cancelled_or_expired_stays_so_when_the_event_moves(session: Session) -> None:
    event = started(session, ADA)
    late = utc("2023-09-05T00:00")
    outbox.expire(session, late)
    session.execute(sa.update(ROWS).where(ROWS.c.step == "reminder-2").values(state="cancelled"))
    moves(session, event, 60, late)
    assert states(session) == {
        "invitation ada": "pending",
        "reminder-1 ada": "expired",
        "reminder-2 ada": "cancelled",
        "joining ada": "pending",
    }


def test_retime_follows_each_recipients_zone_and_forgets_what_was_to_be_said(session: Session) -> None:
    event = started(session, ADA)
    bob = invite(session, event, BOB, "Asia/Kuala_Lumpur")
    campaigns.attendee_added(session, bob, STARTED)
    session.execute(sa.update(ROWS).values(rung_at=STARTED))
    moves(session, event, 30, STARTED)
    assert row_of(session, "invitation").next_at == utc("2023-09-09T09:00")
    assert row_of(session, "invitation", BOB).next_at == utc("2023-09-09T01:00")
    # The clocks have gone back in Munich by then; nine in the morning in London's winter is nine in UTC.
    assert row_of(session, "joining").due_at == utc("2023-11-01T09:00")
    assert {row.sequence for row in session.exec(select(Delivery))} == {1}
    assert {row.rung_at for row in session.exec(select(Delivery))} == {None}
