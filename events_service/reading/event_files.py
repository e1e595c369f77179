"""Event files: the TOML that describes one event, read, checked and placed in time.

Every fault is an EventFileError that names the file, the table (`sessions #2`), the field and what to do.
"""

from __future__ import annotations

import difflib
import tomllib
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from events_service.domain.events import EventFacts, wall_time
from events_service.errors import EventFileError, InputError, LocalTimeError
from events_service.reading.event_words import (
    SLUG_PATTERN,
    country_code,
    is_link,
    mailbox,
    no_controls,
    one_line,
    region_code,
    slug_of,
)

EventKind = Literal["mission", "conference"]
Visibility = Literal["public", "private"]
SessionKind = Literal["talk", "meeting", "visit", "leisure"]
LEISURE_DAYS = timedelta(days=14)
"""How far before or after the event the extra days may lie that partners of the visitor economy offer."""

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(one_line)]
Place = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(one_line)]
Summary = Annotated[str, StringConstraints(strip_whitespace=True, max_length=5000), AfterValidator(no_controls)]
Link = Annotated[str, StringConstraints(max_length=2000), AfterValidator(is_link)]
CountryCode = Annotated[str, AfterValidator(country_code)]
ThemeKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN, max_length=80)]
Price = Annotated[str, BeforeValidator(lambda v: f"£{v:g}" if type(v) in (int, float) else v), Place]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SessionTable(_Table):
    """One [[sessions]] table. What it leaves out of zone, city and country is the event's."""

    title: Title
    starts: datetime
    ends: datetime
    kind: SessionKind = "talk"
    timezone: str | None = None
    city: Place | None = None
    country: CountryCode | None = None
    venue: Place = ""
    url: Link | None = None
    partner: Place = ""
    price: Price = ""


class EventTable(_Table):
    """An event file as it is written: times on the wall of `timezone`, or with an offset of their own."""

    kind: EventKind
    title: Title
    themes: Annotated[tuple[ThemeKey, ...], Field(min_length=1, max_length=50)]
    markets: Annotated[tuple[CountryCode, ...], Field(max_length=50)]
    starts: datetime
    ends: datetime
    timezone: str
    venue: Place
    city: Place
    country: CountryCode
    hosted_by: Literal["us", "joined"]
    organiser: Annotated[str, StringConstraints(max_length=320), AfterValidator(one_line)]
    slug: Slug | None = None
    summary: Summary = ""
    url: Link | None = None
    region: Annotated[str, AfterValidator(region_code)] | None = None
    visibility: Visibility | None = None
    capacity: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    budget: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    effort_days: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = None
    material_refreshed: date | None = None
    sessions: Annotated[tuple[SessionTable, ...], Field(max_length=500)] = ()


class EventFile(EventTable):
    """An event file that was read: every time aware and in UTC, every session with a zone, city and country.

    `slug` and `visibility` are given or made, the organiser is split in two, and `notes` are what a person should be
    told, such as which of two repeated times was taken.
    """

    slug: str
    visibility: Visibility
    organiser_name: str
    organiser_email: str
    notes: tuple[str, ...]

    def facts(self) -> EventFacts:
        """The event as the rules see it."""
        return EventFacts(
            slug=self.slug,
            kind=self.kind,
            hosted_by=self.hosted_by,
            themes=self.themes,
            markets=self.markets,
            starts=self.starts,
            ends=self.ends,
            timezone=self.timezone,
            country=self.country,
            region=self.region,
            material_refreshed=self.material_refreshed,
            budget=self.budget,
            effort_days=self.effort_days,
            organiser_email=self.organiser_email,
        )


