from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, SQLModel, col, select

from events_service import (
    attendees,
    campaigns,
    events,
    feeds,
    guest_lists,
    itineraries,
    people,
    personal_data,
    surveys,
)
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import (
    Attendee,
    AttendeeReply,
    AttendeeSession,
    Delivery,
    Intake,
    Outcome,
    Person,
    Proposal,
    Suppression,
    SurveyAnswer,
)
from events_service.db.types import UTCDateTime
from events_service.errors import NotFoundError
from tests.attendance import ENDS, STARTS, make_attendee, make_campaign, make_delivery, make_event, make_person
from tests.delegates import agenda
from tests.ledger import INVITED, House, invite, started

EMAIL = "zoe.marker@example.org"
NAME = "Zoë Markerperson"
TRACES = (EMAIL, "zoe.marker", NAME, "Markerperson", "peanut-allergy", "my-own-words")
BEFORE = STARTS - timedelta(days=30)
AFTER = ENDS + timedelta(days=20)


@pytest.fixture
def past(database: Database) -> Database:
    """A database in which Zoë, and Bob beside her, left a trace wherever people leave one; the mission is over."""
    with database.write() as session:
        next_year = ENDS + timedelta(days=300)
        mission, to_come = make_event(session), make_event(session, "next-year", starts=next_year, ends=next_year)
        zoe = make_person(session, EMAIL, name=NAME, organisation="Markerperson Ltd", source="Markerperson's list")
        make_attendee(session, mission, "bob@example.org", reply="accepted", reply_note="bob's note")
        place = attendees.add(session, mission, zoe, "speaker", BEFORE)
        attendees.add(session, to_come, zoe, None, BEFORE)
        attendees.set_reply(session, place, "accepted", via="mail", note="I have a peanut-allergy", now=BEFORE)
        attendees.check_in(session, place, STARTS)
        agenda(session, mission)
        itineraries.choose(session, mission, place, [4], [], BEFORE)
        step = make_campaign(session, mission, {"after": "mission"})["after"]
        make_delivery(session, place, step, fields={"name": NAME}, last_error=f"450 <{EMAIL}> busy")
        make_delivery(session, place, step, key="a", message_id="a", state="pending", sent_at=None)
        make_delivery(session, place, step, key="b", message_id="b", state="unknown", unknown_policy="resend")
        alone = make_delivery(session, place, step, key="c", message_id="c", address=EMAIL.upper())
        alone.person_id = alone.attendee_id = None
        response = surveys.submit(session, place.id or 0, "after", ANSWERS, AFTER)
        assert response.id
        session.add(SurveyAnswer(response_id=response.id, question="dropped", text="my-own-words, of another form"))
        session.add(SurveyAnswer(response_id=response.id, question="counted", number=Decimal(7)))
        session.add(outcome(mission.id, response.id, note="my-own-words became a note"))
        session.add(
            Intake(
                digest="d", kind="reply", applied=False, why=f"from {EMAIL}", attendee_id=place.id, received_at=AFTER
            )
        )
        times = {"was_starts": STARTS, "was_ends": ENDS, "received_at": BEFORE}
        session.add(Proposal(attendee_id=place.id or 0, kind="time", starts=ENDS, comment="my-own-words", **times))
        beside = attendees.find(session, mission, "bob@example.org")
        session.add(Proposal(attendee_id=beside.id or 0, kind="delegate", delegate=EMAIL, **times))
        feeds.create(session, "person", EMAIL, BEFORE)
        people.suppress(session, zoe.email_hash, "bounced", BEFORE)
        people.unsuppress(session, EMAIL, f"{NAME} asked", BEFORE)
        people.unsubscribe(session, zoe.id or 0, AFTER)
    return database


ANSWERS = {
    "useful": "4",
    "contacts": "12",
    "agreement": "signed",
    "agreement-with": "my-own-words GmbH",
    "better": "my-own-words",
}


def outcome(event_id: int | None, response_id: int, note: str) -> Outcome:
    values: dict[str, Any] = {"kind": "funding", "value": Decimal(5000), "currency": "GBP", "source": "survey"}
    return Outcome(
        event_id=event_id or 0, response_id=response_id, question="x", note=note, recorded_at=AFTER, **values
    )


def dump(session: Session) -> str:
    """Every value of every table as text, as the database gives it."""
    lines = []
    for table in SQLModel.metadata.sorted_tables:
        for row in session.connection().exec_driver_sql(f'SELECT * FROM "{table.name}"'):
            for value in row:
                text = bytes(value).decode("utf-8", "replace") if isinstance(value, bytes | memoryview) else str(value)
                lines.append(f"{table.name}: {text}")
                unescaped = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)
                lines.append(f"{table.name}: {unescaped}")
    return "\n".join(lines)


def found_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if any(trace.lower() in line.lower() for trace in TRACES)]


