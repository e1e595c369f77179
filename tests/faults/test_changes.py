"""What organisers and recipients change in the middle of a campaign: nothing goes out after it that no longer holds.

The mail server holds its word while the change is made, so that every connection is in DATA then: what is accepted
after that has passed its fence before the change or after it, and it is known which.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa

from events_service import programmes
from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Delivery, Person
from events_service.outbox import ROWS
from events_service.postroom import Postroom
from events_service.tokens import mail_token
from schedules.service import LocalQueue
from schedules.ticks import tick
from tests.crowds import counts, crowd
from tests.domain.given import LANCASHIRE
from tests.faults.desk import Accepted, Desk
from tests.faults.promises import kept, undecided
from tests.ledger import hold_reviews, open_gate
from tests.processes import PATIENCE, Live, environment, live, run, until
from workers.process import mail_transport

QUICK = {"tick_seconds": 0.2, "ring_again_seconds": 1, "lease_seconds": 60, "chunk_size": 10, "smtp_connections": 1}
THREADS = 3
"""Each has one connection: then all of them are in DATA while the server holds its words, and stay there."""
REVIEW = "[[review_points]]\nid = 'one-more'\ntitle = 'Review'\nscope = [3]\nfrom_month = 12\ndue_month = 13\n"
STOPPED = frozenset({"suppressed", "held", "cancelled"})


class Scene:
    """A campaign that is being sent, in one process; the organiser's commands beside it."""

    def __init__(self, database: Database, desk: Desk, folder: Path, plan: str) -> None:
        self.database, self.desk, self.folder, self.plan = database, desk, folder, plan
        url = database.url.render_as_string(hide_password=False)
        self.settings = QUICK | {"database_url": url, "smtp_url": desk.url}
        self.up: Live

    @contextmanager
    def running(self) -> Iterator[str]:
        """Let it run; the address of its pages."""
        with live(self.folder, "up", "--port", 0, "--threads", THREADS, **self.settings) as self.up:
            yield self.up.wait_for_line("serving").split()[1].rstrip(";")
            assert self.up.stop() == 0
            assert "Traceback" not in self.up.said

    @contextmanager
    def held(self, after: int, more: int | None = None) -> Iterator[None]:
        """Every connection in DATA, once so many were accepted; they have their words when the block ends.

        `before` then says how many had passed their fences until then. After that so many `more` are accepted before
        the next hold; all that come, without it.
        """
        self.desk.hold(after)
        self.up.wait_for(lambda: self.desk.held and self.desk.in_data == THREADS, "every connection in DATA")
        self.before = self.desk.count + THREADS
        yield
        if more is None:
            self.desk.release()
        else:
            self.desk.hold(self.before + more)

    def command(self, *words: str) -> None:
        """What an organiser types."""
        done = run(self.folder, *words, **self.settings)
        assert done.returncode == 0, done.stderr

    def later(self) -> list[Accepted]:
        """What was accepted that had not passed its fence when the change was made."""
        return self.desk.accepted[self.before :]

    def is_decided(self) -> bool:
        """Whether nothing is on its way, and nothing due."""
        return undecided(self.database) == 0


@pytest.fixture
def scene(database: Database, desk: Desk, tmp_path: Path, full: bool) -> Scene:
    """An event in fifty days, in the window of a programme that began a year ago and more."""
    now = datetime.now(UTC)
    crowd(database, 600 if full else 90)
    began = (now - timedelta(days=410)).replace(day=1)
    text = LANCASHIRE.read_text().replace("start = 2022-04-01", f"start = {began:%Y-%m-%d}")
    with database.write() as session:
        programmes.load(session, text, "plan.toml", now)
    desk.seconds = 0.005
    return Scene(database, desk, tmp_path, text)


def rows(scene: Scene, *where: sa.ColumnElement[bool]) -> list[Delivery]:
    with scene.database.read() as session:
        return list(session.scalars(sa.select(Delivery).where(*where).order_by(ROWS.c.id)))


