"""Components and feeds as bytes, written by hand: the few properties we use, each escaped, in a fixed order.

The same input gives the same bytes, so a component can be kept and a feed is a join of kept ones. Nothing that a title,
a place or a name holds can end its line (RFC 5545 3.1 and 3.3.11).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from events_service.calendars.lines import content_line, escape_text, uri
from events_service.calendars.model import CalendarEvent
from events_service.calendars.tzif import load_zone
from events_service.calendars.zones import ZoneUse, is_utc, needs, vtimezones
from events_service.errors import InputError

PRODID = "-//Events service//Calendars//EN"

COLOURS = {
    "black": "#000000", "blue": "#0000FF", "brown": "#A52A2A", "chocolate": "#D2691E", "crimson": "#DC143C",
    "darkgreen": "#006400", "darkorange": "#FF8C00", "dodgerblue": "#1E90FF", "firebrick": "#B22222",
    "forestgreen": "#228B22", "goldenrod": "#DAA520", "gray": "#808080", "green": "#008000", "indigo": "#4B0082",
    "maroon": "#800000", "navy": "#000080", "olive": "#808000", "orange": "#FFA500", "orchid": "#DA70D6",
    "purple": "#800080", "red": "#FF0000", "royalblue": "#4169E1", "seagreen": "#2E8B57", "slateblue": "#6A5ACD",
    "slategray": "#708090", "steelblue": "#4682B4", "teal": "#008080", "tomato": "#FF6347",
}  # fmt: skip
"""CSS3 colour names, which COLOR takes (RFC 7986 5.9), and their hexadecimal form, which Apple's property takes."""


def vevent(event: CalendarEvent) -> bytes:
    """One VEVENT (or VTODO), folded, CRLF at every line's end; without ORGANIZER and ATTENDEE, so fit for publishing.

    Times carry the event's zone, for which the calendar needs a VTIMEZONE (`zone_uses`); they are in UTC where the zone
    is UTC, and where a clock change makes a local time ambiguous. InputError if the zone is unknown.
    """
    return b"BEGIN:%b\r\n%bEND:%b\r\n" % (event.kind.encode(), properties(event), event.kind.encode())


def in_whole_days(event: CalendarEvent, body: bytes) -> bytes:
    """The same VEVENT as whole days, made from its bytes (of `vevent`); empty where it touches one local date only."""
    days = replace(event, all_day=True)
    first, after = _dates(days, load_zone(event.timezone))
    if after - first <= timedelta(days=1):
        return b""
    return body.replace(b"".join(_times(event)), b"".join(_times(days)), 1)


def identity(event: CalendarEvent) -> bytes:
    """The lines that say which component is meant, and nothing of it."""
    lines = (("UID", escape_text(event.uid)), ("DTSTAMP", _utc(event.changed)), ("SEQUENCE", str(event.sequence)))
    return b"".join(content_line(*line) for line in lines)


def properties(event: CalendarEvent) -> bytes:
    """The lines of a component between BEGIN and END."""
    lines = [
        content_line("UID", escape_text(event.uid)),
        content_line("DTSTAMP", _utc(event.changed)),
        content_line("CREATED", _utc(event.created)),
        content_line("LAST-MODIFIED", _utc(event.changed)),
        content_line("SEQUENCE", str(event.sequence)),
        content_line("SUMMARY", escape_text(event.summary)),
        *_times(event),
        content_line("STATUS", _status(event)),
    ]
    if event.completed is not None:
        lines.append(content_line("COMPLETED", _utc(event.completed)))
    if event.kind == "VEVENT":
        lines.append(content_line("TRANSP", "TRANSPARENT" if event.transparent else "OPAQUE"))
    if event.location:
        lines.append(content_line("LOCATION", escape_text(event.location)))
    if event.description:
        lines.append(content_line("DESCRIPTION", escape_text(event.description)))
    if event.url:
        lines.append(content_line("URL", uri(event.url)))
    if event.categories:
        lines.append(content_line("CATEGORIES", ",".join(escape_text(category) for category in event.categories)))
    if event.related_to:
        lines.append(content_line("RELATED-TO", escape_text(event.related_to)))
    return b"".join(lines)


