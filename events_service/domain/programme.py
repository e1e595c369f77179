"""A programme as data: what a file of `schedules/programmes/` says, checked as a whole.

Every fact of the plan has a place here. Money is whole pounds (or whole units of `currency`), months are counted
from the start, windows are half open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from events_service.domain.programme_checks import faults
from events_service.domain.timeline import Timeline, Window

EventKind = Literal["mission", "conference"]
HostedBy = Literal["us", "joined"]
Holds = Literal["mission", "conference", "joined"]
"""What an activity can hold: our missions, our conferences, and whatever others run and we join."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("text", "must be one line without control characters")
    return text


Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=600), AfterValidator(_printable)]
Month = Annotated[int, Field(ge=0)]
Pounds = Annotated[int, Field(ge=0)]
Figure = int | float
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Keyword(_Fact):
    """A word or phrase that speaks for a theme, in lower case, and how strongly: 1 (a hint) to 5 (no doubt)."""

    word: Annotated[str, StringConstraints(pattern=r"^\S(.*\S)?$", to_lower=False), AfterValidator(_printable)]
    weight: Annotated[int, Field(ge=1, le=5)]


class Theme(_Fact):
    """One of the plan's priority "Missions" (a theme here, because a mission is a trip)."""

    key: Key
    title: Text
    focus: Text | None = None
    sectors: tuple[Text, ...] = ()
    keywords: tuple[Keyword, ...] = ()
    material_refreshed: date | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_keywords(cls, raw: Any) -> Any:
        """A file writes keywords as a table of word = weight, which a person can read and edit."""
        if isinstance(raw, Mapping) and isinstance(raw.get("keywords"), Mapping):
            table = raw["keywords"]
            for word, weight in table.items():
                if isinstance(weight, bool) or weight not in range(1, 6):
                    raise PydanticCustomError(
                        "keywords",
                        "keywords: {word} is given {weight}; a weight is 1 (a hint) to 5 (no doubt)",
                        {"word": repr(word), "weight": str(weight)[:20]},
                    )
            return {**raw, "keywords": tuple({"word": word, "weight": table[word]} for word in sorted(table))}
        return raw


class Sector(_Fact):
    """A sector of the plan: a key sector, or one for foreign direct investment."""

    name: Text
    group: Literal["key", "investment"]


class Market(_Fact):
    """A foreign market: ISO 3166-1 alpha-2, its tier, and the month from which it is in focus."""

    country: Country
    name: Text
    tier: Literal["core", "emerging"]
    term: Literal["short", "medium to long"]
    from_month: Month


class Focus(_Fact):
    """The themes that come first, in order, until `until_month`: the others are no gap before that."""

    themes: tuple[Key, ...]
    topics: tuple[Text, ...] = ()
    until_month: Month
    note: Text | None = None


class Activity(_Fact):
    """Work of a workstream in [from_month, to_month), and the kinds of event that it holds."""

    title: Text
    from_month: Month
    to_month: Month
    holds: tuple[Holds, ...] = ()


class Workstream(_Fact):
    """A workstream: `fte` for `months` of work (their product is its person-months) at `cost`."""

    number: Annotated[int, Field(ge=1)]
    title: Text
    fte: Annotated[float, Field(gt=0)]
    months: Annotated[int, Field(gt=0)]
    cost: Pounds
    outcome: Text
    desired_outcomes: tuple[Text, ...] = ()
    does: tuple[Text, ...] = ()
    notes: tuple[Text, ...] = ()
    activities: tuple[Activity, ...]

    @property
    def person_months(self) -> float:
        """What the workstream may spend of people's time."""
        return self.fte * self.months


class ReviewPoint(_Fact):
    """A dated check: open from `from_month`, due on the first day of `due_month`, of the workstreams in `scope`."""

    id: Key
    title: Text
    scope: tuple[int, ...]
    from_month: Month
    due_month: Month


