"""The organisers: they do what the script says, through the same use cases that the commands call."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlmodel import Session, select

from events_service import attendees, campaigns, events, institutions, outbox, outcomes, people, reviews
from events_service import programmes as plans
from events_service.db.session import Database
from events_service.db.tables import Attendee, Event, Person
from events_service.domain.delivery import HELD_BY_REVIEW, UNSENT
from events_service.domain.programme import Programme
from events_service.domain.reviews import overdue_from
from events_service.errors import ConflictError, DatabaseError, EventsError, RefusedError
from events_service.outbox import ROWS
from events_service.people_import import import_people
from events_service.reading import event_files
from events_service.reading.institution_files import read_institutions
from events_service.reading.people_files import read_people
from schedules.rehearsal.chance import Chance
from schedules.rehearsal.guests import Plan
from schedules.rehearsal.people import Guest, choose, write_csv
from schedules.rehearsal.script import Script, Step

_TURN_UP = {"accepted": 0.9, "tentative": 0.35}
_DOORS = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the logbook: when, what kind of thing, of which event (or ""), and what happened."""

    at: datetime
    kind: str
    event: str
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the programme's rules refused: when, which event, the codes that stood, and the line that said so."""

    at: datetime
    event: str
    codes: tuple[str, ...]
    message: str


