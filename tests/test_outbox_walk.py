"""Deliveries walked at random through everything that can happen to them, beside a model of what the server took.

The workers' code is the post room's own; a trigger in the database writes down every single change of state.
"""

from __future__ import annotations

from collections import defaultdict, deque
from datetime import timedelta

import sqlalchemy as sa
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlmodel import SQLModel, col, select

from events_service import attendees, campaigns, events, outbox, people, removals, restored
from events_service.chunk import Chunk
from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Attendee, Delivery, Event, Person
from events_service.db.writer import Writer
from events_service.domain.delivery import LEAVES_BY, LOST_TOO_OFTEN
from events_service.errors import (
    ConflictError,
    PermanentMailError,
    RefusedError,
    SenderRefusedError,
    TransientMailError,
    UnknownMailError,
)
from events_service.letters import Draft, Letters
from events_service.outbox import ROWS
from schedules.ticks import tick
from tests.ledger import INVITED, SHORT, hold_reviews, open_gate, run_out, started

EMAILS = ("ada@example.org", "bob@example.org", "cem@example.org")
MIXED = SHORT.replace('template = "reminder"', 'template = "reminder"\nunknown = "resend"')
ERRORS = {
    "later": TransientMailError("451 later", 451),
    "never": PermanentMailError("554 never", 554),
    "dead": PermanentMailError("550 5.1.1 nobody there", 550, "5.1.1", dead_address=True),
    "lost": UnknownMailError("the connection was lost"),
}
AWAY = SenderRefusedError("550 over the quota", 550)


