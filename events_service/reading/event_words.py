"""The words of an event: titles, slugs, links, codes and mailboxes, checked one by one. No I/O."""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from email.utils import parseaddr
from urllib.parse import urlsplit

from events_service.domain.markets import is_country
from events_service.errors import InputError
from events_service.reading.addresses import normalise_email

SLUG_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
SLUG_LENGTH = 80
_REGION = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}")


def one_line(text: str) -> str:
    """Composed (NFC) text of one line; ValueError for control and other characters that print as nothing."""
    if not text.isprintable():
        raise ValueError("holds a control character; write one line of plain text")
    return unicodedata.normalize("NFC", text)


def no_controls(text: str) -> str:
    """As `one_line`, but it may have lines and tabs."""
    if not all(char.isprintable() or char in "\n\t" for char in text):
        raise ValueError("holds a control character; take it out")
    return unicodedata.normalize("NFC", text)


def is_link(text: str) -> str:
    """An http or https address; ValueError."""
    fault = "is no web address, such as https://example.org/event"
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(fault) from error
    if parts.scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
        raise ValueError(fault)
    if parts.username is not None or parts.password is not None:
        raise ValueError("carries a user name; leave it out")
    return text


def country_code(text: str) -> str:
    """An ISO 3166-1 alpha-2 code in capitals; ValueError."""
    if not is_country(text):
        hint = "; the United Kingdom is GB" if text.upper() == "UK" else ""
        near = f"; write {text.upper()}" if is_country(text.upper()) else hint
        raise ValueError(f"is no country code (ISO 3166-1 alpha-2, such as DE){near}")
    return text


def region_code(text: str) -> str:
    """The form of an ISO 3166-2 code; ValueError."""
    if not _REGION.fullmatch(text):
        raise ValueError("is no region code (ISO 3166-2, such as DE-BY)")
    return text


def mailbox(text: str) -> tuple[str, str]:
    """`Events desk <events@example.org>` as name and normalised address; InputError."""
    name, address = parseaddr(text)
    if not address or "@" not in address or (name == "" and text.strip().strip("<>") != address):
        raise InputError(f"{text[:80]!r} is no mailbox; write it like Events desk <events@example.org>")
    return unicodedata.normalize("NFC", name), normalise_email(address)


def slug_of(title: str, kind: str, starts: date) -> str:
    """A slug from a title and the month it starts in: `cyber-resilience-mission-to-munich-2023-10`."""
    folded = unicodedata.normalize("NFKD", title.casefold()).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", folded.replace("'", "")) or [kind]
    month = f"{starts:%Y-%m}"
    base = "-".join(words)[: SLUG_LENGTH - len(month) - 1]
    if len(base) < len("-".join(words)) and "-" in base:
        base = base.rsplit("-", 1)[0]
    return f"{base.strip('-')}-{month}"
