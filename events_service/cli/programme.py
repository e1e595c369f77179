"""`events programme`: load, show and draw the programme."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb
from events_service.cli.violations import violation_table
from events_service.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

Key = Annotated[str | None, typer.Argument(metavar="KEY", help="Default: the programme loaded last.")]


@verb(app, "load")
def load(run: Run, file: Annotated[str, typer.Argument(metavar="FILE", help="Or the key of one that ships.")]) -> None:
    """Put a programme in force. One that is there gets a new revision; what changed is shown."""
    from events_service import event_checks, event_rows, programme_json, programmes
    from events_service.reading.text_files import read_text

    path = Path(file)
    # A bare key that is no file's name means the one that ships.
    bare = path.suffix == "" and path.name == file and not path.exists()
    text = programmes.shipped_text(file) if bare else read_text(path)
    with run.write() as session:
        loaded = programmes.load(session, text, f"{file}.toml" if bare else file, run.now)
        key = loaded.programme.key
        live = [
            event
            for event in event_rows.select_events(session, event_rows.Filter(programme=key))
            if event.state in ("draft", "approved")
        ]
        verdicts = event_checks.verdicts(session, live, run.now)
        broken = {
            event.slug: [one.as_json() for one in verdicts[event_rows.id_of(event)] if one.severity == "error"]
            for event in live
        }
        document = programme_json.as_json(session, key, run.now)
    document["differences"] = loaded.differences
    document["events_broken"] = [{"slug": slug, "violations": found} for slug, found in broken.items() if found]

    def human(console: Console) -> None:
        if not loaded.made:
            said = f"{key} is at revision {loaded.revision} already; nothing changed."
        else:
            said = f"{key}: revision {loaded.revision} {'would be' if run.dry_run else 'is'} in force."
        console.print(said, markup=False)
        for line in loaded.differences:
            console.print(f"  {line}", markup=False)
        for one in document["events_broken"]:
            console.print(violation_table(one["violations"], title=f"{one['slug']} breaks"))

    run.emit(document, human)


@verb(app, "show")
def show(run: Run, key: Key = None) -> None:
    """Show the programme: its workstreams, markets, reviews, and how far its targets are reached."""
    from events_service import programme_json

    with run.read() as session:
        document = programme_json.as_json(session, key, run.now)
    run.emit(document, lambda console: _tables(console, document))


@verb(app, "timeline")
def timeline(
    run: Run,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.svg|.png")],
    key: Key = None,
) -> None:
    """Draw the programme as a Gantt chart: bands, workstreams, reviews, events, and today."""
    from events_service import programme_timeline, programmes

    if out.suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"--out {out}: a timeline is written as .svg or .png; give it one of these names")
    with run.read() as session:
        programme = programmes.current(session, key)
        if not run.dry_run:
            programme_timeline.draw(session, programme, run.now, out)
    document = {"programme": programme.key, "out": str(out)}
    run.emit(document, lambda console: console.print(f"{out}", markup=False))


def _tables(console: Console, document: dict[str, Any]) -> None:
    console.print(
        f"{document['title']} ({document['key']}, revision {document['revision']})\n"
        f"{document['start']} to {document['end']} (exclusive), {document['months']} months, {document['timezone']}\n"
        f"themes: {', '.join(theme['title'] for theme in document['themes'])}",
        markup=False,
    )
    work = [
        (stream["number"], stream["title"], f"{activity['from_month']}-{activity['to_month']}", activity["title"])
        for stream in document["workstreams"]
        for activity in stream["activities"]
    ]
    console.print(table(("", "workstream", "months", "activity"), work))
    markets = [(one["country"], one["name"], one["tier"], one["from_month"]) for one in document["markets"]]
    console.print(table(("market", "", "tier", "from month"), markets))
    points = [(one["id"], one["title"], one["scope"], one["due_on"], one["state"]) for one in document["review_points"]]
    console.print(table(("review", "", "workstreams", "due on", "state"), points))
    targets = [
        (one["key"], one["title"], one["baseline"], one["target"], one["actual"], one["unit"])
        for one in document["targets"]
    ]
    console.print(table(("target", "", "baseline", "target", "so far", "unit"), targets))
