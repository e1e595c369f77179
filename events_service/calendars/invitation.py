"""The calendar object of an invitation: built once per event, filled once per person (RFC 5546, iTIP).

Everything but ORGANIZER and ATTENDEE is the same for all, so filling is a join of bytes.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from events_service.calendars.emit import calendar_head, identity, properties, zone_uses
from events_service.calendars.lines import content_line, escape_text, fold, mailto, quote_param
from events_service.calendars.model import CalendarEvent, Mailbox, Method
from events_service.calendars.zones import vtimezones

_MADE = re.compile(rb"(\r\n(?:DTSTAMP|LAST-MODIFIED):)([0-9]{8}T[0-9]{6}Z)")


class InvitationTemplate:
    """One event as an iTIP object of one method, without the people.

    CANCEL says STATUS:CANCELLED whatever the event says; its SEQUENCE is the event's, which must have risen
    (RFC 5546 3.2.5). PUBLISH names the organiser only (3.2.1). DECLINECOUNTER only says which event it is about, and
    in `comment` why (3.2.8). The `method` parameter of the MIME part must equal `method`. InputError if the event's
    zone is unknown.
    """

    def __init__(self, event: CalendarEvent, method: Method, comment: str = "") -> None:
        event = replace(event, status="CANCELLED") if method == "CANCEL" else event
        self.method = method
        declines = method == "DECLINECOUNTER"
        self._head = b"".join(
            [
                calendar_head(content_line("METHOD", method)),
                b"" if declines else vtimezones(zone_uses(event)),
                b"BEGIN:%b\r\n" % event.kind.encode(),
                identity(event) if declines else properties(event),
                content_line("COMMENT", escape_text(comment)) if comment else b"",
            ]
        )
        self._tail = b"END:%b\r\nEND:VCALENDAR\r\n" % event.kind.encode()

    @property
    def head(self) -> bytes:
        """The object as far as it is the same for all: what to keep, and give to `kept` later."""
        return self._head

    @classmethod
    def kept(cls, head: bytes, method: Method) -> InvitationTemplate:
        """The template of a VEVENT whose `head` was kept: it fills the same object, whatever the event says now."""
        template = cls.__new__(cls)
        template.method, template._head, template._tail = method, head, b"END:VEVENT\r\nEND:VCALENDAR\r\n"
        return template

    def fill(
        self,
        attendee: Mailbox,
        organizer: Mailbox,
        partstat: str = "NEEDS-ACTION",
        *,
        sent_by: str | None = None,
        as_of: datetime | None = None,
    ) -> bytes:
        """The object for one attendee, UTF-8 with CRLF.

        `organizer` is where this attendee's reply goes: one address for the life of the event. `sent_by` is the From
        address where it differs. `partstat` is what we know of the answer (RFC 5545 3.2.12), `as_of` since when: two
        objects of one SEQUENCE are told apart by DTSTAMP (RFC 5546 2.1.5). InputError if an address cannot stand in a
        calendar.
        """
        head = self._head if as_of is None else _not_older(self._head, as_of)
        lines = [head, _organizer(organizer, sent_by)]
        if self.method != "PUBLISH":
            lines.append(_attendee(attendee, partstat, asks=self.method == "REQUEST"))
        lines.append(self._tail)
        return b"".join(lines)


def _not_older(head: bytes, than: datetime) -> bytes:
    """The same object, made and changed at that moment, unless that was later. Such times are in order as text."""
    at = f"{than.astimezone(UTC):%Y%m%dT%H%M%SZ}".encode()
    return _MADE.sub(lambda found: found[1] + max(found[2], at), head)


def _organizer(organizer: Mailbox, sent_by: str | None) -> bytes:
    by = f';SENT-BY="{mailto(sent_by)}"' if sent_by and sent_by.lower() != organizer.address.lower() else ""
    return fold(f"ORGANIZER{_cn(organizer)}{by}:{mailto(organizer.address)}".encode("utf-8", "replace"))


def _attendee(attendee: Mailbox, partstat: str, *, asks: bool) -> bytes:
    rsvp = ";RSVP=TRUE" if asks else ""
    line = (
        f"ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT={partstat}{rsvp}{_cn(attendee)}"
        f":{mailto(attendee.address)}"
    )
    return fold(line.encode("utf-8", "replace"))


def _cn(mailbox: Mailbox) -> str:
    return f";CN={quote_param(mailbox.name)}" if mailbox.name.strip() else ""
