"""Which sessions a delegate attends: by default, by an organiser's word, by their own calendar; where that shows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from events_service import attendees, events, feeds, intake, itineraries
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import AttendeeReply, AttendeeSession, Event, FeedContent, Intake
from events_service.errors import ConflictError, InputError, UsageError
from events_service.feed_contents import CANCELLED_FOR
from events_service.letters import Letters, readable, reply_address
from tests import delegates
from tests.calendars.readers import instants, logical_lines, with_icalendar, with_icaljs, with_libical
from tests.delegates import AGENDA, LATER, Object, calendars, components, item, place, shift, the_event, told, went
from tests.ledger import STARTED, House, utc
from tests.mail.reading import body, read, shape
from tests.served import served
from tests.test_intake import calendar, mail, result

ADA = "ada@example.org"


@pytest.fixture
def house(sqlite_database: Database, settings: Settings) -> House:
    return House(sqlite_database, settings)


@pytest.fixture
def session(sqlite_database: Database) -> Iterator[Session]:
    """A writer on SQLite, for what no database decides."""
    with sqlite_database.write() as opened:
        yield opened


def attended(session: Session, email: str = ADA) -> list[int]:
    """The places on the agenda of the sessions that somebody attends."""
    return [
        one["n"] for one in itineraries.listing(session, the_event(session), place(session, email)) if one["attends"]
    ]


def choose(session: Session, attend: tuple[int, ...] = (), leave: tuple[int, ...] = (), **more: Any) -> list[str]:
    now = more.get("now", STARTED)
    return itineraries.choose(session, the_event(session), place(session), attend, leave, now)


def history(session: Session) -> list[tuple[str, str, bool, str]]:
    """What is on record of sessions: by which way, the answer, whether it was applied, and why."""
    rows = session.exec(select(AttendeeReply).where(col(AttendeeReply.session_id).is_not(None)))
    return [(row.via, row.reply, row.applied, row.why) for row in rows]


# -- choosing


def test_by_default_they_attend_all_but_leisure(database: Database) -> None:
    with database.write() as session:
        delegates.started(session, ADA)
        shown = itineraries.listing(session, the_event(session), place(session))
    assert [(one["n"], one["title"], one["kind"], one["attends"]) for one in shown] == [
        (1, "Welcome", "meeting", True),
        (2, "Visit: cyber range", "visit", True),
        (3, "Flight home", "meeting", True),
        (4, "A day in the Alps", "leisure", False),
    ]
    assert (shown[2]["starts"], shown[2]["ends"], shown[2]["timezone"]) == (
        "2023-10-12T17:00:00+01:00", "2023-10-12T19:00:00+01:00", "Europe/London",
    )  # fmt: skip


def test_a_choice_is_kept_where_it_differs_and_goes_on_record(database: Database) -> None:
    with database.write() as session:
        delegates.started(session, ADA)
        assert choose(session, (4,), (2, 3)) == [
            "session 2: leaves, Visit: cyber range",
            "session 3: leaves, Flight home",
            "session 4: attends, A day in the Alps",
        ]
        assert choose(session, (1, 4), (2,)) == []
        assert attended(session) == [1, 4]
        assert choose(session, (2,), now=LATER) == ["session 2: attends, Visit: cyber range"]
    with database.read() as session:
        assert attended(session) == [1, 2, 4]
        kept = {row.session_id: (row.attends, row.changed_at) for row in session.exec(select(AttendeeSession))}
        assert kept == {
            item(session, 2).id: (True, LATER),
            item(session, 3).id: (False, STARTED),
            item(session, 4).id: (True, STARTED),
        }
        assert history(session) == [
            ("organiser", "declined", True, "session 2: leaves"),
            ("organiser", "declined", True, "session 3: leaves"),
            ("organiser", "accepted", True, "session 4: attends"),
            ("organiser", "accepted", True, "session 2: attends"),
        ]


def test_what_cannot_be_chosen(session: Session) -> None:
    event = delegates.started(session, ADA)
    with pytest.raises(InputError, match=r"has no session 9; it has 1, 2, 3, 4$"):
        choose(session, (1, 9))
    with pytest.raises(UsageError, match="session 2 is named by both --attend and --leave"):
        choose(session, (2, 3), (2,))
    item(session, 3).cancelled_at = STARTED
    with pytest.raises(InputError, match=r"has no session 3; it has 1, 2, 4$"):
        choose(session, (3,))
    assert [one["n"] for one in itineraries.listing(session, event, place(session))] == [1, 2, 4]
    with pytest.raises(ConflictError, match="ended on 2023-10-12; changes to its sessions no longer count"):
        choose(session, (1,), now=event.ends)
    events.cancel(session, event, "No budget.", STARTED)
    with pytest.raises(ConflictError, match="was cancelled; changes to its sessions no longer count"):
        choose(session, (1,))
    assert history(session) == []


# -- where it shows


def test_their_own_feed_shows_the_sessions_that_they_attend_and_the_event_s_shows_all(database: Database) -> None:
    def shown(session: Session, kind: str) -> list[str]:
        feeds.rebuild_stale(database, STARTED)
        session.expire_all()
        content = session.exec(select(FeedContent).where(FeedContent.kind == kind)).one()
        return [str(event["SUMMARY"]) for event in with_icalendar(served(session, content)[0]).walk("VEVENT")][1:]

    titles = [title for title, *_ in AGENDA]
    with database.write() as session:
        event = delegates.started(session, ADA)
        feeds.create(session, "person", ADA, STARTED)
        feeds.create(session, "event", event.slug, STARTED)
    with database.read() as session:
        assert (shown(session, "person"), shown(session, "event")) == (titles[:3], titles)
    with database.write() as session:
        choose(session, (4,), (1,))
    with database.read() as session:
        assert shown(session, "person") == titles[1:]
    with database.write() as session:
        item(session, 2).cancelled_at = STARTED
        feeds.touch_event(session, the_event(session), STARTED)
    with database.read() as session:
        assert shown(session, "person") == titles[1:]
        content = session.exec(select(FeedContent).where(FeedContent.kind == "person")).one()
        assert b"STATUS:CANCELLED" in served(session, content)[0]
        assert content.expires_at == STARTED + CANCELLED_FOR
    feeds.rebuild_stale(database, STARTED + CANCELLED_FOR)
    with database.read() as session:
        assert shown(session, "person") == titles[2:]


def test_a_feed_and_a_mail_say_the_same_of_a_session(house: House) -> None:
    told(house, ADA)
    with house.database.write() as session:
        feeds.create(session, "person", ADA, LATER)
        feed = served(session, session.exec(select(FeedContent)).one())[0]
    in_feed = {seen.uid: seen for seen in instants(feed)}
    sent = house.wire.taken[-1]
    assert [in_feed[seen.uid] for one in calendars(sent) for seen in instants(one)] == list(in_feed.values())[1:]


def test_the_mail_lists_their_own_sessions_and_groups_share_what_they_say(house: House) -> None:
    names = [ADA, "bob@example.org", "cleo@example.org"]
    with house.database.write() as session:
        delegates.started(session, *names)
        for name in names[:2]:
            itineraries.choose(session, the_event(session), place(session, name), [4], [2], STARTED)
    house.run(delegates.JOINING)
    ada, bob, cleo = house.wire.taken[-3:]
    said = " ".join(body(read(ada.data), "text/plain").split())
    assert "Your programme, in local time: - Welcome" in said
    assert "A day in the Alps" in said
    assert "cyber range" not in said
    assert "comes with this e-mail as a calendar entry of its own" in said
    assert [len(calendars(one)) for one in (ada, bob, cleo)] == [3, 3, 3]
    with house.database.read() as session:
        numbers = [delegates.ledger.row_of(session, "joining", name).content_id for name in names]
    assert numbers[0] == numbers[1] != numbers[2]


def test_a_preview_shows_the_itinerary(session: Session, settings: Settings) -> None:
    event = delegates.started(session, ADA)
    choose(session, leave=(1,))
    step = delegates.ledger.campaigns.step_for(session, event, "joining")
    seen = readable(Letters(settings).preview(session, event, step, place(session), LATER))
    assert seen["calendar"] is None
    assert [with_icalendar(one.encode()).walk("VEVENT")[0]["SUMMARY"] for one in seen["sessions"]] == [
        "Visit: cyber range", "Flight home",
    ]  # fmt: skip


# -- the objects as bytes


def test_each_session_is_one_object_that_every_reader_finds_whole(house: House) -> None:
    event = told(house, ADA)
    message = read(house.wire.taken[-1].data)
    assert shape(message) == (
        "multipart/mixed(multipart/alternative(text/plain, text/html), text/calendar, text/calendar, text/calendar)"
    )
    parts = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
    assert [part.get_filename() for part in parts] == ["session-1.ics", "session-2.ics", "session-3.ics"]
    for part in parts:
        assert part["Content-Type"].params["method"] == "REQUEST"
        assert part["Content-Type"].params["charset"] == "utf-8"
        assert part["Content-Disposition"].content_disposition == "attachment"
    contents = calendars(house.wire.taken[-1])
    starts = [int(utc(at).timestamp()) for _, _, at, _ in AGENDA[:3]]
    expected = [(f"munich-{number}@example.org", at, at + 7200) for number, at in enumerate(starts, 1)]
    assert [tuple(seen) for content in contents for seen in instants(content)] == expected
    for content, (_, _, _, zone) in zip(contents, AGENDA, strict=False):
        assert [str(one["TZID"]) for one in with_icalendar(content).walk("VTIMEZONE")] == [zone]
    with house.database.read() as session:
        organiser = f"mailto:{reply_address(house.settings, place(session).id or 0)}"
    for component in components(house.wire.taken[-1]):
        assert (component["RELATED-TO"], component["SEQUENCE"]) == (event.uid, 0)
        assert component["ORGANIZER"] == organiser
        assert component["ATTENDEE"] == f"mailto:{ADA}"
        assert component["ATTENDEE"].params["PARTSTAT"] == "ACCEPTED"
    for content in contents:
        logical_lines(content)


def test_other_readers_find_them_whole(house: House) -> None:
    told(house, ADA)
    with house.database.write() as session:
        events.cancel(session, the_event(session), "The host withdrew.", LATER)
    house.work(LATER)
    requests, cancels = calendars(house.wire.taken[-2]), calendars(house.wire.taken[-1])
    assert len(requests) == len(cancels) == 3
    for content in (*requests, *cancels):
        assert with_libical(content) == instants(content)
    answers = with_icaljs([*requests, *cancels])
    assert [answer["method"] for answer in answers] == ["REQUEST"] * 3 + ["CANCEL"] * 3
    assert [answer["events"][0]["sequence"] for answer in answers] == [0] * 3 + [1] * 3
    assert [answer["events"][0]["status"] for answer in answers] == ["CONFIRMED"] * 3 + ["CANCELLED"] * 3


# -- replies to a session


def answer(session: Session, settings: Settings, partstat: str, number: int = 2, **words: Any) -> Intake:
    """Take a calendar reply to one session, from Ada's own calendar."""
    told = {"sequence": 0, "made": "20231002T100000Z"} | words
    now: datetime = told.pop("now", LATER)
    sender = told.pop("sender", ADA)
    message = mail(
        reply_address(settings, place(session).id or 0),
        calendar(partstat, uid=item(session, number).uid, **told),
        sender=sender,
        number=words.get("sequence", 0) + 10 * number + len(partstat),
    )
    return intake.take(session, message, settings, now)


