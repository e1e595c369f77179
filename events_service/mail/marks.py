"""Marks: where a recipient's own values go in a text that is rendered once for many.

A mark is a field's name between two characters of Unicode's private use area. Values and templates have them stripped,
so nothing that people write can look like a mark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

OPEN, CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{OPEN}([a-z_]+){CLOSE}")
# Controls but for tab and newline, the two marks, a byte order mark, and what turns the rest of a line around.
_DROPPED = [
    *range(0x00, 0x09), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0), 0xFEFF, ord(OPEN), ord(CLOSE),
    *range(0x202A, 0x202F), *range(0x2066, 0x206A),
]  # fmt: skip
_UNWANTED: dict[int, str | None] = dict.fromkeys(_DROPPED)
# Everything else that str.splitlines() and some mail programs break a line at.
_UNWANTED |= dict.fromkeys([0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029], "\n")
# Half a character, which no encoding can write.
_UNWANTED |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")

FIELDS = ("greeting", "name", "reply_url", "survey_url", "unsubscribe_url")
"""What is a recipient's own in a message. `greeting` is English; a translation greets `name`, or the address."""


def mark(field: str) -> str:
    """The mark of a field."""
    return f"{OPEN}{field}{CLOSE}"


def has_marks(text: str) -> bool:
    """Whether a recipient's own values go into it."""
    return OPEN in text


def clean(text: str) -> str:
    """`text` without marks and control characters; newlines (as LF) and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\r\n", "\n").translate(_UNWANTED)


def one_line(text: str) -> str:
    """`text` clean and on one line, as a header or a heading needs it."""
    return " ".join(clean(text).split())


def fitting(values: Mapping[str, str], fields: Iterable[str], escape: Callable[[str], str]) -> dict[str, str]:
    """The values of these fields, each on one line and safe for where it goes; KeyError for one that is not given."""
    return {field: escape(one_line(values[field])) for field in fields}


class Cut:
    """A text cut at its marks, to be filled many times."""

    def __init__(self, text: str) -> None:
        self._parts = _MARK.split(text)
        self.fields = frozenset(self._parts[1::2])

    def fill(self, fit: Mapping[str, str]) -> str:
        """The text with each mark's value in its place, of values that are `fitting`."""
        parts = self._parts.copy()
        parts[1::2] = [fit[field] for field in parts[1::2]]
        return "".join(parts)
