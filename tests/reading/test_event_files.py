"""Reading an event file: what it means, and one clear line for everything that can be wrong with it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events_service.errors import EventFileError
from events_service.reading.event_files import EventFile, read
from tests.event_texts import BLACKPOOL, MUNICH, SLUG, toml, visit, wall


def munich(**changes: Any) -> EventFile:
    return read("munich.toml", toml(MUNICH | changes))


def test_a_file_is_read_as_the_contract_says() -> None:
    more = {"summary": "Four days.\nTwo labs.", "url": "https://example.org/m", "region": "DE-BY", "capacity": 20}
    more |= {"budget": 4000, "effort_days": 7.5, "material_refreshed": date(2023, 4, 3), "visibility": "public"}
    file = read("munich.toml", toml(MUNICH | more, sessions=(visit(partner="Zoo", price=12.5),)))
    assert (file.starts, file.ends) == (datetime(2023, 10, 9, 7, tzinfo=UTC), datetime(2023, 10, 12, 15, tzinfo=UTC))
    assert (file.organiser_name, file.organiser_email) == ("Events desk", "events@example.org")
    assert (file.slug, file.visibility, file.notes) == (SLUG, "public", ())
    assert (file.summary, file.capacity, file.budget, file.effort_days) == ("Four days.\nTwo labs.", 20, 4000, 7.5)
    [session] = file.sessions
    assert session.starts == datetime(2023, 10, 10, 7, 30, tzinfo=UTC)
    assert (session.timezone, session.city, session.country) == ("Europe/Berlin", "Munich", "DE")
    assert (session.partner, session.price) == ("Zoo", "£12.5")
    assert file.facts().starts == file.starts


def test_only_conferences_that_we_host_are_public_unless_the_file_says_otherwise() -> None:
    assert munich().visibility == "private"
    assert read("b.toml", toml(BLACKPOOL)).visibility == "public"
    assert read("b.toml", toml(BLACKPOOL | {"hosted_by": "joined", "markets": ["GB"]})).visibility == "private"
    assert read("b.toml", toml(BLACKPOOL | {"visibility": "private"})).visibility == "private"


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Größe & Straße: Zürich!", "grosse-strasse-zurich-2023-10"),
        ("Women's health", "womens-health-2023-10"),
        ("東京", "mission-2023-10"),
        ("A" * 200, "a" * 72 + "-2023-10"),
        ("word " * 30, "-".join(["word"] * 14) + "-2023-10"),
    ],
)
def test_a_slug_is_made_from_the_title_and_the_month(title: str, slug: str) -> None:
    assert munich(title=title).slug == slug


@given(st.text(min_size=1, max_size=200))
def test_any_title_gives_a_slug_that_may_be_given_again_or_is_refused(title: str) -> None:
    try:
        made = munich(title=title)
    except EventFileError as error:
        assert error.field == "title"
        return
    assert munich(title=title, slug=made.slug).slug == made.slug


def test_a_time_that_is_there_twice_is_the_first_and_says_so() -> None:
    file = munich(starts=wall("2023-10-29T02:30"), ends=wall("2023-10-30T17:00"))
    assert file.starts == datetime(2023, 10, 29, 0, 30, tzinfo=UTC)
    [note] = file.notes
    assert note.startswith("starts: 2023-10-29 02:30 happens twice in Europe/Berlin")
    assert note.endswith("the first was taken (02:30+0200)")


def test_an_offset_is_taken_as_it_is() -> None:
    assert munich(starts=datetime.fromisoformat("2023-10-09T09:00+00:00")).starts.hour == 9


def test_a_country_outside_the_markets_is_said() -> None:
    assert munich(country="FR").notes == ("country: FR is not among its markets, DE",)


@pytest.mark.parametrize(
    ("changes", "field", "why"),
    [
        ({"ends": wall("2023-10-08T17:00")}, "ends", "does not come after starts"),
        ({"ends": wall("2023-10-09T09:00")}, "ends", "does not come after starts"),
        ({"starts": wall("2023-03-26T02:30")}, "starts", "the clocks skip it; use 2023-03-26 03:30"),
        ({"starts": wall("0001-01-01T00:00")}, "starts", "not in the years 1970 to 2200"),
        ({"ends": wall("9999-12-31T23:59")}, "ends", "not in the years 1970 to 2200"),
        ({"starts": date(2023, 10, 9)}, "starts", "must be a date and time without quotes"),
        ({"starts": "2023-10-09T09:00:00"}, "starts", "must be a date and time without quotes"),
        ({"timezone": "Europe/Munich"}, "timezone", "is no IANA time zone; did you mean"),
        ({"timezone": "../../etc/passwd"}, "timezone", "is no IANA time zone"),
        ({"timezone": ""}, "timezone", "is no IANA time zone"),
        ({"title": "x" * 10_000}, "title", "at most 200 characters"),
        ({"title": "two\nlines"}, "title", "holds a control character"),
        ({"title": "nul\x00"}, "title", "holds a control character"),
        ({"title": "turned \u202e round"}, "title", "holds a control character"),
        ({"title": "   "}, "title", "at least 1 character"),
        ({"venue": "a\rb"}, "venue", "holds a control character"),
        ({"summary": "bell\x07"}, "summary", "holds a control character"),
        ({"kind": "trip"}, "kind", "'mission' or 'conference'"),
        ({"hosted_by": "them"}, "hosted_by", "'us' or 'joined'"),
        ({"country": "UK"}, "country", "the United Kingdom is GB"),
        ({"country": "de"}, "country", "write DE"),
        ({"country": "XX"}, "country", "is no country code"),
        ({"markets": ["DE", "Germany"]}, "markets.#2", "is no country code"),
        ({"markets": ["DE", "DE"]}, "markets", "is there twice"),
        ({"markets": []}, "markets", "is empty; a mission is in at least one market"),
        ({"markets": "DE"}, "markets", "must be a list"),
        ({"themes": []}, "themes", "at least 1 item"),
        ({"themes": ["cyber", "cyber"]}, "themes", "is there twice"),
        ({"region": "Bavaria"}, "region", "is no region code"),
        ({"region": "FR-75"}, "region", "is not in DE"),
        ({"url": "javascript:alert(1)"}, "url", "is no web address"),
        ({"url": "https://"}, "url", "is no web address"),
        ({"url": "https://example.org:port/"}, "url", "is no web address"),
        ({"url": "https://user:pass@example.org/"}, "url", "carries a user name"),
        ({"organiser": "Events desk"}, "organiser", "is no mailbox"),
        ({"organiser": "Desk <nobody@>"}, "organiser", ""),
        ({"organiser": "Desk <a@example.org>\nBcc: b@example.org"}, "organiser", "holds a control character"),
        ({"slug": "Not A Slug"}, "slug", "match pattern"),
        ({"capacity": 0}, "capacity", "greater than or equal to 1"),
        ({"capacity": 12.5}, "capacity", "must be a whole number"),
        ({"budget": True}, "budget", "must be a whole number"),
        ({"effort_days": float("nan")}, "effort_days", "finite"),
        ({"material_refreshed": wall("2023-04-03T09:00")}, "material_refreshed", "must be a date"),
        ({"visibility": "secret"}, "visibility", "'public' or 'private'"),
        ({"tittle": "x"}, "tittle", "is no field of an event file; did you mean title?"),
        ({"notes": ["x"]}, "notes", "is no field of an event file"),
        ({"organiser_email": "x@example.org"}, "organiser_email", "is no field of an event file"),
        ({"sessions": 3}, "sessions", "must be a list"),
    ],
)
def test_a_fault_names_the_file_the_field_and_what_to_do(changes: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(EventFileError) as raised:
        munich(**changes)
    line = str(raised.value)
    assert (raised.value.file, raised.value.table, raised.value.field) == ("munich.toml", "", field)
    assert why in line
    assert "\n" not in line
    assert len(line) < 400


@pytest.mark.parametrize("field", [name for name in MUNICH])
def test_what_the_contract_requires_cannot_be_left_out(field: str) -> None:
    with pytest.raises(EventFileError, match=f"^munich.toml: {field}: is missing$"):
        read("munich.toml", toml(MUNICH, field))


@pytest.mark.parametrize(
    ("changes", "field", "why"),
    [
        ({"starts": wall("2023-10-08T09:30")}, "starts", "before the event starts"),
        ({"ends": wall("2023-10-12T17:01")}, "ends", "after the event ends"),
        ({"ends": wall("2023-10-10T09:00")}, "ends", "does not come after starts"),
        ({"kind": "party"}, "kind", "'talk', 'meeting', 'visit' or 'leisure'"),
        ({"timezone": "Mars/Olympus"}, "timezone", "is no IANA time zone"),
        ({"room": "1"}, "room", "is no field of an event file"),
        ({"kind": "leisure", "ends": wall("2023-10-30T12:00")}, "ends", "by more than 14 days"),
    ],
)
def test_a_session_that_is_wrong_is_named_by_its_place(changes: dict[str, Any], field: str, why: str) -> None:
    with pytest.raises(EventFileError) as raised:
        read("munich.toml", toml(MUNICH, sessions=(visit(), visit(**changes))))
    assert (raised.value.table, raised.value.field) == ("sessions #2", field)
    assert why in str(raised.value)


def test_the_extra_days_of_leisure_may_lie_around_the_event() -> None:
    extra = visit(kind="leisure", starts=wall("2023-10-13T10:00"), ends=wall("2023-10-15T18:00"))
    assert read("munich.toml", toml(MUNICH, sessions=(extra,))).sessions[0].kind == "leisure"


def test_a_session_in_another_zone_is_placed_there() -> None:
    away = visit(timezone="Europe/London")
    assert read("m.toml", toml(MUNICH, sessions=(away,))).sessions[0].starts == datetime(
        2023, 10, 10, 8, 30, tzinfo=UTC
    )


def test_text_that_is_not_toml_says_on_which_line() -> None:
    with pytest.raises(EventFileError, match=r"^munich.toml: is not TOML: .*line 2"):
        read("munich.toml", 'kind = "mission"\ntitle = \n')


def test_tables_that_lie_too_deep_are_refused() -> None:
    with pytest.raises(EventFileError, match="too deep"):
        read("munich.toml", "kind = " + "[" * 100_000)


@given(st.text(max_size=400))
def test_no_text_gives_anything_but_an_event_or_an_error_of_ours(text: str) -> None:
    with pytest.raises(EventFileError):
        read("munich.toml", text)
