"""Tokens in mail and in addresses.

A mail token is an HMAC of a row's number and a purpose, so no table holds it and one purpose's token never opens
another's page. It is lower-case base32, because mail programs may change the case of an address's local part.
A feed's token is random, and only its SHA-256 is kept (RELIABILITY of tokens: 128 bits or more, at rest as a hash).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

_MAC_BYTES = 20
_MAC_CHARS = 32
_MAX_TOKEN = 64


def mail_token(secret: bytes, purpose: str, *parts: int | str) -> str:
    """The token of a row for `purpose`: `<id>.<mac>`; further parts, such as a wave, are `-` joined to the id.

    >>> mail_token(b"k", "reply", 7) == mail_token(b"k", "reply", 7)
    True
    """
    subject = "-".join(str(part) for part in parts)
    return f"{subject}.{_mac(secret, purpose, subject)}"


def open_mail_token(secret: bytes, purpose: str, token: str) -> list[str] | None:
    """The parts of a token made for `purpose` with `secret`, or None if it is anything else."""
    if len(token) > _MAX_TOKEN:
        return None
    subject, dot, mac = token.lower().rpartition(".")
    if not dot or not mac.isascii() or not subject.isascii():
        return None
    if not hmac.compare_digest(mac, _mac(secret, purpose, subject)):
        return None
    return subject.split("-")


def feed_token() -> tuple[str, str]:
    """A new random token of 160 bits, and the SHA-256 to keep."""
    token = base64.b32encode(secrets.token_bytes(_MAC_BYTES)).decode().lower()
    return token, token_sha256(token)


def token_sha256(token: str) -> str:
    """What the table keeps of a feed's token, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


def _mac(secret: bytes, purpose: str, subject: str) -> str:
    digest = hmac.digest(secret, f"{purpose}\0{subject}".encode(), "sha256")
    return base64.b32encode(digest[:_MAC_BYTES]).decode().lower()[:_MAC_CHARS]