def test_erasing_leaves_no_trace_in_any_table(past: Database) -> None:
    with past.read() as session:
        tables = {line.partition(":")[0] for line in found_in(dump(session))}
        assert tables >= {"person", "attendee", "attendee_reply", "delivery", "survey_answer", "outcome", "intake"}
        assert tables >= {"suppression", "proposal"}
    with past.write() as session:
        assert personal_data.names(session, EMAIL.title()) == (EMAIL, NAME)
        done = personal_data.erase(session, EMAIL.title(), AFTER)
    assert done == {
        "email": EMAIL,
        "erased": {
            "feeds": 1,
            "deliveries": 4,
            "replies": 2,
            "sessions": 1,
            "proposals": 2,
            "answers": 3,
            "attendances": 2,
            "suppressions": 1,
        },
    }
    with past.read() as session:
        assert personal_data.mentions(session, EMAIL, NAME) == []
        assert found_in(dump(session)) == []
        assert session.exec(select(AttendeeSession)).all() == []
        with pytest.raises(NotFoundError):
            people.find(session, EMAIL)


def test_what_only_counts_stays(past: Database) -> None:
    with past.read() as session:
        (mission,) = {place.event_id for place in session.exec(select(Attendee)) if place.attended}
        before = guest_lists.counts(session, mission)
    with past.write() as session:
        personal_data.erase(session, EMAIL, AFTER)
    with past.read() as session:
        assert guest_lists.counts(session, mission) == before
        (place,) = session.exec(select(Attendee).where(col(Attendee.person_id).is_(None))).all()
        assert (place.event_id, place.role, place.reply, place.attended) == (mission, "speaker", "accepted", True)
        numbers = {answer.question: answer.number for answer in session.exec(select(SurveyAnswer))}
        assert set(numbers) == {"useful", "contacts", "agreement", "counted"}
        assert numbers["counted"] == 7
        (result,) = session.exec(select(Outcome).where(Outcome.kind == "funding")).all()
        assert (result.value, result.note) == (Decimal(5000), "")
        states = [delivery.state for delivery in session.exec(select(Delivery).order_by(col(Delivery.id)))]
        assert states == ["sent", "cancelled", "unknown", "sent"]
        assert {delivery.unknown_policy for delivery in session.exec(select(Delivery))} == {"hold"}
        assert [row.reason for row in session.exec(select(Suppression))] == ["unsubscribed"]
        assert [person.email for person in session.exec(select(Person))] == ["bob@example.org"]
        assert [reply.note for reply in session.exec(select(AttendeeReply))] == []
        (bob,) = session.exec(select(Attendee).where(col(Attendee.person_id).is_not(None))).all()
        assert bob.reply_note == "bob's note"


def test_a_place_at_an_event_to_come_is_freed(database: Database) -> None:
    with database.write() as session:
        event = make_event(session)
        place = make_attendee(session, event, EMAIL, reply="accepted")
        step = make_campaign(session, event, {"after": "mission"})["after"]
        make_delivery(session, place, step, state="pending", sent_at=None)
        personal_data.erase(session, EMAIL, BEFORE)
    with database.read() as session:
        assert session.exec(select(Attendee)).all() == []
        (delivery,) = session.exec(select(Delivery)).all()
        assert (delivery.state, delivery.address, delivery.attendee_id) == ("cancelled", None, None)


def test_what_an_organiser_wrote_is_pointed_out(past: Database) -> None:
    with past.write() as session:
        (mission,) = {place.event_id for place in session.exec(select(Attendee)) if place.attended}
        own = Outcome(event_id=mission, kind="contact", note=f"{NAME.upper()} met the mayor", recorded_at=AFTER)
        session.add(own)
        session.flush()
        before = personal_data.mentions(session, EMAIL, NAME)
        personal_data.erase(session, EMAIL, AFTER)
        assert personal_data.mentions(session, EMAIL, NAME) == [{"table": "outcome", "id": own.id}]
        # What would still name them: only where something names them now.
        assert {one["table"] for one in before} > {"outcome", "person", "delivery"}
        assert personal_data.mentions(session, EMAIL, NAME, among=before) == [{"table": "outcome", "id": own.id}]


# Hashes and random tokens of ours.
NOT_WORDS = ("email_hash", "token_sha256", "lease_token")


def one_row_each(session: Session) -> None:
    """A row in every table, with a value of no meaning wherever one must be."""
    made: dict[sa.Column[Any], Any] = {}
    for table in SQLModel.metadata.sorted_tables:
        values: dict[str, Any] = {}
        for column in table.columns:
            reference = next(iter(column.foreign_keys), None)
            if reference is not None:
                values[column.name] = made.get(reference.column)
            elif not column.nullable and column is not table.autoincrement_column:
                values[column.name] = _meaningless(column)
        done = session.connection().execute(sa.insert(table).values(values))
        keys = done.inserted_primary_key or ()
        made |= dict(zip(table.primary_key.columns, keys, strict=True))