def test_declining_a_session_leaves_it_and_needs_no_cancel(database: Database, settings: Settings) -> None:
    house = House(database, settings)
    told(house, ADA)
    with database.write() as session:
        assert result(answer(session, settings, "DECLINED")) == ("reply", True, "session 2: leaves")
        assert attended(session) == [1, 3]
        assert place(session).reply == "accepted"
        assert history(session) == [("mail", "declined", True, "session 2: leaves")]
    assert went(house, LATER) == []
    with database.write() as session:
        # Their calendar has crossed it out, so where it goes does not matter to them any more.
        assert shift(session, 2, LATER) == 0
        choose(session, (2,), now=LATER)
    assert went(house, LATER) == [("itinerary ada", [Object("REQUEST", "Visit: cyber range", 1)])]


def test_accepting_it_again_in_their_own_calendar_needs_no_request(house: House, settings: Settings) -> None:
    told(house, ADA)
    with house.database.write() as session:
        answer(session, settings, "DECLINED")
        again = answer(session, settings, "ACCEPTED", made="20231002T100001Z", now=LATER + timedelta(hours=1))
        assert result(again) == ("reply", True, "session 2: attends")
        assert attended(session) == [1, 2, 3]
    assert went(house, LATER) == []
    with house.database.write() as session:
        assert shift(session, 2, LATER) == 1


