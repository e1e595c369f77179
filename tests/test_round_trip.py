"""Invitations and replies both ways, in any order, lost in the post for a while, late and twice.

Beside the service stand guests whose calendar programs know nothing of it but the mails. When the post has come in, the
ledger and every guest's calendar say the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlmodel import SQLModel

from events_service import attendees, events, intake
from events_service.config import Settings
from events_service.db.session import Database
from events_service.errors import ConflictError, RefusedError
from tests.calendars.client import CalendarProgram
from tests.ledger import INVITED, SHORT, House, started

EMAILS = ("ada@example.org", "bob@example.org")
UID = "munich@example.org"
STEPS = SHORT.replace('template = "reminder"', 'template = "reminder"\ncalendar = true')
LAST = datetime(2023, 9, 20, tzinfo=UTC)
"""After this no time passes but minutes, so that the event is not over when the post comes in."""
PARTSTATS = ("ACCEPTED", "TENTATIVE", "DECLINED")


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

    @rule(
        email=st.sampled_from(EMAILS),
        reply=st.sampled_from(attendees.REPLIES),
        via=st.sampled_from(("link", "organiser")),
    )
    def a_reply_comes_another_way(self, email: str, reply: str, via: str) -> None:
        with self.database.write() as session:
            attendee = attendees.find(session, events.find(session, "munich"), email)
            try:
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

    @rule()
    @precondition(lambda self: self.house.clock() > INVITED + timedelta(days=1))
    def the_event_is_cancelled(self) -> None:
        with self.database.write() as session:
            event = events.find(session, "munich")
            if event.state == "approved":
                events.cancel(session, event, "strike", self.now())

    # What holds in the end

    def teardown(self) -> None:
        """The post comes in: then every guest's calendar says what the ledger says."""
        while self.to_us:
            self.take(self.to_us.pop(0))
        self.what_is_due_is_sent()
        for email in EMAILS:
            for message in self.unread[email]:
                self.programs[email].read(message)
        with self.database.read() as session:
            event = events.find(session, "munich")
            for email in EMAILS:
                attendee = attendees.find(session, event, email)
                entry = self.programs[email].entries.get(UID)
                if entry is None:
                    continue
                if event.state == "cancelled":
                    assert entry.cancelled, email
                elif attendee.reply == "declined":
                    assert not entry.cancelled
                else:
                    assert (entry.starts, entry.ends, entry.cancelled) == (event.starts, event.ends, False), email
                    assert entry.sequence == event.sequence


EXAMPLES = {"sqlite": 60, "postgresql": 15}


def test_whatever_happens_in_whatever_order_the_ledger_and_the_calendars_agree(
    database: Database, settings: Settings
) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: RoundTrip(database, settings),
        settings=hypothesis_settings(max_examples=EXAMPLES[database.engine.dialect.name], stateful_step_count=30),
    )
