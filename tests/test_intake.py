"""Mail that comes in: whom to believe, what to leave alone, and that nothing is taken twice."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlmodel import Session, select

from events_service import attendees, intake, people, personal_data
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, AttendeeReply, CampaignStep, Delivery, Event, Intake
from events_service.tokens import mail_token
from tests.attendance import ENDS, make_attendee, make_campaign, make_delivery, make_event

T = datetime(2023, 9, 1, 10, 0, tzinfo=UTC)
ADA = "ada@example.org"


def calendar(
    partstat: str = "ACCEPTED",
    *,
    attendee: str = ADA,
    uid: str = "munich@example.org",
    method: str = "REPLY",
    made: str = "20230901T095900Z",
    sequence: int = 0,
    extra: str = "",
    sent_by: str = "",
) -> str:
    by = f';SENT-BY="mailto:{sent_by}"' if sent_by else ""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//test//EN",
        f"METHOD:{method}",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        f"DTSTAMP:{made}",
        f"SEQUENCE:{sequence}",
        "DTSTART:20231009T070000Z",
        f"ATTENDEE;PARTSTAT={partstat}{by}:mailto:{attendee}",
        *([extra] if extra else []),
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    return "\r\n".join(lines)


def mail(to: str, body: str | None, *, sender: str = ADA, number: int = 1, **headers: str) -> bytes:
    message = EmailMessage()
    message["From"] = f"Ada <{sender}>"
    message["To"] = to
    message["Subject"] = "Accepted: Cyber resilience mission"
    message["Message-ID"] = f"<m{number}@example.net>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("I shall come.")
    if body is not None:
        message.add_alternative(
            body.encode("utf-8", "surrogatepass"), "text", "calendar", params={"method": "REPLY", "charset": "utf-8"}
        )
    return message.as_bytes()


def invited(session: Session, settings: Settings, **fields: object) -> tuple[Attendee, str]:
    """Ada's place at the mission, and her reply address."""
    attendee = make_attendee(session, make_event(session, **fields))
    token = mail_token(settings.secret, "reply", attendee.id or 0)
    return attendee, f"reply+{token}@{settings.resolved_mail_domain}"


def result(taken: Intake) -> tuple[str, bool, str]:
    return taken.kind, taken.applied, taken.why


def test_a_calendar_reply_to_the_attendees_own_address_is_applied(database: Database, settings: Settings) -> None:
    with database.write() as session:
        attendee, address = invited(session, settings)
        taken = intake.take(session, mail(address, calendar(extra="COMMENT:Vegan\\, please")), settings, T)
        assert result(taken) == ("reply", True, "now accepted")
    with database.read() as session:
        kept = session.get_one(Attendee, attendee.id)
        assert (kept.reply, kept.reply_via, kept.reply_note, kept.replied_at) == (
            "accepted",
            "mail",
            "Vegan, please",
            T,
        )
        row = session.exec(select(Intake)).one()
        assert (result(row), row.attendee_id, row.received_at) == (result(taken), attendee.id, T)


@pytest.mark.parametrize("header", ["Delivered-To", "X-Original-To", "Cc"])
def test_the_reply_address_is_found_wherever_servers_put_it(
    sqlite_database: Database, settings: Settings, header: str
) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        message = mail("events@example.org", calendar("DECLINED"), **{header: address.upper()})
        assert intake.take(session, message, settings, T).applied
        assert attendee.reply == "declined"


