"""Where outcomes count: markets, themes, events, targets; worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlmodel import Session

from events_service import outcomes, surveys
from events_service.config import shipped
from events_service.db.session import Database
from events_service.db.tables import Event, Institution
from events_service.domain.outcomes import KINDS, Asked, Figure, Result
from events_service.domain.programme import Programme
from events_service.domain.programme_file import load_programme
from events_service.outcome_facts import Facts, actual, gather, in_market, target_people
from tests.attendance import ENDS, make_attendee, make_campaign, make_delivery, make_event

T = datetime(2024, 6, 1, 9, 0, tzinfo=UTC)
SOURCE = shipped("programmes")["lancashire-2022-2025"].read_text()
PROGRAMME = load_programme(SOURCE, "lancashire-2022-2025.toml")


def facts_of(session: Session, programme: Programme = PROGRAMME, now: datetime = T) -> Facts:
    return gather(session, programme, now)


def value(session: Session, key: str, now: datetime = T) -> float | None:
    target = next(target for target in PROGRAMME.targets if target.key == key)
    return actual(facts_of(session, now=now), target)


def attend(session: Session, event: Event, came: int, accepted: int) -> None:
    for number in range(max(came, accepted)):
        make_attendee(
            session,
            event,
            f"{event.slug}{number}@example.org",
            reply="accepted" if number < accepted else "none",
            attended=True if number < came else None,
        )


def test_who_was_asked_and_answered_goes_by_person_and_by_kind(database: Database) -> None:
    with database.write() as session:
        event = make_event(session, state="done")
        steps = make_campaign(session, event, {"thanks": "mission", "90": "outcomes"})
        people = [make_attendee(session, event, f"p{n}@example.org") for n in range(4)]
        for person in people[:3]:
            make_delivery(session, person, steps["thanks"])
            make_delivery(session, person, steps["90"])
        make_delivery(session, people[3], steps["90"], state="failed")
        surveys.submit(session, people[0].id or 0, "thanks", {"useful": "5", "leads": "2"}, T)
        surveys.submit(session, people[0].id or 0, "90", {"leads": "3"}, T)
        surveys.submit(session, people[1].id or 0, "thanks", {"useful": "3", "leads": "0"}, T)
        surveys.submit(session, people[2].id or 0, "90", {"story": "none"}, T)
        facts = facts_of(session)
        figures = {one.kind: one for one in facts.figures(facts.events, facts.results)}
        assert facts.asked(facts.events, None) == Asked(3, 3)
        assert figures["lead"] == Figure("lead", Decimal(5), 2, 0, Asked(3, 2))
        assert figures["contact"] == Figure("contact", None, 0, 0, Asked(3, 0))
        assert figures["publication"] == Figure("publication", None, 0, 0, Asked(3, 0))
        assert list(figures) == list(KINDS)


def test_an_answered_zero_is_a_figure(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        event = make_event(session, state="done")
        make_campaign(session, event, {"90": "outcomes"})
        person = make_attendee(session, event)
        surveys.submit(session, person.id or 0, "90", {"leads": "0"}, T)
        facts = facts_of(session)
        figures = {one.kind: one.value for one in facts.figures(facts.events, facts.results)}
        assert figures == dict.fromkeys(KINDS) | {"lead": Decimal(0)}
        assert value(session, "leads") == 0
        assert value(session, "partnerships") is None


def test_an_outcome_counts_under_its_partners_market_before_its_events(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        two = make_event(session, "two", markets=["DE", "FR"])
        for ror, country in (("my1", "MY"), ("gb1", "GB")):
            session.add(Institution(ror=ror, name=ror, country=country, changed_at=T))
        outcomes.add(session, two, "agreement", T, institution="my1", note="a")
        outcomes.add(session, two, "agreement", T, institution="gb1", note="b")
        facts = facts_of(session)
        assert facts.results == (
            Result("two", "agreement", None, None, "MY"),
            Result("two", "agreement", None, None, None),
        )
        under = {
            m.country: len([r for r in facts.results if in_market(facts, m.country)(r)]) for m in PROGRAMME.markets
        }
        assert under == {"DE": 1, "US": 0, "MY": 1, "FR": 1, "CA": 0, "DK": 0}
        # Which of the two markets the second was in, nobody said: only Malaysia is sure.
        assert value(session, "partnerships") == 1


def test_an_agreement_of_an_event_in_one_market_is_with_that_market(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        for slug, markets in (("a", ["DE"]), ("b", ["DE"]), ("c", ["DK"]), ("d", ["ES"]), ("e", [])):
            outcomes.add(session, make_event(session, slug, markets=markets), "agreement", T, note=slug)
        assert value(session, "partnerships") == 2


def test_a_zero_recorded_by_hand_is_no_partnership(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        outcomes.add(session, make_event(session), "agreement", T, value="0", note="none came")
        assert value(session, "partnerships") is None


def test_leads_count_themes_of_the_programme(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        outcomes.add(session, make_event(session, "a", themes=["cyber", "health"]), "lead", T, note="a")
        outcomes.add(session, make_event(session, "b", themes=["cyber", "space"]), "lead", T, note="b")
        assert value(session, "leads") == 2


def test_growth_is_a_percentage_of_the_baseline(sqlite_database: Database) -> None:
    text = SOURCE.replace(
        'title = "A 20% increase in UKRI and other innovation-related funding"',
        'title = "A 20% increase in UKRI and other innovation-related funding"\nbaseline = 400000',
    )
    programme = load_programme(text, "p.toml")
    with sqlite_database.write() as session:
        event = make_event(session)
        outcomes.add(session, event, "funding", T, value="50000", note="a")
        outcomes.add(session, event, "funding", T, value="9999", currency="EUR", note="b")
        assert outcomes.target_actuals(session, programme, T)["funding"] == 12.5
        assert outcomes.target_actuals(session, PROGRAMME, T)["funding"] is None


@pytest.mark.parametrize(
    ("came", "accepted", "themes"),
    [(10, 10, 1), (9, 9, 0), (12, 20, 1), (11, 20, 0), (10, 0, 1)],
)
def test_well_attended_is_ten_people_and_six_in_ten_of_those_who_accepted(
    sqlite_database: Database, came: int, accepted: int, themes: int
) -> None:
    with sqlite_database.write() as session:
        attend(session, make_event(session), came, accepted)
        assert value(session, "events") == themes
        assert value(session, "events", ENDS - timedelta(seconds=1)) is None, "it was not over yet"


def test_events_without_a_single_check_in_say_nothing_of_attendance(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        attend(session, make_event(session), 0, 30)
        assert value(session, "events") is None


def test_other_programmes_drafts_and_cancelled_events_stay_out(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        other = make_event(session, "other", programme_key="other")
        draft, gone = make_event(session, "draft", state="draft"), make_event(session, "gone", state="cancelled")
        outcomes.add(session, other, "lead", T, note="a")
        attend(session, gone, 12, 12)
        facts = facts_of(session)
        assert (facts.events, facts.results) == ((), ())
        assert value(session, "events") is None
        # A draft that something came of did take place, whatever its paperwork says.
        outcomes.add(session, draft, "lead", T, note="b")
        assert [event.slug for event in facts_of(session).events] == ["draft"]


def test_only_targets_that_rest_on_answers_have_a_response_rate(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        event = make_event(session)
        steps = make_campaign(session, event, {"90": "outcomes"})
        make_delivery(session, make_attendee(session, event), steps["90"])
        facts = facts_of(session)
        assert {target.key: target_people(facts, target) for target in PROGRAMME.targets} == {
            "funding": Asked(1, 0),
            "partnerships": Asked(1, 0),
            "roadmap": None,
            "events": None,
            "leads": Asked(1, 0),
        }
