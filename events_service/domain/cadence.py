"""Cadences: the steps of a campaign as data, and when each step is due for one recipient.

A cadence file names its steps in order; a step with `repeat` stands for several of the same audience, such as
reminder-1 and reminder-2. A step is due on a day counted from the event's first or last day (in the event's zone), at
a time of day in the recipient's own zone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from events_service.errors import CadenceFileError

Role = Literal["delegate", "speaker", "champion", "host", "student", "funder", "partner"]
Answer = Literal["none", "accepted", "tentative", "declined"]
Attendance = Literal["any", "attended", "not-absent"]
LatePolicy = Literal["send", "skip", "ask"]
UnknownPolicy = Literal["hold", "resend"]

ROLES: tuple[Role, ...] = ("delegate", "speaker", "champion", "host", "student", "funder", "partner")
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Repeat(_Fact):
    """How often a step may come, how many days lie between, and the least gap to the one sent before it."""

    maximum: Annotated[int, Field(ge=1, le=5)]
    every_days: Annotated[int, Field(ge=1, le=90)]
    min_gap_days: Annotated[int, Field(ge=1, le=90)]

    @model_validator(mode="after")
    def _gap_fits(self) -> Self:
        if self.min_gap_days > self.every_days:
            raise ValueError("min_gap_days is longer than every_days: the gap could never be kept")
        return self


class Audience(_Fact):
    """Who a step is for, checked when it is written and again just before it is sent. Empty lists mean any.

    Whoever was checked in counts as having accepted. `attendance` "not-absent" leaves out only who is known not to have
    come: check-in may be entered late, or for some, so that a missing one says nothing.
    """

    roles: tuple[Role, ...] = ()
    replies: tuple[Answer, ...] = ()
    attendance: Attendance = "any"


class Moment(_Fact):
    """When a step is due: `days` after (or before, negative) the first or last day, at `time` for the recipient."""

    anchor: Literal["start", "end"]
    days: Annotated[int, Field(ge=-400, le=800)]
    time: time

    @model_validator(mode="after")
    def _has_no_zone(self) -> Self:
        if self.time.tzinfo is not None:
            raise ValueError("time is a time of day in the recipient's zone and takes no offset")
        return self


class Late(_Fact):
    """What becomes of a step that could not go in time: after the grace it is sent still, skipped, or asked about."""

    policy: LatePolicy
    grace_hours: Annotated[float, Field(ge=0, le=24 * 366)]

    @model_validator(mode="after")
    def _leaves_time(self) -> Self:
        if self.policy == "skip" and self.grace_hours < 1:
            raise ValueError("a step that is skipped when late needs a grace_hours of 1 or more, or it never goes")
        return self


class Step(_Fact):
    """One step. `survey` and `wave` say what it asks for; `unanswered` leaves out those who answered that wave.

    `calendar` adds the calendar request of the event, `itinerary` those of the sessions that the recipient attends:
    only who accepted the event has such. `unknown` is what becomes of a message of which nobody can know whether it
    arrived: held for a person's word, or sent once more with the same identifiers.
    """

    key: Key
    template: Key
    audience: Audience = Audience()
    at: Moment
    late: Late
    repeat: Repeat | None = None
    calendar: bool = False
    itinerary: bool = False
    survey: Key | None = None
    wave: Key | None = None
    unanswered: bool = False
    unknown: UnknownPolicy = "hold"
    min_gap_days: int = 0

    @model_validator(mode="after")
    def _survey_is_whole(self) -> Self:
        if (self.survey is None) != (self.wave is None):
            raise ValueError("survey and wave go together")
        if self.unanswered and self.survey is None:
            raise ValueError("unanswered needs a survey and a wave")
        return self

    @model_validator(mode="after")
    def _itinerary_is_for_those_who_come(self) -> Self:
        if self.itinerary and self.audience.replies != ("accepted",):
            raise ValueError('itinerary needs audience = { replies = ["accepted"] }: others have none')
        if self.itinerary and self.at.anchor == "end":
            raise ValueError('itinerary needs a moment with anchor = "start": sessions are over at the end')
        return self


class Cadence(_Fact):
    """The steps of a campaign, each under a key of its own, repeats written out."""

    key: Key
    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    steps: tuple[Step, ...]

    def step(self, key: str) -> Step | None:
        """The step of that key, if there is one."""
        return next((step for step in self.steps if step.key == key), None)


def load_cadence(text: str, file: str) -> Cadence:
    """Read a cadence from TOML. CadenceFileError says file, table (such as steps.reminder) and field."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CadenceFileError(file, "", "", f"not TOML: {error}") from error
    try:
        cadence = Cadence.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        table, field = _place(raw, first["loc"])
        why = "no such key" if first["type"] == "extra_forbidden" else first["msg"]
        raise CadenceFileError(file, table, field, why) from error
    steps = tuple(one for step in cadence.steps for one in _written_out(step))
    seen: set[str] = set()
    for step in steps:
        if step.key in seen:
            raise CadenceFileError(file, f"steps.{step.key}", "key", "two steps have this key")
        seen.add(step.key)
    if not steps:
        raise CadenceFileError(file, "steps", "", "a cadence needs at least one step")
    return cadence.model_copy(update={"steps": steps})


