"""Header lines (RFC 5322, RFC 2047): what people wrote is encoded, what machines made is checked.

Every line is ASCII and shorter than 78 octets where it holds words; nothing that a name or a title holds can end it.
"""

from __future__ import annotations

import re
from email.header import Header
from email.utils import formataddr, parseaddr
from functools import lru_cache

from events_service.errors import InputError
from events_service.mail.marks import one_line

_WIDEST = 60
_MACHINE = re.compile(r"[\x21-\x7e]{1,900}")
_LINK = re.compile(r"[!-;=?-~]{1,900}")
_ADDRESS = re.compile(r"[!-;=?-~]{1,64}@[A-Za-z0-9.\[\]:-]{1,255}")
_FOLDED = "\r\n"


def text_line(name: str, value: str) -> str:
    """`Name: value` for a header of running text, folded; encoded where it is not plain ASCII words (RFC 2047)."""
    text = one_line(value)
    charset = "us-ascii" if _is_plain(text) else "utf-8"
    return f"{name}: " + Header(text, charset, header_name=name).encode(linesep=_FOLDED)


def mailbox_line(name: str, who: str, address: str) -> str:
    """`Name: mailbox`. InputError if the address cannot stand in a header."""
    if not _ADDRESS.fullmatch(address):
        raise InputError(
            f"{address[:80]!r} is no e-mail address that a header can hold; write it like name@example.org"
        )
    if not who:
        return f"{name}: {address}"
    who = one_line(who)
    if len(who) <= _WIDEST and _is_plain(who):
        line = f"{name}: {formataddr((who, address))}"
        return line if len(line) <= _WIDEST + len(name) else f"{_FOLDED} <".join(line.rsplit(" <", 1))
    encoded = Header(who, "utf-8", header_name=name).encode(linesep=_FOLDED)
    return f"{name}: {encoded}{_FOLDED} <{address}>"


def machine_line(name: str, value: str) -> str:
    """`Name: value` for what a machine made: one printable word. InputError for anything else."""
    if not _MACHINE.fullmatch(value):
        raise InputError(f"{name}: {value[:80]!r} is not one word of printable ASCII")
    return f"{name}: {value}"


def link(value: str) -> str:
    """`<value>`, never folded and never encoded, as RFC 2369 and RFC 8058 need it. InputError if it is no link."""
    if not _LINK.fullmatch(value):
        raise InputError(f"{value[:80]!r} cannot stand in a header as a link; look at EVENTS_PUBLIC_URL")
    return f"<{value}>"


@lru_cache(maxsize=64)
def read_mailbox(text: str) -> tuple[str, str]:
    """The name and the address of a mailbox such as `Events desk <events@example.org>`."""
    return parseaddr(text)


def _is_plain(text: str) -> bool:
    """Whether it reads as itself: ASCII, nothing that looks like an encoded word, and no word too long for a line."""
    return text.isascii() and "=?" not in text and all(len(word) <= _WIDEST for word in text.split())