class Walk(RuleBasedStateMachine):
    """Three people, four steps, any number of workers; time goes on, and so do the organiser and the recipients."""

    def __init__(self, database: Database, settings: Settings, letters: Letters) -> None:
        super().__init__()
        self.database, self.settings, self.letters = database, settings, letters
        self.clock = FixedClock(INVITED)
        self.bell: list[int] = []
        self.workers: list[tuple[Chunk, deque[Draft]]] = []
        self.writers: list[Writer] = []
        self.tokens, self.seconds = 0, 0.0
        # By delivery: may the recipient have it; did the server take it, or an organiser say so; how often may it go
        # once more all the same. And who may have heard of the event: one message of theirs passed its fence.
        self.doubt: dict[int, bool] = defaultdict(bool)
        self.taken: dict[int, bool] = defaultdict(bool)
        self.again: dict[int, int] = {}
        self.heard: set[int | None] = set()
        self.spoke: set[int | None] = set()
        # By person, the METHOD and SEQUENCE of the calendar that passed its fence last.
        self.shown: dict[int | None, tuple[str, int]] = {}
        self.restored = False
        with database.write() as session:
            for table in reversed(SQLModel.metadata.sorted_tables):
                session.execute(table.delete())
            session.execute(sa.text("DELETE FROM walked"))
            started(session, *EMAILS, text=MIXED)

    # The machinery

    @rule(hours=st.sampled_from((1, 24, 24 * 7, 24 * 14)))
    def time_goes_on(self, hours: int) -> None:
        self.clock.at += timedelta(hours=hours)

    def worker(self, token: str) -> Chunk:
        writer = Writer(self.database)
        self.writers.append(writer)
        return Chunk(self.database, self.settings, self.clock, token, 660, self.elapsed, writer)

    def elapsed(self) -> float:
        """Every other fence renews its worker's lease."""
        self.seconds += self.settings.lease_seconds / 3
        return self.seconds

    @rule(twice=st.booleans())
    def the_bell_is_rung_and_answered(self, twice: bool) -> None:
        tick(self.database, self.settings, self.bell.extend, self.clock())
        for _ in range(2 if twice else 1):
            self.tokens += 1
            chunk = self.worker(f"worker {self.tokens}")
            drafts = deque(chunk.claim(self.bell, self.letters))
            self.workers.append((chunk, drafts))
        self.bell = []

    @rule(which=st.integers(0, 9), answer=st.sampled_from(("taken", "taken", "lost", "away", "paced", *ERRORS)))
    @precondition(lambda self: any(drafts for _chunk, drafts in self.workers))
    def the_next_message_goes(self, which: int, answer: str) -> None:
        busy = [worker for worker in self.workers if worker[1]]
        chunk, drafts = busy[which % len(busy)]
        draft = drafts.popleft()
        id = draft.row.id
        if answer == "paced":
            chunk.postponed(draft, 90.0)
            return
        if not chunk.fence([draft]):
            return
        self.heard.add(draft.row.person_id)
        self.see_the_order(draft)
        # Its policy allows a doubtful message once more at the most, and each word of an organiser once.
        self.again.setdefault(id, int(self.policy(id) == "resend"))
        if self.doubt[id]:
            assert self.again[id] > 0, "a second DATA that neither its policy nor a person asked for"
            self.again[id] -= 1
        self.doubt[id] = answer in ("taken", "lost")
        self.taken[id] |= answer == "taken"
        if answer == "taken":
            chunk.sent(draft)
        elif answer == "away":
            chunk.untried(draft, AWAY)
        else:
            chunk.refused(draft, ERRORS[answer])

    def see_the_order(self, draft: Draft) -> None:
        """No calendar goes back to an earlier one, and after a CANCEL only one with a higher SEQUENCE."""
        if draft.calendar is None:
            return
        method, sequence = draft.calendar.method, int(draft.calendar.head.split(b"SEQUENCE:")[1].split()[0])
        before, last = self.shown.get(draft.row.person_id, ("REQUEST", 0))
        asks_anew = (before, method) == ("CANCEL", "REQUEST")
        assert sequence > last if asks_anew else sequence >= last, (before, last, method, sequence)
        with self.database.read() as session:
            others = select(Delivery.id).where(
                Delivery.attendee_id == draft.row.attendee_id, col(Delivery.in_data_at).is_not(None),
                Delivery.state == "sending", col(Delivery.id) < draft.row.id,
            )  # fmt: skip
            if draft.row.purpose in ("update", "uninvited", "cancellation"):
                assert session.exec(others).all() == [], "it may overtake what is in DATA"
        self.shown[draft.row.person_id] = method, sequence

    def policy(self, id: int) -> str:
        with self.database.read() as session:
            return session.get_one(Delivery, id).unknown_policy

    @rule(which=st.integers(0, 9))
    @precondition(lambda self: self.workers)
    def a_worker_is_done(self, which: int) -> None:
        chunk, _drafts = self.workers.pop(which % len(self.workers))
        chunk.close()

    @rule(which=st.integers(0, 9), dead=st.booleans())
    @precondition(lambda self: self.workers)
    def a_worker_is_lost(self, which: int, dead: bool) -> None:
        """Its leases run out; if it is only slow, it goes on afterwards and has its word."""
        chunk, _drafts = self.workers[which % len(self.workers)]
        with self.database.write() as session:
            run_out(session, ROWS.c.lease_token == chunk._token)
        if dead:
            self.workers.pop(which % len(self.workers))
        tick(self.database, self.settings, self.bell.extend, self.clock())

    @rule(which=st.integers(0, 9))
    @precondition(lambda self: self.workers)
    def a_worker_is_lost_once_more(self, which: int) -> None:
        """Like all those before it that had these rows."""
        chunk, _drafts = self.workers.pop(which % len(self.workers))
        mine, before = ROWS.c.lease_token == chunk._token, ROWS.c.in_data_at.is_(None)
        with self.database.write() as session:
            session.execute(sa.update(ROWS).where(mine, before).values(lost_leases=LOST_TOO_OFTEN - 1))
            ids = select(Delivery.id).where(mine, before, col(Delivery.state) == "sending")
            lost = set(session.exec(ids))
            run_out(session, mine)
        tick(self.database, self.settings, self.bell.extend, self.clock())
        with self.database.read() as session:
            failed = set(session.exec(select(Delivery.id).where(Delivery.state == "failed")))
        assert lost <= failed

    # The organiser and the recipients

    @rule(
        act=st.sampled_from(("hold", "release", "release", "gate", "review", "review", "move", "cancel")),
        days=st.sampled_from((-7, 1, 30)),
    )
    def the_organiser_acts(self, act: str, days: int) -> None:
        now, by = self.clock(), timedelta(days=days)
        with self.database.write() as session:
            event = events.find(session, "munich")
            try:
                match act:
                    case "hold":
                        campaigns.hold(session, event, now)
                    case "release":
                        campaigns.release(session, event, now)
                    case "gate":
                        open_gate(session, "review-12")
                    case "review":
                        open_gate(session, "review-12")
                        hold_reviews(session, "review-12")
                    case "move":
                        events.move(session, event, event.starts + by, event.ends + by, now)
                    case "cancel":
                        events.cancel(session, event, "strike", now)
            except (ConflictError, RefusedError):
                session.rollback()

    @rule(email=st.sampled_from(EMAILS), back=st.booleans())
    def the_list_changes(self, email: str, back: bool) -> None:
        now = self.clock()
        with self.database.write() as session:
            event, person = events.find(session, "munich"), people.find(session, email)
            try:
                if back:
                    attendees.add(session, event, person, None, now)
                else:
                    removals.remove(session, event, attendees.find(session, event, email), "", now)
            except ConflictError:
                session.rollback()

    @rule(email=st.sampled_from(EMAILS), word=st.sampled_from(("accepted", "tentative", "declined", "unsubscribe")))
    def a_recipient_acts(self, email: str, word: str) -> None:
        with self.database.write() as session:
            if word == "unsubscribe":
                people.unsubscribe(session, people.find(session, email).id or 0, self.clock())
                return
            try:
                attendee = attendees.find(session, events.find(session, "munich"), email)
                attendees.set_reply(session, attendee, word, via="link", note="", now=self.clock())
                self.spoke.add(attendee.person_id)
            except ConflictError:
                session.rollback()

    @rule(
        which=st.integers(0, 99),
        state=st.sampled_from(("sent", "failed", "unknown")),
        arrived=st.booleans(),
    )
    def evidence_comes(self, which: int, state: str, arrived: bool) -> None:
        """A bounce of what was sent, an organiser's retry of what failed, or their word on what is unknown."""
        with self.database.write() as session:
            ids = list(session.execute(sa.select(ROWS.c.id).where(ROWS.c.state == state).order_by(ROWS.c.id)).scalars())
            if not ids:
                return
            id = ids[which % len(ids)]
            if state == "sent":
                assert outbox.bounced(session, id, "no such user", self.clock())
            elif state == "failed":
                assert outbox.retry(session, self.clock(), ROWS.c.id == id) == [id]
            else:
                assert outbox.settle_by_hand(session, id, arrived, self.clock())
                if arrived:
                    self.taken[id] = self.doubt[id] = True
                else:
                    self.again[id] += 1

    @rule()
    @precondition(lambda self: not self.restored)
    def a_backup_is_restored(self) -> None:
        """Not really: the ledger is gone through as it would be then, while some still send. Once: it holds so much."""
        self.restored = True
        with self.database.write() as session:
            restored.doubt(session, self.settings, None, self.clock())
            self.heard |= set(session.exec(select(Delivery.person_id).where(col(Delivery.doubted_at).is_not(None))))

    # What holds at any moment

    @invariant()
    def only_the_moves_that_there_are(self) -> None:
        with self.database.write() as session:
            walked = session.execute(sa.text("SELECT delivery, was, now FROM walked ORDER BY n")).all()
            session.execute(sa.text("DELETE FROM walked"))
        for id, was, now in walked:
            assert now in LEAVES_BY[was], f"{id}: {was} → {now}"

    @invariant()
    def every_row_is_whole(self) -> None:
        with self.database.read() as session:
            rows = session.exec(select(Delivery)).all()
        for row in rows:
            assert row.attempts >= 0
            assert (row.hold_reason is not None) == (row.state == "held"), row.state
            assert (row.lease_until is not None) == (row.state == "sending"), row.state
            if row.state == "sending":
                assert row.lease_token
            if row.state == "sent":
                assert row.sent_at is not None
                assert self.taken[row.id or 0], "sent, and the server never took it"

    def teardown(self) -> None:
        """Whoever had heard of the event is told that it moved, or that it is off, and nobody else."""
        for writer in self.writers:
            writer.__exit__()
        with self.database.write() as session:
            run_out(session)
        tick(self.database, self.settings, self.bell.extend, self.clock())
        with self.database.read() as session:
            event = session.exec(select(Event)).one()
            off = col(Delivery.purpose).in_(("cancellation", "uninvited"))
            told = set(session.exec(select(Delivery.person_id).where(off)))
            updated = set(session.exec(select(Delivery.person_id).where(Delivery.purpose == "update")))
            went = select(Delivery.person_id).where(
                col(Delivery.step_id).is_not(None) | (Delivery.purpose == "update"),
                col(Delivery.state).in_(("sent", "unknown")),
            )
            must = set(session.exec(went))
            replied = set(session.exec(select(Attendee.person_id).where(Attendee.reply != "none")))
            everybody = set(session.exec(select(Person.id)))
        may = self.heard | self.spoke
        assert updated <= may <= everybody
        if event.state == "cancelled" and event.ends > self.clock():
            assert must | replied <= told <= may


