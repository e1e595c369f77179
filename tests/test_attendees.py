"""Attendees: adding, replying by every way, checking in, counting."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from events_service import attendees, guest_lists
from events_service.attendees import Applied
from events_service.db.session import Database
from events_service.db.tables import Attendee, AttendeeReply, Person
from events_service.errors import ConflictError, InputError, NotFoundError
from tests.attendance import ADDED, ENDS, STARTS, make_attendee, make_event, make_person

T = datetime(2023, 9, 1, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def link(session: Session, attendee: Attendee, reply: str, now: datetime, note: str = "") -> Applied:
    return attendees.set_reply(session, attendee, reply, via="link", note=note, now=now)


def mail(
    session: Session, attendee: Attendee, reply: str, now: datetime, made: datetime, sequence: int | None = 0
) -> Applied:
    return attendees.set_reply(session, attendee, reply, via="mail", note="", now=now, sequence=sequence, dtstamp=made)


def desk(session: Session, attendee: Attendee, reply: str, now: datetime) -> Applied:
    return attendees.set_reply(session, attendee, reply, via="organiser", note="", now=now)


def history(session: Session, attendee: Attendee) -> list[tuple[str, str, bool]]:
    rows = session.exec(
        select(AttendeeReply).where(AttendeeReply.attendee_id == attendee.id).order_by(col(AttendeeReply.id))
    )
    return [(row.via, row.reply, row.applied) for row in rows]


def test_a_person_added_twice_is_one_attendee_and_takes_a_new_role(database: Database) -> None:
    with database.write() as session:
        event, person = make_event(session), make_person(session, role="champion")
        first = attendees.add(session, event, person, None, T)
        assert (first.role, first.reply, first.added_at) == ("champion", "none", T)
        again = attendees.add(session, event, person, None, T + MINUTE)
        assert (again.id, again.role, again.added_at) == (first.id, "champion", T)
        assert attendees.add(session, event, person, "speaker", T + MINUTE).role == "speaker"
        assert guest_lists.counts(session, event.id or 0)["invited"] == 1


def test_many_are_added_at_once_as_one_by_one(database: Database) -> None:
    with database.write() as session:
        event = make_event(session)
        before = make_attendee(session, event)
        ada = session.get_one(Person, before.person_id)
        new = [make_person(session, f"p{n}@example.org", role="champion") for n in range(700)]
        made = attendees.add_many(session, event, [(ada, "speaker"), *((p, None) for p in new), (new[0], "host")], T)
        assert [attendee.person_id for attendee in made] == [person.id for person in new]
        assert (before.role, before.added_at) == ("speaker", ADDED)
        assert [attendee.role for attendee in made[:2]] == ["host", "champion"]
        assert attendees.add_many(session, event, [(ada, None), *((p, None) for p in new)], T + MINUTE) == []
        assert guest_lists.counts(session, event.id or 0)["invited"] == 701


def test_many_added_by_two_processes_at_once_are_there_once(database: Database) -> None:
    with database.write() as session:
        event = make_event(session)
        persons = [make_person(session, f"p{n}@example.org") for n in range(50)]
    made: list[int] = []

    def work() -> None:
        with database.write() as session:
            made.append(len(attendees.add_many(session, event, [(person, None) for person in persons], T)))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 3
    with database.read() as session:
        assert guest_lists.counts(session, event.id or 0)["invited"] == 50


def test_two_processes_that_add_the_same_person_make_one_attendee(database: Database) -> None:
    with database.write() as session:
        event, person = make_event(session), make_person(session)
    ids: list[int | None] = []

    def work() -> None:
        with database.write() as session:
            ids.append(attendees.add(session, event, person, None, T).id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_an_unknown_role_and_a_cancelled_event_are_refused(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        person = make_person(session)
        with pytest.raises(InputError, match="role 'chef' is unknown; use one of delegate, speaker"):
            attendees.add(session, make_event(session), person, "chef", T)
        with pytest.raises(ConflictError, match="porto was cancelled; nobody can be added"):
            attendees.add(session, make_event(session, "porto", state="cancelled"), person, None, T)


def test_find_says_how_to_add_whoever_is_not_there(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        event = make_event(session)
        attendee = make_attendee(session, event)
        assert attendees.find(session, event, "ada@example.org").id == attendee.id
        with pytest.raises(NotFoundError, match=r"events attendee add munich bob@example\.org"):
            attendees.find(session, event, "bob@example.org")


def test_a_reply_is_applied_and_kept_with_its_way_and_note(database: Database) -> None:
    with database.write() as session:
        attendee = make_attendee(session, make_event(session))
        said = link(session, attendee, "accepted", T, "two of us\r\n\x00\x1b[31m")
        assert (said.applied, said.why) == (True, "now accepted")
    with database.read() as session:
        kept = session.get_one(Attendee, attendee.id)
        assert (kept.reply, kept.replied_at, kept.reply_via) == ("accepted", T, "link")
        assert kept.reply_note == "two of us\n[31m"
        assert history(session, kept) == [("link", "accepted", True)]


def test_the_same_reply_again_is_recorded_and_changes_nothing(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        link(session, attendee, "accepted", T, "vegan")
        assert link(session, attendee, "accepted", T + MINUTE) == Applied(False, "was accepted already")
        assert (attendee.replied_at, attendee.reply_note) == (T, "vegan")
        assert link(session, attendee, "accepted", T + 2 * MINUTE, "vegetarian").applied
        assert attendee.reply_note == "vegetarian"
        assert [applied for _, _, applied in history(session, attendee)] == [True, False, True]


def test_the_latest_own_act_wins_whichever_way_it_came(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        assert mail(session, attendee, "accepted", T + MINUTE, T).applied
        assert link(session, attendee, "declined", T + 5 * MINUTE).applied
        late = mail(session, attendee, "tentative", T + 9 * MINUTE, T + 2 * MINUTE)
        assert late == Applied(
            False, "stale: made at 2023-09-01T10:02:00Z, the reply that stands at 2023-09-01T10:05:00Z"
        )
        assert attendee.reply == "declined"
        assert mail(session, attendee, "tentative", T + 9 * MINUTE, T + 6 * MINUTE).applied
        assert link(session, attendee, "accepted", T + 10 * MINUTE).applied
        assert attendee.reply == "accepted"
        assert history(session, attendee)[2] == ("mail", "tentative", False)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(5)), st.lists(st.sampled_from(attendees.REPLIES), min_size=5, max_size=5))
def test_mail_may_arrive_in_any_order_and_the_last_made_stands(
    sqlite_database: Database, order: list[int], replies: list[str]
) -> None:
    with sqlite_database.write(dry_run=True) as session:
        attendee = make_attendee(session, make_event(session))
        for arrival, number in enumerate(order):
            mail(session, attendee, replies[number], T + timedelta(hours=1 + arrival), T + number * MINUTE)
        assert (attendee.reply, attendee.reply_dtstamp) == (replies[4], T + 4 * MINUTE)
        assert len(history(session, attendee)) == 5


def test_a_lower_sequence_loses_before_dtstamp_is_looked_at(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session, sequence=2))
        assert mail(session, attendee, "accepted", T + 9 * MINUTE, T + 5 * MINUTE, sequence=1).applied
        low = mail(session, attendee, "declined", T + 9 * MINUTE, T + 8 * MINUTE, sequence=0)
        assert low == Applied(False, "stale: it answers revision 0 of the event, the reply that stands answered 1")
        assert mail(session, attendee, "tentative", T + 9 * MINUTE, T, sequence=2).applied
        # Exchange leaves SEQUENCE out at times: then only the moment counts.
        assert mail(session, attendee, "declined", T + 9 * MINUTE, T + MINUTE, sequence=None).applied
        assert attendee.reply_sequence == 2


def test_replies_within_one_second_go_by_arrival(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        assert link(session, attendee, "accepted", T + timedelta(milliseconds=900)).applied
        assert mail(session, attendee, "declined", T + MINUTE, T).applied


def test_a_clock_that_runs_ahead_does_not_outlast_later_replies(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        far = datetime(2099, 1, 1, tzinfo=UTC)
        assert mail(session, attendee, "accepted", T, far, sequence=2_000_000_000).applied
        assert mail(session, attendee, "declined", T + MINUTE, T + MINUTE, sequence=0).applied


def test_an_organisers_entry_applies_and_a_later_own_act_wins_over_it(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        link(session, attendee, "accepted", T)
        assert desk(session, attendee, "declined", T + 5 * MINUTE).applied
        assert (attendee.reply, attendee.reply_via) == ("declined", "organiser")
        assert not mail(session, attendee, "tentative", T + 6 * MINUTE, T - MINUTE).applied
        assert mail(session, attendee, "tentative", T + 6 * MINUTE, T + 3 * MINUTE).applied
        assert attendee.reply_via == "mail"


@pytest.mark.parametrize(
    ("fields", "now", "why"),
    [
        ({"state": "cancelled"}, T, "munich was cancelled; replies to it no longer count"),
        ({}, ENDS, "munich ended on 2023-10-12; replies to it no longer count"),
        ({"state": "done"}, ENDS + MINUTE, "munich ended on 2023-10-12; replies to it no longer count"),
    ],
)
def test_a_reply_to_a_past_or_cancelled_event_is_refused_and_changes_nothing(
    sqlite_database: Database, fields: dict[str, object], now: datetime, why: str
) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session, **fields), reply="accepted")
        for via in ("link", "mail", "organiser"):
            with pytest.raises(ConflictError) as caught:
                attendees.set_reply(session, attendee, "declined", via=via, note="", now=now)
            assert str(caught.value) == why
        assert attendee.reply == "accepted"
        assert history(session, attendee) == []
        attendees.refused(session, attendee, "declined", "mail", "", why, now)
        assert (attendee.reply, history(session, attendee)) == ("accepted", [("mail", "declined", False)])


def test_a_reply_counts_until_the_event_ends(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        assert link(session, attendee, "accepted", ENDS - timedelta(seconds=1)).applied


def test_an_unknown_reply_is_refused(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        with pytest.raises(InputError, match="reply 'none' is unknown; use one of accepted, tentative, declined"):
            link(session, attendee, "none", T)


def test_somebody_who_was_erased_is_counted_and_never_shown_or_changed(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        event = make_event(session)
        attendee = make_attendee(session, event, person_id=None)
        with pytest.raises(NotFoundError, match="they asked to be erased"):
            link(session, attendee, "accepted", T, "my name is Ada")
        assert guest_lists.listing(session, event) == []
        assert guest_lists.counts(session, event.id or 0)["invited"] == 1


def test_checking_in_twice_keeps_the_first_moment(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        attendees.check_in(session, attendee, STARTS - timedelta(hours=20))
        attendees.check_in(session, attendee, STARTS)
        assert (attendee.attended, attendee.attended_at) == (True, STARTS - timedelta(hours=20))


def test_checking_in_too_early_or_at_a_cancelled_event_is_refused(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attendee = make_attendee(session, make_event(session))
        with pytest.raises(ConflictError, match="munich begins on 2023-10-09; check-in opens a day before"):
            attendees.check_in(session, attendee, STARTS - timedelta(days=2))
        gone = make_attendee(session, make_event(session, "porto", state="cancelled"), "bob@example.org")
        with pytest.raises(ConflictError, match="porto was cancelled"):
            attendees.check_in(session, gone, STARTS)
        assert (attendee.attended, gone.attended) == (None, None)


def test_the_four_replies_add_up_to_invited(database: Database) -> None:
    with database.write() as session:
        event, empty = make_event(session), make_event(session, "porto")
        for number, reply in enumerate(["accepted", "accepted", "declined", "tentative", "none"]):
            make_attendee(session, event, f"p{number}@example.org", reply=reply)
        expected = {"invited": 5, "accepted": 2, "declined": 1, "tentative": 1, "none": 1}
        assert guest_lists.counts(session, event.id or 0) == expected
        assert guest_lists.counts_of(session, [event.id or 0, empty.id or 0]) == {
            event.id: expected,
            empty.id: {"invited": 0, "accepted": 0, "declined": 0, "tentative": 0, "none": 0},
        }


def test_the_list_is_by_address_with_unknown_attendance_null(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        event = make_event(session)
        make_attendee(session, event, "zoe@example.org", role="speaker")
        ada = make_attendee(session, event)
        link(session, ada, "accepted", T)
        assert guest_lists.listing(session, event) == [
            {
                "email": "ada@example.org",
                "name": "Ada",
                "role": "delegate",
                "reply": "accepted",
                "replied_at": T,
                "via": "link",
                "note": "",
                "attended": None,
                "removed_at": None,
                "removal_reason": None,
                "institution": None,
            },
            {
                "email": "zoe@example.org",
                "name": "Zoe",
                "role": "speaker",
                "reply": "none",
                "replied_at": None,
                "via": None,
                "note": "",
                "attended": None,
                "removed_at": None,
                "removal_reason": None,
                "institution": None,
            },
        ]
        assert ada.added_at == ADDED
