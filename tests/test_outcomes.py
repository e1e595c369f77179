"""Outcomes that organisers record, their list, and where the programme's targets stand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from events_service import outcomes
from events_service.config import shipped
from events_service.db.session import Database
from events_service.db.tables import Institution
from events_service.domain.programme_file import load_programme
from events_service.errors import ConflictError, InputError, NotFoundError
from tests.attendance import make_event

T = datetime(2024, 1, 10, 9, 0, tzinfo=UTC)
PROGRAMME = load_programme(shipped("programmes")["lancashire-2022-2025"].read_text(), "lancashire-2022-2025.toml")


def test_an_outcome_is_recorded_with_its_value_and_source(database: Database) -> None:
    with database.write() as session:
        event = make_event(session)
        session.add(Institution(ror="02kkvpp62", name="TU München", country="DE", changed_at=T))
        made = outcomes.add(
            session,
            event,
            "funding",
            T,
            value="£120,000.50",
            institution="https://ror.org/02kkvpp62",
            note="Letter of award",
        )
        assert outcomes.listing(session) == [
            {
                "id": made.id,
                "event": "munich",
                "kind": "funding",
                "value": 120000.5,
                "currency": "GBP",
                "institution": "TU München",
                "source": "organiser",
                "wave": None,
                "note": "Letter of award",
                "recorded_at": T,
            }
        ]
        assert outcomes.as_json(session, made) == outcomes.listing(session)[0]


def test_a_value_that_is_not_known_stays_unknown(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        made = outcomes.add(session, make_event(session), "student-enquiry", T, note="Asked at the stand")
        assert (made.kind, made.value, made.currency) == ("enquiry", None, None)
        lead = outcomes.add(session, make_event(session, "porto"), "lead", T, value="3", note="Three")
        assert (lead.value, lead.currency) == (Decimal(3), None)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"kind": "prize"}, "--kind 'prize': no kind of outcome; use one of contact, lead"),
        ({"value": "many"}, "--value 'many': write a number from 0 to"),
        ({"value": "-1"}, "--value '-1': write a number from 0 to"),
        ({"value": "NaN"}, "--value 'NaN': write a number from 0 to"),
        ({"value": "1e30"}, "--value '1e30': write a number from 0 to"),
        ({"value": "1.5"}, "--value '1.5': leads are counted in whole numbers"),
        ({"kind": "funding", "value": "1.555"}, "--value '1.555': an amount has at most two decimals"),
        ({"kind": "funding", "currency": "euro"}, "--currency 'euro' is no currency of ISO 4217"),
        ({"kind": "funding", "currency": "XXQ"}, "--currency 'XXQ' is no currency of ISO 4217"),
        ({"currency": "GBP"}, "--currency is for funding; leave it out"),
        ({"note": " \x00 "}, "--note: say in 1 to 4,000 characters"),
    ],
)
def test_a_word_that_cannot_be_used_is_named(sqlite_database: Database, words: dict[str, str], why: str) -> None:
    given = {"kind": "lead", "note": "Met"} | words
    with sqlite_database.write() as session:
        event = make_event(session)
        with pytest.raises(InputError) as caught:
            outcomes.add(session, event, given.pop("kind"), T, note=given.pop("note"), **given)
        assert why in str(caught.value)
        assert outcomes.listing(session) == []


def test_an_unknown_institution_and_a_cancelled_event_are_refused(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        event = make_event(session)
        for ref in ("7", "nobody", "00000abc0", "9" * 30):
            with pytest.raises(NotFoundError, match="events institution list --search"):
                outcomes.add(session, event, "lead", T, institution=ref, note="Met")
        with pytest.raises(ConflictError, match="porto was cancelled"):
            outcomes.add(session, make_event(session, "porto", state="cancelled"), "lead", T, note="Met")


def test_the_list_goes_by_event_and_kind(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        later = make_event(session, "later", starts=T, ends=T)
        early = make_event(session)
        outcomes.add(session, later, "lead", T, note="b")
        outcomes.add(session, early, "contact", T, note="a")
        outcomes.add(session, early, "lead", T, note="c")
        assert [row["note"] for row in outcomes.listing(session)] == ["a", "c", "b"]
        assert [row["note"] for row in outcomes.listing(session, "lead")] == ["c", "b"]
        with pytest.raises(InputError, match="--kind 'leed'"):
            outcomes.listing(session, "leed")


def test_targets_stay_open_until_there_is_something_to_say(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        make_event(session, state="done")
        assert outcomes.target_actuals(session, PROGRAMME, T) == {
            "funding": None,
            "partnerships": None,
            "roadmap": None,
            "events": None,
            "leads": None,
        }


def test_targets_take_their_figures_from_outcomes(sqlite_database: Database) -> None:
    with sqlite_database.write() as session:
        munich = make_event(session, state="done")
        outcomes.add(session, munich, "agreement", T, note="Signed")
        outcomes.add(session, munich, "lead", T, value="2", note="Two")
        outcomes.add(session, munich, "funding", T, value="1000", note="Won")
        found = outcomes.target_actuals(session, PROGRAMME, T)
        assert found["partnerships"] == 1
        assert found["leads"] == 1
        assert found["funding"] is None, "a growth without a baseline stays open"
