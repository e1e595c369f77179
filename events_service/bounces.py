"""What bounces, complaints and receipts call for: the delivery that they name, its address, and the evidence in them.

A delivery is known by the return address that was its own, or else by its Message-ID in what came back, never by a
recipient's address alone, nor by what the report says it answers: that stands in everything written on a message. An
address that is dead gets no more mail; one that refused five different messages within thirty days, whatever for, is as
good as dead. Without the return address a report says so only of the address it names. A complaint stops campaigns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from events_service import holds, outbox, people
from events_service.config import Settings
from events_service.db.tables import Delivery, Intake, Person, Suppression
from events_service.domain.delivery import HELD_IN_DOUBT
from events_service.errors import ConflictError
from events_service.mail.reports import Recipient, Report
from events_service.tokens import open_mail_token

BOUNCED, BOUNCED_SOFT, COMPLAINT = "bounced", "bounced-soft", "complaint"
"""Reasons of suppressions. Those that begin with `bounce` stop every message, a complaint stops campaigns."""
SOFT_LIMIT = 5
SOFT_WINDOW = timedelta(days=30)
_ON_ITS_WAY = ("delayed", "delivered", "relayed", "expanded")
_IN_DOUBT = (col(Delivery.state) == "unknown") | (col(Delivery.hold_reason) == HELD_IN_DOUBT)
_TOLD = (
    select(Delivery)
    .where(
        Delivery.attendee_id == sa.bindparam("attendee"),
        col(Delivery.state).in_(("sent", "unknown", "bounced")) | col(Delivery.in_data_at).is_not(None),
    )
    .limit(2)
)


def named_by_address(session: Session, addresses: Iterable[str], settings: Settings) -> Delivery | None:
    """The delivery whose own return address, `bounce+<token>@…`, is among `addresses`."""
    for address in addresses:
        name, _, token = address.rpartition("@")[0].partition("+")
        parts = open_mail_token(settings.secret, "bounce", token) if name.lower() == "bounce" else None
        if parts is not None and len(parts) == 1 and parts[0].isdigit():
            return session.get(Delivery, int(parts[0]))
    return None


def take_report(
    session: Session, report: Report, recipients: Sequence[str], taken: Intake, settings: Settings, now: datetime
) -> None:
    """Do what a report calls for, and note on `taken` what that was. `recipients` are whom the report was sent to.

    ConflictError where its message is in DATA at this moment: the server's word on it comes first. It can be taken
    when that is there.
    """
    taken.kind = report.kind
    proven = named_by_address(session, [*recipients, *report.senders], settings)
    delivery = proven or _named_by_id(session, report.message_ids)
    if delivery is None or delivery.id is None:
        taken.why = "it names no message of ours; left alone"
        if answered := _named_by_id(session, report.answers_to):
            taken.delivery_id, taken.attendee_id = answered.id, answered.attendee_id
            taken.why = "it returns no message of ours, and only says that it answers one; left alone"
        return
    taken.delivery_id, taken.attendee_id = delivery.id, delivery.attendee_id
    if report.kind == "complaint":
        _take_complaint(session, report, delivery, taken, now)
    elif report.kind == "receipt":
        taken.applied = arrived(session, [delivery.id], now)
        taken.why = _proof(delivery) if taken.applied else f"a receipt; the message is {delivery.state} already"
    else:
        _take_bounce(session, report, delivery, proven is not None, taken, now)
    if _erased(delivery):
        # Whoever was erased stays so: a server's words about them, which may name them, are not taken.
        taken.why = ""


def arrived(session: Session, ids: Iterable[int], now: datetime) -> bool:
    """Settle those of `ids` that are unknown, or in doubt after a restore: something proves that they arrived.

    Whether there was one.
    """
    return any([_arrived(session, id, now) for id in ids])


def _arrived(session: Session, id: int, now: datetime) -> bool:
    if outbox.settle_by_hand(session, id, True, now):
        return True
    return holds.settle_in_doubt(session, True, now, outbox.ROWS.c.id == id) == [id]


def doubtful(session: Session, message_ids: Sequence[str]) -> list[Delivery]:
    """The deliveries of those Message-IDs of which nobody knows whether they arrived."""
    named = col(Delivery.message_id).in_(_plain(message_ids))
    return list(session.exec(select(Delivery).where(named, _IN_DOUBT))) if message_ids else []


def only_one_told(session: Session, attendee_id: int | None) -> list[Delivery]:
    """The one message that can have told an attendee of their reply address, if it is in doubt whether it arrived."""
    told = session.exec(_TOLD, params={"attendee": attendee_id}).all()
    return [row for row in told if len(told) == 1 and row.state == "unknown"]


def _named_by_id(session: Session, message_ids: Sequence[str]) -> Delivery | None:
    """The delivery of the first of `message_ids` that is ours."""
    if not message_ids:
        return None
    found = session.exec(select(Delivery).where(col(Delivery.message_id).in_(_plain(message_ids)))).all()
    return min(found, key=lambda row: message_ids.index(row.message_id or ""), default=None)


def _plain(message_ids: Sequence[str]) -> list[str]:
    """Those that a database takes; ours are among them."""
    return [id for id in message_ids if id.isascii() and id.isprintable()]


def _take_complaint(session: Session, report: Report, delivery: Delivery, taken: Intake, now: datetime) -> None:
    proof = arrived(session, [delivery.id or 0], now)
    if not report.complains:
        taken.applied, taken.why = proof, f"feedback of type {report.feedback[:20]} is no complaint; left alone"
        return
    taken.applied = _suppress(session, delivery, COMPLAINT, now)
    taken.why = "no more campaign mail to this address" if taken.applied else "its recipient is not known any more"


def _take_bounce(
    session: Session, report: Report, delivery: Delivery, proven: bool, taken: Intake, now: datetime
) -> None:
    address = _address(session, delivery)
    about = report.about(address)
    if about is None:
        taken.why = "it names no recipient's status; left alone"
        return
    if report.guessed and not proven and address not in about.addresses:
        taken.why = "it follows no standard, and does not name whom the message was for; left alone"
        return
    if delivery.state == "sending" and delivery.in_data_at is not None:
        raise ConflictError(f"delivery {delivery.id} is being sent at this moment; give the bounce again in a minute")
    taken.status = about.status
    if not about.failed:
        taken.why = (
            f"not final ({about.action or 'no action'} {about.status}".rstrip() + "): the message may still arrive"
        )
        if about.action in _ON_ITS_WAY and arrived(session, [delivery.id or 0], now):
            taken.applied, taken.why = True, _proof(delivery)
        return
    if delivery.state == "held":
        # What bounces had gone, whatever a restored ledger knows of it.
        arrived(session, [delivery.id or 0], now)
    reason = " ".join(filter(None, ("bounced", about.status, "" if _erased(delivery) else about.diagnostic)))
    taken.applied = outbox.bounced(session, delivery.id or 0, reason, now)
    if not taken.applied:
        taken.why = f"the message is {delivery.state} already"
        return
    taken.why = f"{delivery.step}: {reason[:100]}"
    if not proven and about.addresses and address not in about.addresses:
        # Whoever answered a message, or was sent its answer, knows its Message-ID.
        taken.why += "; of another address than it went to, so that one still gets mail"
        return
    taken.soft = not about.dead_address
    taken.why += _stop(session, about, delivery, taken, now)


def _stop(session: Session, about: Recipient, delivery: Delivery, taken: Intake, now: datetime) -> str:
    """Suppress the address of a bounced message if it is dead, or as good as that; what to add to the reason."""
    if about.dead_address:
        return "; no more mail to this address" if _suppress(session, delivery, BOUNCED, now) else ""
    if _soft_bounces(session, taken, delivery, now) < SOFT_LIMIT:
        return ""
    if not _suppress(session, delivery, BOUNCED_SOFT, now):
        return ""
    return f"; {SOFT_LIMIT} bounces within {SOFT_WINDOW.days} days: no more mail to this address"


def _soft_bounces(session: Session, taken: Intake, delivery: Delivery, now: datetime) -> int:
    """How many messages to that address bounced softly within the window, since it was last let get mail again.

    This one is among them; what it was is not written yet.
    """
    address = _address(session, delivery)
    if address is None:
        return 0
    lifted = select(sa.func.max(col(Suppression.lifted_at))).where(Suppression.email_hash == people.email_hash(address))
    since = max(filter(None, [now - SOFT_WINDOW, session.exec(lifted).one()]))
    by_person = col(Delivery.person_id) == delivery.person_id
    counted = (
        select(sa.func.count(sa.distinct(col(Intake.delivery_id))))
        .join(Delivery, col(Delivery.id) == col(Intake.delivery_id))
        .where(
            by_person if delivery.person_id else sa.func.lower(col(Delivery.address)) == address,
            Intake.kind == "bounce",
            col(Intake.applied),
            col(Intake.soft),
            col(Intake.received_at) > since,
            col(Intake.delivery_id) != taken.delivery_id,
        )
    )
    return session.exec(counted).one() + 1


def _suppress(session: Session, delivery: Delivery, reason: str, now: datetime) -> bool:
    address = _address(session, delivery)
    if address is None:
        return False
    people.suppress(session, people.email_hash(address), reason, now)
    return True


def _address(session: Session, delivery: Delivery) -> str | None:
    """Whom it went to, as addresses are kept; None once they were erased."""
    person = session.get(Person, delivery.person_id) if delivery.person_id else None
    address = delivery.address or (person.email if person else None)
    return address.lower() if address else None


def _erased(delivery: Delivery) -> bool:
    return delivery.person_id is None and delivery.address is None


def _proof(delivery: Delivery) -> str:
    return f"{delivery.step}: this proves that it arrived"