class Organiser:
    """Does the script's steps. `log` is what happened beside the messages, `refusals` what was not allowed."""

    def __init__(
        self, database: Database, programme: Programme, script: Script, guests: Sequence[Guest], chance: Chance
    ) -> None:
        self._database, self._programme, self._script = database, programme, script
        self._guests, self._chance = guests, chance
        self._by_key = {guest.cast: guest for guest in guests if guest.cast}
        self._cast = {guest.email for guest in guests if guest.cast}
        self.log: list[Entry] = []
        self.refusals: list[Refusal] = []

    def do(self, step: Step, now: datetime) -> list[Plan]:
        """Do one step; what must be done later because of it. What the rules refuse is noted, and the show goes on."""
        try:
            return _STEPS[step.do](self, step, now) or []
        except RefusedError as error:
            standing = [one for one in error.violations if one.severity == "error" and not one.waived]
            codes = tuple(one.code for one in standing)
            self.refusals.append(Refusal(now, step.event, codes, str(error)))
            said = "; ".join(one.message for one in standing)
            self._note(now, "refused", step.event, f"{step.event} ({', '.join(codes)}): {said}")
        except DatabaseError:
            raise
        except EventsError as error:
            self._note(now, "failed", step.event, str(error))
        return []

    def _institutions(self, _step: Step, now: datetime) -> None:
        with self._database.write() as session:
            done = institutions.import_records(session, read_institutions(self._institutions_file), now)
        self._note(now, "institutions", "", f"{done['created']} institutions to know, by their ROR ids")

    def _target(self, step: Step, now: datetime) -> None:
        marked = 0
        with self._institutions_file.open(encoding="utf-8", newline="") as file, self._database.write() as session:
            for row in csv.DictReader(file):
                for theme in filter(None, row["targets"].split("|")) if row["country"] == step.country else ():
                    institutions.target(session, row["ror"], theme, now)
                    marked += 1
        self._note(now, "institutions", "", f"{marked} targets marked in {step.country}")

    def _people(self, _step: Step, now: datetime) -> None:
        with tempfile.TemporaryDirectory(prefix="events-rehearsal-") as folder:
            path = Path(folder) / "people.csv"
            write_csv(self._guests, path)
            with self._database.write() as session:
                done = import_people(session, read_people(path), now)
        if done["bad"]:
            raise ConflictError(f"{len(done['bad'])} made people were not taken: {done['bad'][0]}")
        self._note(now, "people", "", f"{done['created']} people imported")

    def _add(self, step: Step, now: datetime) -> None:
        for name in step.events:
            path = self._script.event_file(name)
            with self._database.write() as session:
                events.add(session, event_files.read(path.name, path.read_text(encoding="utf-8")), path.name, now)

    def _launch(self, step: Step, now: datetime) -> list[Plan]:
        with self._database.write() as session:
            event = events.approve(session, events.find(session, step.event), now, step.waive, step.reason)
            starts = event.starts
        if step.waive:
            self._note(now, "waived", step.event, f"{step.event}: {', '.join(step.waive)} waived: {step.reason}")
        with self._database.write() as session:
            event = events.find(session, step.event)
            chosen = choose(self._chance, self._guests, event, step.share)
            self._put_on(session, event, [self._by_key[key] for key in step.cast] + chosen, now)
        with self._database.write() as session:
            event = events.find(session, step.event)
            campaigns.start(session, event, campaigns.cadence_for(event), now)
        return [(starts + _DOORS, partial(self._doors, step.event))]

    def _attendee(self, step: Step, now: datetime) -> None:
        with self._database.write() as session:
            event = events.find(session, step.event)
            self._put_on(session, event, [self._by_key[key] for key in step.cast], now)

    def _move(self, step: Step, now: datetime) -> list[Plan]:
        with self._database.write() as session:
            event = events.find(session, step.event)
            before = event.starts
            moved = events.move(session, event, step.starts, step.ends, now)
            starts = event.starts
        self._note(
            now, "moved", step.event,
            f"{step.event}: {before:%-d %B} to {starts:%-d %B %Y}; {moved.deliveries} messages re-timed or written",
        )  # fmt: skip
        return [(starts + _DOORS, partial(self._doors, step.event))]

    def _cancel(self, step: Step, now: datetime) -> None:
        with self._database.write() as session:
            event = events.find(session, step.event)
            dropped = sum(outbox.counts(session, ROWS.c.event_id == event.id, ROWS.c.state.in_(UNSENT)).values())
            told = events.cancel(session, event, step.reason, now)
        text = f"{step.event}: {step.reason} {told} people are told; {dropped} messages will not go"
        self._note(now, "cancelled", step.event, text)

    def _review(self, step: Step, now: datetime) -> None:
        point = reviews.find(self._programme, step.review)
        with self._database.write() as session:
            held = outbox.counts(session, ROWS.c.hold_reason == HELD_BY_REVIEW).get("held", 0)
            reviews.record(
                session, self._programme, step.review, decision=step.decision, notes=step.notes, present=step.present,
                conditions=step.conditions, held_on=step.held, now=now,
            )  # fmt: skip
        late = (now - overdue_from(self._programme, point)).days + 1
        when = f"{late} days late; {held:,} messages were waiting for it" if late > 0 else "on time"
        self._note(now, "review", "", f"{point.title} ({point.id}) held {when}: {step.decision}. {step.notes}")

    def _outcome(self, step: Step, now: datetime) -> None:
        with self._database.write() as session:
            outcomes.add(
                session, events.find(session, step.event), step.kind, now,
                value=step.value, institution=step.institution, note=step.note,
            )  # fmt: skip
        self._note(now, "outcome", step.event, f"{step.event}: {step.note}")

    def _doors(self, slug: str, now: datetime) -> None:
        """The desk at the door: who comes in is checked in. Of the cast come all who accepted."""
        with self._database.write() as session:
            event = events.find(session, slug)
            if event.state != "approved" or event.starts > now:
                # Called off, or moved: then there are other doors.
                return
            coming = session.exec(
                select(Attendee, Person)
                .join(Person)
                .where(
                    Attendee.event_id == event.id,
                    Attendee.reply.in_(list(_TURN_UP)),  # type: ignore[attr-defined]
                    Attendee.removed_at.is_(None),  # type: ignore[union-attr]
                )
                .order_by(Attendee.id)  # type: ignore[arg-type]
            )
            for attendee, person in coming.all():
                share = _TURN_UP[attendee.reply]
                here = self._chance.draw("comes", person.email, slug) < share
                if attendee.reply == "accepted" if person.email in self._cast else here:
                    attendees.check_in(session, attendee, now)

    def _put_on(self, session: Session, event: Event, chosen: Sequence[Guest], now: datetime) -> None:
        attendees.add_many(session, event, [(people.find(session, guest.email), None) for guest in chosen], now)

    @property
    def _institutions_file(self) -> Path:
        return self._script.folder / "institutions.csv"

    def _note(self, at: datetime, kind: str, event: str, text: str) -> None:
        self.log.append(Entry(at, kind, event, text))


def load(database: Database, text: str, name: str, now: datetime) -> Programme:
    """Put the programme in force."""
    with database.write() as session:
        return plans.load(session, text, name, now).programme


_STEPS = {
    "institutions": Organiser._institutions,
    "target": Organiser._target,
    "people": Organiser._people,
    "add": Organiser._add,
    "launch": Organiser._launch,
    "attendee": Organiser._attendee,
    "move": Organiser._move,
    "cancel": Organiser._cancel,
    "review": Organiser._review,
    "outcome": Organiser._outcome,
}
