"""What an organiser says to a proposal, and the mails that follow, as their readers get them."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from icalendar import Calendar
from sqlmodel import select

from events_service import attendees, events, intake, proposal_answers, proposals
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, Delivery, Event, Person, Proposal
from events_service.errors import ConflictError, NotFoundError, RefusedError, TransientMailError
from events_service.letters import reply_address
from events_service.mail.wire import Outgoing
from tests.attendance import ENDS, STARTS
from tests.ledger import STARTED, House, given, invite, row_of
from tests.test_calendar_mail import DELEGATED, counter, refresh
from tests.test_intake import ADA, calendar, mail

BOB = "bob@example.org"
WEEK, HOUR = timedelta(days=7), timedelta(hours=1)


@pytest.fixture
def house(emptied: Database, settings: Settings) -> House:
    """Ada and Bob have a place on the mission to Munich; Bob has accepted it."""
    with emptied.write() as session:
        event = given(session, ADA)
        invite(session, event, BOB, reply="accepted")
    return House(emptied, settings)


def arrives(house: House, body: str, number: int = 1) -> int:
    """A calendar mail of Ada's comes in; the number of the newest proposal, 0 where there is none."""
    with house.database.write() as session:
        ada = session.exec(select(Attendee).join(Person).where(Person.email == ADA)).one()
        message = mail(reply_address(house.settings, ada.id or 0), body, number=number)
        taken = intake.take(session, message, house.settings, house.clock())
        assert taken.applied, taken.why
        return max((row.id or 0 for row in session.exec(select(Proposal))), default=0)


MADE = {"made": "20230601T085900Z"}


def said(house: House, recipient: str) -> tuple[EmailMessage, Calendar, bytes]:
    """The last message to an address: as mail, and its calendar."""
    [*_, last] = [message for message in house.wire.taken if message.recipient == recipient]
    read = message_from_bytes(last.data, policy=policy.default)
    (part,) = [part for part in read.walk() if part.get_content_type() == "text/calendar"]
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    calendar = Calendar.from_ical(content)
    assert isinstance(calendar, Calendar)
    assert part.get_param("method") == calendar["METHOD"]
    return read, calendar, content


def test_yes_moves_the_event_and_everybody_gets_the_new_times(house: House) -> None:
    number = arrives(house, counter(**MADE))
    with house.database.write() as session:
        proposal, done = proposal_answers.accept(session, number, house.clock())
        assert (proposal.state, proposal.reason, done.deliveries) == ("accepted", "an organiser accepted it", 2)
        event = events.find(session, "munich")
        assert (event.starts, event.ends, event.sequence) == (STARTS + WEEK, ENDS + WEEK, 1)
        with pytest.raises(ConflictError, match=f"proposal {number} is accepted already: an organiser accepted it"):
            proposal_answers.accept(session, number, house.clock())
    assert sorted(house.work()) == ["update ada", "update bob"]
    _, calendar, _ = said(house, ADA)
    (shown,) = calendar.walk("VEVENT")
    assert (calendar["METHOD"], shown["SEQUENCE"], shown["DTSTART"].dt) == ("REQUEST", 1, STARTS + WEEK)


def test_whoever_declined_and_proposed_is_told_as_well(house: House) -> None:
    with house.database.write() as session:
        ada = attendees.find(session, events.find(session, "munich"), ADA)
        attendees.set_reply(session, ada, "declined", via="link", note="", now=house.clock())
    house.work()
    number = arrives(house, counter(**MADE))
    with house.database.write() as session:
        proposal_answers.accept(session, number, house.clock())
    assert "update ada" in house.work()


def test_a_proposal_that_the_programme_does_not_allow_is_refused_and_stays_open(house: House) -> None:
    early = counter(times=("DTSTART:20230301T090000Z", "DTEND:20230302T090000Z"), **MADE)
    number = arrives(house, early)
    with pytest.raises(RefusedError) as refused, house.database.write() as session:
        proposal_answers.accept(session, number, house.clock())
    assert [one.code for one in refused.value.violations if one.severity == "error"] == ["outside-window"]
    with house.database.write() as session:
        assert (proposals.find(session, number).state, events.find(session, "munich").sequence) == ("open", 0)
        done = proposal_answers.accept(session, number, house.clock(), ["outside-window"], "the host cannot else")
        assert done[0].state == "accepted"


def test_no_is_told_once_with_the_reason_in_mail_and_calendar(house: House) -> None:
    number = arrives(house, counter(**MADE))
    with house.database.write() as session:
        assert (
            proposal_answers.decline(session, number, "The range is taken then, sorry", house.clock()).state
            == "declined"
        )
        with pytest.raises(ConflictError, match="is declined already: The range is taken then"):
            proposal_answers.decline(session, number, "", house.clock())
    with house.database.read() as session:
        row = row_of(session, "decline-counter")
        assert row.key == f"decline-counter:{row.event_id}:-:{row.person_id}:{number}"
        assert (row.mandatory, row.unknown_policy, row.expires_at) == (True, "hold", ENDS)
        uid = session.get_one(Event, row.event_id).uid
    assert house.work() == ["decline-counter ada"]
    assert house.work(house.clock() + HOUR) == []
    read, calendar, _ = said(house, ADA)
    assert read["Subject"] == "It stays as it is: Cyber resilience mission to Munich, 9 October 2023"
    text = read.get_body(("plain",))
    assert text is not None
    assert "You proposed: Monday 16 October, 09:00 to Thursday 19 October 2023" in text.get_content()
    assert "Why: The range is taken then, sorry" in text.get_content()
    assert (read["List-Unsubscribe"], read["List-Id"]) == (None, None)
    (shown,) = calendar.walk("VEVENT")
    assert calendar["METHOD"] == "DECLINECOUNTER"
    assert {name: str(shown[name]) for name in ("UID", "SEQUENCE", "COMMENT", "ATTENDEE", "ORGANIZER")} == {
        "UID": uid,
        "SEQUENCE": "0",
        "COMMENT": "The range is taken then, sorry",
        "ATTENDEE": f"mailto:{ADA}",
        "ORGANIZER": f"mailto:{read['Reply-To']}",
    }
    assert shown["DTSTAMP"].dt == STARTED


