"""Bounces that follow no standard, read by flufl.bounce's rules of thumb and by their words.

What it gives is a guess: whoever acts on it wants better proof that the message was ours, and that this is its
recipient. It reads a bounded part of the mail, and never raises.
"""

from __future__ import annotations

import email
import email.message
import logging
import re
from collections.abc import Iterator
from typing import TypeAlias

from flufl.bounce import all_failures

from events_service.domain.delivery import enhanced_code
from events_service.mail.reports import Recipient, Report
from events_service.mail.words import without_addresses

MAX_BYTES = 64 * 1024
MAX_LINES = 2000
MAX_LINE = 500
MAX_TEXTS = 20

_RETURNED_ID = re.compile(r"^[ \t>|]*Message-ID:\s{0,4}(<[^<>\s]{1,990}>)", re.IGNORECASE | re.MULTILINE)
_RETURN_PATH = re.compile(
    r"^[ \t>|]*Return-Path:\s{0,4}<([^<>\s]{1,320}@[^<>\s]{1,255})>", re.IGNORECASE | re.MULTILINE
)
_REFUSAL = re.compile(r"(?:\b5\d\d[ -]|\b5\.\d{1,3}\.\d{1,3}\b|#5\.\d)")
_MAILER = re.compile(
    r"(?:^|[<\s\"])(?:mailer-?daemon|mail-daemon|mdaemon|postmaster|administrator|mail-?admin)(?:[@>\s\"]|$)|<>",
    re.IGNORECASE,
)
_PEOPLES = ("X-Autoreply", "X-Autorespond", "X-Autoresponse", "X-Auto-Reply", "X-MS-Exchange-Inbox-Rules-Loop")

_Message: TypeAlias = "email.message.Message[str, str]"

# It tells each rule that it tries, and each that fails with a traceback.
logging.getLogger("flufl.bounce").setLevel(logging.CRITICAL + 1)


def guess_report(message_bytes: bytes) -> Report | None:
    """The bounce that an e-mail seems to be, or None where it seems to be none.

    Only what a mail server says that it sent is asked: people quote bounces, and say in words like theirs that they
    are away or have left.
    """
    try:
        message = email.message_from_bytes(_cut(message_bytes))
        if not _by_a_server(message):
            return None
        delayed, failed = all_failures(message)
        texts = list(_texts(message))
    except Exception:  # noqa: BLE001  (rules of thumb, on whatever people send)
        return None
    if not delayed and not failed:
        return None
    whole = "\n".join(texts)
    status, said = _refusal(whole) if failed else ("", "")
    return Report(
        "bounce",
        tuple(dict.fromkeys(_RETURNED_ID.findall(whole)))[:20],
        tuple(dict.fromkeys(address.lower() for address in _RETURN_PATH.findall(whole)))[:20],
        (
            *(Recipient((_address(one),), "failed", status, said) for one in sorted(failed)[:20]),
            *(Recipient((_address(one),), "delayed") for one in sorted(delayed - failed)[:20]),
        ),
        guessed=True,
    )


def _by_a_server(message: _Message) -> bool:
    if any(message[name] for name in _PEOPLES):
        return False
    return bool(message["X-Failed-Recipients"] or _MAILER.search(str(message["From"] or "")[:MAX_LINE]))


def _cut(message: bytes) -> bytes:
    """The beginning, its lines cut too: each rule reads all lines, and some take the square of a line's length."""
    return b"\n".join(line[:MAX_LINE] for line in message[:MAX_BYTES].splitlines()[:MAX_LINES])


def _texts(message: _Message) -> Iterator[str]:
    """The texts in it, and the headers of what came back, in order."""
    for number, part in enumerate(message.walk()):
        if number > MAX_TEXTS:
            return
        if number and part.get("Message-ID"):
            yield f"Message-ID: {part['Message-ID']}"
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            yield payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _refusal(text: str) -> tuple[str, str]:
    """The first line that reads like a server's refusal: its enhanced status code, and its words without addresses."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if _REFUSAL.search(line):
            # Servers fold what they quote.
            said = without_addresses(" ".join(" ".join(lines[place : place + 3]).split()))[:300]
            said = "".join(char for char in said if char.isprintable())
            code = enhanced_code(said)
            return (code if code.startswith("5") else ""), said
    return "", ""


def _address(found: bytes) -> str:
    return found.decode("ascii", "replace").strip().lower()
