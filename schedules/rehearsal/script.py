"""The script of a rehearsal as data: what the organisers do and when, and a cast of guests who do as they are told."""

from __future__ import annotations

import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from events_service.config import schedules_dir
from events_service.errors import FieldError, InputError

Answer = Literal["accepted", "tentative", "declined"]
Program = Literal["gmail", "outlook", "thunderbird"]
Role = Literal["delegate", "speaker", "champion", "host", "student", "funder", "partner"]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Step(_Fact):
    """Something the organisers do at `at`, on the wall of the programme's zone.

    `launch` approves an event, puts people on it and starts its campaign: `share` of all people, and the named cast.
    """

    at: datetime
    do: Literal["institutions", "target", "people", "add", "launch", "attendee", "move", "cancel", "review", "outcome"]
    event: str = ""
    events: tuple[str, ...] = ()
    country: str = ""
    share: Annotated[float, Field(ge=0, le=1)] = 0
    cast: tuple[str, ...] = ()
    waive: tuple[str, ...] = ()
    reason: str = ""
    starts: datetime | None = None
    ends: datetime | None = None
    review: str = ""
    decision: str = ""
    notes: str = ""
    present: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    held: date | None = None
    kind: str = ""
    value: str | None = None
    institution: str | None = None
    note: str = ""

    @model_validator(mode="after")
    def _is_on_the_wall(self) -> Self:
        if any(at is not None and at.tzinfo for at in (self.at, self.starts, self.ends)):
            raise ValueError("times are on the wall and take no offset")
        return self


class Act(_Fact):
    """What one of the cast does `hours` after the message `on` of an event reached them."""

    event: str
    on: str
    hours: Annotated[float, Field(ge=0)]
    do: Literal["link", "calendar", "survey", "unsubscribe", "bounce", "forge", "forward", "vacation"]
    answer: Answer = "accepted"
    program: Program = "gmail"
    note: str = ""
    status: str = "5.1.1"
    answers: dict[str, str] = {}


class Member(_Fact):
    """One of the cast: a person who is always among the people, and does what `acts` say and nothing else."""

    key: str
    name: str
    email: str
    organisation: str
    country: str
    role: Role = "delegate"
    ror: str = ""
    acts: tuple[Act, ...] = ()


class Script(_Fact):
    """A whole script. `folder` is where its events and institutions lie."""

    programme: str
    steps: tuple[Step, ...]
    cast: tuple[Member, ...] = ()
    folder: Path = Path()

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        keys = [member.key for member in self.cast]
        if len(set(keys)) < len(keys):
            raise ValueError("two of the cast have one key")
        strangers = {key for step in self.steps for key in step.cast} - set(keys)
        if strangers:
            raise ValueError(f"no {', '.join(sorted(strangers))} among the cast")
        return self

    def event_file(self, name: str) -> Path:
        """The file of an event."""
        return self.folder / "events" / f"{name}.toml"


def script_for(programme_key: str) -> Script:
    """The script that ships for a programme; InputError where none does."""
    shipped = schedules_dir() / "rehearsals"
    folder = shipped / programme_key
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in shipped.iterdir() if path.is_dir()))
        raise InputError(f"no rehearsal ships for programme {programme_key}; there is one for: {there}")
    return read_script(folder / "script.toml")


def read_script(path: Path) -> Script:
    """Read a script file; FieldError says which table and field is at fault."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    try:
        return Script.model_validate({**raw, "folder": path.parent})
    except ValidationError as error:
        first = error.errors()[0]
        *table, field = [f"#{part + 1}" if isinstance(part, int) else part for part in first["loc"]] or [""]
        raise FieldError(path, " ".join(table), field, first["msg"]) from error