def read_cadence(path: Path) -> Cadence:
    """Read a cadence file; CadenceFileError if it cannot be read."""
    try:
        return load_cadence(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise CadenceFileError(path, "", "", f"cannot be read: {error}") from error


def due_at(moment: Moment, starts: datetime, ends: datetime, event_zone: str, zone: str) -> datetime:
    """When a step is due for a recipient in `zone`, in UTC.

    A local time that a clock change skips is taken an hour later, one that it repeats is taken the first time. A step
    after the end never falls before the end, wherever the recipient is.
    """
    anchor = starts if moment.anchor == "start" else ends
    day = anchor.astimezone(ZoneInfo(event_zone)).date() + timedelta(days=moment.days)
    due = _at(day, moment.time, zone)
    while moment.anchor == "end" and moment.days >= 0 and due < ends:
        day += timedelta(days=1)
        due = _at(day, moment.time, zone)
    return due


def expires_at(
    step_anchor: str, days: int, policy: str, grace_hours: float, due: datetime, starts: datetime
) -> datetime | None:
    """When an unsent message of a step is of no use any more; None for never.

    What prepares for the event is of no use once it began, whatever its policy says; a step that skips lateness ends
    with its grace.
    """
    ends = []
    if step_anchor == "start" and days <= 0:
        ends.append(starts)
    if policy == "skip":
        ends.append(due + timedelta(hours=grace_hours))
    return min(ends) if ends else None


def _at(day: date, at: time, zone: str) -> datetime:
    # fold=0 takes the first of a repeated time, and shifts a skipped one by the length of the gap.
    return datetime.combine(day, at, ZoneInfo(zone)).astimezone(UTC)


def _written_out(step: Step) -> list[Step]:
    if step.repeat is None:
        return [step]
    repeat = step.repeat
    return [
        step.model_copy(
            update={
                "key": f"{step.key}-{number + 1}",
                "repeat": None,
                "at": step.at.model_copy(update={"days": step.at.days + number * repeat.every_days}),
                "min_gap_days": repeat.min_gap_days,
            }
        )
        for number in range(repeat.maximum)
    ]


def _place(raw: Mapping[str, object], loc: tuple[int | str, ...]) -> tuple[str, str]:
    """The table and field of a fault, a step by its key where it has one."""
    parts = [str(part) for part in loc]
    if len(loc) > 1 and loc[0] == "steps" and isinstance(loc[1], int):
        steps = raw.get("steps")
        if isinstance(steps, list) and isinstance(steps[loc[1]], Mapping) and "key" in steps[loc[1]]:
            parts[1] = str(steps[loc[1]]["key"])
    return (".".join(parts[:-1]), parts[-1]) if len(parts) > 1 else ("", parts[0] if parts else "")
