"""Reads delivery reports (RFC 3464), complaints (RFC 5965), receipts (RFC 8098): of which message, and what of it."""

from __future__ import annotations

import base64
import email
import email.message
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from events_service.domain.delivery import dead_address, enhanced_code
from events_service.mail.words import without_addresses

MAX_PARTS = 200
MAX_FIELD = 1000
MAX_RECIPIENTS = 1000

_MESSAGE_ID = re.compile(r"<[^<>\s]{1,990}>")
_ENVELOPE_ADDRESS = re.compile(r"[^\s<>;,]{1,320}@[^\s<>;,]{1,255}")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_STATUSES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_RECEIPTS = frozenset({"message/disposition-notification", "message/global-disposition-notification"})
_NAMES_A_REPORT = re.compile(rb"delivery-status|feedback-report|disposition-notification", re.IGNORECASE)
_RETURNED = frozenset({"message/rfc822", "message/global"})
_RETURNED_HEADERS = frozenset({"text/rfc822-headers", "message/global-headers"})
_NO_COMPLAINTS = frozenset({"not-spam", "auth-failure", "virus"})
"""Feedback that is no wish of the recipient's to get no more: RFC 5965 section 7.3, RFC 6591."""
_BLANK_LINE = re.compile(r"\r?\n(?:[ \t]*\r?\n)+")
_GRAVITY = {"failed": 0, "delayed": 1}

_Message: TypeAlias = "email.message.Message[str, str]"


