"""`events db`: the database's schema, and what a restored one needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb

if TYPE_CHECKING:
    from rich.console import Console

app = noun()


@verb(app, "upgrade")
def upgrade(run: Run) -> None:
    """Bring the database to this version's schema. It may be run at any time, also twice."""
    from events_service.db import schema
    from events_service.db.session import Database

    database = Database(run.settings.resolved_database_url)
    try:
        before = schema.current_revision(database)
        schema.refuse_unknown(database, before)
        if before != schema.HEAD and not run.dry_run:
            schema.upgrade(database)
    finally:
        database.dispose()
    document = {"database": str(database), "from": before, "to": schema.HEAD}
    if before == schema.HEAD:
        said = f"{database} is at schema {schema.HEAD} already"
    else:
        would = "would be brought" if run.dry_run else "was brought"
        said = f"{database} {would} from {before or 'nothing'} to schema {schema.HEAD}"
    run.emit(document, lambda console: console.print(said, markup=False))


@verb(app, "restored")
def restored(
    run: Run,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="When the service last ran before the restore: 2024-05-01T09:00Z."
        ),
    ] = None,
) -> None:
    """After a backup was restored, hold what may have been sent since it was made. Stop the service first."""
    from events_service import feeds, restored
    from events_service.clock import parse_instant

    with run.write() as session:
        document = restored.doubt(session, run.settings, parse_instant(until) if until else None, run.now)
    if not run.dry_run:
        feeds.rebuild_stale(run.database, run.now)
    run.emit(document, lambda console: _show_doubt(console, document))


def _show_doubt(console: Console, document: dict[str, Any]) -> None:
    made = f", the last tick it knows of was at {document['backup']:%Y-%m-%d %H:%M}Z" if document["backup"] else ""
    console.print(f"A restored database{made}; what came due by {document['until']:%Y-%m-%d %H:%M}Z may have gone.")
    console.print(f"{document['held']} held, {document['unknown']} unknown, {document['expired']} expired.")
    if document["events"]:
        console.print(table(("event", "held", "unknown"), [tuple(one.values()) for one in document["events"]]))
        console.print("For each event: `events campaign release REF` sends what is held, even if it should be twice;")
        console.print("`events delivery settle --event REF arrived` says that all of it had gone.")