TRIGGERS = {
    "sqlite": (
        "CREATE TABLE IF NOT EXISTS walked (n INTEGER PRIMARY KEY, delivery INTEGER, was TEXT, now TEXT)",
        """CREATE TRIGGER IF NOT EXISTS walk AFTER UPDATE OF state ON delivery WHEN OLD.state <> NEW.state
        BEGIN INSERT INTO walked (delivery, was, now) VALUES (NEW.id, OLD.state, NEW.state); END""",
    ),
    "postgresql": (
        "CREATE TABLE walked (n SERIAL PRIMARY KEY, delivery INTEGER, was TEXT, now TEXT)",
        """CREATE FUNCTION walk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO walked (delivery, was, now) VALUES (NEW.id, OLD.state, NEW.state); RETURN NULL; END $$""",
        """CREATE TRIGGER walk AFTER UPDATE OF state ON delivery FOR EACH ROW WHEN (OLD.state <> NEW.state)
        EXECUTE FUNCTION walk()""",
    ),
}
EXAMPLES = {"sqlite": 60, "postgresql": 15}


def test_no_walk_leaves_the_map_or_sends_twice(database: Database, settings: Settings) -> None:
    dialect = database.engine.dialect.name
    with database.write() as session:
        for statement in TRIGGERS[dialect]:
            session.connection().exec_driver_sql(statement)
    letters = Letters(settings)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Walk(database, settings, letters),
        settings=hypothesis_settings(max_examples=EXAMPLES[dialect], stateful_step_count=30),
    )
