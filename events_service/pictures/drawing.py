"""Words, rules, boxes and marks on a page measured in inches."""

from __future__ import annotations

from typing import Any

INK, SOFT, FAINT, RED = "#1b1b1b", "#5a5a5a", "#d4d4d4", "#a3131b"
GREEN, BLUE = "#1f6b3a", "#1f5f99"
# What lies over what.
GRID, BAR, LINE, MARKS, WORDS = 1, 2, 3, 4, 5
MARK = 0.13
"""The width of a mark, in inches."""

# Shape and fill tell them apart without colour.
REVIEW_MARKS = {
    "upcoming": {"marker": "o", "facecolor": "white", "edgecolor": SOFT},
    "open": {"marker": "D", "facecolor": "white", "edgecolor": BLUE},
    "overdue": {"marker": "^", "facecolor": RED, "edgecolor": RED},
    "held": {"marker": "s", "facecolor": GREEN, "edgecolor": GREEN},
}
EVENT_MARKS = {"mission": ">", "joined": "o", "conference": "s"}


def text(
    axes: Any, x: float, y: float, words: str, size: float, *, color: str = INK, backing: str = "", **style: Any
) -> None:
    """One line of text with its middle at `y`. Rules run behind words that have a `backing`, not through them."""
    if backing:
        style["bbox"] = {"facecolor": backing, "edgecolor": "none", "pad": 0.5}
    # A title may hold a dollar sign: it is no formula.
    style |= {"fontsize": size, "color": color, "va": "center_baseline", "zorder": WORDS, "parse_math": False}
    axes.text(x, y, words, **style)


def rule(
    axes: Any, x: float, y: float, x_end: float, y_end: float, color: str, wide: float, order: int, dash: Any = "-"
) -> None:
    """A straight line of `wide` points."""
    style = {"linewidth": wide, "linestyle": dash, "solid_capstyle": "butt"}
    axes.plot([x, x_end], [y, y_end], color=color, zorder=order, **style)


def box(axes: Any, x: float, y: float, wide: float, high: float, fill: str, edge: float, order: int = BAR) -> None:
    """A filled rectangle whose edge is `edge` points."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), wide, high, facecolor=fill, edgecolor=INK, linewidth=edge, zorder=order))


def review_mark(axes: Any, x: float, y: float, state: str) -> None:
    """The mark of a review point in that state."""
    axes.scatter([x], [y], s=_area(1.1), linewidths=1.5, zorder=MARKS, **REVIEW_MARKS[state])
    if state == "overdue":
        text(axes, x, y + 0.012, "!", 6, weight="bold", color="white", ha="center")
    if state == "held":
        tick = MARK / 4
        across, down = [x - tick, x - tick / 3, x + tick], [y, y + tick * 0.8, y - tick * 0.8]
        axes.plot(across, down, color="white", linewidth=1.3, zorder=WORDS)


def event_mark(axes: Any, x: float, y: float, sort: str, state: str) -> None:
    """The mark of an event: its shape by kind, hollow while a draft, a cross when cancelled."""
    if state == "cancelled":
        axes.scatter([x], [y], s=_area(), marker="x", color=SOFT, linewidths=1.3, zorder=MARKS)
        return
    style = {"facecolor": "white" if state == "draft" else INK, "edgecolor": INK, "linewidths": 1.0}
    axes.scatter([x], [y], s=_area(), marker=EVENT_MARKS[sort], zorder=MARKS, **style)


def _area(scale: float = 1.0) -> float:
    return (MARK * 72 * 0.62 * scale) ** 2
