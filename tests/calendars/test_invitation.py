from __future__ import annotations

import pytest
from hypothesis import given, settings

from events_service.calendars.invitation import InvitationTemplate
from events_service.calendars.model import Mailbox
from events_service.errors import InputError
from tests.calendars.given import AWKWARD, MUNICH, event, texts
from tests.calendars.readers import instants, logical_lines, with_icalendar, with_icaljs, with_libical, with_vobject

ANNA = Mailbox("Anna Müller", "anna@example.org")
DESK = Mailbox("Events desk", "rsvp+abc123@events.example.org")
# A reader that knows RFC 6868 gets the name back with its spaces as one; libical 3 does not decode it.
NAMES = [name for name in AWKWARD if "\ud800" not in name]


def shown(name: str) -> str:
    """The name as a reader may show it: on one line, no control characters, slashes for backslashes."""
    name = "".join(" " if ord(c) < 32 or 127 <= ord(c) < 160 else c for c in name)
    return " ".join(name.split()).replace("\\", "/")


def test_a_request_line_by_line() -> None:
    lines = logical_lines(InvitationTemplate(MUNICH, "REQUEST").fill(ANNA, DESK))
    assert lines[:6] == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Events service//Calendars//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:REQUEST",
        "BEGIN:VTIMEZONE",
    ]
    assert lines[-4:] == [
        'ORGANIZER;CN="Events desk":mailto:rsvp+abc123@events.example.org',
        'ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN="Anna Müller"'
        ":mailto:anna@example.org",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    assert {"UID:cyber-munich@example.org", "SEQUENCE:2", "DTSTAMP:20230102T030405Z", "TZID:Europe/Berlin"} <= set(
        lines
    )


def test_a_cancellation_says_so_and_asks_nothing() -> None:
    lines = logical_lines(InvitationTemplate(event(sequence=3), "CANCEL").fill(ANNA, DESK, "ACCEPTED"))
    assert {"METHOD:CANCEL", "STATUS:CANCELLED", "SEQUENCE:3", "UID:cyber-munich@example.org"} <= set(lines)
    assert "DTSTART;TZID=Europe/Berlin:20231009T090000" in lines
    assert [line for line in lines if line.startswith("ATTENDEE")] == [
        'ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;CN="Anna Müller":mailto:anna@example.org'
    ]


def test_a_publication_names_the_organiser_only() -> None:
    lines = logical_lines(InvitationTemplate(MUNICH, "PUBLISH").fill(ANNA, DESK))
    assert [line for line in lines if line.startswith(("ATTENDEE", "ORGANIZER", "METHOD"))] == [
        "METHOD:PUBLISH",
        'ORGANIZER;CN="Events desk":mailto:rsvp+abc123@events.example.org',
    ]


def test_what_is_known_of_the_answer_goes_along() -> None:
    assert b"PARTSTAT=TENTATIVE" in InvitationTemplate(MUNICH, "REQUEST").fill(ANNA, DESK, "TENTATIVE")


def test_a_sender_of_another_address_is_named() -> None:
    template = InvitationTemplate(MUNICH, "REQUEST")
    assert any(
        line == 'ORGANIZER;CN="Events desk";SENT-BY="mailto:events@example.org":mailto:rsvp+abc123@events.example.org'
        for line in logical_lines(template.fill(ANNA, DESK, sent_by="events@example.org"))
    )
    assert b"SENT-BY" not in template.fill(ANNA, DESK, sent_by="RSVP+abc123@events.example.org")


def test_a_nameless_attendee_has_no_cn() -> None:
    content = InvitationTemplate(MUNICH, "REQUEST").fill(Mailbox(" ", "anna@example.org"), DESK)
    assert "RSVP=TRUE:mailto:anna@example.org" in "".join(logical_lines(content))


def test_only_organiser_and_attendee_differ_between_two_people() -> None:
    template = InvitationTemplate(MUNICH, "REQUEST")
    one = logical_lines(template.fill(ANNA, DESK))
    two = logical_lines(template.fill(Mailbox("Zoë", "zoe@example.net"), Mailbox("Events desk", "rsvp+z@example.org")))
    assert [mine.split(";")[0] for mine, other in zip(one, two, strict=True) if mine != other] == [
        "ORGANIZER",
        "ATTENDEE",
    ]
    assert template.fill(ANNA, DESK) == InvitationTemplate(MUNICH, "REQUEST").fill(ANNA, DESK)


@settings(max_examples=60)
@given(texts)
def test_icalendar_reads_back_any_name(name: str) -> None:
    content = InvitationTemplate(MUNICH, "REQUEST").fill(Mailbox(name, ANNA.address), Mailbox(name, DESK.address))
    logical_lines(content)
    events = with_icalendar(content).walk("VEVENT")
    assert len(events) == 1
    attendee, organizer = events[0]["ATTENDEE"], events[0]["ORGANIZER"]
    expected = shown(name.encode("utf-8", "replace").decode())
    assert (attendee, organizer) == ("mailto:anna@example.org", "mailto:rsvp+abc123@events.example.org")
    assert attendee.params.get("CN", "") == organizer.params.get("CN", "") == expected
    assert attendee.params["RSVP"] == "TRUE"
    assert attendee.params["PARTSTAT"] == "NEEDS-ACTION"


def test_icaljs_reads_any_name() -> None:
    template = InvitationTemplate(MUNICH, "REQUEST")
    answers = with_icaljs([template.fill(Mailbox(name, ANNA.address), DESK) for name in NAMES])
    for name, answer in zip(NAMES, answers, strict=True):
        (read,) = answer["events"]
        assert answer["method"] == "REQUEST"
        assert read["organizer"]["value"] == "mailto:rsvp+abc123@events.example.org"
        assert [each["value"] for each in read["attendees"]] == ["mailto:anna@example.org"]
        assert read["attendees"][0]["params"]["cn"] == shown(name)
        assert read["attendees"][0]["params"]["rsvp"] == "TRUE"


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "PUBLISH"])
def test_libical_finds_every_method_complete(method: str) -> None:
    template = InvitationTemplate(MUNICH, method)  # type: ignore[arg-type]
    expected = instants(template.fill(ANNA, DESK))
    assert [each.uid for each in expected] == [MUNICH.uid]
    for name in NAMES:
        assert with_libical(template.fill(Mailbox(name, ANNA.address), DESK)) == expected


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "PUBLISH"])
def test_vobject_reads_every_method(method: str) -> None:
    template = InvitationTemplate(MUNICH, method)  # type: ignore[arg-type]
    for name in NAMES:
        content = template.fill(Mailbox(name, ANNA.address), DESK)
        assert with_vobject(content) == instants(content)


def test_an_address_cannot_add_a_line() -> None:
    template = InvitationTemplate(MUNICH, "REQUEST")
    with pytest.raises(InputError, match="is no e-mail address that a calendar can hold"):
        template.fill(Mailbox("x", "a@b.example\r\nATTENDEE:mailto:x@evil.example"), DESK)


def test_an_event_in_utc_needs_no_zone() -> None:
    assert b"VTIMEZONE" not in InvitationTemplate(event(timezone="UTC"), "REQUEST").fill(ANNA, DESK)
