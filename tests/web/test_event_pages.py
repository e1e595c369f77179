"""The public page of an event and its calendar file: public events only, itineraries never."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from events_service.clock import FixedClock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.db.tables import Event, EventChange
from events_service.web.app import create_app
from tests.attendance import ADDED
from tests.calendars.readers import with_icalendar
from tests.web.conftest import NOW, Client, Site


def change(site: Site, slug: str, **fields: object) -> None:
    with site.database.write() as session:
        event = session.exec(select(Event).where(Event.slug == slug)).one()
        for name, value in fields.items():
            setattr(event, name, value)
        session.add(event)


def test_a_public_event_has_a_page(site: Site) -> None:
    answer = site.client.get("/events/energy")
    assert answer.status_code == 200
    text = answer.text
    assert "Energy storage &lt;conference&gt;" in text and "<conference>" not in text
    assert "Tuesday 4 June 2024, 09:00–17:30" in text and "British Summer Time (Europe/London)" in text
    assert "Lancaster House, Lancaster, United Kingdom" in text
    assert "Opening &amp; welcome" in text and 'href="/events/energy.ics"' in text
    assert 'href="https://energy.example.org/"' in text
    assert '<meta name="robots" content="index, follow">' in text


def test_its_calendar_file_is_one_event_that_keeps_its_bytes(site: Site) -> None:
    answer = site.client.get("/events/energy.ics")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="energy.ics"'
    (event,) = with_icalendar(answer.content).walk("VEVENT")
    assert str(event["UID"]) == "energy@example.org" and "ATTENDEE" not in event and "METHOD" not in answer.text
    assert site.client.get("/events/energy.ics").content == answer.content
    again = site.client.get("/events/energy.ics", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("slug", ["munich", "nowhere", "%00", "..", "energy.ics.ics"])
def test_what_is_not_public_is_the_same_404_as_what_is_not_there(site: Site, slug: str) -> None:
    for path in (f"/events/{slug}", f"/events/{slug}.ics"):
        answer = site.client.get(path)
        assert (answer.status_code, answer.text) == (404, "Not found\n")


@pytest.mark.parametrize("slug", ["%00", "energy%00", "%FF", "Energy", "energy%0A", "x" * 5000])
def test_what_cannot_be_a_slug_is_a_404_on_every_database(database: Database, settings: Settings, slug: str) -> None:
    token = {"authorization": "Bearer a token for tests"}
    app = create_app(database, settings.model_copy(update={"api_token": "a token for tests"}), FixedClock(NOW))
    for path in (f"/events/{slug}", f"/events/{slug}.ics", f"/api/v1/events/{slug}"):
        answer = Client(app).get(path, headers=token)
        assert (answer.status_code, answer.text) == (404, "Not found\n"), path


def test_a_draft_is_not_shown(site: Site) -> None:
    change(site, "energy", state="draft")
    assert site.client.get("/events/energy").status_code == 404
    assert site.client.get("/events/energy.ics").status_code == 404


def test_a_cancelled_event_says_so_for_thirty_days(site: Site) -> None:
    change(site, "energy", state="cancelled", cancelled_at=NOW)
    assert site.client.get("/events/energy").status_code == 404  # it never was approved
    with site.database.write() as session:
        event = session.exec(select(Event).where(Event.slug == "energy")).one()
        session.add(EventChange(event_id=event.id or 0, at=ADDED, action="approved"))
    assert "This event was cancelled" in site.client.get("/events/energy").text
    assert b"STATUS:CANCELLED\r\n" in site.client.get("/events/energy.ics").content
    site.clock.at = NOW + timedelta(days=30)
    assert site.client.get("/events/energy").status_code == 404


def test_a_past_event_says_so(site: Site) -> None:
    change(site, "energy", state="done")
    assert "This event is over" in site.client.get("/events/energy").text


def test_a_delegations_itinerary_is_never_public(site: Site) -> None:
    change(site, "munich", visibility="public")
    answer = site.client.get("/events/munich")
    assert answer.status_code == 200 and "cyber range." in answer.text
    assert "Visit: cyber range" not in answer.text
    assert b"Visit: cyber range" not in site.client.get("/events/munich.ics").content


def test_a_website_that_is_no_web_address_is_no_link(site: Site) -> None:
    change(site, "energy", url="javascript:alert(1)")
    assert "javascript:" not in site.client.get("/events/energy").text
