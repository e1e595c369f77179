"""The delivery's states, its key and its Message-ID, and how long to wait after a refusal.

`STATES` and `LEAVES_BY` are the machine that ARCHITECTURE.md draws; `outbox` turns each arrow into one conditional
UPDATE.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta

STATES = (
    "held",
    "pending",
    "sending",
    "sent",
    "failed",
    "unknown",
    "bounced",
    "suppressed",
    "cancelled",
    "expired",
)

LEAVES_BY: dict[str, frozenset[str]] = {
    "held": frozenset({"pending", "cancelled", "expired"}),
    "pending": frozenset({"held", "sending", "cancelled", "expired"}),
    "sending": frozenset({"pending", "held", "sent", "failed", "unknown", "suppressed", "cancelled", "expired"}),
    "sent": frozenset({"bounced"}),
    "failed": frozenset({"pending"}),
    "unknown": frozenset({"pending", "sent", "failed", "bounced"}),
    "bounced": frozenset(),
    "suppressed": frozenset(),
    "cancelled": frozenset(),
    "expired": frozenset(),
}
"""Where a delivery may go from each state."""

UNSENT = ("held", "pending")
"""States in which nothing has begun, so that moving or cancelling an event may still change the row."""

TOLD = ("sent", "unknown")
"""States in which the recipient has heard from us, or may have; so may that of a `sending` row which is in DATA."""

HELD_BY_REVIEW = "review overdue"
HELD_BY_ORGANISER = "organiser"
HELD_LATE = "late: ask"
HELD_FOR_REPLY = "waits for an acceptance"
"""Why a delivery is held, as `hold_reason` keeps it."""

_LONGEST_WAIT = timedelta(hours=6)


def delivery_key(purpose: str, subject: int | str, step: str, person: int | str, revision: int = 0) -> str:
    """`purpose:subject:step:person:revision`, from stable ids: what makes a message the same message.

    >>> delivery_key("campaign", 3, "invitation", 41)
    'campaign:3:invitation:41:0'
    """
    return f"{purpose}:{subject}:{step}:{person}:{revision}"


def message_id(key: str, installation: bytes, domain: str) -> str:
    """The Message-ID that belongs to a key for ever (RFC 5322 3.6.4): the same on every attempt.

    `installation` is the secret key, so that two installations never share one and a key cannot be read off it.
    """
    digest = hashlib.blake2b(key.encode(), key=installation[:64], digest_size=16).hexdigest()
    return f"<{digest}@{domain}>"


def backoff(attempts: int, base_seconds: float, key: str) -> timedelta:
    """How long to wait after the `attempts`th transient failure: doubling from the base, six hours at most.

    Up to a quarter is added by the key, so that messages that failed together do not come back together.
    """
    seconds = min(base_seconds * 2.0 ** min(attempts - 1, 20), _LONGEST_WAIT.total_seconds())
    spread = int.from_bytes(hashlib.sha256(f"{key}/{attempts}".encode()).digest()[:4]) / 2**32
    return timedelta(seconds=seconds * (1 + spread / 4))


def wait_for_server(waited: timedelta, base_seconds: float) -> timedelta:
    """How long to wait for a server that is not to be had: as long again as the message has `waited` since it was due.

    The base at least and 15 times the base at most: many messages ask for one connection, so asking often is cheap.
    """
    base = timedelta(seconds=base_seconds)
    return min(max(waited, base), 15 * base)
