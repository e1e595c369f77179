"""The rehearsal itself: the clock goes from one due moment to the next, and everything else is what runs live."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from events_service import doorbell, feeds, intake
from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.schema import open_database
from events_service.db.session import Database
from events_service.domain.programme import Programme
from events_service.domain.programme_file import load_programme
from events_service.domain.reviews import overdue_from
from events_service.errors import EventsError
from events_service.postroom import Postroom
from events_service.web.app import create_app
from schedules.rehearsal.browser import Browser
from schedules.rehearsal.chance import Chance
from schedules.rehearsal.guests import Deed, Guests, Told
from schedules.rehearsal.organiser import Entry, Organiser, Refusal, load
from schedules.rehearsal.people import Guest, make_guests
from schedules.rehearsal.postbag import Mail, Postbag
from schedules.rehearsal.script import Script, Step
from schedules.service import LocalQueue
from schedules.ticks import tick

QUANTUM = timedelta(minutes=10)
"""The tick of a rehearsal: what falls due within it goes together. The live one is seconds."""

_MAIL_DOMAIN = "lancashire.example.org"
_STUCK = 100


@dataclass(frozen=True)
class Progress:
    """How far a rehearsal is: now, the programme's month, and how many messages have gone out."""

    now: datetime
    month: int
    sent: int


@dataclass(frozen=True)
class Rehearsed:
    """What a rehearsal leaves behind, beside its folder. `feeds` are the calendars by the name of their file."""

    programme: Programme
    end: datetime
    guests: Sequence[Guest]
    log: Sequence[Entry]
    refusals: Sequence[Refusal]
    told: Told
    feeds: dict[str, bytes]
    database: Database


def settings_of(out: Path, chance: Chance) -> Settings:
    """The settings of a rehearsal in `out`: everything of its own, and nothing from the environment."""
    # `model_construct` reads no environment: a rehearsal cannot be pointed at anything live.
    return Settings.model_construct(
        data_dir=out,
        database_url=f"sqlite:///{out / 'events.db'}",
        broker_url="stub://",
        smtp_url=f"maildir:{out / 'mail'}",
        public_url=f"https://events.{_MAIL_DOMAIN}",
        secret_key=chance.secret(),
        mail_from=f"Lancashire events desk <events@{_MAIL_DOMAIN}>",
        mail_domain=_MAIL_DOMAIN,
    )


