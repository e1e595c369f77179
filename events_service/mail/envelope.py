"""What goes on the wire around a message and in it: MAIL, RCPT (RFC 5321 4.1.1) and the bytes after DATA.

An address that could end a command, or begin another, is refused here, whoever let it in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

from events_service.errors import PermanentMailError, SenderRefusedError
from events_service.mail.wire import Outgoing

# No white space, no control characters, no brackets; what else is wrong with an address, the server says.
_ADDRESS = re.compile(
    r"([^\s<>\x00-\x20\x7f-\x9f\ud800-\udfff]{1,64})@([^\s<>@\x00-\x20\x7f-\x9f\ud800-\udfff]{1,255})"
)


def commands(message: Outgoing, offered: Mapping[str, str]) -> tuple[bytes, bytes]:
    """MAIL and RCPT, each with its line end, for a server that offers those extensions (lower case, with their words).

    PermanentMailError where this message cannot go to this server, SenderRefusedError where nothing from this sender
    can.
    """
    sender = _wire_form(message.sender)
    if sender is None:
        raise SenderRefusedError(
            "the sender's address cannot stand on the wire; look at EVENTS_MAIL_FROM and EVENTS_MAIL_DOMAIN"
        )
    recipient = _wire_form(message.recipient)
    if recipient is None:
        raise PermanentMailError("the recipient's address is none that a mail server could take")
    words = []
    if "size" in offered:
        octets = len(message.data)
        most = int(offered["size"]) if offered["size"].isdecimal() else 0
        if 0 < most < octets:
            raise PermanentMailError(f"the message has {octets} octets, and the server takes at most {most} (SIZE)")
        words.append(f" SIZE={octets}")
    if not (sender + recipient).isascii():
        if "smtputf8" not in offered:
            raise PermanentMailError(
                "the address has letters beyond ASCII before its @, and the server does not offer SMTPUTF8"
            )
        words.append(" SMTPUTF8")
    return f"MAIL FROM:<{sender}>{''.join(words)}\r\n".encode(), f"RCPT TO:<{recipient}>\r\n".encode()


def after_data(data: bytes) -> bytes:
    """The message with its dots doubled (RFC 5321 4.5.2) and the final dot. PermanentMailError if it is not 7-bit.

    What is 7-bit needs no 8BITMIME (RFC 6152) of the server.
    """
    if not data.isascii():
        raise PermanentMailError("the message has octets beyond ASCII; it must be encoded in 7 bits")
    body = data.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body + (b".\r\n" if body.endswith(b"\r\n") else b"\r\n.\r\n")


def _wire_form(address: str) -> str | None:
    """The address with its domain in A-labels (RFC 5890), or None if it is none."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return None
    domain = found[2] if found[2].isascii() else _a_labels(found[2])
    return domain and f"{found[1]}@{domain}"


@lru_cache(maxsize=1024)
def _a_labels(domain: str) -> str | None:
    try:
        found = validate_email(f"a@{domain}", check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return found.ascii_domain
