"""Bounces, complaints and receipts as servers write them: what becomes of the delivery and its address.

The mails in tests/mail/bounces are all about one message to Ada.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from events_service import intake, people
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, CampaignStep, Delivery, Event, Intake, Suppression
from events_service.domain.delivery import HELD_IN_DOUBT
from events_service.errors import ConflictError
from events_service.tokens import mail_token
from events_service.verdict import verdicts
from tests.attendance import make_attendee, make_campaign, make_delivery, make_event
from tests.ledger import INVITED, House, started, states

MAILS = Path(__file__).parent / "mail" / "bounces"
NAMED = "<4f1c2b7a9d3e48f0a6b5c4d3e2f10987@events.example.org>"
ADA = "ada@example.org"
T = datetime(2023, 9, 1, 10, 0, tzinfo=UTC)


def mail(name: str) -> bytes:
    """One of the mails that are kept."""
    return (MAILS / f"{name}.eml").read_bytes()


def sent(session: Session, **fields: object) -> Delivery:
    """The message to Ada that they are all about."""
    event = make_event(session)
    attendee = make_attendee(session, event, ADA)
    step = make_campaign(session, event, {"90": "outcomes"})["90"]
    return make_delivery(session, attendee, step, **({"message_id": NAMED} | fields))


def another(session: Session, delivery: Delivery, number: int) -> Delivery:
    """One more message to the same person."""
    attendee = session.get_one(Attendee, delivery.attendee_id)
    step = session.get_one(CampaignStep, delivery.step_id)
    return make_delivery(session, attendee, step, key=f"more:{number}", message_id=f"<m{number}@events.example.org>")


def state(session: Session, delivery: Delivery) -> str:
    session.refresh(delivery)
    return delivery.state


def reasons(session: Session, email: str = ADA) -> list[str]:
    """Why an address gets no mail now."""
    hashed = people.email_hash(email)
    rows = session.exec(
        select(Suppression).where(Suppression.email_hash == hashed, col(Suppression.lifted_at).is_(None))
    )
    return sorted(row.reason for row in rows)


def return_address(settings: Settings, delivery: Delivery) -> str:
    """The address that only this message came from."""
    return f"bounce+{mail_token(settings.secret, 'bounce', delivery.id or 0)}@events.example.org"


HARD, SOFT, NOTHING = ("bounced", ["bounced"]), ("bounced", []), ("sent", [])
BOUNCES = {
    "postfix-no-such-user": ("5.1.1", HARD),
    "postfix-delayed": ("4.4.1", NOTHING),
    "postfix-expired": ("4.4.1", SOFT),
    "postfix-delivered": ("2.0.0", NOTHING),
    "postfix-list-member-gone": ("2.0.0", NOTHING),
    "postfix-forwarded": ("5.2.2", SOFT),
    "exim-classic": ("5.1.1", HARD),
    "exim-dsn": ("5.1.1", HARD),
    "exchange-not-found": ("5.1.10", HARD),
    "exchange-mailbox-full": ("5.2.2", SOFT),
    "gmail-no-such-user": ("5.1.1", HARD),
    "gmail-policy": ("5.7.26", SOFT),
    "sender-blamed": ("5.1.8", SOFT),
    "qmail": ("5.1.1", HARD),
    "qmail-full": ("5.2.2", SOFT),
    "sendmail-host-unknown": ("5.1.2", HARD),
    "international": ("5.1.1", HARD),
}


@pytest.mark.parametrize("name", BOUNCES)
def test_a_bounce_as_its_server_writes_it(rolled_back: Session, settings: Settings, name: str) -> None:
    status, (becomes, suppressed) = BOUNCES[name]
    delivery = sent(rolled_back)
    taken = intake.take(rolled_back, mail(name), settings, T)
    assert (taken.kind, taken.status, taken.applied) == ("bounce", status, becomes == "bounced")
    assert (state(rolled_back, delivery), reasons(rolled_back)) == (becomes, suppressed)
    assert (taken.soft, taken.delivery_id) == ((becomes, suppressed) == SOFT, delivery.id)
    assert "@" not in taken.why + (delivery.last_error or "")


AUTOMATIC = ("gmail-vacation", "outlook-vacation", "sieve-vacation")


@pytest.mark.parametrize("name", AUTOMATIC)
@pytest.mark.parametrize("to_its_own_address", [False, True])
@pytest.mark.parametrize("before", ["sent", "unknown"])
def test_an_automatic_answer_does_nothing(
    rolled_back: Session, settings: Settings, name: str, to_its_own_address: bool, before: str
) -> None:
    delivery = sent(rolled_back, state=before)
    message = mail(name)
    if to_its_own_address:
        message = b"Delivered-To: " + return_address(settings, delivery).encode() + b"\n" + message
    taken = intake.take(rolled_back, message, settings, T)
    assert (taken.kind, taken.applied, taken.why) == ("auto", False, "an automatic message; left alone")
    assert (state(rolled_back, delivery), reasons(rolled_back)) == (before, [])


@pytest.mark.parametrize(
    ("name", "suppressed", "why"),
    [
        ("yahoo-complaint", ["complaint"], "no more campaign mail to this address"),
        ("hotmail-complaint", ["complaint"], "no more campaign mail to this address"),
        ("not-spam", [], "feedback of type not-spam is no complaint; left alone"),
    ],
)
def test_a_complaint_stops_campaigns_and_proves_that_the_message_arrived(
    rolled_back: Session, settings: Settings, name: str, suppressed: list[str], why: str
) -> None:
    delivery = sent(rolled_back, state="unknown", sent_at=None)
    taken = intake.take(rolled_back, mail(name), settings, T)
    assert (taken.kind, taken.applied, taken.why) == ("complaint", True, why)
    assert (state(rolled_back, delivery), reasons(rolled_back)) == ("sent", suppressed)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("thunderbird-receipt", "receipt"),
        ("postfix-delivered", "bounce"),
        ("postfix-delayed", "bounce"),
        ("postfix-list-member-gone", "bounce"),
    ],
)
def test_what_says_that_the_message_went_on_settles_an_unknown_one(
    rolled_back: Session, settings: Settings, name: str, kind: str
) -> None:
    delivery = sent(rolled_back, state="unknown", sent_at=None)
    taken = intake.take(rolled_back, mail(name), settings, T)
    assert (taken.kind, taken.applied, taken.why) == (kind, True, "ask-90: this proves that it arrived")
    assert (state(rolled_back, delivery), delivery.sent_at, reasons(rolled_back)) == ("sent", T, [])


def test_a_receipt_for_what_is_known_to_have_arrived_changes_nothing(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    before = delivery.changed_at
    taken = intake.take(rolled_back, mail("thunderbird-receipt"), settings, T)
    assert (taken.kind, taken.applied, taken.why) == ("receipt", False, "a receipt; the message is sent already")
    assert (state(rolled_back, delivery), delivery.changed_at) == ("sent", before)


def test_a_bounce_settles_an_unknown_one(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back, state="unknown", sent_at=None)
    assert intake.take(rolled_back, mail("postfix-no-such-user"), settings, T).applied
    assert state(rolled_back, delivery) == "bounced"


@pytest.mark.parametrize(
    ("name", "becomes"),
    [("postfix-no-such-user", "bounced"), ("thunderbird-receipt", "sent"), ("postfix-delayed", "sent")],
)
def test_what_a_restore_left_in_doubt_is_settled_as_well(
    rolled_back: Session, settings: Settings, name: str, becomes: str
) -> None:
    delivery = sent(rolled_back, state="held", hold_reason=HELD_IN_DOUBT, sent_at=None)
    assert intake.take(rolled_back, mail(name), settings, T).applied
    assert (state(rolled_back, delivery), delivery.hold_reason) == (becomes, None)


def test_a_message_in_data_has_its_servers_word_first(sqlite_database: Database, settings: Settings) -> None:
    with sqlite_database.write() as session:
        delivery = sent(session, state="sending", sent_at=None, in_data_at=T, lease_token="w", lease_until=T)
    with pytest.raises(ConflictError, match="is being sent at this moment"), sqlite_database.write() as session:
        intake.take(session, mail("postfix-no-such-user"), settings, T)
    with sqlite_database.write() as session:
        # Nothing was kept of it, so that it can be given again.
        assert session.exec(select(Intake)).all() == []
        session.get_one(Delivery, delivery.id).state = "sent"
    with sqlite_database.write() as session:
        assert intake.take(session, mail("postfix-no-such-user"), settings, T).applied


# Whom to believe


REFERENCES = (NAMED.encode(), b"<other@example.net>")


@pytest.mark.parametrize("name", [*BOUNCES, "yahoo-complaint", "thunderbird-receipt"])
def test_a_report_that_names_no_message_of_ours_does_nothing(
    rolled_back: Session, settings: Settings, name: str
) -> None:
    delivery = sent(rolled_back)
    taken = intake.take(rolled_back, mail(name).replace(*REFERENCES), settings, T)
    assert (taken.applied, taken.delivery_id, taken.why) == (False, None, "it names no message of ours; left alone")
    assert (state(rolled_back, delivery), reasons(rolled_back)) == ("sent", [])


@pytest.mark.parametrize("name", ["postfix-no-such-user", "exim-classic", "qmail"])
@pytest.mark.parametrize("where", ["Delivered-To", "X-Original-To", "To", "returned"])
def test_a_messages_own_return_address_names_it(
    rolled_back: Session, settings: Settings, name: str, where: str
) -> None:
    delivery = sent(rolled_back)
    own = return_address(settings, delivery).encode()
    message = mail(name).replace(*REFERENCES)
    if where == "returned":
        message = message.replace(b"ath: <events@events.example.org>", b"ath: <" + own + b">")
    else:
        message = where.encode() + b": " + own.upper() + b"\n" + message
    taken = intake.take(rolled_back, message, settings, T)
    assert (taken.applied, taken.delivery_id) == (True, delivery.id)
    assert (state(rolled_back, delivery), reasons(rolled_back)) == ("bounced", ["bounced"])


def test_what_a_message_is_sent_from_is_what_its_bounce_is_known_by(
    sqlite_database: Database, settings: Settings
) -> None:
    house = House(sqlite_database, settings.model_copy(update={"verp": True}), INVITED)
    with sqlite_database.write() as session:
        started(session, ADA, "bob@example.org")
    assert sorted(house.work()) == ["invitation ada", "invitation bob"]
    senders = {message.recipient: message.sender for message in house.wire.taken}
    with sqlite_database.write() as session:
        own = senders[ADA].encode()
        message = b"Delivered-To: " + own + b"\n" + mail("exchange-not-found").replace(*REFERENCES)
        assert intake.take(session, message, house.settings, INVITED).applied
    with sqlite_database.read() as session:
        ours = {key: value for key, value in states(session).items() if key.startswith("invitation")}
        assert ours == {"invitation ada": "bounced", "invitation bob": "sent"}
        assert (reasons(session), reasons(session, "bob@example.org")) == (["bounced"], [])


def test_a_complaint_is_known_by_the_return_address_where_the_rest_was_taken_out(
    rolled_back: Session, settings: Settings
) -> None:
    delivery = sent(rolled_back)
    own = return_address(settings, delivery).encode()
    message = mail("yahoo-complaint").replace(*REFERENCES)
    message = message.replace(b"Mail-From: <events@events.example.org>", b"Mail-From: <" + own + b">")
    assert intake.take(rolled_back, message, settings, T).applied
    assert reasons(rolled_back) == ["complaint"]


def test_the_return_address_stands_before_a_message_id(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    more = another(rolled_back, delivery, 1)
    message = b"To: " + return_address(settings, more).encode() + b"\n" + mail("postfix-no-such-user")
    assert intake.take(rolled_back, message, settings, T).delivery_id == more.id
    assert (state(rolled_back, delivery), state(rolled_back, more)) == ("sent", "bounced")


def test_bounces_that_differ_in_nothing_but_whose_they_are_are_two(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    more = another(rolled_back, delivery, 1)
    for row in (delivery, more):
        address = return_address(settings, row).encode()
        message = mail("exchange-mailbox-full").replace(*REFERENCES).replace(b"events@events.example.org", address)
        assert intake.take(rolled_back, message, settings, T).applied
    assert (state(rolled_back, delivery), state(rolled_back, more)) == ("bounced", "bounced")


@pytest.mark.parametrize("purpose", ["reply", "survey", "unsubscribe"])
def test_a_forged_return_address_names_nothing(rolled_back: Session, settings: Settings, purpose: str) -> None:
    delivery = sent(rolled_back)
    token = mail_token(settings.secret, purpose, delivery.id or 0)
    for forged in (f"bounce+{token}", f"bounce+{delivery.id}.{'a' * 32}", f"bounce+{delivery.id}", "bounce+", "bounce"):
        message = f"To: {forged}@events.example.org\n".encode() + mail("qmail").replace(*REFERENCES)
        assert not intake.take(rolled_back, message.replace(b"notice", forged.encode()), settings, T).applied
    assert (state(rolled_back, delivery), reasons(rolled_back)) == ("sent", [])


@pytest.mark.parametrize("proven", [False, True])
def test_a_report_on_another_address_stops_no_mail_to_it_and_to_the_messages_own_only_by_its_return_address(
    rolled_back: Session, settings: Settings, proven: bool
) -> None:
    delivery = sent(rolled_back)
    make_attendee(rolled_back, rolled_back.get_one(Event, delivery.event_id), "bob@example.org")
    message = mail("postfix-no-such-user").replace(b"ada@example.org", b"bob@example.org")
    if proven:
        message = b"Delivered-To: " + return_address(settings, delivery).encode() + b"\n" + message
    taken = intake.take(rolled_back, message, settings, T)
    assert (taken.applied, state(rolled_back, delivery)) == (True, "bounced")
    assert (reasons(rolled_back, "bob@example.org"), reasons(rolled_back)) == ([], ["bounced"] if proven else [])
    assert taken.why.endswith("no more mail to this address" if proven else "so that one still gets mail")


def test_reports_on_another_address_do_not_add_up(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    for number in range(6):
        taken = soft(rolled_back, settings, delivery, number, T, whom=b"whoever@evil.example")
        assert (taken.applied, taken.soft) == (True, False)
    assert reasons(rolled_back) == []


RETURNED_ID = re.compile(rb"(?mi)^(message-id: *)" + re.escape(NAMED.encode()))


@pytest.mark.parametrize("header", ["In-Reply-To", "References"])
@pytest.mark.parametrize("before", ["sent", "unknown"])
@pytest.mark.parametrize(
    "name", ["postfix-no-such-user", "postfix-delayed", "exchange-mailbox-full", "yahoo-complaint"]
)
def test_what_is_only_referred_to_was_not_returned(
    rolled_back: Session, settings: Settings, name: str, before: str, header: str
) -> None:
    """Everybody in a thread knows the Message-IDs in it."""
    delivery = sent(rolled_back, state=before)
    message, returned = RETURNED_ID.subn(rb"\1<other@example.net>", mail(name))
    assert returned == 1
    taken = intake.take(rolled_back, f"{header}: {NAMED}\n".encode() + message, settings, T)
    assert (taken.applied, taken.delivery_id) == (False, delivery.id)
    assert taken.why == "it returns no message of ours, and only says that it answers one; left alone"
    assert (state(rolled_back, delivery), reasons(rolled_back)) == (before, [])


@pytest.mark.parametrize("name", ["qmail", "exim-classic"])
def test_a_bounce_without_a_standard_must_name_whom_the_message_was_for(
    rolled_back: Session, settings: Settings, name: str
) -> None:
    delivery = sent(rolled_back)
    taken = intake.take(rolled_back, mail(name).replace(b"ada@example.org", b"eve@example.net"), settings, T)
    assert (taken.kind, taken.applied) == ("bounce", False)
    assert taken.why == "it follows no standard, and does not name whom the message was for; left alone"
    assert (state(rolled_back, delivery), reasons(rolled_back)) == ("sent", [])


def test_somebody_who_quotes_a_bounce_is_a_person(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    quoted = mail("qmail").partition(b"\n\n")[2]
    message = b"From: Ada <ada@example.org>\nTo: events@events.example.org\nSubject: Fwd: failure\n\n" + quoted
    taken = intake.take(rolled_back, message, settings, T)
    assert (taken.kind, taken.applied) == ("other", False)
    assert state(rolled_back, delivery) == "sent"


# Enough is enough


def soft(
    session: Session, settings: Settings, delivery: Delivery, number: int, now: datetime, whom: bytes = ADA.encode()
) -> Intake:
    """A bounce of one more message to that person, which was too much for their mailbox; it names `whom`."""
    more = another(session, delivery, number)
    message = mail("exchange-mailbox-full").replace(NAMED.encode(), (more.message_id or "").encode())
    message = message.replace(b";" + ADA.encode(), b";" + whom)
    return intake.take(session, message.replace(b"aaaaaaaa-", b"%08d-" % number), settings, now)


def test_five_soft_bounces_within_thirty_days_stop_an_address(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    for number in range(4):
        taken = soft(rolled_back, settings, delivery, number, T + timedelta(days=number))
        assert (taken.applied, taken.soft, reasons(rolled_back)) == (True, True, [])
    taken = soft(rolled_back, settings, delivery, 4, T + timedelta(days=29))
    assert taken.why.endswith("; 5 bounces within 30 days: no more mail to this address")
    assert reasons(rolled_back) == ["bounced-soft"]


def test_soft_bounces_that_are_long_past_do_not_count(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    for number in range(12):
        soft(rolled_back, settings, delivery, number, T + timedelta(days=8 * number))
    assert reasons(rolled_back) == []


def test_several_bounces_of_one_message_count_once(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    for number in range(8):
        message = mail("exchange-mailbox-full").replace(b"aaaaaaaa-", b"%08d-" % number)
        assert intake.take(rolled_back, message, settings, T).applied == (number == 0)
    assert (state(rolled_back, delivery), reasons(rolled_back)) == ("bounced", [])


def test_soft_bounces_of_others_do_not_count(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    bob = make_attendee(rolled_back, rolled_back.get_one(Event, delivery.event_id), "bob@example.org")
    step = rolled_back.get_one(CampaignStep, delivery.step_id)
    his = make_delivery(rolled_back, bob, step, message_id="<his@events.example.org>")
    for number in range(4):
        soft(rolled_back, settings, delivery, number, T)
    soft(rolled_back, settings, his, 4, T)
    assert (reasons(rolled_back), reasons(rolled_back, "bob@example.org")) == ([], [])


def test_once_lifted_the_count_begins_anew(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    for number in range(5):
        soft(rolled_back, settings, delivery, number, T)
    lifted = people.unsuppress(rolled_back, ADA, "she has made room", T + timedelta(hours=1))
    assert (lifted["lifted"], reasons(rolled_back)) == (["bounced-soft"], [])
    for number in range(5, 9):
        soft(rolled_back, settings, delivery, number, T + timedelta(days=1))
        assert reasons(rolled_back) == []
    soft(rolled_back, settings, delivery, 9, T + timedelta(days=1))
    assert reasons(rolled_back) == ["bounced-soft"]


def test_an_organiser_lifts_whatever_stopped_an_address(rolled_back: Session, settings: Settings) -> None:
    delivery = sent(rolled_back)
    intake.take(rolled_back, mail("postfix-no-such-user"), settings, T)
    intake.take(rolled_back, mail("yahoo-complaint"), settings, T)
    people.unsubscribe(rolled_back, delivery.person_id or 0, T)
    assert reasons(rolled_back) == ["bounced", "complaint", "unsubscribed"]
    (row,) = people.listing(rolled_back, ADA)
    assert (row["suppressed"], row["suppressed_at"]) == (["bounced", "complaint", "unsubscribed"], T)
    people.unsuppress(rolled_back, ADA, "she rang", T)
    (row,) = people.listing(rolled_back, ADA)
    assert (reasons(rolled_back), row["suppressed"], row["suppressed_at"]) == ([], [], None)


@pytest.mark.parametrize(("name", "stopped"), [("postfix-no-such-user", True), ("yahoo-complaint", False)])
def test_a_dead_address_gets_not_even_a_cancellation(
    rolled_back: Session, settings: Settings, name: str, stopped: bool
) -> None:
    delivery = sent(rolled_back)
    intake.take(rolled_back, mail(name), settings, T)
    for number, mandatory in enumerate((True, False)):
        row = another(rolled_back, delivery, number)
        row.state, row.mandatory, row.purpose = "pending", mandatory, "update"
        rolled_back.flush()
        why = verdicts(rolled_back, [row.id or 0], T, {}).get(row.id or 0)
        assert (why is not None and why.state == "suppressed") == (stopped or not mandatory)


# Whatever comes


MAILED = sorted(path.stem for path in MAILS.glob("*.eml"))
CUTS = st.tuples(st.sampled_from(MAILED), st.integers(0, 4000), st.integers(0, 400), st.binary(max_size=40))


@given(st.binary(max_size=2000) | CUTS.map(lambda cut: mangled(*cut)))
@hypothesis_settings(max_examples=150)
def test_bytes_that_name_no_message_of_ours_never_raise_and_change_nothing(
    shared_database: Database, message: bytes
) -> None:
    with shared_database.write(dry_run=True) as session:
        delivery = sent(session)
        before = delivery.model_dump()
        assert not intake.take(session, message, Settings(secret_key="k" * 32), T).applied
        session.refresh(delivery)
        assert (delivery.model_dump(), reasons(session)) == (before, [])


@given(CUTS)
@hypothesis_settings(max_examples=100)
def test_whatever_became_of_a_mail_about_ours_it_reaches_nobody_else(
    shared_database: Database, cut: tuple[str, int, int, bytes]
) -> None:
    with shared_database.write(dry_run=True) as session:
        delivery = sent(session)
        make_attendee(session, session.get_one(Event, delivery.event_id), "bob@example.org")
        more = another(session, delivery, 1)
        intake.take(session, mangled(*cut, references=(b"", b"")), Settings(secret_key="k" * 32), T)
        assert (state(session, more), reasons(session, "bob@example.org")) == ("sent", [])
        assert state(session, delivery) in ("sent", "bounced")


def mangled(name: str, start: int, length: int, instead: bytes, references: tuple[bytes, bytes] = REFERENCES) -> bytes:
    """One of the mails with other bytes somewhere in it, about a message that is not ours."""
    whole = mail(name).replace(*references)
    return whole[:start] + instead + whole[start + length :]


def test_every_mail_that_is_kept_is_used() -> None:
    complaints = {"yahoo-complaint", "hotmail-complaint", "not-spam", "thunderbird-receipt"}
    assert set(MAILED) == {*BOUNCES, *AUTOMATIC, *complaints}