class Rehearsal:
    """One rehearsal in a folder that is ready for it. Use it once."""

    def __init__(self, out: Path, programme_text: str, name: str, script: Script, people: int, seed: int) -> None:
        chance = Chance(seed)
        self._settings = settings_of(out, chance)
        self._database = open_database(self._settings.resolved_database_url, durable=False)
        self._clock = FixedClock(datetime(2000, 1, 1, tzinfo=UTC))
        programme = self._programme = self._load(programme_text, name)
        self._end = programme.timeline.begins(programme.months)
        self._postbag = Postbag(out / "mail")
        self._queue = LocalQueue(Postroom(self._database, self._settings, self._postbag, self._clock))
        app = create_app(self._database, self._settings, self._clock)
        self._browser = Browser(app, self._settings.public_base)
        self._people = make_guests(
            chance, people, script.cast, [theme.key for theme in programme.themes],
            [market.country for market in programme.markets],
        )  # fmt: skip
        desk = f"events@{_MAIL_DOMAIN}"
        self._guests = Guests(chance, self._people, script.cast, self._browser, self._take_in, desk)
        self._organiser = Organiser(self._database, programme, script, self._people, chance)
        self._plans: list[tuple[datetime, int, Deed]] = []
        self._numbered = 0
        self._feeds: dict[str, str] = {}
        self._ticks_due: list[datetime] = []
        self._plan_the_script(script)

    def run(self, progress: Callable[[Progress], None] = lambda _: None) -> Rehearsed:
        """From month 0 to the end. Closes what it opened but the database, which the caller disposes of."""
        try:
            self._subscribe_to_all()
            self._walk(progress)
            calendars = {name: self._browser.get(url).body for name, url in self._feeds.items()}
        finally:
            self._queue.stop()
            self._browser.close()
        return Rehearsed(
            self._programme, self._end, self._people, self._organiser.log, self._organiser.refusals,
            self._guests.told, calendars, self._database,
        )  # fmt: skip

    def _walk(self, progress: Callable[[Progress], None]) -> None:
        still = 0
        while (now := self._next()) < self._end:
            self._clock.at = now
            self._do_what_is_planned(now)
            if self._ticks_due and self._ticks_due[0] <= now:
                while self._ticks_due and self._ticks_due[0] <= now:
                    heapq.heappop(self._ticks_due)
                still = 0 if self._tick(now) else still + 1
                if still > _STUCK:
                    raise EventsError(
                        f"the rehearsal does not get on after {now:%Y-%m-%d %H:%M}: what is due stays due"
                    )
            self._look_ahead(now)
            progress(Progress(now, self._programme.timeline.month_of(now), self._queue.tally.sent))
        self._clock.at = self._end
        self._tick(self._end)

    def _next(self) -> datetime:
        moments = [self._end]
        if self._plans:
            moments.append(self._plans[0][0])
        if self._ticks_due:
            moments.append(self._ticks_due[0])
        return min(moments)

    def _do_what_is_planned(self, now: datetime) -> None:
        while self._plans and self._plans[0][0] <= now:
            _, _, deed = heapq.heappop(self._plans)
            deed(now)

    def _tick(self, now: datetime) -> bool:
        """One tick, what it rings for, and the mail that came of it; whether anything was done."""
        ticked = tick(self._database, self._settings, self._queue.ring, now)
        if ticked.rung:
            self._queue.drain()
            for path in self._postbag.take():
                for at, deed in self._guests.read(Mail.read(path), now):
                    self._plan(at, deed)
        return any(ticked.as_json().values())

    def _look_ahead(self, now: datetime) -> None:
        """See that there is a tick when the next message is due."""
        with self._database.read() as session:
            due = doorbell.next_due(session)
        if due is not None:
            # One that stays due although it was rung for waits as long as it would live.
            floor = now + timedelta(seconds=self._settings.ring_again_seconds) if due <= now else now
            self._tick_at(max(due, floor))

    def _tick_at(self, at: datetime) -> None:
        whole = _rounded_up(at)
        if whole not in self._ticks_due:
            heapq.heappush(self._ticks_due, whole)

    def _plan(self, at: datetime, deed: Deed) -> None:
        # The number keeps those of one moment in the order in which they were planned.
        self._numbered += 1
        heapq.heappush(self._plans, (at, self._numbered, deed))

    def _plan_the_script(self, script: Script) -> None:
        zone = ZoneInfo(self._programme.timezone)
        for step in script.steps:
            self._plan(step.at.replace(tzinfo=zone).astimezone(UTC), partial(self._do_step, step))
        for point in self._programme.review_points:
            self._tick_at(overdue_from(self._programme, point))

    def _do_step(self, step: Step, now: datetime) -> None:
        # Live, the last tick is seconds old when an organiser does something.
        self._tick(now)
        for at, later in self._organiser.do(step, now):
            self._plan(at, later)
        if step.do == "people":
            # The first of the cast subscribes to their own calendar as soon as there is one.
            for guest in self._people[:1]:
                self._subscribe(f"person-{guest.cast or 1}.ics", "person", guest.email)
        self._tick_at(now)

    def _take_in(self, message: bytes, now: datetime) -> str:
        with self._database.write() as session:
            taken = intake.take(session, message, self._settings, now)
            return f"{taken.kind}, {'applied' if taken.applied else 'left alone'}"

    def _subscribe_to_all(self) -> None:
        """Somebody subscribes to every kind of calendar on the first day."""
        self._subscribe("public.ics", "public", "")
        self._subscribe("organiser.ics", "organiser", "")
        for theme in self._programme.themes:
            self._subscribe(f"theme-{theme.key}.ics", "theme", theme.key)
        for market in self._programme.markets:
            self._subscribe(f"market-{market.country}.ics", "market", market.country)

    def _subscribe(self, name: str, kind: str, of: str) -> None:
        with self._database.write() as session:
            _, token = feeds.create(session, kind, of, self._clock())
        self._feeds[name] = f"{self._settings.public_base}/feeds/{token}.ics"

    def _load(self, text: str, name: str) -> Programme:
        """The programme in force from its first moment on."""
        self._clock.at = load_programme(text, name).timeline.begins(0)
        return load(self._database, text, name, self._clock.at)


def _rounded_up(at: datetime) -> datetime:
    """The next moment of the rehearsal's tick."""
    quantum = QUANTUM.total_seconds()
    return datetime.fromtimestamp(-(-at.timestamp() // quantum) * quantum, UTC)