def _meaningless(column: sa.Column[Any]) -> Any:
    kinds: dict[type, Any] = {
        UTCDateTime: BEFORE, sa.JSON: [], sa.LargeBinary: b"", sa.Boolean: False, sa.Date: BEFORE.date(),
        sa.Time: BEFORE.time(),
    }  # fmt: skip
    if isinstance(column.type, sa.Integer | sa.Float):
        return 1
    return kinds.get(type(column.type), "x")


def test_every_column_that_holds_words_is_looked_at(rolled_back: Session) -> None:
    one_row_each(rolled_back)
    dialect = rolled_back.get_bind().dialect
    columns = {
        table.name: [
            column
            for column in table.columns
            if column.type.compile(dialect) in ("VARCHAR", "TEXT", "JSON")
            and column.name not in NOT_WORDS
            and not column.foreign_keys
        ]
        for table in SQLModel.metadata.sorted_tables
    }
    assert {"title", "cancel_reason", "themes"} <= {column.name for column in columns["event"]}
    # The first such column of every table at once, then the second of all that have one.
    for number in range(max(map(len, columns.values()))):
        turn = [own[number] for own in columns.values() if number < len(own)]
        text = (f"from {EMAIL.upper()} again", f"{NAME.upper()}!", f"Of {NAME}.")[number % 3]
        with rolled_back.begin_nested() as savepoint:
            for column in turn:
                value: Any = {"k": [text]} if isinstance(column.type, sa.JSON) else text
                rolled_back.connection().execute(sa.update(column.table).values({column.name: value}))
            found = personal_data.mentions(rolled_back, EMAIL, NAME)
            savepoint.rollback()
        tables = {one["table"] for one in found}
        assert [str(column) for column in turn if column.table.name not in tables] == []
        assert len(found) == len(turn)


def test_nothing_is_left_in_the_file_either(sqlite_database: Database, tmp_path: Path) -> None:
    with sqlite_database.write() as session:
        make_attendee(session, make_event(session), EMAIL, reply_note="a peanut-allergy")
    personal_data.scrub(sqlite_database)
    path = Path(str(sqlite_database.url.database))
    assert EMAIL.encode() in path.read_bytes()
    with sqlite_database.write() as session:
        personal_data.erase(session, EMAIL, AFTER)
    personal_data.scrub(sqlite_database)
    for part in tmp_path.glob(f"{path.name}*"):
        body = part.read_bytes()
        assert not [
            trace for trace in (EMAIL, "peanut-allergy", EMAIL.split("@")[0].title()) if trace.encode() in body
        ], part


def test_export_holds_everything(past: Database) -> None:
    with past.read() as session:
        document = personal_data.export(session, EMAIL)
        bob = personal_data.export(session, "bob@example.org")
    assert document["person"]["name"] == NAME
    assert document["person"]["suppressed"] == ["unsubscribed"]
    assert [(place["event"], place["role"], place["reply"]) for place in document["attendances"]] == [
        ("munich", "speaker", "accepted"),
        ("next-year", "delegate", "none"),
    ]
    assert [(reply["event"], reply["session"], reply["note"]) for reply in document["replies"]] == [
        ("munich", None, "I have a peanut-allergy"),
        ("munich", "A day in the Alps", ""),
    ]
    (chosen,) = document["sessions"]
    assert (chosen["event"], chosen["session"], chosen["attends"]) == ("munich", "A day in the Alps", True)
    assert [delivery["state"] for delivery in document["deliveries"]] == ["sent", "pending", "unknown", "sent"]
    assert {answer["question"] for answer in document["answers"]} >= {"dropped", "counted"}
    assert [found["note"] for found in document["outcomes"] if found["kind"] == "funding"] == [
        "my-own-words became a note"
    ]
    assert [found["why"] for found in document["mail_received"]] == [f"from {EMAIL}"]
    assert [found["kind"] for found in document["feeds"]] == ["person"]
    assert {found["reason"] for found in document["suppressions"]} == {"bounced", "unsubscribed"}
    assert "token_sha256" not in document["feeds"][0]
    assert found_in(str(bob)) == []


def test_whoever_comes_after_an_erasure_is_nobody_who_was_there(database: Database, settings: Settings) -> None:
    """Keys and links are made of numbers: who comes next is invited, and no old link is theirs."""
    house = House(database, settings, INVITED)
    places: list[Attendee] = []
    for name in ("gus", "hal"):
        with database.write() as session:
            if not places:
                started(session)
            places.append(invite(session, events.find(session, "munich"), f"{name}@example.org"))
            campaigns.attendee_added(session, places[-1], INVITED)
        assert f"invitation {name}" in house.work()
        if name == "gus":
            with database.write() as session:
                personal_data.erase(session, "gus@example.org", INVITED)
    gus, hal = places
    assert gus.id != hal.id and gus.person_id != hal.person_id