@dataclass(frozen=True, slots=True)
class Recipient:
    """What a report says of one recipient.

    `addresses` are whom it was first for and whom it was last tried at, in lower case. `action` is failed, delayed,
    delivered, relayed, expanded or "". `status` is the enhanced status code (RFC 3463), such as 5.1.1. `diagnostic` is
    one line, without the addresses that it quotes.
    """

    addresses: tuple[str, ...] = ()
    action: str = ""
    status: str = ""
    diagnostic: str = ""

    @property
    def failed(self) -> bool:
        """Whether the message will never arrive."""
        return self.action == "failed"

    @property
    def dead_address(self) -> bool:
        """Whether the address itself is no good; a full mailbox or a filter refuse a message, not an address."""
        return self.failed and dead_address(self.status, self.diagnostic)


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says. `message_ids` are those of the returned message's own headers.

    `answers_to` are those that a bounce or a complaint says it answers: they stand in all that people write on a
    message, so they prove nothing. For a receipt, which returns nothing, they count as the first. `senders` are the
    return addresses that it says the message had. `feedback` is a complaint's type. `guessed` means that it follows no
    standard, and its words were read by rules of thumb.
    """

    kind: Literal["bounce", "complaint", "receipt"]
    message_ids: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    recipients: tuple[Recipient, ...] = ()
    feedback: str = ""
    guessed: bool = False
    answers_to: tuple[str, ...] = ()

    @property
    def complains(self) -> bool:
        """Whether the recipient wants no more of it."""
        return self.kind == "complaint" and self.feedback not in _NO_COMPLAINTS

    def about(self, address: str | None) -> Recipient | None:
        """What became of the message to `address`, given in lower case; None where the report names nobody.

        Where several blocks are of that address, the gravest speaks. A forwarder's report may name only whom it
        forwarded to: then the message has failed only if it failed for all of them.
        """
        own = [one for one in self.recipients if address is not None and address in one.addresses]
        if own:
            return min(own, key=_gravity)
        return max(self.recipients, key=_gravity, default=None)


def read_report(message_bytes: bytes) -> Report | None:
    """The report that an e-mail is by one of the standards, or None where it is none. The caller has bounded its size.

    Of a report on more than 1,000 recipients the first are read, of a message with more than 200 parts the first.
    """
    if not _NAMES_A_REPORT.search(message_bytes):
        # Most mail is none, and taking it apart to see that would take longer than all else that is done for it.
        return None
    message = email.message_from_bytes(message_bytes)
    parts = list(_parts(message))
    types = {part.get_content_type() for part in parts}
    if "message/feedback-report" in types:
        return _complaint(message, parts)
    if types & _RECEIPTS:
        fields = [block for part in parts if part.get_content_type() in _RECEIPTS for block in _blocks(part)]
        named = [id for block in fields for id in _MESSAGE_ID.findall(_field(block, "Original-Message-ID"))]
        return Report("receipt", tuple(dict.fromkeys([*named, *_returned(parts), *_answered(message)]))[:20])
    if not types & _STATUSES:
        return None
    blocks = [block for part in parts if part.get_content_type() in _STATUSES for block in _blocks(part)]
    recipients = [_recipient(block) for block in blocks[:MAX_RECIPIENTS] if _is_recipient(block)]
    answers_to = _answered(message)
    return Report("bounce", _returned(parts), _return_paths(parts), tuple(recipients), answers_to=answers_to)


def _complaint(message: _Message, parts: list[_Message]) -> Report:
    told = [block for part in parts if part.get_content_type() == "message/feedback-report" for block in _blocks(part)]
    senders = [address for block in told for address in _addresses(_field(block, "Original-Mail-From"))]
    return Report(
        "complaint",
        _returned(parts),
        tuple(dict.fromkeys([*senders, *_return_paths(parts)])),
        feedback=next((feedback.lower() for block in told if (feedback := _field(block, "Feedback-Type"))), ""),
        answers_to=_answered(message),
    )


def _is_recipient(block: _Message) -> bool:
    return bool(_field(block, "Action") or _field(block, "Status") or _field(block, "Final-Recipient"))


def _recipient(block: _Message) -> Recipient:
    # Cut after its addresses are out: half an address is not seen to be one.
    diagnostic = without_addresses(_field(block, "Diagnostic-Code"))[:300]
    status = enhanced_code(_field(block, "Status"))
    # Many servers give the code that says nothing and quote the one that does.
    quoted = enhanced_code(diagnostic)
    if status[1:] in ("", ".0.0") and quoted[:1] in (status[:1], quoted[:1] if not status else ""):
        status = quoted or status
    action = re.split(r"[\s;(]", _field(block, "Action"), maxsplit=1)[0].lower()
    action = action or {"5": "failed", "4": "delayed", "2": "delivered"}.get(status[:1], "")
    whom = [*_addresses(_field(block, "Original-Recipient")), *_addresses(_field(block, "Final-Recipient"))]
    return Recipient(tuple(dict.fromkeys(whom)), action, status, diagnostic)


def _addresses(field: str) -> list[str]:
    """The address of a field such as `rfc822; ada+40b@example.org` (RFC 3461's xtext undone), in lower case."""
    kind, semicolon, rest = field.partition(";")
    text = rest.strip() if semicolon else kind.strip()
    plain = [text] if "+" not in text else [text, _XTEXT.sub(lambda match: chr(int(match[1], 16)), text)]
    return list(dict.fromkeys(found[0].lower() for one in plain if (found := _ENVELOPE_ADDRESS.search(one))))


def _gravity(one: Recipient) -> int:
    return _GRAVITY.get(one.action, 2)


def _returned(parts: list[_Message]) -> tuple[str, ...]:
    """The Message-IDs of what came back."""
    found = [id for inner in _came_back(parts) for id in _MESSAGE_ID.findall(_field(inner, "Message-ID"))]
    return tuple(dict.fromkeys(found))[:20]


def _answered(message: _Message) -> tuple[str, ...]:
    """The Message-IDs that the report itself says it answers."""
    found = [id for name in ("In-Reply-To", "References") for id in _MESSAGE_ID.findall(_field(message, name))]
    return tuple(dict.fromkeys(found))[:20]


def _return_paths(parts: list[_Message]) -> tuple[str, ...]:
    fields = (_field(inner, "Return-Path") for inner in _came_back(parts))
    return tuple(dict.fromkeys(address for field in fields for address in _addresses(field)))[:20]


def _came_back(parts: Iterable[_Message]) -> Iterator[_Message]:
    """The returned messages, or their headers."""
    for part in parts:
        kind = part.get_content_type()
        if kind in _RETURNED:
            yield from _inside(part)
        elif kind in _RETURNED_HEADERS:
            yield from _inside(part)
            payload = part.get_payload(decode=True)
            if isinstance(payload, bytes):
                yield email.message_from_bytes(payload)


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


def _blocks(part: _Message) -> Iterator[_Message]:
    """The blocks of fields of a report's part."""
    inside = _inside(part)
    yield from inside[:MAX_RECIPIENTS]
    for block in inside[:1]:
        # Of a type that the library does not know it reads the first block alone.
        rest = block.get_payload()
        if isinstance(rest, str):
            for text in _BLANK_LINE.split(rest.strip(), MAX_RECIPIENTS)[:MAX_RECIPIENTS]:
                yield email.message_from_string(text)


def _inside(part: _Message) -> list[_Message]:
    """What is inside a part. The library leaves what was encoded, against the standards, as it is."""
    payload = part.get_payload()
    if not isinstance(payload, list):
        return []
    children = [child for child in payload if isinstance(child, email.message.Message)]
    encoding = str(part.get("Content-Transfer-Encoding") or "").strip().lower()
    if part.get_content_maintype() == "message" and encoding == "base64" and not any(map(len, children)):
        text = "".join(str(child.get_payload()) for child in children)
        return [email.message_from_bytes(_from_base64(text))]
    return children


def _from_base64(text: str) -> bytes:
    digits = re.sub(r"[^A-Za-z0-9+/]", "", text)
    return base64.b64decode(digits[: len(digits) - (len(digits) % 4 == 1)] + "=" * (-len(digits) % 4))


def _field(message: _Message, name: str) -> str:
    text = re.sub(r"\s+", " ", str(message.get(name) or "")[:MAX_FIELD]).strip()
    return "".join(char for char in text if char.isprintable())