def test_unsubscribed_held_and_gated(scene: Scene) -> None:
    with scene.running() as address:
        with scene.held(after=10, more=10):
            claimed = rows(scene, ROWS.c.state == "sending", ROWS.c.in_data_at.is_(None))[0]
            waiting = rows(scene, ROWS.c.state == "pending")[-1]
            for row in (claimed, waiting):
                unsubscribe(address, row.person_id or 0)
        with scene.held(after=scene.before + 10):
            scene.command("campaign", "hold", "munich")
        scene.up.wait_for(scene.is_decided, "an end")
        assert scene.later() == []
        scene.desk.hold(scene.before + 10)
        scene.command("campaign", "release", "munich")
        with scene.held(after=scene.before + 10):
            # The programme is revised, and a review was due a month ago.
            plan = scene.folder / "plan.toml"
            plan.write_text(f"{scene.plan}\n{REVIEW}")
            scene.command("programme", "load", str(plan))
        scene.up.wait_for(scene.is_decided, "an end")
        assert scene.later() == []
        scene.command("review", "record", "one-more", "--decision", "continue", "--notes", "-")
        scene.up.wait_for(lambda: counts(scene.database).keys() == {"sent", "suppressed"}, "all but two")
    assert kept(scene.database, scene.desk, stopped=STOPPED)["suppressed"] == 2
    with scene.database.read() as session:
        spared = sa.select(Person.email).where(Person.id.in_((claimed.person_id, waiting.person_id)))
        assert not {one.recipient for one in scene.desk.accepted} & set(session.scalars(spared))


OVERDUE = datetime(2023, 10, 1, 23, tzinfo=UTC)
"""The midnight in London after progress-18 was due."""


def test_gated_by_midnight_with_chunks_in_hand(database: Database, desk: Desk, settings: Settings) -> None:
    """From the instant at which a review is overdue nothing passes its fence, whoever had claimed it before."""
    people = 90
    crowd(database, people, OVERDUE - timedelta(days=1))
    with database.write() as session:
        open_gate(session, "progress-18")
    settings = settings.model_copy(
        update={"smtp_url": desk.url, "chunk_size": QUICK["chunk_size"], "smtp_connections": 1}
    )
    clock = FixedClock(OVERDUE - timedelta(microseconds=1))
    postroom = Postroom(database, settings, mail_transport(settings), clock)
    queue = LocalQueue(postroom, THREADS)

    def work() -> None:
        tick(database, settings, queue.ring, clock(), afresh=True)
        queue.drain()

    desk.hold(after=10)
    working = threading.Thread(target=work)
    working.start()
    until(lambda: desk.held and desk.in_data == THREADS, "every connection in DATA")
    before = desk.count + THREADS
    claimed = counts(database)["sending"] - THREADS
    clock.at = OVERDUE
    desk.release()
    working.join(PATIENCE)
    assert desk.count == before
    # What was claimed is held; what was only rung for is put aside as soon as it is claimed.
    assert claimed > 0 and counts(database) == {"sent": before, "held": people - before}
    with database.write() as session:
        hold_reviews(session, "progress-18", now=clock())
    work()
    queue.stop()
    postroom.close()
    assert kept(database, desk) == {"sent": people}


def unsubscribe(address: str, person: int) -> None:
    """As a mail program does it (RFC 8058)."""
    token = mail_token(environment()["EVENTS_SECRET_KEY"].encode(), "unsubscribe", person)
    request = Request(f"{address}/unsubscribe/{token}", data=b"List-Unsubscribe=One-Click")
    with urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def test_moved_and_then_cancelled(scene: Scene) -> None:
    with scene.running():
        with scene.held(after=10, more=30):
            starts = datetime.now(UTC) + timedelta(days=52)
            scene.command("event", "move", "munich", "--starts", f"{starts:%Y-%m-%dT%H:%M}")
        moved = scene.before
        with scene.held(after=moved + 30):
            scene.command("event", "cancel", "munich", "--reason", "strike")
        scene.up.wait_for(scene.is_decided, "an end")
        first, then = scene.desk.accepted[:moved], scene.desk.accepted[moved : scene.before]
        # Whoever had heard of the old time is told the new one; the others hear of the new one alone.
        assert {sequence(one) for one in first} == {0}
        assert {sequence(one) for one in then} == {1}
        told = {one.recipient for one in first + then}
        assert {sequence(one) for one in scene.later()} == {2}
        assert sorted(one.recipient for one in scene.later()) == sorted(told)
    kept(scene.database, scene.desk, stopped=STOPPED)
    assert {row.state for row in rows(scene, ROWS.c.purpose == "cancellation")} == {"sent"}


def sequence(accepted: Accepted) -> int:
    """The SEQUENCE of the event that a message speaks of."""
    [part] = [part for part in accepted.message.walk() if part.get_content_type() == "text/calendar"][:1]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return int(payload.decode().split("SEQUENCE:")[1].split()[0])