def test_no_without_a_reason_gives_none(house: House) -> None:
    number = arrives(house, counter(**MADE))
    with house.database.write() as session:
        proposal_answers.decline(session, number, " ", house.clock())
    house.work()
    read, calendar, _ = said(house, ADA)
    assert "COMMENT" not in calendar.walk("VEVENT")[0]
    assert "Why" not in str(read.get_body(("plain",)))


def test_a_no_whose_fate_nobody_knows_waits_for_a_person(house: House) -> None:
    number = arrives(house, counter(**MADE))
    with house.database.write() as session:
        proposal_answers.decline(session, number, "", house.clock())

    def breaks(message: Outgoing) -> None:
        raise ConnectionResetError

    house.wire.after = breaks
    with pytest.raises(ConnectionResetError):
        house.work()
    with house.database.read() as session:
        assert row_of(session, "decline-counter").state == "sending"


def test_a_move_after_a_no_is_all_that_is_told(house: House) -> None:
    number = arrives(house, counter(**MADE))
    with house.database.write() as session:
        proposal_answers.decline(session, number, "", house.clock())

    def once(message: Outgoing) -> None:
        raise TransientMailError("450 later", 450)

    house.wire.before = once
    house.work()
    house.wire.before = lambda message: None
    with house.database.write() as session:
        events.move(session, events.find(session, "munich"), STARTS + WEEK, None, house.clock())
    house.work(house.clock() + HOUR)
    with house.database.read() as session:
        row = row_of(session, "decline-counter")
        assert (row.state, row.last_error) == ("cancelled", "a later change replaced it")


def test_a_delegate_takes_a_place_in_the_same_role_and_the_attendees_own_is_declined(house: House) -> None:
    delegated = DELEGATED.replace("Bob@", "eve@")
    number = arrives(house, calendar(delegated, **MADE))
    with house.database.write() as session:
        ada = attendees.find(session, events.find(session, "munich"), ADA)
        ada.role = "speaker"
        _, done = proposal_answers.accept(session, number, house.clock())
        assert done.notes == ("eve@example.org is on munich as speaker",)
    with house.database.read() as session:
        event = events.find(session, "munich")
        eve, ada = (attendees.find(session, event, email) for email in ("eve@example.org", ADA))
        assert (eve.role, eve.reply) == ("speaker", "none")
        assert (ada.reply, ada.reply_via, ada.reply_note) == ("declined", "organiser", "Delegated.")
        row = proposals.find(session, number)
        assert (row.state, row.delegate) == ("accepted", "")


def test_nobody_is_told_of_a_delegate_that_is_declined(house: House) -> None:
    number = arrives(house, calendar(DELEGATED, **MADE))
    with house.database.write() as session:
        proposal_answers.decline(session, number, "one place only", house.clock())
        assert session.exec(select(Delivery)).all() == []
        with pytest.raises(NotFoundError, match="no proposal '999999'; `events proposal list` shows those there are"):
            proposal_answers.decline(session, 999999, "", house.clock())


@pytest.mark.parametrize(
    ("reply", "partstat"), [("", "NEEDS-ACTION"), ("accepted", "ACCEPTED"), ("declined", "DECLINED")]
)
def test_a_refresh_brings_the_present_object_with_their_answer(house: House, reply: str, partstat: str) -> None:
    with house.database.write() as session:
        event = events.find(session, "munich")
        if reply:
            attendees.set_reply(session, attendees.find(session, event, ADA), reply, via="mail", note="", now=STARTED)
        event.sequence = 4
    arrives(house, refresh())
    assert house.work() == ["refresh ada"]
    read, calendar, _ = said(house, ADA)
    (shown,) = calendar.walk("VEVENT")
    assert (calendar["METHOD"], shown["SEQUENCE"], shown["DTSTART"].dt) == ("REQUEST", 4, STARTS)
    assert shown["ATTENDEE"].params["PARTSTAT"] == partstat
    assert read["Subject"] == "For your calendar: Cyber resilience mission to Munich, 9 October 2023"


def test_a_refresh_of_what_was_cancelled_brings_the_cancellation(house: House) -> None:
    with house.database.write() as session:
        events.cancel(session, events.find(session, "munich"), "the host withdrew", house.clock())
    house.work()
    arrives(house, refresh())
    assert house.work() == ["refresh ada"]
    read, calendar, _ = said(house, ADA)
    assert (calendar["METHOD"], calendar.walk("VEVENT")[0]["STATUS"]) == ("CANCEL", "CANCELLED")
    assert read["Subject"].startswith("Cancelled: ")
