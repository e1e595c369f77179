"""Plain text as a person reads it: lines of at most 76 columns, at most one empty line in a row."""

from __future__ import annotations

import re
import textwrap
from itertools import groupby

from events_service.mail.marks import OPEN

WIDTH = 76
_LABEL = re.compile(r"\s*(?:- |[A-Z][a-z]+: +)?")
_SIGNATURE = "-- "


def tidy(text: str) -> str:
    """`text` with its long lines wrapped and no spaces at line ends; conditions in a template leave empty lines.

    What follows a label such as `Where: `, a list's `- ` or spaces hangs under its own beginning. A line with a mark
    in it is left as it is, as nobody knows yet how long it is, and so is a word too long for a line, such as a link.
    The line before a signature keeps its space (RFC 3676 4.3).
    """
    lines = [line.rstrip() if line != _SIGNATURE else line for line in text.strip().splitlines()]
    wrapped = [piece for line in lines for piece in _wrap(line)]
    whole = "\n".join("\n".join(group) if full else "" for full, group in groupby(wrapped, bool))
    return whole + "\n"


def _wrap(line: str) -> list[str]:
    if len(line) <= WIDTH or OPEN in line:
        return [line]
    label = _LABEL.match(line)
    hang = " " * label.end() if label else ""
    return textwrap.wrap(line, WIDTH, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
