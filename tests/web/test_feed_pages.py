"""The page of a feed: what it says, where its buttons lead, and that it is the same secret as the feed itself."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest

from events_service import feeds
from events_service.web.feed_pages import links
from tests.calendars.readers import with_icalendar
from tests.web.conftest import NOW, Site


def subscribe(site: Site, kind: str = "public", of: str = "", *, all_day: bool = False) -> tuple[int, str]:
    """A new feed's id, and the path of its page."""
    with site.database.write() as session:
        made, token = feeds.create(session, kind, of, NOW, all_day=all_day)
        return made.id or 0, f"/feeds/{token}"


def hrefs(text: str) -> list[str]:
    return [unescape(found) for found in re.findall(r'<a [^>]*href="([^"]*)"', text) if found != "#main"]


def test_a_page_offers_every_program_the_same_address(site: Site) -> None:
    _, path = subscribe(site)
    answer = site.client.get(path)
    assert answer.status_code == 200
    url = f"http://localhost:8000{path}.ics"
    webcal, google, home, work, download = hrefs(answer.text)
    assert webcal == f"webcal://localhost:8000{path}.ics"
    assert parse_qs(urlsplit(google).query) == {"cid": [webcal]}
    assert google.startswith("https://calendar.google.com/calendar/r?")
    for link, host in ((home, "outlook.live.com"), (work, "outlook.office.com")):
        assert urlsplit(link)[:3] == ("https", host, "/calendar/0/addfromweb")
        assert parse_qs(urlsplit(link).query) == {"url": [url], "name": ["Events"]}
    assert f'value="{url}" readonly' in answer.text
    assert download == f"{path}.ics"
    assert len(with_icalendar(site.client.get(download).content).walk("VEVENT")) == 1


def test_a_page_is_kept_nowhere_and_tells_nobody(site: Site) -> None:
    _, path = subscribe(site)
    headers = site.client.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-robots-tag"] == "noindex"
    assert 'name="robots" content="noindex"' in site.client.get(path).text
    assert "script" not in headers["content-security-policy"] and "<script" not in site.client.get(path).text
    assert site.client.head(path).status_code == 200


@pytest.mark.parametrize(
    ("kind", "of", "words"),
    [
        ("public", "", "The public events of the programme."),
        ("market", "DE", "The public events for Germany."),
        ("person", "ada@example.org", "The events that you are invited to"),
        ("event", "energy", "Energy storage &lt;conference&gt;"),
        ("organiser", "", "For organisers alone."),
    ],
)
def test_it_says_what_the_calendar_shows(site: Site, kind: str, of: str, words: str) -> None:
    text = site.client.get(subscribe(site, kind, of)[1]).text
    assert words in text
    assert ("Keep it to yourself" in text) == (kind != "public")
    assert "ada@" not in text.lower()


def test_it_says_that_days_are_whole(site: Site) -> None:
    said = "Events of several days are shown as whole days."
    assert said in site.client.get(subscribe(site, all_day=True)[1]).text
    assert said not in site.client.get(subscribe(site)[1]).text


def test_a_revoked_feed_has_no_page(site: Site) -> None:
    feed_id, path = subscribe(site)
    with site.database.write() as session:
        feeds.revoke(session, feed_id, NOW)
    revoked, unknown = site.client.get(path), site.client.get("/feeds/" + "a" * 32)
    assert (revoked.status_code, revoked.text) == (404, "Not found\n")
    assert (unknown.status_code, unknown.text, unknown.headers) == (404, "Not found\n", revoked.headers)


def test_a_name_cannot_lead_a_button_astray() -> None:
    made = links("https://events.example.org/feeds/abc.ics", "A & B #1 &url=https://evil.example")
    query = parse_qs(urlsplit(made[2].href).query)
    assert query == {
        "url": ["https://events.example.org/feeds/abc.ics"],
        "name": ["A & B #1 &url=https://evil.example"],
    }
