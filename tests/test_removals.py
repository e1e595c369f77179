"""Guests who are taken off an event and put back: what they are told, and that nothing shows them meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest
from sqlmodel import Session, select

from events_service import (
    attendees,
    campaign_changes,
    campaigns,
    event_checks,
    events,
    feed_contents,
    feeds,
    guest_lists,
    outcome_facts,
    outcomes,
    people,
    personal_data,
    programmes,
    removals,
    surveys,
)
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import AttendeeReply, Delivery
from events_service.domain.outcomes import Asked
from events_service.errors import ConflictError, InputError, NotFoundError
from events_service.mail.wire import Outgoing
from events_service.people_import import import_people
from events_service.reading.people_files import read_people
from tests.attendance import make_event, make_person
from tests.ledger import INVITED, SHORT, STARTED, House, row_of, short, started, states, utc

ADA, BOB = "ada@example.org", "bob@example.org"
LATER = INVITED + timedelta(days=1)
ASKING = f"""{SHORT}
[[steps]]
key = "thanks"
template = "thanks"
audience = {{ replies = ["accepted"] }}
at = {{ anchor = "end", days = 2, time = "10:00" }}
late = {{ policy = "send", grace_hours = 72 }}
survey = "mission"
wave = "thanks"
"""


@pytest.fixture
def session(rolled_back: Session) -> Session:
    return rolled_back


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


def remove(session: Session, email: str, now: datetime, reason: str = "") -> int:
    event = events.find(session, "munich")
    return removals.remove(session, event, attendees.find(session, event, email), reason, now)


def add(session: Session, email: str, now: datetime) -> None:
    attendees.add(session, events.find(session, "munich"), people.find(session, email), None, now)


def calendars(house: House, since: int = 0) -> list[tuple[str, str, str]]:
    """METHOD, SEQUENCE and DTSTAMP of what went, in order."""
    found = []
    for message in house.wire.taken[since:]:
        text = _calendar(message)
        values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        found.append((values["METHOD"], values["SEQUENCE"], values["DTSTAMP"]))
    return found


def _calendar(message: Outgoing) -> str:
    [part] = [p for p in message_from_bytes(message.data).walk() if p.get_content_type() == "text/calendar"]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n ", "")


def test_who_was_invited_is_told_and_who_was_not_is_not(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA)
    house.run(INVITED)
    with database.write() as session:
        add_person(session, BOB, house.clock())
        assert remove(session, BOB, house.clock()) == 0
        assert remove(session, ADA, house.clock(), "The host has ten seats.") == 1
    assert house.run(utc("2023-12-01T00:00")) == [("08-10 09:00", "uninvited ada")]
    [invited, off] = calendars(house)
    assert (invited[:2], off[:2]) == (("REQUEST", "0"), ("CANCEL", "1"))
    # Its own moment, as the event has not changed.
    assert (invited[2], off[2]) == ("20230601T090000Z", "20230810T090000Z")
    said = house.wire.taken[-1].data.decode()
    assert "The event itself goes on as planned" in said and "ten seats" not in said
    with database.read() as session:
        assert {state for step, state in states(session).items() if step != "uninvited ada"} == {"sent", "cancelled"}
        assert events.find(session, "munich").sequence == 0


def add_person(session: Session, email: str, now: datetime) -> None:
    """A person who is new, put on the event."""
    make_person(session, email).timezone = "UTC"
    session.flush()
    add(session, email, now)


def test_who_comes_back_is_asked_anew_on_the_same_row_and_with_a_higher_sequence(
    database: Database, settings: Settings
) -> None:
    house = House(database, settings)
    with database.write() as session:
        event = started(session, ADA, BOB)
        row = attendees.find(session, event, ADA).id
    house.run(INVITED)
    with database.write() as session:
        attendees.set_reply(
            session, attendees.find(session, event, ADA), "accepted", via="mail", note="", now=INVITED, sequence=0
        )
    for days in (1, 2, 3):
        now = INVITED + timedelta(days=days)
        with database.write() as session:
            assert remove(session, ADA, now) == 1
        assert house.work(now) == ["uninvited ada"]
        with database.write() as session:
            add(session, ADA, now + timedelta(hours=1))
        # The others have been invited, so she is at once.
        assert house.work(now + timedelta(hours=1)) == ["invitation ada"]
    mine = [sequence for _method, sequence, _ in calendars(house) if sequence != "0"]
    assert mine == ["1", "2", "3", "4", "5", "6"]
    assert len({message.message_id for message in house.wire.taken}) == len(house.wire.taken)
    with database.write() as session:
        ada = attendees.find(session, event, ADA)
        assert (ada.id, ada.reply, ada.removed_at, ada.sequence_ahead) == (row, "none", None, 6)
        assert events.find(session, "munich").sequence == 0
        # A reply to the entry that was cancelled comes too late, one to hers counts.
        late = attendees.set_reply(session, ada, "declined", via="mail", note="", now=LATER, sequence=4)
        assert not late.applied and late.why.startswith("stale")
        now = house.clock() + timedelta(hours=1)
        assert attendees.set_reply(session, ada, "accepted", via="mail", note="", now=now, sequence=6).applied
    # What is still to come of the campaign goes on, once; a change says it to both, each with a SEQUENCE of theirs.
    with database.write() as session:
        event = events.find(session, "munich")
        events.move(session, event, event.starts + timedelta(hours=1), None, house.clock())
    before = len(house.wire.taken)
    assert house.work() == ["update ada", "update bob"]
    assert [sequence for _, sequence, _ in calendars(house, before)] == ["7", "1"]
    assert [what for _day, what in house.run(utc("2023-10-03T00:00"))] == [
        "reminder-1 bob", "reminder-2 bob", "joining ada",
    ]  # fmt: skip


def test_a_return_before_the_cancel_has_gone_makes_it_needless(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA)
    house.run(INVITED)
    with database.write() as session:
        remove(session, ADA, LATER)
        add(session, ADA, LATER + timedelta(hours=1))
    assert house.work(LATER + timedelta(hours=1)) == ["invitation ada"]
    assert [what[:2] for what in calendars(house)] == [("REQUEST", "0"), ("REQUEST", "2")]


def test_an_import_puts_back_too_and_says_how_many(session: Session, tmp_path: Path) -> None:
    event = started(session, ADA, BOB)
    remove(session, ADA, STARTED)
    (tmp_path / "people.csv").write_text(f"email\n{ADA}\n{BOB}\n")
    file = read_people(tmp_path / "people.csv")
    assert import_people(session, file, LATER, event)["attendees"] == 1
    assert import_people(session, file, LATER, event)["attendees"] == 0
    assert guest_lists.counts(session, event.id or 0)["invited"] == 2
    keys = session.exec(select(Delivery.key).where(Delivery.step == "invitation", Delivery.state == "pending"))
    assert sorted(key.rpartition(":")[2] for key in keys) == ["0", "2"]


def test_who_is_invited_at_the_very_moment_is_told_by_the_tick(database: Database, settings: Settings) -> None:
    """The invitation is in DATA when its recipient is taken off; and a fence on PostgreSQL may have been quicker."""
    house = House(database, settings, now=INVITED)
    with database.write() as session:
        started(session, ADA)

    def off(message: object) -> None:
        house.wire.after = lambda message: None
        with database.write() as session:
            remove(session, ADA, INVITED)

    house.wire.after = off
    ids = house.tick()
    house.postroom.deliver(ids)
    assert house.work() == ["uninvited ada"]
    with database.write() as session:
        row = row_of(session, "uninvited")
        session.delete(row)
    with database.write() as session:
        assert campaign_changes.retell(session, INVITED) == 1
        assert campaign_changes.retell(session, INVITED) == 0


@pytest.mark.parametrize(
    ("first_gone", "went", "sequences"),
    [
        (True, ["uninvited ada", "cancellation bob"], ["1", "1"]),
        (False, ["cancellation ada", "cancellation bob"], ["2", "1"]),
    ],
)
def test_when_the_event_is_cancelled_too_each_is_told_once(
    database: Database, settings: Settings, first_gone: bool, went: list[str], sequences: list[str]
) -> None:
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA, BOB)
    house.run(INVITED)
    with database.write() as session:
        remove(session, ADA, house.clock())
    said = house.work() if first_gone else []
    with database.write() as session:
        events.cancel(session, events.find(session, "munich"), "strike", house.clock())
    assert said + house.work() == went
    assert [what[:2] for what in calendars(house, 2)] == [("CANCEL", n) for n in sequences]


@pytest.mark.parametrize("cancel_gone", [True, False])
def test_who_is_put_back_and_not_asked_yet_hears_of_a_cancellation_if_they_still_have_an_entry(
    database: Database, settings: Settings, cancel_gone: bool
) -> None:
    house = House(database, settings)
    with database.write() as session:
        started(session, ADA)
    house.run(INVITED)
    with database.write() as session:
        remove(session, ADA, LATER)
    went = house.work(LATER) if cancel_gone else []
    with database.write() as session:
        add(session, ADA, LATER + timedelta(hours=1))
        events.cancel(session, events.find(session, "munich"), "strike", LATER + timedelta(hours=1))
    went += house.work(LATER + timedelta(hours=1))
    assert went == (["uninvited ada"] if cancel_gone else ["cancellation ada"])


def test_nothing_counts_or_shows_who_is_off(session: Session) -> None:
    """Every way of reading attendees: before Ada is taken off she is in it, afterwards not; and Bob always is."""
    event = started(session, ADA, BOB, text=ASKING)
    ada = attendees.find(session, event, ADA)
    for email in (ADA, BOB):
        attendees.set_reply(
            session, attendees.find(session, event, email), "accepted", via="mail", note="", now=STARTED
        )
    asked = row_of(session, "thanks")
    asked.state, asked.sent_at = "sent", STARTED
    session.add(asked)
    surveys.submit(session, ada.id or 0, "thanks", {"useful": "5", "leads": "2"}, STARTED)
    same_time = make_event(session, "porto", organiser_email=ADA)
    feeds.create(session, "person", ADA, STARTED)
    programme = programmes.current(session)

    def seen() -> dict[str, object]:
        session.expire_all()
        facts = outcome_facts.gather(session, programme, LATER)
        booked = event_checks.verdict(session, same_time, STARTED)
        return {
            "counts": guest_lists.counts(session, event.id or 0),
            "list": [row["email"] for row in guest_lists.listing(session, event)],
            "event": events.as_json(session, event, STARTED)["attendees"]["invited"],
            "came": facts.came["munich"],
            "asked": facts.people.get(("munich", None)),
            "results": len(facts.results),
            "outcomes": len(outcomes.listing(session)),
            "responses": len(surveys.responses(session, event)),
            "answered": [wave["answered"] for wave in surveys.show(session, event)],
            "double-booked": any(one.code == "double-booked" for one in booked),
            "plan": campaigns.plan(session, event, short(), STARTED)["steps"][0]["pending"],
            "pending": sum(step["pending"] for step in campaigns.status(session, event)["steps"]),
            "feed": b"SUMMARY:Cyber resilience mission" in _feed(session, ada.person_id or 0),
        }

    before = seen()
    assert before == {
        "counts": {"invited": 2, "accepted": 2, "declined": 0, "tentative": 0, "none": 0},
        "list": [ADA, BOB], "event": 2, "came": (2, 0), "asked": Asked(1, 1), "results": 1, "outcomes": 1,
        "responses": 1, "answered": [1], "double-booked": True, "plan": 2, "pending": 9, "feed": True,
    }  # fmt: skip
    assert remove(session, ADA, STARTED, "a slip") == 1
    after = seen()
    assert after == {
        "counts": {"invited": 1, "accepted": 1, "declined": 0, "tentative": 0, "none": 0},
        "list": [BOB], "event": 1, "came": (1, 0), "asked": None, "results": 0, "outcomes": 0,
        "responses": 0, "answered": [0], "double-booked": False, "plan": 1, "pending": 6, "feed": False,
    }  # fmt: skip
    [off] = guest_lists.listing(session, event, removed=True)
    assert (off["email"], off["removed_at"], off["removal_reason"]) == (ADA, STARTED, "a slip")
    # Neither a change nor a cancellation is said to her, nor are there new moments for what she would have got.
    events.move(session, event, event.starts + timedelta(days=7), None, STARTED)
    events.cancel(session, event, "strike", STARTED)
    said = {step: state for step, state in states(session).items() if step.endswith("ada") and state != "sent"}
    assert said.pop("cancellation ada") == "pending"
    assert set(said.values()) == {"cancelled"} and "update ada" not in said
    with pytest.raises(NotFoundError):
        surveys.form(session, ada.id or 0, "thanks")
    # What is held on her is all hers to have, and to have erased.
    [place] = personal_data.export(session, ADA)["attendances"]
    assert (place["removal_reason"], place["removed_at"], place["sequence_ahead"]) == ("a slip", STARTED, 1)
    personal_data.erase(session, ADA, utc("2023-10-10T00:00"))
    session.expire_all()
    assert guest_lists.counts(session, event.id or 0)["invited"] == 1
    assert personal_data.mentions(session, "a slip", "") == []


def _feed(session: Session, person_id: int) -> bytes:
    return feed_contents.show(session, "person", str(person_id), STARTED).body


def test_replies_of_who_is_off_are_refused_and_on_record(session: Session) -> None:
    event = started(session, ADA)
    ada = attendees.find(session, event, ADA)
    remove(session, ADA, STARTED)
    with pytest.raises(ConflictError, match="they were taken off munich on 2023-06-01; replies of theirs no longer"):
        attendees.set_reply(session, ada, "accepted", via="link", note="", now=LATER)
    attendees.refused(session, ada, "accepted", "mail", "", "off", LATER)
    assert [reply.applied for reply in session.exec(select(AttendeeReply))] == [False]
    with pytest.raises(ConflictError, match=r"was taken off munich on 2023-06-01; `events attendee add munich ada@"):
        attendees.find(session, event, ADA)
    with pytest.raises(ConflictError, match="they were taken off munich"):
        attendees.check_in(session, ada, utc("2023-10-09T07:00"))


@pytest.mark.parametrize(
    ("state", "now", "why"),
    [
        ("approved", utc("2023-10-12T15:00"), "munich is over; its guest list stays as it is"),
        ("done", STARTED, "munich is done"),
        ("cancelled", STARTED, "munich is cancelled"),
    ],
)
def test_a_list_that_is_closed_stays(session: Session, state: str, now: datetime, why: str) -> None:
    event = started(session, ADA)
    event.state = state
    with pytest.raises(ConflictError, match=why):
        remove(session, ADA, now)


def test_who_has_checked_in_stays_and_a_reason_must_be_text(session: Session) -> None:
    event = started(session, ADA, BOB)
    attendees.check_in(session, attendees.find(session, event, ADA), utc("2023-10-09T07:00"))
    with pytest.raises(ConflictError, match="they have checked in at munich"):
        remove(session, ADA, utc("2023-10-09T08:00"))
    for reason in ("x" * 2001, "a\0b"):
        with pytest.raises(InputError, match="the reason is too long, or holds a control character"):
            remove(session, BOB, STARTED, reason)
