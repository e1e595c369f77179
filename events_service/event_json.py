"""Events as other programs read them: times in the event's zone, with the rules they break and who comes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import Session, col, select

from events_service import event_checks, event_rows, guest_lists, programmes, proposals
from events_service.db.tables import Event, EventChange
from events_service.domain.violations import Violation


def as_json(session: Session, event: Event, now: datetime) -> dict[str, Any]:
    """One event as the contract gives it, with what it breaks at `now`."""
    return listing(session, [event], now)[0]


def detail(session: Session, event: Event, now: datetime) -> dict[str, Any]:
    """`as_json` with its sessions (those taken off last), waivers and history, oldest first."""
    id = event_rows.id_of(event)
    history = session.exec(select(EventChange).where(EventChange.event_id == id).order_by(col(EventChange.id)))
    return {
        **as_json(session, event, now),
        "sessions": [
            {
                "n": item.position,
                "title": item.title,
                "kind": item.kind,
                "starts": in_zone(item.starts, item.timezone),
                "ends": in_zone(item.ends, item.timezone),
                "timezone": item.timezone,
                "venue": item.venue,
                "city": item.city,
                "country": item.country,
                "url": item.url,
                "partner": item.partner,
                "price": item.price,
                "uid": item.uid,
                "sequence": item.sequence,
                "cancelled_at": item.cancelled_at,
            }
            for item in event_rows.sessions_of(session, event)
        ],
        "waivers": [
            {"code": waiver.code, "reason": waiver.reason, "granted_at": waiver.granted_at}
            for waiver in event_rows.waivers_of(session, [id]).get(id, [])
        ],
        "proposals": proposals.listing(session, event, "open"),
        "history": [{"at": change.at, "action": change.action, **change.detail} for change in history],
    }


def listing(session: Session, events: Sequence[Event], now: datetime) -> list[dict[str, Any]]:
    """`as_json` of many events in a handful of queries, in the order given."""
    verdicts = event_checks.verdicts(session, events, now)
    counts = guest_lists.counts_of(session, [event_rows.id_of(event) for event in events])
    months = {key: programmes.current(session, key).timeline for key in {event.programme_key for event in events}}
    return [
        _as_json(
            event,
            months[event.programme_key].month_of(event.starts),
            verdicts[event_rows.id_of(event)],
            counts[event_rows.id_of(event)],
        )
        for event in events
    ]


def in_zone(at: datetime, zone: str) -> str:
    """An instant on the wall of an IANA zone, as ISO 8601 with its offset."""
    return at.astimezone(ZoneInfo(zone)).isoformat()


def _as_json(event: Event, month: int, violations: list[Violation], counts: dict[str, int]) -> dict[str, Any]:
    return {
        "slug": event.slug,
        "kind": event.kind,
        "hosted_by": event.hosted_by,
        "title": event.title,
        "summary": event.summary,
        "state": event.state,
        "visibility": event.visibility,
        "starts": in_zone(event.starts, event.timezone),
        "ends": in_zone(event.ends, event.timezone),
        "timezone": event.timezone,
        "month": month,
        "programme": event.programme_key,
        "themes": event.themes,
        "markets": event.markets,
        "venue": event.venue,
        "city": event.city,
        "country": event.country,
        "region": event.region,
        "url": event.url,
        "organiser": {"name": event.organiser_name, "email": event.organiser_email},
        "capacity": event.capacity,
        "budget": event.budget,
        "effort_days": event.effort_days,
        "material_refreshed": event.material_refreshed and event.material_refreshed.isoformat(),
        "uid": event.uid,
        "sequence": event.sequence,
        "cancel_reason": event.cancel_reason,
        "violations": [violation.as_json() for violation in violations],
        "attendees": counts,
    }