def read(path: object, text: str) -> EventFile:
    """The event that `text` (TOML) describes. `path` is what errors call the file; EventFileError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise EventFileError(path, "", "", f"is not TOML: {error}") from error
    except RecursionError as error:
        raise EventFileError(path, "", "", "is not TOML that an event can be: its tables lie too deep") from error
    return described(path, raw)


def described(path: object, raw: dict[str, Any]) -> EventFile:
    """The event of these fields, named and typed as in an event file, wherever they come from. Errors as of `read`."""
    try:
        table = EventTable.model_validate(_freeze(raw))
    except ValidationError as error:
        raise _named(error, path) from error
    return _Reader(path, table).event()


class _Reader:
    """Places one event's times, and checks what must hold across its fields."""

    def __init__(self, path: object, table: EventTable) -> None:
        self.path, self.table = path, table
        self.notes: list[str] = []

    def event(self) -> EventFile:
        table = self.table
        starts, ends = self._span("", table, table.timezone)
        self._check_lists()
        name, address = self._organiser()
        self._check_place()
        hosted = table.kind == "conference" and table.hosted_by == "us"
        sessions = tuple(
            self._session(number, session, starts, ends) for number, session in enumerate(table.sessions, 1)
        )
        values = dict(table)
        values.update(
            starts=starts,
            ends=ends,
            slug=table.slug or slug_of(table.title, table.kind, starts.astimezone(ZoneInfo(table.timezone)).date()),
            visibility=table.visibility or ("public" if hosted else "private"),
            organiser_name=name,
            organiser_email=address,
            sessions=sessions,
            notes=tuple(self.notes),
        )
        return EventFile.model_construct(**values)

    def _fault(self, table: str, field: str, why: str) -> EventFileError:
        return EventFileError(self.path, table, field, why)

    def _span(self, where: str, table: EventTable | SessionTable, zone: str) -> tuple[datetime, datetime]:
        found = []
        for field in ("starts", "ends"):
            written: datetime = getattr(table, field)
            if not 1970 <= written.year <= 2200:
                raise self._fault(where, field, f"{written} is not in the years 1970 to 2200")
            try:
                instant, note = wall_time(written, zone)
            except InputError as error:
                at_fault = field if isinstance(error, LocalTimeError) else "timezone"
                raise self._fault(where, at_fault, str(error)) from error
            if note:
                self.notes.append(f"{where} {field}: {note}".strip())
            found.append(instant)
        starts, ends = found
        if ends <= starts:
            raise self._fault(where, "ends", f"{table.ends} does not come after starts, {table.starts}")
        return starts, ends

    def _check_lists(self) -> None:
        table = self.table
        for field, values in (("themes", table.themes), ("markets", table.markets)):
            twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
            if twice:
                raise self._fault("", field, f"{twice!r} is there twice")
        if not table.markets and (table.kind == "mission" or table.hosted_by == "joined"):
            what = "a mission" if table.kind == "mission" else "an event that others run"
            raise self._fault("", "markets", f"is empty; {what} is in at least one market")

    def _check_place(self) -> None:
        table = self.table
        if table.region and not table.region.startswith(f"{table.country}-"):
            raise self._fault("", "region", f"{table.region!r} is not in {table.country}")
        abroad = table.kind == "mission" or table.hosted_by == "joined"
        if abroad and table.country not in table.markets:
            self.notes.append(f"country: {table.country} is not among its markets, {', '.join(table.markets)}")

    def _organiser(self) -> tuple[str, str]:
        try:
            return mailbox(self.table.organiser)
        except InputError as error:
            raise self._fault("", "organiser", str(error)) from error

    def _session(self, number: int, session: SessionTable, starts: datetime, ends: datetime) -> SessionTable:
        where = f"sessions #{number}"
        zone = session.timezone or self.table.timezone
        begins, stops = self._span(where, session, zone)
        slack = LEISURE_DAYS if session.kind == "leisure" else timedelta()
        if begins < starts - slack or stops > ends + slack:
            field = "starts" if begins < starts - slack else "ends"
            limit = " by more than 14 days" if slack else ""
            edge = self.table.starts if field == "starts" else self.table.ends
            side = "before the event starts" if field == "starts" else "after the event ends"
            raise self._fault(where, field, f"{getattr(session, field)} is {side}, {edge}{limit}")
        return session.model_copy(
            update={
                "starts": begins,
                "ends": stops,
                "timezone": zone,
                "city": session.city if session.city is not None else self.table.city,
                "country": session.country or self.table.country,
            }
        )


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _freeze(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_freeze(inner) for inner in value)
    return value


_PLAIN = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text in quotes",
    "datetime_type": "must be a date and time without quotes, such as 2023-10-09T09:00:00",
    "date_type": "must be a date without quotes, such as 2023-10-09",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}


def _named(error: ValidationError, path: object) -> EventFileError:
    """The first fault of several, by table and field, and how many more there are."""
    # A misspelt field is also a missing one: the spelling is what to mend, so it goes first.
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    first = details[0]
    steps = list(first["loc"])
    table = ""
    if steps and steps[0] == "sessions" and len(steps) > 1 and isinstance(steps[1], int):
        table, steps = f"sessions #{steps[1] + 1}", steps[2:]
    field = ".".join(str(step) if isinstance(step, str) else f"#{step + 1}" for step in steps)
    if first["type"] == "extra_forbidden":
        model = SessionTable if table else EventTable
        near = difflib.get_close_matches(str(steps[-1]), list(model.model_fields), n=1)
        hint = f"did you mean {near[0]}?" if near else "see the event file's fields in the documents"
        why = f"is no field of an event file; {hint}"
    else:
        why = _PLAIN.get(first["type"]) or _worded(first["msg"])
        if first["type"] != "missing" and isinstance(first["input"], (str, int, float)):
            why = f"{str(first['input'])[:60]!r} {why}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return EventFileError(path, table, field, why + more)


def _worded(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input should ").removeprefix("String should ")
    return f"should {message}" if message.startswith(("be ", "have ", "match ")) else message
