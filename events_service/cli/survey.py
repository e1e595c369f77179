"""`events survey`: what is asked, and what was answered."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from events_service.cli.base import Run, noun, table, verb

app = noun()

Ref = Annotated[str, typer.Argument(metavar="REF", help="The event's slug.")]


@verb(app, "show")
def show(run: Run, ref: Ref) -> None:
    """Show the surveys that an event's campaign asks, and how many answered."""
    from events_service import events, surveys

    with run.read() as session:
        document = surveys.show(session, events.find(session, ref))
    columns = ("wave", "survey", "title", "asked", "answered")
    run.emit(document, lambda console: console.print(table(columns, ([row[c] for c in columns] for row in document))))


@verb(app, "responses")
def responses(
    run: Run,
    ref: Ref,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="A .csv or .xlsx file.")] = None,
) -> None:
    """List the answers of an event, or write them to a file: one row an answer set, empty where nothing was said."""
    from events_service import events, outcome_export, surveys

    suffix = outcome_export.check_suffix(out, (".csv", ".xlsx")) if out else ""
    with run.read() as session:
        document = surveys.responses(session, events.find(session, ref))
    fixed = ("wave", "survey", "submitted_at", "email", "name", "role")
    questions = list(dict.fromkeys(key for row in document for key in row["answers"]))
    rows = [[*(row[c] for c in fixed), *(row["answers"].get(key) for key in questions)] for row in document]
    if out and not run.dry_run:
        outcome_export.write_sheets(out, suffix, [("responses", [*fixed, *questions], rows)])
        run.say(f"answer sets written to {out}: {len(rows)}")
    if out is None or run.as_json:
        run.emit(document, lambda console: console.print(table((*fixed, *questions), rows)))