def test_somebody_who_acts_for_the_attendee_is_believed(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        message = mail(address, calendar("TENTATIVE", sent_by="pa@example.org"), sender="pa@example.org")
        assert intake.take(session, message, settings, T).applied
        assert attendee.reply == "tentative"


@pytest.mark.parametrize(
    ("words", "sender", "why"),
    [
        ({}, "mallory@example.net", "its sender is not its ATTENDEE"),
        ({"attendee": "bob@example.org"}, "bob@example.org", "its ATTENDEE is not whom this address was given to"),
        ({"attendee": "bob@example.org"}, ADA, "its ATTENDEE is not whom this address was given to"),
        ({"sent_by": "pa@example.org"}, "mallory@example.net", "its sender is not its ATTENDEE"),
        ({"uid": "porto@example.org"}, ADA, "its UID is not that of the event"),
        ({"extra": "RECURRENCE-ID:20231010T070000Z"}, ADA, "it answers for one instance of a series"),
        ({"partstat": "NEEDS-ACTION"}, ADA, "PARTSTAT 'NEEDS-ACTION' is no answer"),
    ],
)
def test_forwarded_forged_and_foreign_replies_are_on_record_and_not_applied(
    sqlite_database: Database, settings: Settings, words: dict[str, str], sender: str, why: str
) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        taken = intake.take(session, mail(address, calendar(**words), sender=sender), settings, T)  # type: ignore[arg-type]
        assert (taken.kind, taken.applied) == ("reply", False)
        assert taken.why.startswith(why)
        assert (attendee.reply, attendee.reply_dtstamp) == ("none", None)
        assert [row.applied for row in session.exec(select(AttendeeReply))] == [False]


def test_somebody_who_was_erased_is_nobody(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        attendee.person_id = None
        assert result(intake.take(session, mail(address, calendar()), settings, T)) == (
            "reply",
            False,
            "from nobody we invited, or a reply address that is not ours",
        )
        assert session.exec(select(AttendeeReply)).all() == []


def test_another_attendees_token_or_none_vouches_for_nobody(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        ada, _ = invited(session, settings)
        bob = make_attendee(session, session.get_one(Event, ada.event_id), "bob@example.org")
        bobs = f"reply+{mail_token(settings.secret, 'reply', bob.id or 0)}@example.org"
        assert not intake.take(session, mail(bobs, calendar()), settings, T).applied
        plain = intake.take(session, mail("events@example.org", calendar(), number=2), settings, T)
        assert result(plain) == (
            "reply",
            False,
            "not sent to the attendee's own reply address, so nothing vouches for its sender",
        )
        assert plain.attendee_id == ada.id
        survey = mail_token(settings.secret, "survey", ada.id or 0)
        stranger = intake.take(session, mail(f"reply+{survey}@example.org", calendar(uid="x"), number=3), settings, T)
        assert result(stranger) == ("reply", False, "from nobody we invited, or a reply address that is not ours")
        assert (ada.reply, bob.reply) == ("none", "none")


def test_the_same_mail_twice_is_taken_once(database: Database, settings: Settings) -> None:
    with database.write() as session:
        attendee, address = invited(session, settings)
        message = mail(address, calendar())
        intake.take(session, message, settings, T)
        attendees.set_reply(session, attendee, "declined", via="organiser", note="", now=T)
        again = intake.take(session, b"Received: by mx2\r\n" + message, settings, T)
        assert result(again) == ("reply", False, "the same mail was taken before")
    with database.read() as session:
        assert session.get_one(Attendee, attendee.id).reply == "declined"
        assert len(session.exec(select(Intake)).all()) == 1


def test_the_same_mail_at_once_by_two_processes_is_applied_once(database: Database, settings: Settings) -> None:
    with database.write() as session:
        _, address = invited(session, settings)
    message = mail(address, calendar())
    results: list[bool] = []

    def work() -> None:
        with database.write() as session:
            results.append(intake.take(session, message, settings, T).applied)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False, False, False, True]
    with database.read() as session:
        assert len(session.exec(select(AttendeeReply)).all()) == 1


def test_replies_that_overtake_each_other_settle_on_the_latest(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        late = mail(address, calendar("DECLINED", made="20230901T095950Z"), number=2)
        early = mail(address, calendar("ACCEPTED", made="20230901T095900Z"), number=1)
        assert intake.take(session, late, settings, T).applied
        overtaken = intake.take(session, early, settings, T)
        assert result(overtaken) == (
            "reply",
            False,
            "stale: made at 2023-09-01T09:59:00Z, the reply that stands at 2023-09-01T09:59:50Z",
        )
        assert attendee.reply == "declined"


@pytest.mark.parametrize(
    ("fields", "now", "why"),
    [
        ({"state": "cancelled"}, T, "munich was cancelled; replies to it no longer count"),
        ({}, ENDS + timedelta(hours=1), "munich ended on 2023-10-12; replies to it no longer count"),
    ],
)
def test_a_reply_to_a_past_or_cancelled_event_is_on_record_and_changes_nothing(
    sqlite_database: Database, settings: Settings, fields: dict[str, object], now: datetime, why: str
) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings, **fields)
        assert result(intake.take(session, mail(address, calendar()), settings, now)) == ("reply", False, why)
        assert attendee.reply == "none"
        assert [(row.applied, row.why) for row in session.exec(select(AttendeeReply))] == [(False, why)]


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "ADD", "PUBLISH", "DECLINECOUNTER"])
def test_other_calendar_mail_is_left_alone(sqlite_database: Database, settings: Settings, method: str) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        taken = intake.take(session, mail(address, calendar(method=method)), settings, T)
        assert result(taken) == ("other", False, f"a calendar with METHOD '{method}' is no reply; left alone")
        assert (taken.attendee_id, attendee.reply) == (attendee.id, "none")


