"""What calendar programs send besides replies: other times, delegates, a wish for the object; and how far it goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from sqlmodel import Session, col, select

from events_service import (
    attendee_history,
    attendees,
    event_history,
    event_moves,
    events,
    intake,
    personal_data,
    proposals,
)
from events_service.calendar_answers import REFRESHES_A_DAY
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, Delivery, Event, Proposal
from tests import planned
from tests.attendance import ENDS, STARTS
from tests.calendars import outlook
from tests.test_intake import ADA, T, calendar, invited, mail, result

WEEK, MINUTE = timedelta(days=7), timedelta(minutes=1)
LATER = ("DTSTART;TZID=W. Europe Standard Time:20231016T090000", "DTEND;TZID=W. Europe Standard Time:20231019T170000")


def counter(*lines: str, times: tuple[str, ...] = LATER, **words: object) -> str:
    """A COUNTER as Outlook sends it: its own times first, then what the test adds."""
    plain = calendar("TENTATIVE", method="COUNTER", **words)  # type: ignore[arg-type]
    return plain.replace("DTSTART:20231009T070000Z", "\r\n".join([*times, *lines]))


def rows(session: Session) -> list[tuple[str, str, str]]:
    """Kind, state and reason of every proposal."""
    session.expire_all()
    return [(row.kind, row.state, row.reason) for row in session.exec(select(Proposal).order_by(col(Proposal.id)))]


def test_other_times_go_to_the_organisers_list_and_are_no_reply(database: Database, settings: Settings) -> None:
    with database.write() as session:
        attendee, address = invited(session, settings)
        taken = intake.take(session, mail(address, counter("COMMENT:A week later?")), settings, T)
        assert result(taken) == (
            "proposal",
            True,
            "proposal 1: 2023-10-16T09:00:00+02:00 to 2023-10-19T17:00:00+02:00; an organiser decides",
        )
        assert (attendee.reply, attendee.reply_dtstamp) == ("none", None)
        event = session.get_one(Event, attendee.event_id)
        (one,) = proposals.listing(session, event, "open")
        assert (one["n"], one["email"], one["kind"], one["comment"]) == (1, ADA, "time", "A week later?")
        assert (one["starts"], one["ends"]) == ("2023-10-16T09:00:00+02:00", "2023-10-19T17:00:00+02:00")
        assert one["instead_of"] == ["2023-10-09T09:00:00+02:00", "2023-10-12T17:00:00+02:00"]
        assert [(row["reply"], row["applied"]) for row in attendee_history.listing(session, attendee)] == [
            ("counter", False)
        ]


def test_a_later_proposal_replaces_an_open_one_and_an_older_one_does_not(
    sqlite_database: Database, settings: Settings
) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings)
        for number, made in enumerate(("20230901T095900Z", "20230901T095959Z", "20230901T095930Z")):
            intake.take(session, mail(address, counter(made=made), number=number), settings, T)
        assert rows(session) == [
            ("time", "withdrawn", "a later proposal replaced it"),
            ("time", "open", ""),
            ("time", "declined", "stale: made at 2023-09-01T09:59:30Z, the one before at 2023-09-01T09:59:59Z"),
        ]


def test_a_proposal_of_an_earlier_revision_is_kept_and_not_open(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings, sequence=2)
        taken = intake.take(session, mail(address, counter(sequence=1)), settings, T)
        assert result(taken) == (
            "proposal",
            False,
            "stale: it answers revision 1 of the event, which is at 2",
        )
        assert rows(session) == [("time", "declined", taken.why)]


@pytest.mark.parametrize(
    ("times", "why"),
    [
        (("DTSTART:soon",), "it proposes no time that can be read"),
        (
            ("DTSTART:20231016T090000Z", "DTEND:20231016T080000Z"),
            "it proposes an end that does not come after the start",
        ),
        (("DTSTART:20231009T070000Z", "DTEND:20231012T150000Z"), "it proposes the times that the event has"),
        (("DTSTART:20231009T070000Z",), "it proposes the times that the event has"),
    ],
)
def test_what_proposes_nothing_is_on_record(
    sqlite_database: Database, settings: Settings, times: tuple[str, ...], why: str
) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        assert result(intake.take(session, mail(address, counter(times=times)), settings, T)) == (
            "proposal",
            False,
            why,
        )
        assert rows(session) == []
        assert [row["why"] for row in attendee_history.listing(session, attendee)] == [why]


def test_a_proposal_may_name_no_end_a_duration_or_the_guest_list(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings)
        short = ("DTSTART:20231016T070000Z", "DURATION:P1DT2H30M")
        intake.take(session, mail(address, counter(times=short), number=1), settings, T)
        bare = counter("ATTENDEE;PARTSTAT=ACCEPTED:mailto:bob@example.org", times=("DTSTART:20231017T070000Z",))
        intake.take(session, mail(address, bare, number=2), settings, T)
        nobody = counter(made="20230901T095959Z").replace("ATTENDEE;PARTSTAT=TENTATIVE:mailto:ada@example.org", "X-A:1")
        intake.take(session, mail(address, nobody, number=3), settings, T)
        found = [(row.starts, row.ends) for row in session.exec(select(Proposal).order_by(col(Proposal.id)))]
        start = datetime(2023, 10, 16, 7, tzinfo=UTC)
        assert found == [
            (start, start + timedelta(days=1, hours=2, minutes=30)),
            (start + timedelta(days=1), None),
            (STARTS + WEEK, ENDS + WEEK),
        ]


@pytest.mark.parametrize(
    ("words", "sender", "why"),
    [
        ({}, "mallory@example.net", "its sender is not its ATTENDEE"),
        ({"attendee": "bob@example.org"}, ADA, "its ATTENDEE is not whom this address was given to"),
        ({"uid": "porto@example.org"}, ADA, "its UID is not that of the event"),
    ],
)
def test_nobody_proposes_for_somebody_else(
    sqlite_database: Database, settings: Settings, words: dict[str, str], sender: str, why: str
) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings)
        for number, method in enumerate(("COUNTER", "REFRESH")):
            body = counter(**words).replace("METHOD:COUNTER", f"METHOD:{method}")
            taken = intake.take(session, mail(address, body, sender=sender, number=number), settings, T)
            assert not taken.applied
            assert taken.why.startswith(why)
        assert rows(session) == []
        assert session.exec(select(Delivery)).all() == []


@pytest.mark.parametrize(
    ("fields", "now", "why"),
    [
        ({"state": "cancelled"}, T, "munich was cancelled; replies to it no longer count"),
        ({}, ENDS + MINUTE, "munich ended on 2023-10-12; replies to it no longer count"),
    ],
)
def test_a_proposal_for_an_event_that_has_closed_is_kept_with_the_reason(
    sqlite_database: Database, settings: Settings, fields: dict[str, object], now: datetime, why: str
) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings, **fields)
        assert result(intake.take(session, mail(address, counter()), settings, now)) == ("proposal", False, why)
        assert rows(session) == [("time", "declined", why)]


def test_what_answers_a_proposal_settles_it(database: Database, settings: Settings) -> None:
    with database.write() as session:
        planned.load(session)
        attendee, address = invited(session, settings, state="draft")
        event = session.get_one(Event, attendee.event_id)

        def propose(number: int) -> None:
            body = counter(made=f"202309010959{number:02}Z", sequence=event.sequence)
            assert intake.take(session, mail(address, body, number=number), settings, T).applied

        # A place that changes answers nothing of when; other times do.
        propose(1)
        event_history.note_change(session, event, "changed", T, anew=True)
        assert rows(session)[-1][1] == "open"
        event_moves.move(session, event, STARTS + 2 * WEEK, None, T)
        assert rows(session)[-1] == ("time", "declined", "the event moved to other times")
        propose(2)
        event_moves.move(session, event, STARTS + WEEK, ENDS + WEEK, T)
        assert rows(session)[-1] == ("time", "accepted", "the event moved to these times")
        event_moves.move(session, event, STARTS, ENDS, T)
        propose(3)
        assert attendees.set_reply(session, attendee, "accepted", via="link", note="", now=T + MINUTE).applied
        assert rows(session)[-1] == ("time", "withdrawn", "they accepted the event as it is")
        intake.take(session, mail(address, counter(made="20230901T100200Z", sequence=9), number=4), settings, T + WEEK)
        events.cancel(session, event, "the host withdrew", T + WEEK)
        assert rows(session)[-1] == ("time", "declined", "the event was cancelled")


def test_an_event_that_is_over_answers_what_was_open(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings)
        intake.take(session, mail(address, counter()), settings, T)
        assert events.finish_past(session, ENDS) == 1
        assert rows(session) == [("time", "declined", "the event is over")]


DELEGATED = 'DELEGATED;DELEGATED-TO="mailto:Bob@Example.org"'


def test_a_delegation_is_tentative_and_the_delegate_waits_for_an_organiser(
    database: Database, settings: Settings
) -> None:
    with database.write() as session:
        attendee, address = invited(session, settings)
        taken = intake.take(session, mail(address, calendar(DELEGATED, extra="COMMENT:I am away")), settings, T)
        assert result(taken) == (
            "reply",
            True,
            "now tentative; proposal 1: delegated, which an organiser decides",
        )
        assert taken.said == "delegated"
        assert (attendee.reply, attendee.reply_note) == ("tentative", "Delegated.\nI am away")
        (row,) = session.exec(select(Proposal)).all()
        assert (row.kind, row.delegate, row.state) == ("delegate", "bob@example.org", "open")
        assert [place.id for place in session.exec(select(Attendee))] == [attendee.id]
        # Whoever comes themselves after all delegates nobody.
        back = calendar("ACCEPTED", made="20230901T095930Z")
        assert intake.take(session, mail(address, back, number=2), settings, T).applied
        session.refresh(row)
        assert (row.state, row.delegate) == ("withdrawn", "")


def test_a_delegation_that_is_late_or_names_nobody_puts_nobody_on_the_list(
    sqlite_database: Database, settings: Settings
) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        assert attendees.set_reply(session, attendee, "accepted", via="link", note="", now=T).applied
        stale = intake.take(session, mail(address, calendar(DELEGATED)), settings, T + MINUTE)
        assert not stale.applied
        assert stale.why.startswith("stale: made at 2023-09-01T09:59:00Z")
        body = calendar("DELEGATED", made="20230901T100030Z")
        bare = intake.take(session, mail(address, body, number=2), settings, T + MINUTE)
        assert result(bare) == ("reply", True, "now tentative; delegated to nobody that it names")
        assert rows(session) == []


def asked(session: Session) -> list[Delivery]:
    return list(session.exec(select(Delivery).where(Delivery.step == "refresh").order_by(col(Delivery.id))))


def refresh(number: int = 1) -> str:
    return calendar("ACCEPTED", method="REFRESH", made=f"202309010959{number:02}Z")


def test_a_refresh_has_the_object_sent_once_for_each_mail_and_few_times_a_day(
    database: Database, settings: Settings
) -> None:
    with database.write() as session:
        attendee, address = invited(session, settings, sequence=3)
        first = mail(address, refresh())
        assert result(intake.take(session, first, settings, T)) == (
            "refresh",
            True,
            "the present object goes to them once more",
        )
        assert result(intake.take(session, first, settings, T)) == ("refresh", False, "the same mail was taken before")
        (row,) = asked(session)
        assert (row.purpose, row.state, row.mandatory, row.sequence) == ("refresh", "pending", True, 3)
        assert row.key == f"refresh:{attendee.event_id}:-:{attendee.person_id}:1"
        for number in range(2, 10):
            taken = intake.take(session, mail(address, refresh(number), number=number), settings, T)
        assert (taken.applied, taken.why) == (False, "they were sent it 5 times within a day")
        assert len(asked(session)) == REFRESHES_A_DAY
        again = mail(address, refresh(10), number=10)
        assert intake.take(session, again, settings, T + timedelta(days=1, seconds=1)).applied
        assert attendee.reply == "none"


def test_a_refresh_that_a_program_sent_by_itself_is_not_answered(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings)
        for number, headers in enumerate(({"Auto_Submitted": "auto-generated"}, {"Precedence": "bulk"})):
            taken = intake.take(session, mail(address, refresh(), number=number, **headers), settings, T)
            assert result(taken) == ("auto", False, "an automatic message; left alone")
        assert intake.take(session, mail(address, refresh()), settings, ENDS).why == "the event is over"
        assert asked(session) == []


def test_whoever_is_erased_leaves_no_proposal(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings)
        intake.take(session, mail(address, counter("COMMENT:own words")), settings, T)
        (kept,) = personal_data.export(session, ADA)["proposals"]
        assert (kept["event"], kept["comment"]) == ("munich", "own words")
        personal_data.erase(session, ADA, T)
        assert rows(session) == []


TRUSTS = "mx.example.net"


def test_where_a_server_of_ours_says_who_signed_a_reply_nothing_else_is_believed(
    sqlite_database: Database, settings: Settings
) -> None:
    settings = settings.model_copy(update={"authserv_id": TRUSTS})
    passed, failed = (f"{TRUSTS}; dkim={word} header.d=example.org" for word in ("pass", "fail"))
    other = f"{TRUSTS}; dkim=pass header.d=example.net"
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)

        def take(number: int, body: str, results: str, sender: str = ADA) -> intake.Intake:
            headers = {"Authentication_Results": results} if results else {}
            message = mail(address, body, number=number, sender=sender, **headers)
            return intake.take(session, message, settings, T, intake.proof_of(message, settings, T))

        for number, results in enumerate((failed, other, "")):
            kept = take(number, calendar(), results)
            assert not kept.applied
            assert kept.why.startswith(TRUSTS)
        for number, body in enumerate((counter(), refresh()), 10):
            assert not take(number, body, failed).applied
        assert (attendee.reply, rows(session), asked(session)) == ("none", [], [])
        assert take(3, calendar(), passed).applied
        # Whoever acts for the attendee must have signed it too, and nobody may sign for the attendee in their place.
        by = calendar("DECLINED", made="20230901T095930Z", sent_by="pa@example.net")
        assert not take(4, by, passed, "pa@example.net").applied
        assert take(5, by, other, "pa@example.net").applied
        assert (attendee.reply, len(attendee_history.listing(session, attendee))) == ("declined", 8)


def test_where_signatures_are_checked_a_reply_without_one_is_kept_and_not_applied(
    sqlite_database: Database, settings: Settings
) -> None:
    checks = settings.model_copy(update={"dkim": "check"})
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        message = mail(address, calendar())
        assert intake.proof_of(message, settings, T) is None
        kept = intake.take(session, message, checks, T, intake.proof_of(message, checks, T))
        assert result(kept) == ("reply", False, "its sender's domain did not sign it")
        unasked = intake.take(session, mail(address, calendar(), number=2), checks, T)
        assert result(unasked) == ("reply", False, "its signature was not looked at")
        assert intake.proof_of(mail(address, None), checks, T) is None
        assert intake.proof_of(b"a" * intake.MAX_READ, checks, T) is None
        assert attendee.reply == "none"
        assert intake.take(session, mail(address, calendar(), number=3), settings, T).applied


@pytest.mark.parametrize(
    ("before", "after", "applied"),
    [
        ("UID:munich@example.org", "X-NONE:1", True),
        ("DTSTART:20231009T070000Z", "RECURRENCE-ID:20231009T070000Z", True),
        ("DTSTART:20231009T070000Z", "RECURRENCE-ID;TZID=Europe/Berlin:20231009T090000", True),
        ("DTSTART:20231009T070000Z", "RECURRENCE-ID;TZID=Europe/Berlin:20231010T090000", False),
        ("mailto:ada@example.org", "MAILTO:Ada@Example.ORG", True),
        ("mailto:ada@example.org", "mailto:bob@example.org\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:ada@example.org", True),
        ("METHOD:REPLY", "X-METHOD:REPLY", True),
        ("METHOD:REPLY", "METHOD:REQUEST", False),
        ("END:VEVENT\r\n", "END:VEVENT\r\nBEGIN:VEVENT\r\nUID:other\r\nEND:VEVENT\r\n", True),
    ],
)
def test_replies_of_odd_shapes(
    sqlite_database: Database, settings: Settings, before: str, after: str, applied: bool
) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        body = calendar()
        assert before in body
        taken = intake.take(session, mail(address, body.replace(before, after)), settings, T)
        assert (taken.applied, attendee.reply) == (applied, "accepted" if applied else "none"), taken.why


def test_a_calendar_without_any_method_is_no_reply(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        _, address = invited(session, settings)
        message = mail(address, calendar().replace("METHOD:REPLY", "X-A:1")).replace(b'method="REPLY"', b'x="y"')
        assert result(intake.take(session, message, settings, T)) == (
            "other",
            False,
            "a calendar without METHOD is no reply; left alone",
        )


def test_a_reply_in_winmail_dat_is_applied(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        for number, (uid, kind, reply) in enumerate(
            [
                ("munich@example.org", "Pos", "accepted"),
                (None, "Neg", "declined"),
                ("porto@example.org", "Tent", "declined"),
            ]
        ):
            message = EmailMessage()
            message["From"], message["To"], message["Message-ID"] = ADA, address, f"<w{number}@example.net>"
            made = T - MINUTE + timedelta(seconds=number)
            content = outlook.reply(f"IPM.Schedule.Meeting.Resp.{kind}", uid, made=made)
            message.add_attachment(content, maintype="application", subtype="ms-tnef", filename="winmail.dat")
            intake.take(session, message.as_bytes(), settings, T)
            assert attendee.reply == reply
