"""The delivery's states, its key and its Message-ID, and how long to wait after a refusal.

`STATES` and `LEAVES_BY` are the machine that ARCHITECTURE.md draws; `outbox` turns each arrow into one conditional
UPDATE.
"""

from __future__ import annotations

import hashlib
import re
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
    "held": frozenset({"pending", "sent", "cancelled", "expired"}),
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
HELD_IN_DOUBT = "restored: may have gone"
"""Why a delivery is held, as `hold_reason` keeps it."""

CONFIRMATION = "confirmation"
"""The purpose of a message that says what somebody's reply is on record as."""

ITINERARY = "itinerary"
"""The purpose of a message that tells somebody of changes to the sessions that they attend, and of nothing else."""

REFRESH = "refresh"
"""The purpose of a message that has the calendar's object once more, as their calendar program asked for it."""

DECLINE_COUNTER = "decline-counter"
"""The purpose of a message that says no to the times that somebody proposed."""

ANSWERS = (CONFIRMATION, REFRESH, DECLINE_COUNTER)
"""The purposes of messages that answer what one person has done themselves: no mail of a list."""

LOST_TOO_OFTEN = 5
"""A message fails whose workers were lost so often before its DATA, one after the other: it may be what kills them."""

SUSPECT_FROM = 2
"""From so many lost leases on a message is a suspect: suspects are claimed apart from all others, a few at a time."""

_LONGEST_WAIT = timedelta(hours=6)


def claimed_together(lost_leases: int) -> int:
    """How many suspects that lost so many leases may be claimed at once, by all workers there are.

    A lost worker blames all that it held before DATA, the one that killed it and those beside it. In smaller and
    smaller groups, and in the end alone, each is sent or shows itself: the last two losses are its own.

    >>> [claimed_together(lost) for lost in range(SUSPECT_FROM, LOST_TOO_OFTEN)]
    [10, 1, 1]
    """
    return 10 if lost_leases == SUSPECT_FROM else 1


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


def backoff(attempts: int, base_seconds: float, key: str, code: int = 0, enhanced: str = "") -> timedelta:
    """How long to wait after the `attempts`th transient failure: doubling from the base, six hours at most.

    The base is longer for what takes longer to pass, by the reply's `code` and its `enhanced` status code (RFC 3463).
    Up to a quarter is added by the key, so that messages that failed together do not come back together.
    """
    base = base_seconds * _times_the_base(code, enhanced)
    seconds = min(base * 2.0 ** min(attempts - 1, 20), _LONGEST_WAIT.total_seconds())
    return timedelta(seconds=seconds * _spread(f"{key}/{attempts}"))


def _spread(key: str) -> float:
    """1 to 1.25, by the key: the same for the same."""
    return 1 + int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) / 2**34


_PASSES_SLOWLY = {"4.2.2": 30, "4.3.1": 5, "4.7": 5}
"""A mailbox is full until its owner empties it; a system's disk, until somebody clears it; a rate limit or a greylist
(4.7.x, RFC 3463 3.8) counts what comes too soon against us, and commonly wants five minutes."""


def _times_the_base(code: int, enhanced: str) -> int:
    """By the enhanced code where there is one: 450, 451 and 452 are used for anything. 421 pauses the whole server."""
    if code == 421:
        return 1
    return _PASSES_SLOWLY.get(enhanced) or _PASSES_SLOWLY.get(enhanced.rpartition(".")[0], 1)


_STATUS = re.compile(r"(?<![\w.])[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![\w.])")


def enhanced_code(said: str) -> str:
    """The first enhanced status code (RFC 3463), such as 4.2.2, in what a server said; "" where there is none.

    >>> enhanced_code("RCPT: 452 4.2.2 mailbox full")
    '4.2.2'
    """
    found = _STATUS.search(said)
    return found[0] if found else ""


_DEAD = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_SAYS_NOTHING = frozenset({"", "5.0.0", "5.1.0"})
"""No such mailbox, no such domain, no address, moved away, a domain without mail (RFC 7505), a closed mailbox; and
codes that servers use for recipients and senders alike (5.1.0), or for anything."""

_NOBODY_THERE = re.compile(
    r"\b(?:no such (?:user|recipient|mailbox|address|person|account)|no mailbox (?:here )?by that name"
    r"|(?:user|recipient|mailbox|account) unknown|unknown (?:user|recipient|mailbox|account)"
    r"|unknown or invalid (?:user|recipient|address)|unrout(?:e)?able address"
    r"|(?:user|recipient|mailbox|account|address)(?: \S+)? (?:does not|doesn't) exist"
    r"|(?:user|recipient|mailbox|account)(?: \S+)? (?:was )?not found)\b",
    re.IGNORECASE,
)
_OF_THE_SENDER = re.compile(r"\b(?:sender|relay|relaying|spam|blocked|blacklist|policy|mail from)\b", re.IGNORECASE)


def dead_address(enhanced: str, said: str = "") -> bool:
    """Whether a final refusal of a recipient says that the address itself is no good, so that nothing goes there again.

    By its `enhanced` status code (RFC 3463): 5.1.7 and 5.1.8 blame the sender, 5.2.2 a full mailbox, 5.7.x a policy.
    Where there is none, or one that says nothing, by what the server `said`, if that is plain.
    """
    if enhanced not in _SAYS_NOTHING:
        return enhanced in _DEAD
    return bool(_NOBODY_THERE.search(said)) and not _OF_THE_SENDER.search(said)


def wait_for_server(waited: timedelta, base_seconds: float, key: str) -> timedelta:
    """How long to wait for a server that is not to be had: as long again as the message has `waited` since it was due.

    The base at least and 15 times the base at most: many messages ask for one connection, so asking often is cheap.
    Up to a quarter is added by the key, as in `backoff`: a server that comes back is not met by all at once.
    """
    base = timedelta(seconds=base_seconds)
    return min(max(waited, base), 15 * base) * _spread(key)