def test_automatic_mail_is_left_alone(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        for number, (body, headers) in enumerate(
            [
                (None, {"Auto_Submitted": "auto-replied"}),
                (calendar(), {"Auto_Submitted": "auto-replied; owner-email=ada@example.org"}),
                (calendar(), {"Auto_Submitted": "auto-replied (vacation)"}),
                (None, {"Auto_Submitted": "auto-generated"}),
                (None, {"Precedence": "auto_reply"}),
            ]
        ):
            taken = intake.take(session, mail(address, body, number=number, **headers), settings, T)
            assert result(taken) == ("auto", False, "an automatic message; left alone")
        # A calendar program that says of itself that it sent the answer still sends an answer.
        answered = intake.take(
            session, mail(address, calendar(), number=9, Auto_Submitted="auto-generated"), settings, T
        )
        assert (answered.applied, attendee.reply) == (True, "accepted")


def test_an_empty_mail_is_no_mail_however_often(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        for message in (b"", b" \r\n", b""):
            assert result(intake.take(session, message, settings, T)) == (
                "other",
                False,
                "empty: there is no mail in it",
            )
        assert session.exec(select(Intake)).all() == []


@pytest.mark.parametrize(
    "message",
    [b"\x00\xff" * 50, b"no headers at all", b"Content-Type: text/calendar\n\nBEGIN:VCALENDAR\nBEGIN:VEVENT"],
)
def test_what_is_no_mail_is_left_alone(sqlite_database: Database, settings: Settings, message: bytes) -> None:
    with sqlite_database.write() as session:
        taken = intake.take(session, message, settings, T)
        assert (taken.kind, taken.applied) == ("other", False)
        assert taken.why


@pytest.mark.parametrize("bad", ["\0", "\ud800", "\u2028", "é"])
def test_what_no_database_takes_makes_no_trouble(database: Database, settings: Settings, bad: str) -> None:
    with database.write() as session:
        _, address = invited(session, settings)
    person = mail(address, calendar(uid=f"x{bad}y", extra=f"COMMENT:{bad}"), In_Reply_To="<aXb@example.org>", number=1)
    qmail = (Path(__file__).parent / "mail/bounces/qmail.eml").read_bytes()
    dsn = bounce("<aXb@example.org>", said="550 aXb")
    for message in (
        person,
        qmail.replace(b"4f1c", b"aXb"),
        dsn,
        dsn.replace(b"text/rfc822-headers", b"message/rfc822"),
    ):
        raw = message.replace(b"aXb", f"a{bad}b".encode("utf-8", "surrogatepass"))
        with database.write() as session:
            assert not intake.take(session, raw, settings, T).applied


def test_a_mail_that_is_too_long_is_not_read(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        taken = intake.take(session, b"a" * intake.MAX_READ, settings, T)
        assert (taken.kind, taken.applied) == ("other", False)
        assert "at most" in taken.why


def bounce(
    message_id: str,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    number: int = 1,
    said: str = "550 5.1.1 no such\n user\x1b[31m",
) -> bytes:
    """A delivery report as Postfix writes them."""
    return (
        "From: MAILER-DAEMON@mx.example.net\nTo: events@example.org\nSubject: Undelivered Mail Returned to Sender\n"
        f"Message-ID: <dsn{number}@mx.example.net>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="dsn"\n\n'
        "--dsn\nContent-Type: text/plain\n\nSorry.\n"
        "--dsn\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\n"
        f"Final-Recipient: rfc822; {ADA}\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; {said}\n\n"
        "--dsn\nContent-Type: text/rfc822-headers\n\n"
        f"From: events@example.org\nMessage-ID: {message_id}\nSubject: Invitation\n\n--dsn--\n"
    ).encode()


def sent(session: Session, **fields: object) -> Delivery:
    event = make_event(session)
    return make_delivery(
        session, make_attendee(session, event), make_campaign(session, event, {"90": "outcomes"})["90"], **fields
    )


def state(session: Session, delivery: Delivery) -> str:
    session.refresh(delivery)
    return delivery.state


@pytest.mark.parametrize("before", ["sent", "unknown"])
def test_a_final_bounce_settles_its_delivery_and_stops_a_dead_address(
    database: Database, settings: Settings, before: str
) -> None:
    with database.write() as session:
        delivery = sent(session, state=before)
        taken = intake.take(session, bounce(delivery.message_id or ""), settings, T)
        assert result(taken) == (
            "bounce",
            True,
            "ask-90: bounced 5.1.1 smtp; 550 5.1.1 no such user[31m; no more mail to this address",
        )
        assert taken.delivery_id == delivery.id
        assert state(session, delivery) == "bounced"
        assert people.is_suppressed(session, people.email_hash(ADA))
        again = intake.take(session, bounce(delivery.message_id or "", number=2), settings, T)
        assert result(again) == ("bounce", False, "the message is bounced already")


def test_a_bounce_is_kept_without_the_address_it_quotes(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        delivery = sent(session)
        said = f"550 {'x' * 260} <{ADA}>: no such user"
        taken = intake.take(session, bounce(delivery.message_id or "", said=said), settings, T)
        session.refresh(delivery)
        assert taken.applied
        assert delivery.last_error == f"bounced 5.1.1 smtp; 550 {'x' * 260} <address>: no such user"
        assert "ada" not in taken.why


def test_a_bounce_brings_nothing_back_of_somebody_who_was_erased(database: Database, settings: Settings) -> None:
    with database.write() as session:
        delivery = sent(session)
        id, message_id = delivery.id, delivery.message_id or ""
        personal_data.erase(session, ADA, T)
    with database.write() as session:
        said = f"550 5.1.1 Ada Lovelace <{ADA}> has left"
        taken = intake.take(session, bounce(message_id, said=said), settings, T)
        assert result(taken) == ("bounce", True, "")
        again = intake.take(session, bounce(message_id, said=said, number=2), settings, T)
        assert result(again) == ("bounce", False, "")
    with database.read() as session:
        kept = session.get_one(Delivery, id)
        assert (kept.state, kept.last_error, kept.person_id, kept.address) == ("bounced", "bounced 5.1.1", None, None)
        assert personal_data.mentions(session, ADA, "Ada Lovelace") == []


@pytest.mark.parametrize("status", ["5.2.2", "5.7.1", "4.4.7", ""])
def test_a_full_mailbox_a_filter_or_a_timeout_does_not_stop_the_address(
    sqlite_database: Database, settings: Settings, status: str
) -> None:
    with sqlite_database.write() as session:
        delivery = sent(session)
        said = "452 please try later"
        assert intake.take(session, bounce(delivery.message_id or "", status=status, said=said), settings, T).applied
        assert state(session, delivery) == "bounced"
        assert not people.is_suppressed(session, people.email_hash(ADA))


def test_a_delay_and_a_foreign_bounce_change_nothing(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        delivery = sent(session)
        delayed = intake.take(session, bounce(delivery.message_id or "", action="delayed", status="4.4.1"), settings, T)
        assert result(delayed) == ("bounce", False, "not final (delayed 4.4.1): the message may still arrive")
        foreign = intake.take(session, bounce("<other@example.net>", number=2), settings, T)
        assert result(foreign) == ("bounce", False, "it names no message of ours; left alone")
        assert state(session, delivery) == "sent"
        assert not people.is_suppressed(session, people.email_hash(ADA))


def test_a_calendar_inside_a_bounce_is_no_reply(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        attendee, address = invited(session, settings)
        inner = mail(address, calendar())
        outer = (
            b"From: MAILER-DAEMON@example.net\r\nTo: " + address.encode() + b"\r\nMessage-ID: <b@example.net>\r\n"
            b'MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n'
            b"--x\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--x--\r\n"
        )
        assert result(intake.take(session, outer, settings, T)) == (
            "bounce",
            False,
            "it names no recipient's status; left alone",
        )
        assert attendee.reply == "none"


def test_a_complaint_stops_campaign_mail(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        delivery = sent(session)
        complaint = (
            "From: fbl@example.net\nTo: events@example.org\nMessage-ID: <c@example.net>\nMIME-Version: 1.0\n"
            'Content-Type: multipart/report; report-type=feedback-report; boundary="x"\n\n'
            "--x\nContent-Type: text/plain\n\nA complaint.\n"
            "--x\nContent-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n\n"
            f"--x\nContent-Type: message/rfc822\n\nFrom: events@example.org\nMessage-ID: {delivery.message_id}\n\nHi\n"
            "--x--\n"
        )
        taken = intake.take(session, complaint.encode(), settings, T)
        assert result(taken) == ("complaint", True, "no more campaign mail to this address")
        assert people.is_suppressed(session, people.email_hash(ADA))
        assert state(session, delivery) == "sent"


def doubtful(session: Session, **fields: object) -> Delivery:
    """A message of which nobody knows whether it arrived."""
    return sent(session, state="unknown", sent_at=None, **fields)


def reply_address(settings: Settings, delivery: Delivery) -> str:
    """Of the attendee whom it went to."""
    return f"reply+{mail_token(settings.secret, 'reply', delivery.attendee_id or 0)}@example.org"


@pytest.mark.parametrize("header", ["In_Reply_To", "References"])
@pytest.mark.parametrize("body", [None, calendar(), calendar(uid="porto@example.org")])
def test_an_answer_that_names_an_unknown_message_proves_that_it_arrived(
    sqlite_database: Database, settings: Settings, header: str, body: str | None
) -> None:
    with sqlite_database.write() as session:
        delivery = doubtful(session)
        message = mail("events@example.org", body, **{header: f"<x@example.net> {delivery.message_id}"})
        taken = intake.take(session, message, settings, T)
        assert taken.why.endswith("; it answers ask-90, which has arrived then")
        # A reply that is not believed proves no more than that.
        assert (taken.kind, taken.applied) == (("other", True) if body is None else ("reply", False))
        assert (state(session, delivery), delivery.sent_at) == ("sent", T)


def test_an_automatic_answer_proves_nothing(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        delivery = doubtful(session)
        named = {"In_Reply_To": delivery.message_id or ""}
        for number, header in enumerate(
            ({"Auto_Submitted": "auto-replied"}, {"Precedence": "bulk"}, {"X_Autoreply": "y"})
        ):
            message = mail(reply_address(settings, delivery), None, number=number, **header, **named)
            assert intake.take(session, message, settings, T).kind == "auto"
        assert state(session, delivery) == "unknown"


@pytest.mark.parametrize("body", [None, calendar()])
def test_what_comes_to_a_reply_address_proves_that_the_one_message_with_it_arrived(
    sqlite_database: Database, settings: Settings, body: str | None
) -> None:
    with sqlite_database.write() as session:
        delivery = doubtful(session)
        assert intake.take(session, mail(reply_address(settings, delivery), body), settings, T).applied
        assert state(session, delivery) == "sent"


@pytest.mark.parametrize("other", ["sent", "unknown", "bounced", "sending"])
def test_where_several_messages_told_the_reply_address_it_proves_nothing_of_one(
    sqlite_database: Database, settings: Settings, other: str
) -> None:
    with sqlite_database.write() as session:
        delivery = doubtful(session)
        attendee = session.get_one(Attendee, delivery.attendee_id)
        step = session.get_one(CampaignStep, delivery.step_id)
        make_delivery(session, attendee, step, key="other", message_id="<other@example.org>", state=other, in_data_at=T)
        intake.take(session, mail(reply_address(settings, delivery), None), settings, T)
        assert state(session, delivery) == "unknown"


def test_a_message_that_nobody_answers_stays_unknown(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        delivery = doubtful(session)
        for number, names in enumerate(("<other@example.net>", "", (delivery.message_id or "").strip("<>"))):
            message = mail("events@example.org", None, number=number, In_Reply_To=names)
            assert result(intake.take(session, message, settings, T))[1:] == (False, "no calendar in it; left alone")
        assert state(session, delivery) == "unknown"