class Measure(_Fact):
    """How a target's figure is added up.

    `of` says from what: outcomes of `kinds`, events held, or a figure that an organiser records. `add` says how: the
    sum of values, the number of rows, or the number of distinct markets or themes among them. `growth` gives the sum
    as a percentage of the baseline, so the figure stays open while there is none. An event counts as well attended
    from `min_attended` people and from `min_share` of those who accepted.
    """

    of: Literal["outcomes", "events", "record"]
    kinds: tuple[Key, ...] = ()
    add: Literal["sum", "count", "distinct-markets", "distinct-themes"] = "count"
    growth: bool = False
    min_attended: Annotated[int, Field(ge=0)] = 0
    min_share: Annotated[float, Field(ge=0, le=1)] = 0.0


class Target(_Fact):
    """A figure to reach. A baseline that nobody gave is None, and a figure measured against it stays open."""

    key: Key
    title: Text
    baseline: Figure | None = None
    target: Figure
    unit: Text
    workstream: int | None = None
    note: Text | None = None
    measure: Measure


class Place(_Fact):
    """A venue that the plan names, and what it is to host."""

    name: Text
    city: Text
    country: Country
    region: Text | None = None
    hosts: tuple[Text, ...]


class Programme(_Fact):
    """The whole plan. `working_days_per_month` turns an event's `effort_days` into person-months."""

    key: Key
    title: Text
    source: Text
    start: date
    start_note: Text
    timezone: Text
    country: Country
    region: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}-[A-Z0-9]{1,3}$")] | None = None
    months: int
    bands: tuple[tuple[int, int], ...]
    horizon_years: Annotated[int, Field(gt=0)]
    horizon_note: Text
    budget: Pounds
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    fte: Annotated[float, Field(gt=0)]
    working_days_per_month: Annotated[float, Field(gt=0, le=31)]
    market_note: Text | None = None
    audiences: tuple[Text, ...] = ()
    themes: tuple[Theme, ...]
    sectors: tuple[Sector, ...] = ()
    markets: tuple[Market, ...]
    focus: Focus
    workstreams: tuple[Workstream, ...]
    review_points: tuple[ReviewPoint, ...]
    targets: tuple[Target, ...]
    places: tuple[Place, ...] = ()

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        found = list(faults(self))
        if found:
            first = found[0]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise PydanticCustomError(
                "programme", "{why}", {"table": first.table, "field": first.field, "why": first.why + more}
            )
        return self

    @cached_property
    def timeline(self) -> Timeline:
        """Its months as instants."""
        return Timeline(self.start, self.months, self.timezone, self.bands)

    def theme(self, key: str) -> Theme | None:
        """The theme of that key, if the programme names it."""
        return next((theme for theme in self.themes if theme.key == key), None)

    def market(self, country: str) -> Market | None:
        """The market of that country, if the programme names it."""
        return self._markets.get(country)

    def review_point(self, id: str) -> ReviewPoint | None:
        """The review point of that id, if there is one."""
        return next((point for point in self.review_points if point.id == id), None)

    def workstream(self, number: int) -> Workstream | None:
        """The workstream of that number, if there is one."""
        return next((stream for stream in self.workstreams if stream.number == number), None)

    def holding(self, kind: str, hosted_by: str) -> tuple[Workstream, Activity, Window]:
        """The workstream, activity and window of such an event; what others run is `joined`, whatever its kind."""
        return self._holding["joined" if hosted_by == "joined" else kind]

    @cached_property
    def _markets(self) -> dict[str, Market]:
        return {market.country: market for market in self.markets}

    @cached_property
    def _holding(self) -> dict[str, tuple[Workstream, Activity, Window]]:
        return {
            kind: (stream, activity, self.timeline.window(activity.from_month, activity.to_month))
            for stream, activity in self.activities()
            for kind in activity.holds
        }

    def activities(self) -> Iterator[tuple[Workstream, Activity]]:
        """Every activity with its workstream, in the file's order."""
        return ((stream, activity) for stream in self.workstreams for activity in stream.activities)
