"""Reads delivery reports (RFC 3464) and complaints (RFC 5965): of which message, for whom, how final."""

from __future__ import annotations

import email
import email.message
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from events_service.mail.words import without_addresses

MAX_PARTS = 200
MAX_FIELD = 1000

_MESSAGE_ID = re.compile(r"<[^<>\s]{1,990}>")
_STATUS = re.compile(r"\b([245])\.([0-9]{1,3})\.([0-9]{1,3})\b")

_Message: TypeAlias = "email.message.Message[str, str]"


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says. `message_ids` are those of the returned message's own headers, then those it answers.

    `action` and `status` are of the gravest of its recipients: failed before delayed before the rest, and the enhanced
    status code (RFC 3463), such as 5.1.1; both are "" in a complaint. `diagnostic` is one line, without
    the addresses that it quotes.
    """

    kind: Literal["bounce", "complaint"]
    message_ids: tuple[str, ...]
    action: str = ""
    status: str = ""
    diagnostic: str = ""

    @property
    def final(self) -> bool:
        """Whether the message will never arrive."""
        return self.action == "failed"

    @property
    def dead_address(self) -> bool:
        """Whether the address itself is no good: no such mailbox or domain, or it is closed.

        A full mailbox, a size limit or a spam filter refuse a message, not an address (RFC 3463 sections 3.2 to 3.8).
        """
        return self.final and (self.status in ("5.0.0", "5.2.1") or self.status.startswith("5.1."))


def read_report(message_bytes: bytes) -> Report | None:
    """The report that an e-mail is, or None where it is none. The caller has bounded its size."""
    message = email.message_from_bytes(message_bytes)
    parts = list(_parts(message))
    types = {part.get_content_type() for part in parts}
    if "message/feedback-report" in types:
        return Report("complaint", _named(message, parts))
    if "message/delivery-status" not in types:
        return None
    blocks = [
        block for part in parts if part.get_content_type() == "message/delivery-status" for block in _inside(part)
    ]
    recipients = [block for block in blocks if _field(block, "Action") or _field(block, "Status")]
    rank = {"failed": 0, "delayed": 1}
    gravest = min(recipients, key=lambda block: rank.get(_action(block), 2), default=None)
    if gravest is None:
        return Report("bounce", _named(message, parts))
    status = _STATUS.search(_field(gravest, "Status"))
    return Report(
        "bounce",
        _named(message, parts),
        _action(gravest),
        status[0] if status else "",
        # Cut after that: half an address is not seen to be one.
        without_addresses(_field(gravest, "Diagnostic-Code"))[:300],
    )


def _named(message: _Message, parts: list[_Message]) -> tuple[str, ...]:
    """The Message-IDs of what came back, then those that the report itself says it answers."""
    found: list[str] = []
    for part in parts:
        if part.get_content_type() == "message/rfc822":
            for inner in _inside(part):
                found += _MESSAGE_ID.findall(_field(inner, "Message-ID"))
        elif part.get_content_type() == "text/rfc822-headers":
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                found += _MESSAGE_ID.findall(_field(email.message_from_bytes(payload), "Message-ID"))
    for name in ("In-Reply-To", "References"):
        found += _MESSAGE_ID.findall(_field(message, name))
    return tuple(dict.fromkeys(found))[:20]


def _parts(message: _Message) -> Iterator[_Message]:
    """The parts of a message in order; what came back inside it is one part, and not looked into."""
    stack: list[_Message] = [message]
    for _ in range(MAX_PARTS):
        if not stack:
            return
        part = stack.pop()
        if part.get_content_maintype() == "multipart":
            stack.extend(reversed(_inside(part)))
        else:
            yield part


def _inside(part: _Message) -> list[_Message]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, email.message.Message)] if isinstance(payload, list) else []


def _action(block: _Message) -> str:
    return _field(block, "Action").split(" ")[0].lower()


def _field(message: _Message, name: str) -> str:
    text = re.sub(r"\s+", " ", str(message.get(name) or "")[:MAX_FIELD]).strip()
    return "".join(char for char in text if char.isprintable())
