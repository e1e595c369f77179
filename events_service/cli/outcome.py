"""`events outcome`: what came of it, against the plan's targets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events_service.cli.base import Run, noun, table, verb

if TYPE_CHECKING:
    from rich.console import Console

app = noun()

COLUMNS = ("id", "event", "kind", "value", "currency", "institution", "source", "wave", "note", "recorded_at")


@verb(app, "add")
def add(
    run: Run,
    ref: Annotated[str, typer.Argument(metavar="REF", help="The event's slug.")],
    kind: Annotated[str, typer.Option("--kind", help="contact, lead, agreement, funding, enquiry or publication.")],
    note: Annotated[str, typer.Option("--note", help="What it is, and how you know.")],
    value: Annotated[str | None, typer.Option("--value", help="An amount for funding, else a number.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="GBP unless given; only GBP adds up.")] = None,
    institution: Annotated[str | None, typer.Option("--institution", help="Its number or ROR id.")] = None,
) -> None:
    """Record an outcome of an event. A value that is not known is left out: it is never taken as 0."""
    from events_service import events, outcomes

    with run.write() as session:
        made = outcomes.add(
            session,
            events.find(session, ref),
            kind,
            run.now,
            value=value,
            currency=currency,
            institution=institution,
            note=note,
        )
        document = [outcomes.as_json(session, made)]
    _show(run, document)


@verb(app, "list")
def list_(
    run: Run,
    kind: Annotated[str | None, typer.Option("--kind")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="A .csv or .xlsx file.")] = None,
) -> None:
    """List outcomes, or write them to a file."""
    from events_service import outcome_export, outcomes

    suffix = outcome_export.check_suffix(out, (".csv", ".xlsx")) if out else ""
    with run.read() as session:
        document = outcomes.listing(session, kind)
    if out and not run.dry_run:
        rows = [[row[name] for name in COLUMNS] for row in document]
        outcome_export.write_sheets(out, suffix, [("outcomes", COLUMNS, rows)])
        run.say(f"{len(rows)} outcomes written to {out}")
    if out is None or run.as_json:
        _show(run, document)


@verb(app, "report")
def report(
    run: Run,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="A .html, .csv or .xlsx file.")] = None,
) -> None:
    """Add up what came of it by event, market, theme and year, against the plan's targets."""
    from events_service import outcome_export, outcome_facts, outcome_report, programmes
    from events_service.files import write_whole

    suffix = outcome_export.check_suffix(out, (".html", ".csv", ".xlsx")) if out else ""
    with run.read() as session:
        document = outcome_report.document(outcome_facts.gather(session, programmes.current(session), run.now))
    if out and not run.dry_run:
        if suffix == ".html":
            write_whole(out, outcome_report.html(document).encode())
        else:
            outcome_export.write_sheets(out, suffix, outcome_report.rows(document))
        run.say(f"report written to {out}")
    if out is None or run.as_json:
        run.emit(document, lambda console: _print_report(console, document))


def _show(run: Run, document: list[dict[str, Any]]) -> None:
    shown = ("id", "event", "kind", "value", "currency", "institution", "source", "note")
    run.emit(document, lambda console: console.print(table(shown, ([row[c] for c in shown] for row in document))))


def _print_report(console: Console, report: dict[str, Any]) -> None:
    from events_service.domain.outcomes import KINDS
    from events_service.outcome_report import amount, percent

    def cell(figure: dict[str, Any]) -> str:
        if figure["value"] is None:
            return "no answers yet" if figure["asked"] else "-"
        return amount(figure["value"], figure["unit"]) + (f" ({percent(figure['rate'])})" if figure["asked"] else "")

    targets = (
        (t["title"], None if t["actual"] is None else amount(t["actual"]), amount(t["target"]), t["unit"], _state(t))
        for t in report["targets"]
    )
    console.print(table(("target", "now", "goal", "unit", ""), targets, title="Targets"))
    for by, title in (("by_year", "Year"), ("by_market", "Market"), ("by_theme", "Theme"), ("by_event", "Event")):
        rows = (
            [g["title"], percent(g["responses"]["rate"]), *(cell(g["figures"][kind]) for kind in KINDS)]
            for g in report[by]
        )
        console.print(table((title, "answered", *KINDS.values()), rows))
    console.print("Shares in brackets: how many of those asked answered. No answer is not a zero.")
    for other in report["other_currencies"]:
        console.print(f"Not added up: {amount(other['value'], other['currency'])} of funding")


def _state(target: dict[str, Any]) -> str:
    return f"open: {target['why_open']}" if target["actual"] is None else str(target["state"])
