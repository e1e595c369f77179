"""Text as searches compare it."""

from __future__ import annotations

import unicodedata

_NO_DECOMPOSITION = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})


def fold(text: str) -> str:
    """Text without case, accents and marks, ß as ss, ø as o."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFKD", text.casefold()).translate(_NO_DECOMPOSITION)
    return "".join(char for char in plain if not unicodedata.combining(char))
