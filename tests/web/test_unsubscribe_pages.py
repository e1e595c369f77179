"""Unsubscribing: a button for people, one POST for mail programs (RFC 8058), and nothing by GET."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import select

from events_service.db.tables import Person, Suppression
from tests.web.conftest import NOW, Site


def unsubscribed(site: Site) -> datetime | None:
    with site.database.read() as session:
        return session.exec(select(Person)).one().unsubscribed_at


def test_a_get_shows_a_button_and_changes_nothing(site: Site) -> None:
    answer = site.client.get(site.unsubscribe)
    assert answer.status_code == 200
    assert "<button" in answer.text and "ada@example.org" in answer.text
    site.client.head(site.unsubscribe)
    assert unsubscribed(site) is None


def test_the_button_does_it_and_a_second_press_changes_nothing(site: Site) -> None:
    for _ in range(2):
        answer = site.client.post(site.unsubscribe)
        assert answer.status_code == 200 and "You are unsubscribed" in answer.text
    assert unsubscribed(site) == NOW
    with site.database.read() as session:
        assert len(session.exec(select(Suppression)).all()) == 1
    assert "You are already unsubscribed" in site.client.get(site.unsubscribe).text


def test_one_click_by_either_encoding_without_cookie_or_redirect(site: Site) -> None:
    for words in (
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
    ):
        answer = site.client.post(site.unsubscribe, **words)  # type: ignore[arg-type]
        assert (answer.status_code, answer.text) == (200, "Unsubscribed\n")
        assert "set-cookie" not in answer.headers and "location" not in answer.headers
    assert unsubscribed(site) == NOW


def test_other_tokens_are_a_404_that_tells_nothing(site: Site) -> None:
    for path in (
        f"/unsubscribe/{site.token('reply', site.person)}",
        f"/unsubscribe/{site.token('unsubscribe', 999)}",
        "/unsubscribe/nonsense",
    ):
        for answer in (site.client.get(path), site.client.post(path, data={"List-Unsubscribe": "One-Click"})):
            assert (answer.status_code, answer.text) == (404, "Not found\n"), path
    assert unsubscribed(site) is None
