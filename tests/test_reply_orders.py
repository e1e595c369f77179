"""Replies by link, by mail and by an organiser, in any order and with mails that come twice: one history, one outcome.

What must stand is said without the code's own bookkeeping: of the attendee's own acts the one made last, and after it
whatever an organiser entered since it came.
"""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes, policy
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from sqlmodel import Session, select

from events_service import attendee_history, attendees, calendar_answers, intake
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, Delivery, Event
from events_service.leases import Claimed
from events_service.letters import Letters
from tests.test_intake import T, calendar, invited, mail

MINUTE = timedelta(minutes=1)
PARTSTATS = {"accepted": "ACCEPTED", "declined": "DECLINED", "tentative": "TENTATIVE", "none": "NEEDS-ACTION"}


class Act(NamedTuple):
    """Something that comes in. A mail was made `minutes` before; `replay` brings an earlier mail once more."""

    via: str
    reply: str
    minutes: int
    replay: int


REPLIES = st.sampled_from(("accepted", "declined", "tentative"))
WAYS = st.sampled_from(("link", "mail", "mail", "organiser", "replay"))
ACTS = st.lists(st.builds(Act, WAYS, REPLIES, st.integers(0, 6), st.integers(0, 5)), max_size=9)


def stands(acts: list[Act]) -> str:
    """The reply that must stand after these, which came a minute apart."""
    own = [
        (minute - (act.minutes if act.via == "mail" else 0), minute)
        for minute, act in enumerate(acts)
        if act.via in ("link", "mail")
    ]
    # An own act counts if none that came before it was made later; what an organiser enters counts at once.
    counts = [minute for made, minute in own if (made, minute) == max(one for one in own if one[1] <= minute)]
    counts += [minute for minute, act in enumerate(acts) if act.via == "organiser"]
    return acts[max(counts)].reply if counts else "none"


def play(session: Session, acts: list[Act], settings: Settings) -> Attendee:
    """Let them come in, a minute apart."""
    attendee, address = invited(session, settings)
    mails: list[bytes] = []
    for minute, act in enumerate(acts):
        now = T + minute * MINUTE
        if act.via == "mail":
            made = now - act.minutes * MINUTE
            body = calendar(PARTSTATS[act.reply], made=f"{made:%Y%m%dT%H%M%SZ}")
            mails.append(mail(address, body, number=minute))
            intake.take(session, mails[-1], settings, now)
        elif act.via == "replay" and mails:
            again = intake.take(session, mails[act.replay % len(mails)], settings, now)
            assert again.why == "the same mail was taken before"
        elif act.via != "replay":
            attendees.set_reply(session, attendee, act.reply, via=act.via, note="", now=now)
    session.refresh(attendee)
    return attendee


def partstat_sent_next(session: Session, attendee: Attendee, settings: Settings) -> str:
    """What the object that is sent next says of their answer."""
    event = session.get_one(Event, attendee.event_id)
    now = T + timedelta(hours=1)
    assert calendar_answers.refresh(session, event, attendee, 1, now) is None
    row = session.exec(select(Delivery).where(Delivery.step == "refresh")).one()
    claimed = Claimed(**{name: getattr(row, name) for name in Claimed._fields})
    letters = Letters(settings)
    (draft,) = letters.freeze(session, [claimed], now)
    assert draft.calendar is not None
    message = message_from_bytes(letters.fill(draft, now).data, policy=policy.default)
    (part,) = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    read = Calendar.from_ical(part.get_payload(decode=True))
    assert isinstance(read, Calendar)
    (shown,) = read.walk("VEVENT")
    return str(shown["ATTENDEE"].params["PARTSTAT"])


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_the_latest_own_act_stands_in_any_order_and_the_object_sent_next_agrees(
    shared_database: Database, acts: list[Act]
) -> None:
    own = Settings(secret_key="a key for tests, of no use anywhere else", mail_from="Events desk <events@example.org>")
    with shared_database.write(dry_run=True) as session:
        attendee = play(session, acts, own)
        assert attendee.reply == stands(acts)
        history = attendee_history.listing(session, attendee)
        came = [act for act in acts if act.via != "replay"]
        assert [(row["via"], row["reply"]) for row in history] == [(act.via, act.reply) for act in came]
        applied = [row["reply"] for row in history if row["applied"]]
        assert (applied[-1] if applied else "none") == attendee.reply
        assert partstat_sent_next(session, attendee, own) == PARTSTATS[attendee.reply]