def test_perhaps_attending_is_attending(house: House, settings: Settings) -> None:
    told(house, ADA)
    with house.database.write() as session:
        assert result(answer(session, settings, "TENTATIVE")) == ("reply", False, "session 2: attends, as before")
        assert history(session) == [("mail", "tentative", False, "session 2: attends, as before")]
        assert attended(session) == [1, 2, 3]


def test_an_answer_to_an_older_object_does_not_win(house: House, settings: Settings) -> None:
    told(house, ADA)
    with house.database.write() as session:
        shift(session, 2, LATER)
    house.work(LATER)
    with house.database.write() as session:
        taken = answer(session, settings, "DECLINED")
        assert result(taken) == (
            "reply", False, "stale: it answers revision 0 of session 2, they were sent 1 since",
        )  # fmt: skip
        assert answer(session, settings, "DECLINED", sequence=1, made="20231002T100500Z").applied
        older = answer(session, settings, "ACCEPTED", sequence=1, made="20231002T095900Z")
        assert result(older) == (
            "reply", False, "stale: made at 2023-10-02T09:59:00Z, what stands at 2023-10-02T10:00:00Z",
        )  # fmt: skip
        assert attended(session) == [1, 3]


@pytest.mark.parametrize(
    ("number", "words", "why"),
    [
        (4, {}, "session 4 was never sent to them"),
        (2, {"attendee": "bob@example.org"}, "its ATTENDEE is not whom this address was given to"),
        (2, {"sender": "mallory@example.net"}, "its sender is not its ATTENDEE"),
        (2, {"now": utc("2023-10-12 15:00")}, "munich ended on 2023-10-12; replies to it no longer count"),
    ],
)
def test_what_is_not_believed_changes_nothing(
    house: House, settings: Settings, number: int, words: dict[str, Any], why: str
) -> None:
    told(house, ADA)
    with house.database.write() as session:
        taken = answer(session, settings, "DECLINED", number, **words)
        assert not taken.applied
        assert taken.why.startswith(why)
        assert session.exec(select(AttendeeSession)).all() == []
        assert [row.applied for row in session.exec(select(AttendeeReply)) if row.via == "mail"] == [False]


def test_an_answer_to_a_session_leaves_the_confirmation_of_the_event_alone(house: House, settings: Settings) -> None:
    told(house, ADA)
    with house.database.write() as session:
        attendees.set_reply(session, place(session), "tentative", via="link", note="", now=LATER)
        answer(session, settings, "DECLINED", now=LATER + timedelta(seconds=1))
    assert went(house, LATER + timedelta(seconds=2)) == [("confirmation ada", [])]


def test_the_event_s_own_uid_is_still_the_event_s(house: House, settings: Settings) -> None:
    event: Event = told(house, ADA)
    with house.database.write() as session:
        address = reply_address(settings, place(session).id or 0)
        assert intake.take(session, mail(address, calendar("DECLINED", uid=event.uid)), settings, LATER).applied
        assert (place(session).reply, attended(session)) == ("declined", [1, 2, 3])
        other = intake.take(session, mail(address, calendar(uid="porto-1@example.org"), number=2), settings, LATER)
        assert result(other) == ("reply", False, "its UID is not that of the event")
