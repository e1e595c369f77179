"""Invitations and replies both ways, in any order, lost in the post for a while, late and twice.

Beside the service stand guests whose calendar programs know nothing of it but the mails. When the post has come in, the
ledger and every guest's calendar say the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlmodel import Session, SQLModel, select

from events_service import attendees, events, intake, people, proposal_answers, proposals, removals
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, Event
from events_service.errors import ConflictError, RefusedError
from events_service.feed_contents import calendar_event
from events_service.reading.event_files import read
from tests.calendars.client import CalendarProgram, Entry
from tests.event_texts import MUNICH, toml
from tests.ledger import INVITED, SHORT, House, started

EMAILS = ("ada@example.org", "bob@example.org")
UID = "munich@example.org"
STEPS = SHORT.replace('template = "reminder"', 'template = "reminder"\ncalendar = true')
LAST = datetime(2023, 9, 20, tzinfo=UTC)
"""After this no time passes but minutes, so that the event is not over when the post comes in."""
PARTSTATS = ("ACCEPTED", "TENTATIVE", "DECLINED")
PARTSTAT = {"none": "NEEDS-ACTION"} | {word.lower(): word for word in PARTSTATS}


class RoundTrip(RuleBasedStateMachine):
    """Two guests of one event. Each act takes a minute, as DTSTAMP orders what is a second apart."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__()
        self.database, self.settings = database, settings
        self.programs = {email: CalendarProgram(email) for email in EMAILS}
        self.unread: dict[str, list[bytes]] = {email: [] for email in EMAILS}
        self.read: dict[str, list[bytes]] = {email: [] for email in EMAILS}
        self.to_us: list[bytes] = []
        self.taken: list[bytes] = []
        with database.write() as session:
            for table in reversed(SQLModel.metadata.sorted_tables):
                session.execute(table.delete())
            started(session, *EMAILS, text=STEPS)
        self.house = House(database, settings, INVITED)
        # Most of what can go wrong begins with an invitation that was read.
        self.what_is_due_is_sent()
        self.a_guest_reads_a_mail(EMAILS[0], 0, again=False)

    def now(self) -> datetime:
        self.house.clock.at += timedelta(minutes=1)
        return self.house.clock()

    # Time and the post

    @rule(hours=st.sampled_from((1, 24, 24 * 7)))
    def time_goes_on(self, hours: int) -> None:
        self.house.clock.at = max(self.house.clock(), min(self.house.clock() + timedelta(hours=hours), LAST))

    @rule()
    def what_is_due_is_sent(self) -> None:
        before = len(self.house.wire.taken)
        self.house.work(self.now())
        for message in self.house.wire.taken[before:]:
            self.unread[message.recipient].append(message.data)

    @rule(email=st.sampled_from(EMAILS), which=st.integers(0, 9), again=st.booleans())
    def a_guest_reads_a_mail(self, email: str, which: int, again: bool) -> None:
        """Any that has come, in any order; or one that they read before."""
        mails = self.read[email] if again else self.unread[email]
        if mails:
            message = mails[which % len(mails)]
            self.programs[email].read(message)
            if not again:
                self.read[email].append(mails.pop(which % len(mails)))

    @rule(which=st.integers(0, 9), again=st.booleans())
    def a_mail_reaches_us(self, which: int, again: bool) -> None:
        mails = self.taken if again else self.to_us
        if mails:
            self.take(mails[which % len(mails)])
            if not again:
                self.taken.append(mails.pop(which % len(mails)))

    def take(self, message: bytes) -> None:
        with self.database.write() as session:
            intake.take(session, message, self.settings, self.now())

    # What guests do

    @rule(email=st.sampled_from(EMAILS), partstat=st.sampled_from(PARTSTATS))
    def a_guest_presses_a_button(self, email: str, partstat: str) -> None:
        program = self.programs[email]
        if UID in program.entries and not program.entries[UID].cancelled:
            self.to_us.append(program.answer(UID, partstat, self.now()))

    @rule(email=st.sampled_from(EMAILS), days=st.sampled_from((-1, 1)))
    def a_guest_proposes_another_time(self, email: str, days: int) -> None:
        program, by = self.programs[email], timedelta(days=days)
        if UID in program.entries and not program.entries[UID].cancelled:
            entry = program.entries[UID]
            self.to_us.append(program.propose(UID, entry.starts + by, entry.ends + by, self.now()))

    @rule(
        email=st.sampled_from(EMAILS),
        reply=st.sampled_from(attendees.REPLIES),
        via=st.sampled_from(("link", "organiser")),
    )
    def a_reply_comes_another_way(self, email: str, reply: str, via: str) -> None:
        with self.database.write() as session:
            try:
                attendee = attendees.find(session, events.find(session, "munich"), email)
                attendees.set_reply(session, attendee, reply, via=via, note="", now=self.now())
            except ConflictError:
                session.rollback()

    # What the organiser does

    @rule(days=st.sampled_from((-1, 1, 2)))
    def the_event_moves(self, days: int) -> None:
        with self.database.write() as session:
            event, by = events.find(session, "munich"), timedelta(days=days)
            try:
                events.move(session, event, event.starts + by, event.ends + by, self.now())
            except (ConflictError, RefusedError):
                session.rollback()

    @rule(
        title=st.sampled_from(("Cyber mission", "Mission to Munich")),
        venue=st.sampled_from(("Audimax", "Senate hall")),
    )
    def the_event_is_written_anew(self, title: str, venue: str) -> None:
        """Another title is told to nobody, another place to all who come."""
        with self.database.write() as session:
            event = events.find(session, "munich")
            zone = ZoneInfo(event.timezone)
            times = {name: getattr(event, name).astimezone(zone).replace(tzinfo=None) for name in ("starts", "ends")}
            file = read("munich.toml", toml(MUNICH | times | {"slug": "munich", "title": title, "venue": venue}))
            try:
                events.change(session, event, file, "munich.toml", self.now())
            except (ConflictError, RefusedError):
                session.rollback()

    @rule(email=st.sampled_from(EMAILS))
    def a_guest_is_taken_off_or_put_back(self, email: str) -> None:
        with self.database.write() as session:
            event, person = events.find(session, "munich"), people.find(session, email)
            try:
                attendee = session.exec(select(Attendee).where(Attendee.person_id == person.id)).one()
                if attendee.removed_at is None:
                    removals.remove(session, event, attendee, "", self.now())
                else:
                    attendees.add(session, event, person, None, self.now())
            except ConflictError:
                session.rollback()

    @rule(accepted=st.booleans())
    def a_proposal_is_answered(self, accepted: bool) -> None:
        with self.database.write() as session:
            for one in proposals.listing(session, state="open")[:1]:
                try:
                    if accepted:
                        proposal_answers.accept(session, one["n"], self.now())
                    else:
                        proposal_answers.decline(session, one["n"], "no", self.now())
                except (ConflictError, RefusedError):
                    session.rollback()

    @rule()
    @precondition(lambda self: self.house.clock() > INVITED + timedelta(days=1))
    def the_event_is_cancelled(self) -> None:
        with self.database.write() as session:
            event = events.find(session, "munich")
            if event.state == "approved":
                events.cancel(session, event, "strike", self.now())

    # What holds in the end

    def teardown(self) -> None:
        """The post comes in: then every guest's calendar says where and when, and asked once more, all that we say."""
        self.the_post_comes_in()
        with self.database.read() as session:
            event = events.find(session, "munich")
            for attendee, entry in self.places(session, event):
                off = attendee.removed_at is not None or event.state == "cancelled"
                assert entry.cancelled == off
                if not off and attendee.reply != "declined":
                    assert (entry.starts, entry.ends, entry.place) == shown(event)
                    assert entry.sequence == event.sequence + attendee.sequence_ahead
        for program in self.programs.values():
            if UID in program.entries:
                self.to_us.append(program.refresh(UID, self.now()))
        self.the_post_comes_in()
        with self.database.read() as session:
            event = events.find(session, "munich")
            for attendee, entry in self.places(session, event):
                if attendee.removed_at is None and event.state != "cancelled":
                    assert (entry.title, entry.starts, entry.ends, entry.place) == (event.title, *shown(event))
                    assert entry.partstat == PARTSTAT[attendee.reply]

    def the_post_comes_in(self) -> None:
        """What is on its way, in its order, and all that is due is sent and read."""
        while self.to_us:
            self.take(self.to_us.pop(0))
        # What waits for the server's word on an earlier message comes back later.
        for _ in range(3):
            self.what_is_due_is_sent()
            self.house.clock.at += timedelta(minutes=20)
        for email in EMAILS:
            for message in self.unread[email]:
                self.programs[email].read(message)
            self.unread[email].clear()

    def places(self, session: Session, event: Event) -> Iterator[tuple[Attendee, Entry]]:
        """Each attendee whose calendar has an entry, with it."""
        for email, program in self.programs.items():
            if entry := program.entries.get(UID):
                person = people.find(session, email)
                yield session.exec(select(Attendee).where(Attendee.person_id == person.id)).one(), entry


def shown(event: Event) -> tuple[datetime, datetime, str]:
    """When and where, as calendars have it."""
    return event.starts, event.ends, calendar_event(event).location


EXAMPLES = {"sqlite": 30, "postgresql": 8}


def test_whatever_happens_in_whatever_order_the_ledger_and_the_calendars_agree(
    database: Database, settings: Settings
) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: RoundTrip(database, settings),
        settings=hypothesis_settings(max_examples=EXAMPLES[database.engine.dialect.name], stateful_step_count=30),
    )
