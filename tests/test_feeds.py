"""Feeds: what each kind shows, what makes them stale, and that the same contents are the same bytes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, select

from events_service import feeds, programmes, reviews
from events_service.db.session import Database
from events_service.db.tables import (
    Attendee,
    Event,
    EventChange,
    EventObject,
    EventSession,
    Feed,
    FeedContent,
    Institution,
    Person,
)
from events_service.errors import InputError, NotFoundError
from tests.attendance import ADDED, make_attendee, make_event, make_person
from tests.calendars.readers import Seen, instants, with_icalendar, with_icaljs, with_libical

NOW = datetime(2023, 7, 1, 10, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
PROGRAMME = Path(__file__).parents[1] / "schedules" / "programmes" / "lancashire-2022-2025.toml"


@pytest.fixture
def session(sqlite_database: Database) -> Iterator[Session]:
    """A writer on SQLite, for what no database decides."""
    with sqlite_database.write() as opened:
        yield opened


def content(session: Session, kind: str, of: str = "") -> FeedContent:
    session.expire_all()
    return session.exec(select(FeedContent).where(FeedContent.kind == kind, FeedContent.of == of)).one()


def shown(session: Session, kind: str, of: str = "", now: datetime = NOW) -> dict[str, str]:
    """What a new feed of that kind shows: status by summary."""
    made, _ = feeds.create(session, kind, of, now)
    calendar = with_icalendar(content(session, made.kind, made.of).body)
    return {str(event["SUMMARY"]): str(event["STATUS"]) for event in calendar.walk("VEVENT")}


def public(session: Session, slug: str, **fields: object) -> Event:
    return make_event(session, slug, **({"visibility": "public", "title": slug} | fields))


def cancelled(session: Session, event: Event, at: datetime, *, approved: bool = True) -> Event:
    event.state, event.cancelled_at, event.changed_at = "cancelled", at, at
    session.add(event)
    if approved:
        session.add(EventChange(event_id=event.id or 0, at=ADDED, action="approved"))
    session.flush()
    return event


def add_session(session: Session, event: Event, title: str = "Visit: cyber range", **fields: object) -> EventSession:
    values: dict[str, object] = {
        "event_id": event.id,
        "position": 1,
        "uid": f"{event.uid}-1",
        "title": title,
        "starts": event.starts + timedelta(hours=24),
        "ends": event.starts + timedelta(hours=26),
        "timezone": "Europe/London",
        "kind": "visit",
        "changed_at": event.changed_at,
    }
    made = EventSession(**(values | fields))  # type: ignore[arg-type]
    session.add(made)
    session.flush()
    return made


def test_a_programme_without_events_is_a_valid_feed(session: Session) -> None:
    assert shown(session, "public") == {}
    body = content(session, "public").body
    assert body.startswith(b"BEGIN:VCALENDAR\r\n") and body.endswith(b"END:VCALENDAR\r\n")
    assert b"METHOD" not in body and b"REFRESH-INTERVAL;VALUE=DURATION:PT1H\r\n" in body


def test_the_public_feed_shows_what_is_public_and_was_approved(session: Session) -> None:
    public(session, "approved")
    public(session, "done", state="done")
    public(session, "draft", state="draft")
    make_event(session, "private", title="private")
    cancelled(session, public(session, "called off"), NOW - timedelta(days=1))
    cancelled(session, public(session, "never shown"), NOW - timedelta(days=1), approved=False)
    assert shown(session, "public") == {"approved": "CONFIRMED", "done": "CONFIRMED", "called off": "CANCELLED"}


def test_the_feeds_of_a_theme_and_a_market_show_theirs(session: Session) -> None:
    programmes.load(session, PROGRAMME.read_text(), PROGRAMME.name, NOW)
    public(session, "cyber in Germany")
    public(session, "energy in Denmark", themes=["energy"], markets=["DK"])
    public(session, "both", themes=["cyber", "energy"], markets=["DE", "DK"])
    make_event(session, "private", title="private")
    assert shown(session, "theme", "energy").keys() == {"energy in Denmark", "both"}
    assert shown(session, "market", "de").keys() == {"cyber in Germany", "both"}
    assert b"X-WR-CALNAME:Innovation Action Plan 2022-2025: Denmark\r\n" not in content(session, "market", "DE").body


def test_a_persons_feed_shows_where_they_are_with_the_sessions_and_without_attendees(session: Session) -> None:
    private = make_event(session, "munich", title="Munich")
    add_session(session, private)
    declined, other, draft = (make_event(session, slug, title=slug) for slug in ("declined", "other", "draft"))
    draft.state = "draft"
    ada = make_attendee(session, private).person_id
    make_attendee(session, other, "bob@example.org")
    for event, reply in ((declined, "declined"), (draft, "none")):
        session.add(Attendee(event_id=event.id or 0, person_id=ada, reply=reply, added_at=ADDED))
    session.flush()
    assert shown(session, "person", "ada@example.org") == {"Munich": "CONFIRMED", "Visit: cyber range": "CONFIRMED"}
    body = content(session, "person", str(ada)).body
    assert b"ATTENDEE" not in body and b"ada" not in body.lower()
    assert b"TZID:Europe/Berlin\r\n" in body and b"TZID:Europe/London\r\n" in body
    assert b"RELATED-TO:munich@example.org\r\n" in body


def test_a_session_that_was_taken_off_is_crossed_out_for_thirty_days(session: Session) -> None:
    event = make_event(session, "munich", title="Munich")
    add_session(session, event, sequence=2, cancelled_at=NOW)
    add_session(session, event, "Dinner", position=2, uid="dinner", sequence=1, changed_at=LATER)
    assert shown(session, "event", "munich") == {
        "Munich": "CONFIRMED", "Visit: cyber range": "CANCELLED", "Dinner": "CONFIRMED",
    }  # fmt: skip
    kept = content(session, "event", "munich")
    entries = {str(one["UID"]): one for one in with_icalendar(kept.body).walk("VEVENT")}
    # Each has its own SEQUENCE and time of change, whatever its event's are.
    assert [(entries[uid]["SEQUENCE"], entries[uid]["DTSTAMP"].dt) for uid in ("munich@example.org-1", "dinner")] == [
        (2, ADDED), (1, LATER),
    ]  # fmt: skip
    gone = NOW + timedelta(days=30)
    assert kept.expires_at == gone
    # The single events' bytes were kept meanwhile, and the event has not changed since.
    assert shown(session, "event", "munich", gone - timedelta(seconds=1)).keys() == {
        "Munich",
        "Visit: cyber range",
        "Dinner",
    }
    feeds.create(session, "person", str(make_attendee(session, event).person_id), gone)
    assert b"cyber range" not in content(session, "person", str(session.exec(select(Attendee)).one().person_id)).body
    assert session.exec(select(EventObject.sessions_until)).one() is None


def test_a_tick_takes_it_out(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        event = make_event(session, "munich", title="Munich")
        add_session(session, event, cancelled_at=NOW)
        feeds.create(session, "event", "munich", NOW)
        feeds.create(session, "public", "", NOW)
    feeds.rebuild_stale(sqlite_database, NOW)
    assert feeds.rebuild_stale(sqlite_database, NOW + timedelta(days=30, seconds=-1)) == 0
    assert feeds.rebuild_stale(sqlite_database, NOW + timedelta(days=30)) == 1
    with sqlite_database.read() as session:
        found = content(session, "event", "munich")
        assert b"cyber range" not in found.body and found.expires_at is None


def test_an_itinerary_is_in_no_public_feed(session: Session) -> None:
    programmes.load(session, PROGRAMME.read_text(), PROGRAMME.name, NOW)
    add_session(session, public(session, "mission"))
    for kind, of in (("public", ""), ("theme", "cyber"), ("market", "DE")):
        assert shown(session, kind, of).keys() == {"mission"}
        assert b"Europe/London" not in content(session, kind, of).body


def test_an_institutions_feed_shows_where_its_people_are(session: Session) -> None:
    ours = Institution(name="Lancaster University", ror="04f2nsd36", changed_at=ADDED)
    session.add(ours)
    session.flush()
    munich, other = make_event(session, "munich", title="Munich"), make_event(session, "other", title="Other")
    add_session(session, munich)
    make_attendee(session, munich)
    make_attendee(session, other, "bob@example.org")
    session.exec(select(Person).where(Person.email == "ada@example.org")).one().institution_id = ours.id
    session.flush()
    assert shown(session, "institution", "https://ror.org/04f2nsd36") == {"Munich": "CONFIRMED"}
    assert feeds.listing(session)[0]["of"] == "04f2nsd36"


def test_the_organisers_feed_shows_drafts_and_review_points(session: Session) -> None:
    programmes.load(session, PROGRAMME.read_text(), PROGRAMME.name, NOW)
    make_event(session, "draft", title="Draft", state="draft")
    assert shown(session, "organiser")["Draft"] == "TENTATIVE"
    calendar = with_icalendar(content(session, "organiser").body)
    points = [event for event in calendar.walk("VEVENT") if "review" in str(event["UID"])]
    plan = programmes.current(session)
    assert len(points) == len(plan.review_points) == 4
    days = {str(event["SUMMARY"]).partition(": ")[2]: event["DTSTART"].dt for event in points}
    assert days == {point.title: plan.timeline.first_day(point.due_month) for point in plan.review_points}
    assert all(event["DTEND"].dt == event["DTSTART"].dt + timedelta(days=1) for event in points)


def test_recording_a_review_changes_the_organisers_feed(sqlite_database: Database) -> None:
    held_at = datetime(2024, 4, 1, 9, 0, tzinfo=UTC)
    with sqlite_database.write() as session:
        programmes.load(session, PROGRAMME.read_text(), PROGRAMME.name, NOW)
        feeds.create(session, "organiser", "", NOW)
        plan = programmes.current(session)
        first = min(plan.review_points, key=lambda point: point.due_month)
        held_on = plan.timeline.first_day(first.due_month)
        reviews.record(session, plan, first.id, decision="continue", notes="Good", held_on=held_on, now=held_at)
    feeds.rebuild_stale(sqlite_database, held_at)
    with sqlite_database.read() as session:
        body = content(session, "organiser").body.replace(b"\r\n ", b"")
    assert b"SUMMARY:Review held: " + first.title.encode() in body
    assert f"Held on {held_on}: continue".encode() in body


def test_the_same_contents_are_the_same_bytes_and_keep_their_revision(database: Database) -> None:
    with database.write() as session:
        event = public(session, "conference")
        feeds.create(session, "public", "", NOW)
        before = content(session, "public")
        kept = (before.body, before.etag, before.revision, before.changed_at)
        feeds.touch_event(session, event, NOW)
    assert feeds.rebuild_stale(database, LATER) == 0
    with database.read() as session:
        after = content(session, "public")
        assert (after.body, after.etag, after.revision, after.changed_at) == kept
        assert after.stale_at is None
        assert gzip.decompress(after.gzipped) == after.body
        assert after.gzipped == gzip.compress(after.body, 6, mtime=0)


def test_a_moved_event_raises_the_revision_of_what_shows_it_and_of_nothing_else(database: Database) -> None:
    with database.write() as session:
        event, other = public(session, "moved"), public(session, "stays", markets=["DK"], themes=["energy"])
        make_attendee(session, event)
        make_attendee(session, other, "bob@example.org")
        kinds = ("public", ""), ("market", "DE"), ("market", "DK"), ("event", "moved"), ("event", "stays")
        for kind, of in (*kinds, ("person", "ada@example.org"), ("person", "bob@example.org"), ("organiser", "")):
            feeds.create(session, kind, of, NOW)
        feed_of = {row["of"]: row for row in feeds.listing(session) if row["kind"] == "person"}
        assert feed_of.keys() == {"ada@example.org", "bob@example.org"}
    feeds.rebuild_stale(database, NOW)
    with database.write() as session:
        event = session.exec(select(Event).where(Event.slug == "moved")).one()
        event.starts += timedelta(hours=1)
        event.sequence, event.changed_at = 1, LATER
        session.add(event)
        assert feeds.touch_event(session, event, LATER) == 5
    assert feeds.rebuild_stale(database, LATER) == 5
    with database.read() as session:
        revisions = {(row.kind, row.of): row.revision for row in session.exec(select(FeedContent))}
        ada = session.exec(select(Person).where(Person.email == "ada@example.org")).one().id
        raised = {key for key, revision in revisions.items() if revision == 2}
        assert raised == {
            ("public", ""),
            ("organiser", ""),
            ("market", "DE"),
            ("event", "moved"),
            ("person", str(ada)),
        }
        body = content(session, "public").body
        assert b"SEQUENCE:1\r\n" in body and b"LAST-MODIFIED:20230701T100100Z\r\n" in body
        assert b"DTSTART;TZID=Europe/Berlin:20231009T100000\r\n" in body
    assert feeds.rebuild_stale(database, LATER) == 0


def test_a_change_counts_the_addresses_that_show_the_event(session: Session) -> None:
    event = public(session, "conference")
    first, _ = feeds.create(session, "public", "", NOW)
    feeds.create(session, "public", "", NOW)
    feeds.create(session, "market", "DK", NOW)
    feeds.create(session, "organiser", "", NOW)
    assert feeds.touch_event(session, event, NOW) == 3
    feeds.revoke(session, first.id or 0, NOW)
    assert feeds.touch_event(session, event, NOW) == 2
    event.state = "draft"
    assert feeds.touch_event(session, event, NOW) == 1


def test_a_person_with_many_feeds_beside_them_is_marked_alone(session: Session) -> None:
    ada, bob = make_person(session), make_person(session, "bob@example.org")
    for person in (ada, bob):
        feeds.create(session, "person", person.email, NOW)
    for row in session.exec(select(FeedContent)):
        row.stale_at = None
    session.flush()
    feeds.touch_person(session, ada.id, NOW)
    feeds.touch_person(session, None, NOW)
    session.expire_all()
    assert [row.of for row in session.exec(select(FeedContent)) if row.stale_at] == [str(ada.id)]


def test_a_cancelled_event_stays_for_thirty_days_and_then_goes_by_a_tick(database: Database) -> None:
    with database.write() as session:
        event = public(session, "conference")
        session.add(EventChange(event_id=event.id or 0, at=ADDED, action="approved"))
        feeds.create(session, "public", "", NOW)
        event.state, event.cancelled_at, event.sequence, event.changed_at = "cancelled", NOW, 1, NOW
        session.add(event)
        feeds.touch_event(session, event, NOW)
    assert feeds.rebuild_stale(database, NOW) == 1
    almost = NOW + timedelta(days=30) - timedelta(seconds=1)
    assert feeds.rebuild_stale(database, almost) == 0
    with database.read() as session:
        assert b"STATUS:CANCELLED\r\n" in content(session, "public").body
    assert feeds.rebuild_stale(database, NOW + timedelta(days=30)) == 1
    with database.read() as session:
        kept = content(session, "public")
        assert b"VEVENT" not in kept.body
        assert (kept.revision, kept.expires_at) == (3, None)
    assert feeds.rebuild_stale(database, NOW + timedelta(days=60)) == 0


def test_a_reply_changes_the_persons_feed(database: Database) -> None:
    with database.write() as session:
        attendee = make_attendee(session, make_event(session, "munich"))
        ada = attendee.person_id
        feeds.create(session, "person", "ada@example.org", NOW)
        attendee.reply = "declined"
        session.add(attendee)
        feeds.touch_person(session, ada, NOW)
    assert feeds.rebuild_stale(database, LATER) == 1
    with database.read() as session:
        assert b"VEVENT" not in content(session, "person", str(ada)).body


def test_a_change_under_way_is_neither_waited_for_nor_lost(postgres_database: Database) -> None:
    with postgres_database.write() as session:
        public(session, "conference")
        feeds.create(session, "public", "", NOW)
    # The feed is stale from its making, so a rebuild wants its row while the change below holds it.
    with postgres_database.write() as session:
        event = session.exec(select(Event)).one()
        event.title, event.changed_at = "Renamed", LATER
        session.add(event)
        feeds.touch_event(session, event, LATER)
        assert feeds.rebuild_stale(postgres_database, LATER) == 0
    assert feeds.rebuild_stale(postgres_database, LATER) == 1
    with postgres_database.read() as session:
        assert b"SUMMARY:Renamed\r\n" in content(session, "public").body


def test_two_revisions_never_share_a_second(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        feeds.create(session, "public", "", NOW)
        feeds.touch_event(session, public(session, "conference"), NOW)
    feeds.rebuild_stale(sqlite_database, NOW + timedelta(milliseconds=10))
    with sqlite_database.read() as session:
        assert content(session, "public").changed_at == NOW + timedelta(seconds=1)


def test_kept_bytes_of_an_event_are_joined_not_made_again(session: Session) -> None:
    event = public(session, "conference")
    feeds.create(session, "public", "", NOW)
    kept = session.exec(select(EventObject)).one()
    kept.body = kept.body.replace(b"SUMMARY:conference", b"SUMMARY:from the kept bytes")
    session.add(kept)
    session.flush()
    assert shown(session, "event", "conference").keys() == {"from the kept bytes"}
    feeds.touch_event(session, event, NOW)
    assert session.exec(select(EventObject)).all() == []


def test_bytes_of_another_change_of_the_event_are_not_taken(session: Session) -> None:
    event = public(session, "conference")
    feeds.create(session, "public", "", NOW)
    event.title, event.changed_at = "Renamed by other means", LATER
    session.flush()
    assert shown(session, "event", "conference").keys() == {"Renamed by other means"}


def test_a_thousand_events_fit_one_feed(session: Session) -> None:
    for number in range(1001):
        session.add(
            Event(
                programme_key="p", slug=f"e{number}", uid=f"e{number}@example.org", kind="conference", title="T",
                state="approved", visibility="public", starts=NOW, ends=LATER, timezone="Europe/London",
                created_at=NOW, changed_at=NOW,
            )
        )  # fmt: skip
    session.flush()
    feeds.create(session, "public", "", NOW)
    body = content(session, "public").body
    assert body.count(b"BEGIN:VEVENT") == 1001
    assert body.count(b"BEGIN:VTIMEZONE") == 1


def test_a_token_is_told_once_and_only_its_hash_is_kept(session: Session) -> None:
    made, token = feeds.create(session, "public", "", NOW)
    again, other = feeds.create(session, "public", "", NOW)
    assert token != other and len(token) == 32
    assert token not in str(feeds.listing(session)) and token not in str(made)
    assert len(session.exec(select(FeedContent)).all()) == 1
    assert [row["id"] for row in feeds.listing(session)] == [made.id, again.id]


def test_revoking_drops_the_bytes_that_no_address_needs(session: Session) -> None:
    first, _ = feeds.create(session, "public", "", NOW)
    second, _ = feeds.create(session, "public", "", NOW)
    feeds.revoke(session, first.id or 0, LATER)
    assert len(session.exec(select(FeedContent)).all()) == 1
    feeds.revoke(session, second.id or 0, LATER)
    feeds.revoke(session, second.id or 0, LATER + timedelta(days=1))
    assert session.exec(select(FeedContent)).all() == []
    assert [row["revoked_at"] for row in feeds.listing(session)] == [LATER, LATER]
    with pytest.raises(NotFoundError, match="no feed '99'"):
        feeds.revoke(session, 99, NOW)


def test_last_use_is_written_and_never_goes_back(database: Database) -> None:
    with database.write() as session:
        used, unused = (feeds.create(session, "public", "", NOW)[0].id or 0 for _ in range(2))
        feeds.flush_last_used(session, {used}, LATER)
        feeds.flush_last_used(session, {used}, NOW)
        feeds.flush_last_used(session, set(), NOW)
        session.expire_all()
        assert {row.id: row.last_used for row in session.exec(select(Feed))} == {used: LATER, unused: None}


def test_erasing_a_person_leaves_no_feed_of_theirs(session: Session) -> None:
    ada, bob = make_person(session), make_person(session, "bob@example.org")
    for person in (ada, bob):
        feeds.create(session, "person", person.email, NOW)
    feeds.forget_person(session, ada.id or 0, NOW)
    assert [row["of"] for row in feeds.listing(session)] == ["bob@example.org"]
    assert [row.of for row in session.exec(select(FeedContent))] == [str(bob.id)]


@pytest.mark.parametrize(
    ("kind", "of", "error", "why"),
    [
        ("everything", "", InputError, "kind 'everything' is unknown"),
        ("public", "DE", InputError, "leave out --of"),
        ("market", "", InputError, "needs --of"),
        ("market", "Germany", NotFoundError, "no country 'Germany'"),
        ("theme", "cyber", NotFoundError, "load a programme first"),
        ("event", "nowhere", NotFoundError, "no event 'nowhere'"),
        ("person", "nobody@example.org", NotFoundError, "no person"),
        ("person", "7", NotFoundError, "no person '7'"),
        ("institution", "000000000", NotFoundError, "no institution"),
    ],
)
def test_a_feed_of_nothing_is_refused(session: Session, kind: str, of: str, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        feeds.create(session, kind, of, NOW)
    assert feeds.listing(session) == []


def test_other_readers_see_the_same_events_in_a_feed(session: Session) -> None:
    for number, zone in enumerate(("Europe/Berlin", "America/Toronto", "Asia/Kuala_Lumpur", "Europe/London", "UTC")):
        event = public(
            session,
            f"e{number}",
            title=f'Ünïcödé, "quotes"; and\nlines {"é" * 80} {number}',
            timezone=zone,
            starts=datetime(2023, 3, 24 + number, 9, 30, tzinfo=UTC),
            ends=datetime(2023, 3, 26 + number, 17, 0, tzinfo=UTC),
        )
        add_session(session, event, timezone="Asia/Tokyo", title=f"Visit {number}")
        if number:
            person = session.exec(select(Person)).one().id
            session.add(Attendee(event_id=event.id or 0, person_id=person, added_at=ADDED))
        else:
            make_attendee(session, event)
    session.flush()
    feeds.create(session, "person", "ada@example.org", NOW)
    body = content(session, "person", str(session.exec(select(Person)).one().id)).body
    rows = [*session.exec(select(Event)), *session.exec(select(EventSession))]
    expected = {Seen(row.uid, int(row.starts.timestamp()), int(row.ends.timestamp())) for row in rows}
    assert len(expected) == 10
    assert set(instants(body)) == expected
    (seen,) = with_icaljs([body])
    assert {Seen(event["uid"], event["starts"], event["ends"]) for event in seen["events"]} == expected
    assert set(with_libical(body)) == expected
