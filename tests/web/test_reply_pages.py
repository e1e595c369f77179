"""The reply page: what it shows, what a POST does, and what nothing does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlmodel import select

from events_service import removals
from events_service.db.tables import Attendee, AttendeeReply, Delivery, Event, Person
from events_service.errors import BrokerError
from events_service.web.app import create_app
from tests.attendance import ENDS
from tests.web.conftest import NOW, Client, Site


def test_the_page_shows_the_event_and_asks(site: Site) -> None:
    answer = site.client.get(site.reply)
    assert answer.status_code == 200
    text = answer.text
    assert '<h1 dir="auto">Cyber resilience mission to Munich</h1>' in text
    assert "Monday 9 October 2023, 09:00 to Thursday 12 October 2023, 17:00" in text
    assert "Central European Summer Time (Europe/Berlin)" in text
    assert "Universität der Bundeswehr, Munich, Germany" in text
    assert "Visit: cyber range" in text and "Events desk" in text
    assert text.count('<input type="radio"') == 3 and " checked" not in text
    assert '<form method="post"' in text and "<script" not in text


def test_times_are_also_shown_in_the_readers_zone_where_that_differs(site: Site) -> None:
    assert "Your time" not in site.client.get(site.reply).text  # UTC is what stands there where nobody knows
    with site.database.write() as session:
        session.exec(select(Person)).one().timezone = "Europe/Paris"
    assert "Your time" not in site.client.get(site.reply).text
    with site.database.write() as session:
        session.exec(select(Person)).one().timezone = "Asia/Kuala_Lumpur"
    assert "Monday 9 October 2023, 15:00" in site.client.get(site.reply).text


def test_a_get_changes_nothing_and_may_choose_beforehand(site: Site) -> None:
    for choice in ("accepted", "declined"):
        text = site.client.get(f"{site.reply}?reply={choice}").text
        assert f'value="{choice}" checked' in text and text.count(" checked") == 1
    assert " checked" not in site.client.get(f"{site.reply}?reply=%22%3E<script>").text
    site.client.head(site.reply)
    assert site.attendee().reply == "none"
    with site.database.read() as session:
        assert session.exec(select(AttendeeReply)).all() == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [("accepted", "Yes, I will come"), ("tentative", "Perhaps"), ("declined", "No, I cannot come")],
)
def test_a_post_records_the_reply_and_says_so(site: Site, reply: str, said: str) -> None:
    answer = site.client.post(site.reply, data={"reply": reply, "note": "Vegan, <please>"})
    assert answer.status_code == 200 and f"<strong>{said}</strong>" in answer.text
    assert "Vegan, &lt;please&gt;" in answer.text
    attendee = site.attendee()
    assert (attendee.reply, attendee.reply_via, attendee.reply_note) == (reply, "link", "Vegan, <please>")
    assert attendee.replied_at == NOW
    again = site.client.get(site.reply).text
    assert f"Your reply so far: <strong>{said}</strong>" in again
    assert f'value="{reply}" checked' in again and "Vegan, &lt;please&gt;</textarea>" in again


def test_the_last_reply_stands(site: Site) -> None:
    for minutes, reply in enumerate(("accepted", "declined", "tentative")):
        site.clock.at = NOW + timedelta(minutes=minutes)
        assert site.client.post(site.reply, data={"reply": reply}).status_code == 200
    assert site.attendee().reply == "tentative"


def test_the_form_is_taken_as_multipart_too(site: Site) -> None:
    answer = site.client.post(site.reply, files={"reply": (None, "accepted"), "note": (None, "")})
    assert answer.status_code == 200 and site.attendee().reply == "accepted"


@pytest.mark.parametrize("fields", [{}, {"reply": "perhaps"}, {"reply": "", "note": "Kept <note>"}])
def test_a_post_without_a_choice_is_asked_again(site: Site, fields: dict[str, str]) -> None:
    answer = site.client.post(site.reply, data=fields)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text and "Choose one of the three answers" in answer.text
    assert "<title>Error: " in answer.text
    if "note" in fields:
        assert "Kept &lt;note&gt;</textarea>" in answer.text
    assert site.attendee().reply == "none"


def test_a_past_event_takes_no_replies(site: Site) -> None:
    site.clock.at = ENDS
    shown, sent = site.client.get(site.reply), site.client.post(site.reply, data={"reply": "accepted"})
    assert (shown.status_code, sent.status_code) == (200, 409)
    assert site.client.post(site.reply, data={"reply": "perhaps"}).status_code == 409
    assert "This event is over" in shown.text and "This event is over" in sent.text and "<form" not in sent.text
    assert site.attendee().reply == "none"
    site.clock.at = ENDS - timedelta(seconds=1)
    assert site.client.post(site.reply, data={"reply": "accepted"}).status_code == 200


def test_a_cancelled_event_takes_no_replies(site: Site) -> None:
    with site.database.write() as session:
        session.exec(select(Event).where(Event.slug == "munich")).one().state = "cancelled"
    answer = site.client.post(site.reply, data={"reply": "accepted"})
    assert answer.status_code == 409 and "This event was cancelled" in answer.text
    assert site.attendee().reply == "none"


def test_who_was_taken_off_is_told_so_and_their_reply_is_on_record(site: Site) -> None:
    with site.database.write() as session:
        event = session.exec(select(Event).where(Event.slug == "munich")).one()
        event.organiser_email = "desk@example.org"
        removals.remove(session, event, session.get_one(Attendee, site.ada), "a slip", NOW)
    shown, sent = site.client.get(site.reply), site.client.post(site.reply, data={"reply": "accepted", "note": "Vegan"})
    assert (shown.status_code, sent.status_code) == (200, 409)
    for page in (shown, sent):
        assert "You are not on the guest list any more" in page.text and "<form" not in page.text
        assert "please write to desk@example.org." in page.text and "a slip" not in page.text
    assert site.client.post(site.reply, data={"reply": "perhaps"}).status_code == 409
    assert site.attendee().reply == "none"
    with site.database.read() as session:
        [reply] = session.exec(select(AttendeeReply)).all()
    assert (reply.via, reply.reply, reply.note, reply.applied) == ("link", "accepted", "Vegan", False)
    assert reply.why == "they were taken off munich on 2023-07-01; replies of theirs no longer count"
    assert site.client.get(site.survey).status_code == 404


def test_other_tokens_are_a_404_that_tells_nothing(site: Site) -> None:
    token = site.reply.removeprefix("/reply/")
    wrong = [
        "/reply/nonsense",
        "/reply/" + "a" * 300,
        f"/reply/{token}x",
        f"/reply/{token[:-1]}",
        f"/reply/{site.token('survey', site.ada)}",
        f"/reply/{site.token('unsubscribe', site.ada)}",
        f"/reply/{site.token('reply', 999)}",
        f"/reply/{site.token('reply', site.ada, 'thanks')}",
        f"/reply/{site.token('reply', 'ada')}",
        f"/reply/{site.token('reply', 10**30)}",
    ]
    for path in wrong:
        for answer in (site.client.get(path), site.client.post(path, data={"reply": "accepted"})):
            assert (answer.status_code, answer.text) == (404, "Not found\n"), path
            assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert site.attendee().reply == "none"


def test_a_token_may_change_its_case(site: Site) -> None:
    token = site.reply.removeprefix("/reply/")
    assert site.client.get(f"/reply/{token.upper()}").status_code == 200


def test_an_erased_persons_link_is_a_404(site: Site) -> None:
    with site.database.write() as session:
        session.exec(select(Attendee)).one().person_id = None
    assert site.client.get(site.reply).status_code == 404
    assert site.client.get(site.survey).status_code == 404


def test_a_worker_is_told_of_the_confirmation_once_it_is_committed(site: Site) -> None:
    told: list[int] = []

    def ring(deliveries: Sequence[int]) -> None:
        # What is not committed yet could not be read here.
        with site.database.read() as session:
            told.extend(session.get_one(Delivery, id).id or 0 for id in deliveries)

    client = Client(create_app(site.database, site.settings, site.clock, ring=ring))
    assert client.post(site.reply, data={"reply": "accepted"}).status_code == 200
    assert client.post(site.reply, data={"reply": "accepted"}).status_code == 200
    assert client.post(site.reply, data={"reply": "perhaps"}).status_code == 422
    with site.database.read() as session:
        written = session.exec(select(Delivery.id).where(Delivery.purpose == "confirmation")).all()
    assert (len(written), told) == (1, list(written))


def test_the_page_answers_where_no_worker_can_be_told(site: Site) -> None:
    def away(deliveries: Sequence[int]) -> None:
        raise BrokerError("the broker takes no message")

    client = Client(create_app(site.database, site.settings, site.clock, ring=away))
    assert client.post(site.reply, data={"reply": "accepted"}).status_code == 200
    assert site.attendee().reply == "accepted"
    with site.database.read() as session:
        assert session.exec(select(Delivery.state)).all() == ["pending"]
