"""A rehearsal on the terminal: progress while it runs, tables when it is over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from events_service.cli.base import table
from events_service.outcome_report import amount, day, percent
from schedules.rehearsal.runner import Progress as Step
from schedules.rehearsal.runner import Rehearsed
from schedules.rehearsal.summary import Summary

_BAR = 24
_TELLING = ("refused", "waived", "review", "moved", "cancelled", "failed")


@contextmanager
def progress(months: int, say: Callable[[str], None]) -> Iterator[Callable[[Step], None]]:
    """What a rehearsal is to call as it goes: a bar on a terminal, a line for each quarter of a year elsewhere."""
    if sys.stderr.isatty():
        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[sent]:,} messages"),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        with bar:
            task = bar.add_task("month 0", total=months, sent=0)
            yield lambda step: bar.update(
                task, completed=step.month, description=f"{step.now:%B %Y}, month {step.month}", sent=step.sent
            )
        return
    said = -1

    def quarterly(step: Step) -> None:
        nonlocal said
        if step.month // 3 > said:
            said = step.month // 3
            say(f"month {step.month:2} ({step.now:%B %Y}): {step.sent:,} messages sent")

    yield quarterly


def print_summary(console: Console, summary: Summary, done: Rehearsed, out: Path, seconds: float) -> None:
    """Everything a person wants to know of a rehearsal, on one page or two."""
    zone = done.programme.timeline
    came = sum(event["came"] for event in summary.events)
    console.print(Text(f"{done.programme.title}, rehearsed", style="bold"))
    console.print(
        f"{summary.people:,} people, {len(summary.events)} events, {summary.deliveries['sent']:,} messages sent,"
        f" {came:,} times somebody came, {summary.responses:,} surveys answered."
    )
    console.print(_quarters(summary))
    console.print(_events(summary))
    console.print(_targets(summary.report))
    telling = [entry for entry in done.log if entry.kind in _TELLING]
    if telling:
        rows = [(day(zone.date_of(entry.at).isoformat()), entry.kind, entry.text) for entry in telling]
        console.print(table(["when", "what", ""], rows, title="What did not go to plan, and what was decided"))
    kept = {state: number for state, number in summary.deliveries.items() if number and state != "sent"}
    console.print("Not sent: " + ", ".join(f"{number:,} {state}" for state, number in kept.items()) + ".")
    console.print(f"\nIt took {seconds:.1f} seconds. It made:", highlight=False)
    for name, what in (
        ("report.html", "the whole story, to open in a browser"),
        ("timeline.svg", "the programme and its events"),
        ("mail/", "every message, as a maildir"),
        ("feeds/", "the calendars, as their subscribers see them"),
        ("events.db", "the database, to look into"),
    ):
        console.print(Text.assemble((f"  {f'{out}/{name}':<34} ", "bold"), (what, "dim")), soft_wrap=True)


def _quarters(summary: Summary) -> Any:
    """What was sent when: a bar for each quarter of a year."""
    months = summary.by_month
    quarters = [months[start : start + 3] for start in range(0, len(months), 3)]
    sums = [sum(month["sent"] for month in quarter) for quarter in quarters]
    most = max(sums) or 1
    rows = []
    for quarter, sent in zip(quarters, sums, strict=True):
        first, last = quarter[0], quarter[-1]
        bar = "█" * round(_BAR * sent / most) or ("▏" if sent else "")
        rows.append((f"{first['month']}-{last['month']}", f"{first['name']}", f"{sent:,}" if sent else None, bar))
    return table(["months", "from", "sent", ""], rows, title="What was sent when")


def _events(summary: Summary) -> Any:
    rows = [
        (
            day(event["starts"]),
            event["title"] + ("" if event["state"] == "done" else f" ({event['state']})"),
            *(event[name] or None for name in ("sent", "invited", "accepted", "tentative", "declined", "none", "came")),
            f"{event['answered']} of {event['asked']} ({percent(event['rate'])})" if event["asked"] else None,
        )
        for event in summary.events
    ]
    columns = ["when", "event", "sent", "invited", "yes", "perhaps", "no", "no answer", "came", "surveys answered"]
    return table(columns, rows, title="Who was invited, and who came")


def _targets(report: dict[str, Any]) -> Any:
    rows = []
    for target in report["targets"]:
        answered = f"{target['answered']} of {target['asked']} ({percent(target['rate'])})" if target["asked"] else None
        now = target["why_open"] if target["actual"] is None else f"{amount(target['actual'])} {target['unit']}"
        rows.append((target["title"], f"{amount(target['target'])} {target['unit']}", now, target["state"], answered))
    figures = report["total"]["figures"]
    totals = [
        (kind, amount(one["value"], one["unit"]) if one["value"] is not None else None,
         f"{one['answered']} of {one['asked']} ({percent(one['rate'])})" if one["asked"] else None)
        for kind, one in figures.items()
    ]  # fmt: skip
    return Group(
        table(["target", "goal", "now", "", "answered"], rows, title="What came of it, target by target"),
        table(["in all", "", "answered"], totals),
    )
