"""Messages as they go out, read back by other people's parsers; and the short way beside the long one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader

from events_service.errors import InputError
from events_service.mail.compose import Form, Letter
from events_service.mail.marks import one_line
from events_service.mail.render import Renderer, values_of
from tests.mail.given import MESSAGES, MUNICH, TEMPLATES, URLS, munich, occasion
from tests.mail.reading import AWKWARD, body, elements, part, read, shape, texts

AT = datetime(2023, 8, 7, 9, 0, tzinfo=UTC)
RENDERER = Renderer(TEMPLATES)
PLAIN = Environment(loader=FileSystemLoader(TEMPLATES), trim_blocks=True, lstrip_blocks=True)
ESCAPED = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
FORMS: dict[tuple[str, str], Form] = {}


def form(template: str, timezone: str = "Europe/London") -> Form:
    """The form of a message about the mission; made once."""
    if (template, timezone) not in FORMS:
        said = RENDERER.render(template, MUNICH, "en", timezone, occasion(template))
        FORMS[template, timezone] = Form(said.subject, said.text, said.html)
    return FORMS[template, timezone]


def values(name: str) -> dict[str, str]:
    name = one_line(name)
    return {"greeting": f"Dear {name}," if name else "Hello,", "name": name, **URLS}


def letter(name: str = "Ada Lovelace", **changes: Any) -> Letter:
    words: dict[str, Any] = {
        "sender": "Events desk <events@example.org>",
        "recipient": "ada@example.org",
        "name": name,
        "message_id": "<0123456789abcdef@example.org>",
        "values": values(name),
        "reply_to": "reply+41.abc@example.org",
        "unsubscribe_url": URLS["unsubscribe_url"],
        "list_id": "<munich.example.org>",
    }
    return Letter(**(words | changes))


def fill(template: str = "invitation", name: str = "Ada Lovelace", **changes: Any) -> EmailMessage:
    return read(form(template).fill(letter(name, **changes), AT).data)


def check_the_long_way(template: str, timezone: str, name: str) -> None:
    """Rendering for this one person alone must say the same, word for word and element for element."""
    message = read(form(template, timezone).fill(letter(name), AT).data)
    facts = values_of(MUNICH, "en", timezone, occasion(template))
    for kind, suffix, environment in (("plain", "text.txt", PLAIN), ("html", "html.html", ESCAPED)):
        said = environment.get_template(f"{template}/{suffix}").render(facts, lang="en", me=values(name))
        if kind == "html":
            assert elements(body(message, "text/html")) == elements(said)
        else:
            # Wrapped as it is, it has the same words in the same paragraphs.
            assert paragraphs(body(message, "text/plain")) == paragraphs(said)
    subject = PLAIN.get_template(f"{template}/subject.txt").render(facts)
    assert message["Subject"] == " ".join(subject.split())


def paragraphs(text: str) -> list[list[str]]:
    return [block.split() for block in re.split(r"\n\s*\n", text) if block.strip()]


@pytest.mark.parametrize("name", AWKWARD)
@pytest.mark.parametrize("template", ["invitation", "cancellation"])
def test_the_short_way_says_what_the_long_way_says(template: str, name: str) -> None:
    check_the_long_way(template, "Europe/London", name)


@settings(max_examples=150)
@given(st.sampled_from(sorted(MESSAGES)), st.sampled_from(["Europe/London", "Asia/Tokyo", "Europe/Berlin"]), texts)
def test_the_short_way_says_what_the_long_way_says_to_anybody(template: str, timezone: str, name: str) -> None:
    check_the_long_way(template, timezone, name)


def test_headers_are_these_and_no_others() -> None:
    message = fill(calendar=b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")
    assert {name: str(value) for name, value in message.items() if name != "Content-Type"} == {
        "From": "Events desk <events@example.org>",
        "To": "Ada Lovelace <ada@example.org>",
        "Subject": "Invitation: Cyber resilience mission to Munich, 9 October 2023",
        "Date": "Mon, 07 Aug 2023 09:00:00 +0000",
        "Message-ID": "<0123456789abcdef@example.org>",
        "Reply-To": "reply+41.abc@example.org",
        "List-Id": "<munich.example.org>",
        "List-Unsubscribe": f"<{URLS['unsubscribe_url']}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
    }


@pytest.mark.parametrize("text", AWKWARD)
def test_no_name_or_title_adds_a_header(text: str) -> None:
    said = RENDERER.render(
        "invitation",
        munich(title=text, summary=text, place=text, organiser_name=text),
        "en",
        "UTC",
        occasion("invitation"),
    )
    sender = f'"{one_line(text)[:50].encode("ascii", "ignore").decode()}" <events@example.org>'
    filled = Form(said.subject, said.text, said.html).fill(letter(text, sender=sender.replace("\\", "")), AT)
    message = read(filled.data)
    assert message.keys() == fill().keys()
    (recipient,) = message["To"].addresses
    assert recipient.addr_spec == filled.recipient == "ada@example.org"
    assert len(message["From"].addresses) == 1
    assert message["Subject"] == one_line(f"Invitation: {one_line(text)}, 9 October 2023")
    assert shape(message) == "multipart/alternative(text/plain, text/html)"


def test_names_that_are_not_ascii() -> None:
    message = fill(name="Zoë Müller", sender="Veranstaltungsbüro Köln <events@example.org>")
    assert str(message["From"]) == "Veranstaltungsbüro Köln <events@example.org>"
    assert str(message["To"]) == "Zoë Müller <ada@example.org>"


def test_the_shape_with_a_calendar() -> None:
    calendar = "BEGIN:VCALENDAR\r\nSUMMARY:Zoë\r\nEND:VCALENDAR\r\n".encode() * 40
    message = fill(calendar=calendar)
    assert shape(message) == (
        "multipart/mixed(multipart/alternative(text/plain, text/html, text/calendar), application/ics)"
    )
    inline, attached = part(message, "text/calendar"), part(message, "application/ics")
    assert inline["Content-Type"].params == {"charset": "utf-8", "method": "REQUEST"}
    assert inline["Content-Disposition"] is None
    assert attached.get_filename() == "invite.ics"
    assert attached["Content-Disposition"].content_disposition == "attachment"
    for one in (inline, attached):
        assert one["Content-Transfer-Encoding"] == "base64"
        assert one.get_payload(decode=True) == calendar
    assert part(fill(calendar=calendar, method="CANCEL"), "text/calendar")["Content-Type"].params["method"] == "CANCEL"


def test_the_shape_without() -> None:
    assert shape(fill("thanks")) == "multipart/alternative(text/plain, text/html)"


def test_sessions_are_attached_each_with_a_method_of_its_own() -> None:
    sessions = [(method, f"BEGIN:VCALENDAR\r\nMETHOD:{method}\r\nSUMMARY:Zoë {method}\r\n".encode() * 9)
                for method in ("REQUEST", "CANCEL")]  # fmt: skip
    heads = [sessions[0][1][:100], b""]
    for event, outline in (
        (None, "text/plain, text/html"),
        (b"BEGIN:VCALENDAR\r\n", "text/plain, text/html, text/calendar"),
    ):
        said = Form("s", "text\n", "<p>html</p>", b"", heads).fill(letter(calendar=event, sessions=sessions), AT)
        message = read(said.data)
        invite = ", application/ics" if event else ""
        assert (
            shape(message) == f"multipart/mixed(multipart/alternative({outline}){invite}, text/calendar, text/calendar)"
        )
        attached = [part for part in message.walk() if (part.get_filename() or "").startswith("session-")]
        assert [part.get_filename() for part in attached] == ["session-1.ics", "session-2.ics"]
        assert [part["Content-Type"].params["method"] for part in attached] == ["REQUEST", "CANCEL"]
        assert [part.get_payload(decode=True) for part in attached] == [content for _, content in sessions]
        assert {part["Content-Type"].params["charset"] for part in attached} == {"utf-8"}


def test_a_boundary_never_stands_in_the_text() -> None:
    boundary = fill().get_boundary()
    said = Form("s", f"{boundary}\n--{boundary}--\n", f"<p>--{boundary}</p>").fill(letter(), AT)
    message = read(said.data)
    assert shape(message) == "multipart/alternative(text/plain, text/html)"
    assert body(message, "text/plain") == f"{boundary}\n--{boundary}--\n"


def test_an_unsubscribe_link_is_never_encoded_or_broken() -> None:
    link = "https://events.example.org/" + "path/" * 60 + "?token=1&b=%20"
    data = form("invitation").fill(letter(unsubscribe_url=link, unsubscribe_mailbox="stop@example.org"), AT).data
    assert f"\r\nList-Unsubscribe: <{link}>,\r\n <mailto:stop@example.org>\r\n".encode() in data
    assert "List-Unsubscribe" not in fill(unsubscribe_url="")


@pytest.mark.parametrize("change", [
    {"recipient": "ada@example.org\r\nBcc: x@evil.example"},
    {"reply_to": "reply@example.org\nBcc: x@evil.example"},
    {"message_id": "<1@example.org>\r\nBcc: x@evil.example"},
    {"list_id": "<munich\r\nBcc: x.example.org>"},
    {"unsubscribe_url": "https://example.org/\r\nBcc: x@evil.example"},
])  # fmt: skip
def test_what_machines_make_is_refused_where_it_breaks_a_line(change: dict[str, str]) -> None:
    with pytest.raises(InputError):
        form("invitation").fill(letter(**change), AT)


def test_the_same_letter_is_the_same_bytes() -> None:
    assert form("invitation").fill(letter(), AT) == form("invitation").fill(letter(), AT)


@pytest.mark.parametrize("title", ["Word " * 400 + "end", "x" * 3000, "é" * 2000, "漢字 " * 700])
def test_a_very_long_title(title: str) -> None:
    said = RENDERER.render("invitation", munich(title=title), "en", "UTC", occasion("invitation"))
    message = read(Form(said.subject, said.text, said.html).fill(letter(), AT).data)
    assert message["Subject"] == f"Invitation: {title.strip()}, 9 October 2023"
    assert title.strip() in " ".join(body(message, "text/plain").split())


@given(st.text(alphabet=" .=\tabcé漢-\n", max_size=300))
def test_any_text_survives_its_encoding(text: str) -> None:
    message = read(Form("s", text, "<p></p>").fill(letter(), AT).data)
    assert body(message, "text/plain") == text


def test_a_mark_that_has_no_value() -> None:
    with pytest.raises(KeyError, match="reply_url"):
        form("invitation").fill(letter(values={"greeting": "Hello,", "unsubscribe_url": "x"}), AT)
