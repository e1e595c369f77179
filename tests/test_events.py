"""Events through their states: added, approved, cancelled, done; and what each change leaves behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, select

from events_service import attendees, events, feeds
from events_service.db.session import Database
from events_service.db.tables import Event, EventChange, EventSession, FeedContent, Waiver
from events_service.errors import ConflictError, EventFileError, InputError, NotFoundError, RefusedError, UsageError
from tests.attendance import make_attendee, make_person
from tests.event_texts import SLUG, visit, wall
from tests.planned import NOW, add, load

AFTER = datetime(2023, 10, 12, 15, tzinfo=UTC)
LATE_MAY = {"starts": wall("2024-05-13T09:00"), "ends": wall("2024-05-16T17:00")}


def history(session: Session, event: Event) -> list[str]:
    rows = session.exec(select(EventChange).where(EventChange.event_id == event.id).order_by(EventChange.id))
    return [row.action for row in rows]


def test_what_a_file_says_is_kept_as_a_draft(database: Database) -> None:
    with database.write() as session:
        load(session)
        add(session, sessions=(visit(), visit(title="Dinner", kind="meeting")))
    with database.read() as session:
        event = events.find(session, SLUG)
        assert (event.state, event.sequence, event.visibility) == ("draft", 0, "private")
        assert event.starts == datetime(2023, 10, 9, 7, tzinfo=UTC)
        assert (event.themes, event.markets, event.programme_key) == (["cyber"], ["DE"], "lancashire-2022-2025")
        assert (event.organiser_name, event.organiser_email) == ("Events desk", "events@example.org")
        assert (event.created_at, event.changed_at) == (NOW, NOW)
        agenda = session.exec(select(EventSession).order_by(EventSession.position)).all()
        assert [(item.position, item.title, item.city) for item in agenda] == [
            (1, "Visit: cyber range", "Munich"),
            (2, "Dinner", "Munich"),
        ]
        assert len({event.uid, *(item.uid for item in agenda)}) == 3
        assert history(session, event) == ["added"]


def test_the_same_words_at_the_same_moment_give_the_same_uid_and_else_another(
    database: Database, sqlite_url: str
) -> None:
    with database.write() as session:
        load(session)
        first = add(session).uid
        session.rollback()
    with database.write() as session:
        load(session)
        assert add(session).uid == first
        session.rollback()
    with database.write() as session:
        load(session)
        assert add(session, NOW + timedelta(seconds=1)).uid != first
        assert add(session, slug="other").uid != first


def test_two_events_of_one_slug_are_refused_and_both_are_named(database: Database) -> None:
    with database.write() as session:
        load(session)
        add(session, slug="munich")
        with pytest.raises(EventFileError) as raised:
            add(session, slug="munich", title="Another mission")
    assert str(raised.value) == (
        "munich.toml: slug: 'munich' is taken by 'Cyber resilience mission to Munich' of 2023-10-09;"
        " give 'Another mission' another slug"
    )


def test_two_who_add_one_slug_at_once_do_not_both_win(database: Database) -> None:
    with database.write() as session:
        load(session)
    together = threading.Barrier(2)

    def one(moment: datetime) -> str:
        together.wait()
        try:
            with database.write() as session:
                return add(session, moment).slug
        except EventFileError as error:
            return error.field

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, (NOW, NOW + timedelta(seconds=1)))) == [SLUG, "slug"]


def test_an_unknown_slug_is_not_found(sqlite_database: Database) -> None:
    with sqlite_database.read() as session, pytest.raises(NotFoundError, match="no event 'nowhere'"):
        events.find(session, "nowhere")


def test_approving_makes_a_draft_stand_and_raises_its_sequence(database: Database) -> None:
    later = NOW + timedelta(days=1)
    with database.write() as session:
        load(session)
        event = events.approve(session, add(session), later)
        assert (event.state, event.sequence, event.changed_at, event.created_at) == ("approved", 1, later, NOW)
        assert history(session, event) == ["added", "approved"]
        with pytest.raises(ConflictError, match="is approved; only a draft can be approved"):
            events.approve(session, event, later)


def test_an_error_refuses_approval_and_leaves_the_draft(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session, slug="late", **LATE_MAY)
        with pytest.raises(
            RefusedError, match=r"late breaks outside-window; .* --waive outside-window --reason"
        ) as raised:
            events.approve(session, event, NOW)
        assert [one.code for one in raised.value.violations if one.severity == "error"] == ["outside-window"]
        assert (event.state, event.sequence, history(session, event)) == ("draft", 0, ["added"])


def test_a_waiver_with_a_reason_lifts_a_rule_and_is_on_record(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session, slug="late", **LATE_MAY)
        events.approve(session, event, NOW, ["outside-window", "market-not-targeted"], " The fair is then. ")
        [waiver] = session.exec(select(Waiver)).all()
        assert (waiver.code, waiver.reason, waiver.granted_at) == ("outside-window", "The fair is then.", NOW)
        change = session.exec(select(EventChange).where(EventChange.action == "approved")).one()
        assert change.detail["waived"] == ["outside-window"]
        assert change.detail["reason"] == "The fair is then."
        [one] = [one for one in events.as_json(session, event, NOW)["violations"] if one["severity"] == "error"]
        assert (one["code"], one["waivable"], one["waived"]) == ("outside-window", True, True)


def test_a_waiver_of_one_rule_does_not_lift_another(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session, slug="late", markets=["JP"], country="JP", **LATE_MAY)
        with pytest.raises(RefusedError, match="late breaks market-not-targeted; "), session.begin_nested():
            events.approve(session, event, NOW, ["outside-window"], "The fair is then.")
        assert session.exec(select(Waiver)).all() == []


@pytest.mark.parametrize("reason", ["", "   "])
def test_a_waiver_needs_a_reason(sqlite_database: Database, reason: str) -> None:
    with sqlite_database.write() as session:
        load(session)
        event = add(session, **LATE_MAY)
        with pytest.raises(UsageError, match="a waiver needs a reason: add --reason TEXT"):
            events.approve(session, event, NOW, ["outside-window"], reason)


@pytest.mark.parametrize(
    ("code", "error", "why"),
    [
        ("outside-programme", RefusedError, "no waiver lifts outside-programme"),
        ("theme-unknown", RefusedError, "no waiver lifts theme-unknown"),
        ("review-overdue", RefusedError, "no waiver lifts review-overdue"),
        ("holiday-clash", UsageError, "it is a warning, which stops nothing"),
        ("outside-windw", UsageError, "names no rule; did you mean outside-window?"),
        ("everything", UsageError, "waivable are outside-window, market-not-targeted, market-not-in-phase"),
    ],
)
def test_what_cannot_be_waived_is_refused(
    sqlite_database: Database, code: str, error: type[Exception], why: str
) -> None:
    with sqlite_database.write() as session:
        load(session)
        event = add(
            session, slug="far", themes=["magic"], starts=wall("2026-05-11T09:00"), ends=wall("2026-05-12T09:00")
        )
        with pytest.raises(error, match=why.replace("?", r"\?")):
            events.approve(session, event, NOW, [code], "Because.")
        assert (event.state, session.exec(select(Waiver)).all()) == ("draft", [])


def test_an_overdue_review_stops_the_approval_of_what_begins_after_it(database: Database) -> None:
    overdue = datetime(2023, 4, 1, 23, tzinfo=UTC)
    with database.write() as session:
        load(session)
        event = add(session)
        with pytest.raises(RefusedError, match=f"{SLUG} breaks review-overdue$"):
            events.approve(session, event, overdue)
        before = add(session, slug="before", starts=wall("2023-04-01T09:00"), ends=wall("2023-04-01T17:00"))
        assert events.approve(session, before, overdue).state == "approved"


def test_cancelling_tells_the_invited_and_raises_the_sequence(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = events.approve(session, add(session), NOW)
        make_attendee(session, event, reply="accepted")
        make_attendee(session, event, "grace@example.org")
        assert events.cancel(session, event, " No budget. ", NOW) == 1
        assert (event.state, event.sequence, event.cancel_reason, event.cancelled_at) == (
            "cancelled",
            2,
            "No budget.",
            NOW,
        )
        assert history(session, event) == ["added", "approved", "cancelled"]
        with pytest.raises(ConflictError, match="is cancelled; only what is still to come"):
            events.cancel(session, event, "Again.", NOW)


@pytest.mark.parametrize("reason", ["", "\n"])
def test_cancelling_needs_a_reason(sqlite_database: Database, reason: str) -> None:
    with sqlite_database.write() as session:
        load(session)
        event = add(session)
        with pytest.raises(UsageError, match="a cancellation needs a reason"):
            events.cancel(session, event, reason, NOW)
        for wrong in ("x" * 2001, "bell\x07"):
            with pytest.raises(InputError, match="the reason"):
                events.cancel(session, event, wrong, NOW)


def test_what_is_over_cannot_be_cancelled(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = events.approve(session, add(session), NOW)
        with pytest.raises(ConflictError, match="is over"):
            events.cancel(session, event, "Too late.", AFTER)
        events.finish_past(session, AFTER)
        with pytest.raises(ConflictError, match="is done"):
            events.cancel(session, event, "Too late.", AFTER)


def test_only_approved_events_are_done_and_only_after_their_end(database: Database) -> None:
    with database.write() as session:
        load(session)
        over = events.approve(session, add(session), NOW)
        draft = add(session, slug="draft")
        cancelled = add(session, slug="cancelled")
        events.cancel(session, cancelled, "No budget.", NOW)
        assert events.finish_past(session, AFTER - timedelta(seconds=1)) == 0
        assert events.finish_past(session, AFTER) == 1
        assert events.finish_past(session, AFTER) == 0
        assert [one.state for one in (over, draft, cancelled)] == ["done", "draft", "cancelled"]
        assert (over.sequence, over.changed_at) == (1, NOW)
        assert history(session, over) == ["added", "approved", "done"]


def test_every_change_that_calendars_show_makes_feeds_stale(database: Database) -> None:
    def stale(session: Session) -> bool:
        return session.exec(select(FeedContent.stale_at)).one() is not None

    with database.write() as session:
        load(session)
        feeds.create(session, "organiser", "", NOW)
    seen = []
    for change in (
        add,
        lambda session: events.approve(session, events.find(session, SLUG), NOW),
        lambda session: events.move(session, events.find(session, SLUG), wall("2023-10-16T09:00"), None, NOW),
        lambda session: events.cancel(session, events.find(session, SLUG), "No budget.", NOW),
    ):
        feeds.rebuild_stale(database, NOW)
        with database.write() as session:
            before = stale(session)
            change(session)
            seen.append((before, stale(session)))
    assert seen == [(False, True)] * 4


def test_json_is_as_the_contract_says(database: Database) -> None:
    with database.write() as session:
        load(session)
        event = add(session)
        attendees.add(session, event, make_person(session), "speaker", NOW)
        document = events.as_json(session, event, NOW)
    assert document["starts"] == "2023-10-09T09:00:00+02:00"
    assert document["ends"] == "2023-10-12T17:00:00+02:00"
    assert (document["slug"], document["month"], document["sequence"]) == (SLUG, 18, 0)
    assert document["attendees"] == {"invited": 1, "accepted": 0, "declined": 0, "tentative": 0, "none": 1}
    assert [one["code"] for one in document["violations"]] == ["no-target-institution"]
    assert {"kind", "hosted_by", "title", "state", "visibility", "timezone", "themes", "markets"} <= set(document)


def test_the_list_is_by_start_and_lets_through_what_was_asked_for(database: Database) -> None:
    with database.write() as session:
        load(session)
        add(session, slug="second")
        first = add(
            session, slug="first", starts=wall("2023-05-08T09:00"), ends=wall("2023-05-09T17:00"), markets=["US"]
        )
        events.approve(session, first, NOW)

        def slugs(**wanted: object) -> list[str]:
            return [event.slug for event in events.select_events(session, events.Filter(**wanted))]  # type: ignore[arg-type]

        assert slugs() == ["first", "second"]
        assert (
            slugs(state="approved") == slugs(market="US") == slugs(until=datetime(2023, 6, 1, tzinfo=UTC)) == ["first"]
        )
        assert slugs(since=datetime(2023, 6, 1, tzinfo=UTC)) == slugs(market="DE") == ["second"]
        assert slugs(kind="conference") == slugs(theme="energy") == slugs(programme="other") == []
        assert [one["slug"] for one in events.listing(session, events.select_events(session), NOW)] == [
            "first",
            "second",
        ]
