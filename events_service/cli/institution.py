"""`events institution`: import, list, target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.errors import FileError, InputError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

COUNTRY = Annotated[str | None, typer.Option("--country", metavar="CC", help="Only this country: GB, or its name.")]
SHOWN_FAULTS = 20


def _country(text: str | None) -> str | None:
    from events_service.reading.countries import country_code

    try:
        return country_code(text) if text else None
    except InputError as error:
        raise UsageError(f"--country: {error}") from error


@verb(app, "import")
def import_(
    run: Run,
    file: Annotated[Path, typer.Argument(help="ROR's dump (schema 2), .json or .json.gz; or .csv.")],
    country: COUNTRY = None,
) -> None:
    """Add or update institutions from ROR's dump, or from a CSV of name, country, city, ror, website, types.

    All or nothing where the file breaks off; a single bad record stops only itself, and the exit code is then 1.
    """
    from events_service import institutions
    from events_service.reading.institution_files import read_institutions

    wanted = _country(country)
    with run.write() as session:
        done = institutions.import_records(session, read_institutions(file), run.now, wanted)
    bad = done["bad"]
    for fault in bad[:SHOWN_FAULTS]:
        run.say(f"row {fault['row']}: {fault['field']}: {fault['why']}")
    if len(bad) > SHOWN_FAULTS:
        run.say(f"and {len(bad) - SHOWN_FAULTS} more; --json has them all")

    def human(console: Console) -> None:
        counts = [done["created"], done["updated"], done["unchanged"], len(bad)]
        console.print(table(["created", "updated", "unchanged", "bad"], [counts]))

    run.emit(done, human)
    if bad:
        raise FileError(file, f"{len(bad):,} of its institutions could not be used; the rest were imported")


@verb(app, "list")
def list_(
    run: Run,
    country: COUNTRY = None,
    search: Annotated[str | None, typer.Option("--search", metavar="T", help="Words of a name or city.")] = None,
    targets: Annotated[bool, typer.Option("--targets", help="Only those marked as targets.")] = False,
) -> None:
    """Institutions by name."""
    from events_service import institutions

    wanted = _country(country)
    with run.read() as session:
        rows = institutions.listing(session, wanted, search, targeted=targets)
    columns = ["id", "ror", "name", "country", "city", "types", "targets"]
    run.emit(rows, lambda console: console.print(table(columns, [[row[name] for name in columns] for row in rows])))


@verb(app)
def target(
    run: Run,
    ref: Annotated[str, typer.Argument(metavar="ID", help="A ROR id, bare or as its address, or the list's id.")],
    theme: Annotated[str, typer.Option("--theme", metavar="T", help="A theme's key in the programme.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the mark away again.")] = False,
) -> None:
    """Mark an institution as one to approach for a theme."""
    from events_service import institutions

    with run.write() as session:
        row = institutions.target(session, ref, theme, run.now, remove=remove)
    run.emit(
        row,
        lambda console: console.print(
            f"{row['name']}: target for {', '.join(row['targets']) or 'no theme'}", markup=False
        ),
    )