def zone_uses(event: CalendarEvent) -> tuple[ZoneUse, ...]:
    """The zones whose VTIMEZONE a calendar with this event needs: one, or none where its times are dates or in UTC."""
    if event.all_day or _in_utc(event, load_zone(event.timezone)):
        return ()
    return (needs(event.timezone, event.starts, event.ends),)


def feed(
    name: str,
    colour: str,
    events: Iterable[bytes],
    zones: Iterable[ZoneUse],
    *,
    refresh_hours: int = 1,
) -> bytes:
    """A calendar to subscribe to, joined from `vevent` bytes in the order given, VTIMEZONEs first.

    `zones` are the `zone_uses` of its events, repeats allowed. `colour` is a name of `COLOURS`, InputError for another.
    It has no METHOD (RFC 5546 3.2.1: nobody is asked for anything) and says how often to look again.
    """
    return b"".join([_feed_head(name, colour, refresh_hours), vtimezones(zones), *events, b"END:VCALENDAR\r\n"])


def calendar_head(*lines: bytes) -> bytes:
    """The lines that begin every calendar, and those of this one."""
    return b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:%b\r\nCALSCALE:GREGORIAN\r\n" % PRODID.encode() + b"".join(lines)


def _feed_head(name: str, colour: str, refresh_hours: int) -> bytes:
    if colour not in COLOURS:
        raise InputError(f"{colour!r} is no colour of a feed; use one of {', '.join(COLOURS)}")
    every = f"PT{refresh_hours}H"
    title = escape_text(name)
    return calendar_head(
        content_line("NAME", title),
        content_line("X-WR-CALNAME", title),
        content_line("COLOR", colour),
        content_line("X-APPLE-CALENDAR-COLOR", COLOURS[colour]),
        content_line("REFRESH-INTERVAL;VALUE=DURATION", every),
        content_line("X-PUBLISHED-TTL", every),
    )


def _status(event: CalendarEvent) -> str:
    if event.kind == "VTODO":
        if event.completed is not None:
            return "COMPLETED"
        return "CANCELLED" if event.status == "CANCELLED" else "NEEDS-ACTION"
    return event.status


def _times(event: CalendarEvent) -> tuple[bytes, bytes]:
    end = "DUE" if event.kind == "VTODO" else "DTEND"
    zone = load_zone(event.timezone)
    if event.all_day:
        first, after = _dates(event, zone)
        return (
            content_line("DTSTART;VALUE=DATE", f"{first:%Y%m%d}"),
            content_line(f"{end};VALUE=DATE", f"{after:%Y%m%d}"),
        )
    if _in_utc(event, zone):
        return content_line("DTSTART", _utc(event.starts)), content_line(end, _utc(event.ends))
    return (
        content_line(f"DTSTART;TZID={event.timezone}", f"{event.starts.astimezone(zone):%Y%m%dT%H%M%S}"),
        content_line(f"{end};TZID={event.timezone}", f"{event.ends.astimezone(zone):%Y%m%dT%H%M%S}"),
    )


def _dates(event: CalendarEvent, zone: tzinfo) -> tuple[date, date]:
    """The first local date that it touches, and the one after the last (RFC 5545 3.6.1: DTEND is exclusive)."""
    first, last = event.starts.astimezone(zone), event.ends.astimezone(zone)
    midnight = last.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    after = last.date() if last == midnight and last > first else last.date() + timedelta(days=1)
    return first.date(), after


def _in_utc(event: CalendarEvent, zone: tzinfo) -> bool:
    return is_utc(event.timezone) or _ambiguous(event.starts, zone) or _ambiguous(event.ends, zone)


def _ambiguous(at: datetime, zone: tzinfo) -> bool:
    """Whether the local time happens twice: RFC 5545 3.3.5 can only say the first, and readers differ on that."""
    local = at.astimezone(zone)
    return local.replace(fold=1 - local.fold).utcoffset() != local.utcoffset()


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
