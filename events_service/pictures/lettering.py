"""How wide text is, and how to fit it: wrap by words, break what has no spaces, cut with an ellipsis.

Widths are inches in DejaVu Sans, the font that matplotlib carries with it, so that a picture is laid out the same on
every machine.
"""

from __future__ import annotations

from functools import lru_cache

FONT = "DejaVu Sans"
POINTS = 72.0
LINE = 1.28
"""The height of a line, as a multiple of the font's size."""


@lru_cache(maxsize=4096)
def width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of one line of `text` at `size` points, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextToPath

    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    points, _, _ = TextToPath().get_text_width_height_descent(text, font, False)
    return float(points) / POINTS


def height(lines: int, size: float) -> float:
    """The height of so many lines, in inches."""
    return lines * size * LINE / POINTS


def plain(text: str) -> str:
    """`text` as one line: whatever does not print becomes a space."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def wrap(text: str, room: float, size: float, most: int, *, bold: bool = False) -> list[str]:
    """`text` in one to `most` lines of `room` inches each; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    # Nothing that long is ever shown whole, and measuring it would take a while.
    words = plain(text)[:400].split(" ")
    current = ""
    while words:
        word = words.pop(0)
        joined = f"{current} {word}" if current else word
        if width(joined, size, bold=bold) <= room:
            current = joined
            continue
        if not current:
            head = _head(word, room, size, bold)
            lines.append(head)
            words[:0] = [word[len(head) :]] if word[len(head) :] else []
            continue
        lines.append(current)
        current, words = "", [word, *words]
    if current or not lines:
        lines.append(current)
    if len(lines) > most:
        lines = [*lines[: most - 1], _cut(f"{lines[most - 1]} {lines[most]}", room, size, bold)]
    return lines


def _head(word: str, room: float, size: float, bold: bool) -> str:
    kept = 1
    while kept < len(word) and width(word[: kept + 1], size, bold=bold) <= room:
        kept += 1
    return word[:kept]


def _cut(text: str, room: float, size: float, bold: bool) -> str:
    while text and width(f"{text}…", size, bold=bold) > room:
        text = text[:-1].rstrip()
    return f"{text}…"
