"""`events discover`: events of others that we could join."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, table, verb
from events_service.errors import InputError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from events_service.candidates import Answers
    from events_service.domain.programme import Programme

SHOWN = 20


def register(root: typer.Typer) -> None:
    """Add the command to the root."""
    verb(root, "discover")(discover)


def discover(
    run: Run,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="An .ics file, or its http, https or webcal address.")
    ],
    accept: Annotated[
        list[int] | None, typer.Option("--accept", metavar="N", help="Make a draft of this candidate; repeat for more.")
    ] = None,
    country: Annotated[
        str | None, typer.Option("--country", metavar="CC", help="Where they are: DE, or a name.")
    ] = None,
    city: Annotated[str | None, typer.Option("--city", metavar="NAME", help="In which city they are.")] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Whose wall clock is meant.")
    ] = None,
    theme: Annotated[list[str] | None, typer.Option("--theme", metavar="KEY", help="Themes they are about.")] = None,
    organiser: Annotated[
        str | None,
        typer.Option("--organiser", metavar="MAILBOX", help="Who answers for them; default EVENTS_MAIL_FROM."),
    ] = None,
    programme: Annotated[
        str | None, typer.Option("--programme", metavar="KEY", help="Default: the one loaded last.")
    ] = None,
) -> None:
    """List what others run from now to the programme's end, with the rules it would break; take up some of it.

    What a calendar does not tell (country, city, time zone, theme), the options say, for all that it lists.
    """
    from events_service import candidates, programmes
    from events_service.reading.calendar_files import calendar_bytes

    with run.read() as session:
        plan = programmes.current(session, programme)
    answers = _answers(plan, country, city, timezone, theme or [])
    desk = organiser or run.settings.resolved_mail_from
    # Before anything is locked: a server may take its time.
    listing = candidates.of_calendar(calendar_bytes(source), source, plan, run.now, answers)
    numbers = list(dict.fromkeys(accept or ()))
    with run.write() if numbers else run.read() as session:
        found = candidates.weighed(session, plan, listing, run.now)
        added = [
            candidates.accept(session, plan, candidates.chosen(found, n, source), source, desk, run.now).slug
            for n in numbers
        ]
        if added:
            found = candidates.weighed(session, plan, listing, run.now)
    for line in listing.left_out[:SHOWN]:
        run.say(f"note: {source}: {line}")
    if len(listing.left_out) > SHOWN:
        run.say(f"note: {source}: and {len(listing.left_out) - SHOWN} more that could not be used")
    _show(run, [each.as_json() for each in found], numbers)
    for n, slug in zip(numbers, added, strict=True):
        run.say(f"candidate {n} {'would be' if run.dry_run else 'is'} the draft {slug}")


def _answers(
    plan: Programme, country: str | None, city: str | None, timezone: str | None, themes: Sequence[str]
) -> Answers:
    from events_service.candidates import Answers
    from events_service.domain.timeline import is_zone, nearest_zone
    from events_service.reading.countries import country_code

    try:
        code = country_code(country) if country else None
    except InputError as error:
        raise UsageError(f"--country: {error}") from error
    if timezone and not is_zone(timezone):
        near = nearest_zone(timezone)
        hint = f"did you mean {near}?" if near else "write it like Europe/Berlin"
        raise UsageError(f"--timezone {timezone[:60]!r} is no IANA time zone; {hint}")
    known = [each.key for each in plan.themes]
    stranger = next((each for each in themes if each not in known), None)
    if stranger:
        raise UsageError(f"--theme {stranger[:60]!r} is none of the programme's: {', '.join(known)}")
    return Answers(code, city, timezone, tuple(dict.fromkeys(themes)))


def _show(run: Run, document: list[dict[str, Any]], numbers: Sequence[int]) -> None:
    def human(console: Console) -> None:
        shown = [one for one in document if not numbers or one["n"] in numbers]
        if not shown:
            console.print("No event to join between now and the programme's end.")
            return
        console.print(table(("n", "title", "starts", "ends", "where", "themes", "breaks", "why"), map(_row, shown)))

    run.emit(document, human)


def _row(one: Mapping[str, Any]) -> tuple[object, ...]:
    broken = [violation["code"] for violation in one["violations"]]
    place = ", ".join(filter(None, (one["city"], one["country"]))) or one["venue"][:40] or None
    why = [*one["reasons"], *([f"is the event {one['event']}"] if one["event"] else [])]
    return (
        one["n"],
        one["title"],
        _day(one, "starts"),
        _day(one, "ends"),
        place,
        one["themes"] or None,
        broken or None,
        why,
    )


def _day(one: Mapping[str, Any], name: str) -> str:
    at = datetime.fromisoformat(one[name])
    if not one["all_day"]:
        return f"{at:%Y-%m-%d %H:%M}"
    # The last day, not the midnight after it.
    return f"{at - timedelta(days=name == 'ends'):%Y-%m-%d}"
