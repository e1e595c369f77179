"""`events db`: the database's schema."""

from __future__ import annotations

from events_service.cli.base import Run, noun, verb

app = noun()


@app.callback()
def _several() -> None:
    """The database's schema."""


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
