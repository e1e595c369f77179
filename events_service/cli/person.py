"""`events person`: import, list, export, erase, unsuppress."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.errors import FileError

if TYPE_CHECKING:
    from rich.console import Console

    from events_service.reading.people_files import PeopleFile

app = noun()

Email = Annotated[str, typer.Argument(metavar="EMAIL")]
SHOWN_FAULTS = 20
SHOWN = ("email", "name", "institution", "organisation", "country", "locale", "timezone", "role", "suppressed")


@verb(app, "import")
def import_(
    run: Run,
    file: Annotated[Path, typer.Argument(help="CSV (UTF-8) or XLSX; the column `email` must be there.")],
    event: Annotated[str | None, typer.Option("--event", metavar="REF", help="Put everybody on this event.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Import nothing if a row is bad.")] = False,
) -> None:
    """Add or update people. Columns: email, name, organisation, ror, country, locale, timezone, role, source.

    A bad row stops only itself; the exit code is then 1. The same file twice changes nothing.
    """
    from events_service import events, people_import
    from events_service.reading import people_files

    people = people_files.read_people(file)
    _say_faults(run, people)
    with run.write() as session:
        found = None if event is None else events.find(session, event)
        if strict and people.bad:
            people.people.clear()
        done = people_import.import_people(session, people, run.now, found)
    for unknown in done["unknown_rors"][:SHOWN_FAULTS]:
        run.say(f"row {unknown['row']}: ror: no institution {unknown['ror']} was imported; the person was, without it")
    names = ["created", "updated", "unchanged", *(["attendees"] if found else [])]

    def human(console: Console) -> None:
        console.print(table([*names, "bad"], [[*(done[name] for name in names), len(people.bad)]]))

    run.emit(done, human)
    if people.bad:
        rest = "nothing was imported (--strict)" if strict else "the rest were imported"
        if run.dry_run:
            rest = "the rest would be imported" if not strict else "nothing would be imported (--strict)"
        raise FileError(file, f"{len(people.bad):,} bad row{'s' if len(people.bad) > 1 else ''}; {rest}")


def _say_faults(run: Run, people: PeopleFile) -> None:
    if people.unknown_columns:
        run.say(f"left alone, as no column of ours: {', '.join(people.unknown_columns)}")
    for bad in people.bad[:SHOWN_FAULTS]:
        run.say(f"row {bad.row}: {bad.field}: {bad.why}")
    if len(people.bad) > SHOWN_FAULTS:
        run.say(f"and {len(people.bad) - SHOWN_FAULTS:,} more bad rows; --json has them all")
    if people.merged:
        run.say(f"{people.merged:,} row{'s' if people.merged > 1 else ''} repeated an address and went into its person")


@verb(app, "list")
def list_(
    run: Run,
    search: Annotated[
        str | None, typer.Option("--search", metavar="T", help="Words of a name, address, place.")
    ] = None,
) -> None:
    """People by address."""
    from events_service import people

    with run.read() as session:
        rows = people.listing(session, search)
    run.emit(rows, lambda console: console.print(table(SHOWN, [_shown(row) for row in rows])))


@verb(app)
def export(run: Run, email: Email) -> None:
    """Everything that is held on a person, as JSON."""
    from events_service import personal_data

    with run.read() as session:
        document = personal_data.export(session, email)
    run.emit(document)


@verb(app)
def erase(run: Run, email: Email) -> None:
    """Erase a person: their row and everything personal, for good. Figures that they are part of stay counted."""
    from events_service import personal_data

    before = []
    if run.dry_run:
        with run.read() as session:
            before = personal_data.mentions(session, *personal_data.names(session, email))
    with run.write() as session:
        names = personal_data.names(session, email)
        document = personal_data.erase(session, email, run.now)
        if run.dry_run:
            document["mentions"] = personal_data.mentions(session, *names, among=before)
    if not run.dry_run:
        personal_data.scrub(run.database)
        document["mentions"] = _still_named(run, *names)
    for mention in document["mentions"]:
        run.say(f"still named in what an organiser wrote: {mention['table']} {mention['id']}; edit it by hand")
    run.emit(document, lambda console: console.print(_said(document, run.dry_run), markup=False))


def _still_named(run: Run, email: str, name: str) -> list[dict[str, Any]]:
    from events_service import personal_data

    try:
        with run.read() as session:
            return personal_data.mentions(session, email, name)
    except BaseException:
        run.say(f"{email} is erased; only where organisers' own words still name them was not looked up")
        raise


@verb(app)
def unsuppress(
    run: Run,
    email: Email,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Who asked for it, and when.")],
) -> None:
    """Let an address get mail again."""
    from events_service import people

    with run.write() as session:
        document = people.unsuppress(session, email, reason, run.now)
    lifted = ", ".join(document["lifted"])
    run.emit(document, lambda console: console.print(f"{document['email']}: lifted {lifted}", markup=False))


def _shown(row: dict[str, Any]) -> list[Any]:
    since = row["suppressed_at"]
    why = [*row["suppressed"], f"since {since:%Y-%m-%d}"] if since else []
    return [row[name] for name in SHOWN[:-1]] + [why]


def _said(document: dict[str, Any], dry_run: bool) -> str:
    verb = "would be erased" if dry_run else "erased"
    counts = ", ".join(f"{number} {what}" for what, number in document["erased"].items() if number)
    return f"{document['email']}: {verb}" + (f" with {counts}" if counts else "")
