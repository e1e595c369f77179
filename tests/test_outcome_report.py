"""The report: figures with who answered beside them, and one page that needs nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import Session

from events_service import outcome_facts, outcome_report, outcomes, surveys
from events_service.config import shipped
from events_service.db.session import Database
from events_service.db.tables import Attendee
from events_service.domain.outcomes import KINDS
from events_service.domain.programme_file import load_programme
from events_service.outcome_report import amount, day, percent
from tests.attendance import make_attendee, make_campaign, make_delivery, make_event

T = datetime(2024, 6, 1, 9, 0, tzinfo=UTC)
PROGRAMME = load_programme(shipped("programmes")["lancashire-2022-2025"].read_text(), "lancashire-2022-2025.toml")


def filled(session: Session) -> None:
    """A mission that two of four asked answered for, a conference of another year, and funding in two currencies."""
    munich = make_event(session, state="done")
    steps = make_campaign(session, munich, {"90": "outcomes"})
    people: list[Attendee] = [make_attendee(session, munich, f"p{n}@example.org", reply="accepted") for n in range(4)]
    for person in people:
        make_delivery(session, person, steps["90"])
    surveys.submit(session, people[0].id or 0, "90", {"leads": "3", "funding": "1,000.50"}, T)
    surveys.submit(session, people[1].id or 0, "90", {"leads": "0"}, T)
    people[0].attended = True
    conference = make_event(
        session,
        "blackpool",
        kind="conference",
        title="<script>alert(1)</script> & Net Zero",
        themes=["energy", "cyber"],
        markets=["DE", "DK"],
        starts=datetime(2024, 4, 10, 9, tzinfo=UTC),
        ends=datetime(2024, 4, 11, 9, tzinfo=UTC),
    )
    outcomes.add(session, conference, "funding", T, value="200", currency="EUR", note="a")
    outcomes.add(session, conference, "funding", T, note="b")
    outcomes.add(session, conference, "lead", T, note="c")


def report_of(session: Session) -> dict[str, Any]:
    return outcome_report.document(outcome_facts.gather(session, PROGRAMME, T))


def cells(report: dict[str, Any], by: str, kind: str) -> dict[str, tuple[Any, int, int]]:
    return {
        group["key"]: tuple(group["figures"][kind][name] for name in ("value", "asked", "answered"))
        for group in report[by]
    }


def test_figures_by_event_market_theme_and_year(database: Database) -> None:
    with database.write() as session:
        filled(session)
        report = report_of(session)
    assert report["as_of"] == "2024-06-01T10:00+01:00"
    assert cells(report, "by_event", "lead") == {"munich": (3, 4, 2), "blackpool": (1, 0, 0)}
    assert cells(report, "by_event", "funding") == {"munich": (1000.5, 4, 1), "blackpool": (None, 0, 0)}
    assert cells(report, "by_event", "contact") == {"munich": (None, 4, 0), "blackpool": (None, 0, 0)}
    nothing = (None, 0, 0)
    assert cells(report, "by_market", "lead") == {
        "DE": (4, 4, 2),
        "US": nothing,
        "MY": nothing,
        "FR": nothing,
        "CA": nothing,
        "DK": (1, 0, 0),
    }
    assert cells(report, "by_theme", "lead") == {
        "cyber": (4, 4, 2),
        "mobility": nothing,
        "energy": (1, 0, 0),
        "health": nothing,
    }
    assert cells(report, "by_year", "lead") == {"1": nothing, "2": (3, 4, 2), "3": (1, 0, 0)}
    assert report["total"]["responses"] == {"asked": 4, "answered": 2, "rate": 0.5}
    assert (report["total"]["accepted"], report["total"]["attended"]) == (4, 1)
    assert report["other_currencies"] == [{"currency": "EUR", "value": 200, "outcomes": 1}]
    assert report["total"]["figures"]["funding"]["unvalued"] == 1


def test_targets_say_where_they_stand_or_why_they_are_open(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        filled(session)
        targets = {target["key"]: target for target in report_of(session)["targets"]}
    assert {key: (t["actual"], t["state"], t["why_open"]) for key, t in targets.items()} == {
        "funding": (None, "open", "no baseline is set to measure it against"),
        "partnerships": (None, "open", "no answers yet"),
        "roadmap": (None, "open", "recorded by hand, and not recorded yet"),
        "events": (0, "under way", None),
        "leads": (2, "under way", None),
    }
    assert (targets["leads"]["asked"], targets["leads"]["answered"], targets["leads"]["rate"]) == (4, 2, 0.5)
    assert (targets["events"]["asked"], targets["events"]["rate"]) == (None, None)


def test_an_empty_programme_has_a_report_of_nothing_known(sqlite_database: Database) -> None:
    with sqlite_database.read() as session:
        report = report_of(session)
    assert {target["state"] for target in report["targets"]} == {"open"}
    assert all(figure["value"] is None for figure in report["total"]["figures"].values())
    page = outcome_report.html(report)
    assert "No event is approved yet." in page
    assert page.count("no answers yet") == len(KINDS)


def test_the_page_needs_nothing_else_and_runs_nothing(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        filled(session)
        page = outcome_report.html(report_of(session))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Net Zero" in page
    assert re.findall(r"<(?:script|link|img|iframe)\b|(?:src|href)=|url\(|@import|https?:", page) == []
    assert "£1,000.50" in page
    assert "1 of 4 (25%)" in page
    assert "EUR 200" in page


def test_the_same_facts_give_the_same_bytes(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        filled(session)
    pages = []
    for _ in range(2):
        with sqlite_database.read() as session:
            pages.append(outcome_report.html(report_of(session)))
    assert pages[0] == pages[1]


def test_sheets_leave_an_unknown_figure_empty(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        filled(session)
        (name, columns, rows), (targets, _, target_rows) = outcome_report.rows(report_of(session))
    assert (name, targets, len(target_rows)) == ("figures", "targets", 5)
    assert columns == [
        "by",
        "key",
        "title",
        "kind",
        "value",
        "unit",
        "outcomes",
        "unvalued",
        "asked",
        "answered",
        "rate",
    ]
    assert ["event", "munich", "Cyber resilience mission to Munich", "lead", 3, "count", 1, 0, 4, 2, 0.5] in rows
    assert ["event", "munich", "Cyber resilience mission to Munich", "contact", None, "count", 0, 0, 4, 0, 0.0] in rows
    assert rows[-1] == ["currency", "EUR", "not added up", "funding", 200, "EUR", 1, None, None, None, None]
    assert {len(row) for row in rows} == {len(columns)}


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "count", "–"),
        (1200, "count", "1,200"),
        (12.5, "count", "12.5"),
        (1200, "GBP", "£1,200"),
        (1200.5, "GBP", "£1,200.50"),
        (1_250_000_000_000, "GBP", "£1,250,000,000,000"),
        (70, "EUR", "EUR 70"),
    ],
)
def test_amounts_are_shown_as_people_write_them(value: float | None, unit: str, shown: str) -> None:
    assert amount(value, unit) == shown


def test_shares_and_days_are_short() -> None:
    assert (percent(0.666), percent(None), day("2023-10-09T09:00+02:00")) == ("67%", "–", "9 Oct 2023")
