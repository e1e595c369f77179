"""How long a person who replies waits for the confirmation while a campaign runs."""

from __future__ import annotations

import re
import statistics
import threading
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import SQLModel

from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.tokens import mail_token
from tests.attendance import make_event
from tests.bench import running
from tests.bench.debian import free_port
from tests.bench.harness import Figure, bench, progress
from tests.bench.mission import invitations, place
from tests.bench.postfix import Sink, sink
from tests.bench.running import LETTERS
from tests.crowds import counts
from tests.processes import Live, live

GUESTS = 2000
EVERY = 0.2
"""Seconds between two replies."""
_GRACE = 30.0
_SECRET = b"a key for benchmarks"
_TO = re.compile(rb"X-Rcpt-Args: <r(\d+)@example\.org>")


@bench("reply-under-load", unit="s", most=2)
def reply_under_load(folder: Path) -> Figure:
    """From POST /reply/… to the confirmation's arrival at the mail server, 95th percentile, while a campaign runs.

    On PostgreSQL and RabbitMQ with two worker processes, a scheduler and a web process; no yardstick. The same in one
    process on SQLite is printed beside it. A reply that was never confirmed makes this fail.
    """
    with ExitStack() as stack:
        to = stack.enter_context(sink(folder, keep=True))
        fleet = stack.enter_context(running.fleet(folder / "live", to, secret_key=_SECRET.decode()))
        port = free_port()
        web = stack.enter_context(live(folder / "live", "web", "--port", port, **fleet.settings))
        web.wait_for_line("serving")
        began = running.processor_seconds(web.process.pid)
        waits = _waits(fleet.database, to, port, web)
        web_cpu = (running.processor_seconds(web.process.pid) - began) / len(waits) * 1e6
    progress(f"reply-under-load: PostgreSQL and RabbitMQ: {_said(waits)}")
    (folder / "up").mkdir()
    with sink(folder / "up", keep=True) as to:
        beside = _in_one_process(folder / "up", to)
    progress(f"reply-under-load: `events up` on SQLite: {_said(beside)}")
    return Figure(_percentile(waits), costs={"web_cpu": web_cpu})


def _in_one_process(folder: Path, to: Sink) -> list[float]:
    settings = {
        "data_dir": folder,
        "smtp_url": to.url,
        "tick_seconds": 1,
        "secret_key": _SECRET.decode(),
        "log_format": "json",
    }
    with ExitStack() as stack:
        database = open_database(f"sqlite:///{folder / 'events.db'}")
        stack.callback(database.dispose)
        port = free_port()
        up = stack.enter_context(live(folder, "up", "--port", port, **settings))
        return _waits(database, to, port, up)


def _waits(database: Database, to: Sink, port: int, web: Live) -> list[float]:
    """The seconds that each person who replied during the campaign waited."""
    web.wait_for_line("serving")
    guests = _guests_of(database)
    posted: dict[int, float] = {}
    arrivals = _Arrivals(to.kept)
    over = threading.Event()
    replies = threading.Thread(target=_reply, args=(guests, port, posted, over))
    with arrivals:
        replies.start()
        running.wait_until(
            lambda: to.messages >= LETTERS and not counts(database).get("pending"),
            lambda: f"the campaign; {counts(database)}; {web.said[-500:]}",
        )
        over.set()
        replies.join()
        running.wait_until(
            lambda: arrivals.at.keys() >= posted.keys(),
            lambda: f"{len(posted.keys() - arrivals.at.keys())} of {len(posted)} confirmations; {counts(database)}",
            _GRACE,
        )
    return [arrivals.at[number] - at for number, at in posted.items()]


def _guests_of(database: Database) -> list[int]:
    """A campaign that is due, and people who are at another event: the numbers of their places."""
    now = datetime.now(UTC)
    invitations(database, LETTERS)
    person, attendee = (SQLModel.metadata.tables[name] for name in ("person", "attendee"))
    with database.write() as session:
        starts = now + timedelta(days=70)
        event = make_event(session, "dublin", starts=starts, ends=starts + timedelta(days=1))
        people = [
            {
                "email": f"r{number}@example.org", "email_hash": f"guest-{number}", "name": f"Guest {number}",
                "organisation": "", "locale": "en", "timezone": "UTC", "role": "delegate", "source": "",
                "created_at": now, "changed_at": now,
            }
            for number in range(GUESTS)
        ]  # fmt: skip
        session.execute(person.insert(), people)
        ids = session.execute(sa.select(person.c.id).where(person.c.email.like("r%")).order_by(person.c.id)).scalars()
        places = [place(event.id, id, now) for id in ids]
        session.execute(attendee.insert(), places)
        chosen = sa.select(attendee.c.id).where(attendee.c.event_id == event.id).order_by(attendee.c.person_id)
        return list(session.execute(chosen).scalars())


def _reply(guests: list[int], port: int, posted: dict[int, float], over: threading.Event) -> None:
    """Have one guest after the other reply, until it is over."""
    with ThreadPoolExecutor(8) as pool:
        asked = []
        for number, attendee in enumerate(guests):
            if over.wait(EVERY):
                break
            posted[number] = time.monotonic()
            asked.append(pool.submit(_post, port, attendee))
        for one in asked:
            one.result()


def _post(port: int, attendee: int) -> None:
    url = f"http://127.0.0.1:{port}/reply/{mail_token(_SECRET, 'reply', attendee)}"
    data = urllib.parse.urlencode({"reply": "accepted"}).encode()
    with urllib.request.urlopen(url, data, timeout=60) as answer:
        answer.read()


class _Arrivals:
    """Reads what the mail server writes as it writes it: when each guest's confirmation was there."""

    def __init__(self, kept: Path) -> None:
        self.at: dict[int, float] = {}
        self._kept, self._over = kept, threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> _Arrivals:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        running.wait_until(lambda: self._kept.exists() or self._over.is_set(), lambda: "the first message")
        if self._over.is_set():
            return
        rest = b""
        with self._kept.open("rb") as file:
            while not self._over.is_set():
                data = file.read(1 << 22)
                if not data:
                    time.sleep(0.01)
                    continue
                now = time.monotonic()
                data = rest + data
                for found in _TO.finditer(data):
                    self.at.setdefault(int(found[1]), now)
                rest = data[-100:]


def _percentile(waits: list[float]) -> float:
    return statistics.quantiles(waits, n=20, method="inclusive")[18]


def _said(waits: list[float]) -> str:
    return (
        f"{len(waits)} replies, median {statistics.median(waits):.2f} s, 95th percentile {_percentile(waits):.2f} s,"
        f" longest {max(waits):.2f} s"
    )
