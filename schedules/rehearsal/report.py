"""What a rehearsal leaves in its folder: calendars, the timeline, and a page that tells what happened."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from events_service import outcome_report, programme_timeline
from events_service.config import templates_dir
from events_service.domain.outcomes import KINDS
from events_service.errors import FileError
from schedules.rehearsal.runner import Rehearsed
from schedules.rehearsal.summary import Summary, summarise


def write(done: Rehearsed, out: Path, seed: int) -> Summary:
    """Write `feeds/`, `timeline.svg` and `report.html`. The same rehearsal gives the same bytes. FileError."""
    try:
        for name, calendar in sorted(done.feeds.items()):
            (out / "feeds" / name).write_bytes(calendar)
        with done.database.read() as session:
            programme_timeline.draw(session, done.programme, done.end, out / "timeline.svg")
            summary = summarise(session, done)
        page = html(summary, done, seed, (out / "timeline.svg").read_bytes())
        (out / "report.html").write_text(page, encoding="utf-8")
    except OSError as error:
        raise FileError(error.filename or out, f"cannot be written: {(error.strerror or '').lower()}") from error
    return summary


def html(summary: Summary, done: Rehearsed, seed: int, picture: bytes) -> str:
    """The page. It needs nothing else: the picture is in it."""
    environment = Environment(
        loader=FileSystemLoader(templates_dir() / "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "amount": outcome_report.amount, "percent": outcome_report.percent, "day": outcome_report.day,
    }  # fmt: skip
    return environment.get_template("rehearsal.html").render(
        report=summary.report,
        kinds=KINDS,
        widest=outcome_report.widest(summary.report),
        told=_told(summary, done, seed),
        picture="data:image/svg+xml;base64," + base64.b64encode(picture).decode(),
    )


def document(summary: Summary, seconds: float, out: Path) -> dict[str, Any]:
    """The rehearsal as other programs read it. `seconds` is how long it took."""
    return {
        "programme": summary.programme.key,
        "months": summary.programme.months,
        "events": len(summary.events),
        "people": summary.people,
        "deliveries": summary.deliveries,
        "reviews": summary.reviews,
        "responses": summary.responses,
        "outcomes": summary.outcomes_recorded,
        "refusals": summary.refusals,
        "seconds": round(seconds, 2),
        "out": str(out),
    }


def _told(summary: Summary, done: Rehearsed, seed: int) -> dict[str, Any]:
    timeline = done.programme.timeline
    return {
        "months": done.programme.months,
        "first_day": timeline.first_day(0).isoformat(),
        "last_day": timeline.whole.last_day.isoformat(),
        "people": summary.people,
        "seed": seed,
        "deliveries": summary.deliveries,
        "events": summary.events,
        "by_month": summary.by_month,
        "busiest": max((month["sent"] for month in summary.by_month), default=0) or 1,
        "by_page": done.told.pages[200],
        "by_mail": done.told.mails["reply, applied"],
        "left_alone": sum(number for kind, number in done.told.mails.items() if kind.endswith("left alone")),
        "log": [
            {"at": timeline.date_of(entry.at).isoformat(), "kind": entry.kind, "text": entry.text} for entry in done.log
        ],
    }
