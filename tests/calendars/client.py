"""A calendar program of a guest's, for tests: it applies RFC 5546 to what it is sent, as its receiver should.

Nothing of the service is used here. It reads mail with the standard library and calendars with icalendar, keeps one
entry a UID, and writes the replies that a person's clicks would send.
"""

from __future__ import annotations

import email
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage, Message

from icalendar import Calendar, Component

ASKED = "NEEDS-ACTION"


@dataclass(frozen=True)
class Entry:
    """What the program shows. `acted` is when its owner last answered, None where they never did."""

    sequence: int
    made: datetime
    cancelled: bool
    starts: datetime
    ends: datetime
    title: str
    place: str
    partstat: str
    organizer: str
    acted: datetime | None = None


class CalendarProgram:
    """One guest's program. `declined_counters` are the UIDs whose proposals the organiser turned down."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.entries: dict[str, Entry] = {}
        self.declined_counters: list[str] = []
        self._written = 0

    def read(self, message: bytes) -> None:
        """Take in every calendar that an e-mail carries, once each: the attached copy is the same object."""
        seen = set()
        for part in email.message_from_bytes(message).walk():
            if part.get_content_type() in ("text/calendar", "application/ics"):
                content = _payload(part)
                if content not in seen:
                    seen.add(content)
                    self._take(Calendar.from_ical(content))

    def _take(self, calendar: Component) -> None:
        method = str(calendar["METHOD"])
        for event in calendar.walk("VEVENT"):
            if method == "DECLINECOUNTER":
                self.declined_counters.append(str(event["UID"]))
            elif method in ("REQUEST", "CANCEL"):
                self._apply(method, event)

    def _apply(self, method: str, event: Component) -> None:
        """RFC 5546 2.1.5: a higher SEQUENCE wins, then a later DTSTAMP; what is older changes nothing."""
        uid = str(event["UID"])
        mine = [one for one in _listed(event, "ATTENDEE") if str(one).lower() == f"mailto:{self.address}"]
        assert len(mine) == 1, f"{method} for somebody else: {event.get('ATTENDEE')}"
        new = Entry(
            sequence=int(event["SEQUENCE"]),
            made=event["DTSTAMP"].dt,
            cancelled=method == "CANCEL",
            starts=event["DTSTART"].dt.astimezone(UTC),
            ends=event["DTEND"].dt.astimezone(UTC),
            title=str(event["SUMMARY"]),
            place=str(event.get("LOCATION", "")),
            partstat=str(mine[0].params.get("PARTSTAT", ASKED)),
            organizer=str(event["ORGANIZER"]).removeprefix("mailto:"),
        )
        old = self.entries.get(uid)
        if old is None:
            # A CANCEL of what was never there is noted all the same: an older REQUEST may still come.
            self.entries[uid] = new
            return
        assert new.organizer == old.organizer, "the reply address is one for the life of the event"
        if (new.sequence, new.made) < (old.sequence, old.made):
            return
        if new.sequence == old.sequence and old.acted is not None and new.made < old.acted:
            # The organiser wrote it before they knew the answer, so the answer stands.
            new = replace(new, partstat=old.partstat, acted=old.acted)
        self.entries[uid] = new

    def answer(self, uid: str, partstat: str, now: datetime) -> bytes:
        """Press a button: the entry shows it at once, and this mail goes out."""
        entry = self.entries[uid] = replace(self.entries[uid], partstat=partstat, acted=now)
        return self._mail("REPLY", uid, entry, now, partstat, entry.starts, entry.ends)

    def propose(self, uid: str, starts: datetime, ends: datetime, now: datetime) -> bytes:
        """Propose another time (RFC 5546 3.2.7): nothing changes here until the organiser says so."""
        entry = self.entries[uid]
        return self._mail("COUNTER", uid, entry, now, entry.partstat, starts, ends)

    def refresh(self, uid: str, now: datetime) -> bytes:
        """Ask for the present state (RFC 5546 3.2.6)."""
        entry = self.entries[uid]
        return self._mail("REFRESH", uid, entry, now, entry.partstat, entry.starts, entry.ends)

    def _mail(
        self, method: str, uid: str, entry: Entry, now: datetime, partstat: str, starts: datetime, ends: datetime
    ) -> bytes:
        self._written += 1
        lines = [
            "BEGIN:VCALENDAR",
            "VERSION:2.0",
            "PRODID:-//A guest's//Program//EN",
            f"METHOD:{method}",
            "BEGIN:VEVENT",
            f"UID:{uid}",
            f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}",
            f"SEQUENCE:{entry.sequence}",
            f"DTSTART:{starts:%Y%m%dT%H%M%SZ}",
            f"DTEND:{ends:%Y%m%dT%H%M%SZ}",
            f"ORGANIZER:mailto:{entry.organizer}",
            f"ATTENDEE;PARTSTAT={partstat}:mailto:{self.address}",
            "END:VEVENT",
            "END:VCALENDAR",
            "",
        ]
        message = EmailMessage()
        message["From"], message["To"] = self.address, entry.organizer
        message["Subject"] = f"{partstat.title()}: {entry.title}"
        message["Message-ID"] = f"<{self._written}.{self.address}>"
        message.set_content("See the calendar part.\n")
        message.add_alternative(
            "\r\n".join(lines).encode(), "text", "calendar", params={"method": method, "charset": "utf-8"}
        )
        return message.as_bytes()


def _payload(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def _listed(event: Component, name: str) -> list[Component]:
    found = event.get(name, [])
    return found if isinstance(found, list) else [found]
