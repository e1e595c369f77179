"""A programme as a Gantt chart on a sheet of A4: bands, workstreams, review points, events, and today.

Everything is drawn in inches on one page. What colour says is said by shape or words too, so that it can be printed in
black and white. matplotlib is imported when something is drawn, never before.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from events_service.domain.programme import Programme
from events_service.errors import UsageError
from events_service.files import write_whole
from events_service.pictures.lettering import FONT
from events_service.pictures.timeline_lanes import draw_events, draw_header, draw_legend, draw_reviews, draw_streams
from events_service.pictures.timeline_layout import Page, TimelineEvent

__all__ = ["TimelineEvent", "draw_timeline"]

FORMATS = {".svg", ".png"}
PNG_DOTS_PER_INCH = 150


def draw_timeline(
    programme: Programme,
    review_states: Mapping[str, str],
    events: Sequence[TimelineEvent],
    now: datetime,
    path: Path,
) -> None:
    """Write the picture to `path`, SVG or PNG by its suffix; the same input gives the same bytes.

    `review_states` gives upcoming, open, overdue or held for every review point. Events outside the programme are
    counted at the foot. Raises UsageError for another suffix, FileError where the file cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path}: a timeline is written as .svg or .png; give it one of these names")
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A salt of our own, or two runs would differ in their ids; no hinting, or letters would be wider than measured.
    fixed: Any = {"svg.hashsalt": "events", "svg.fonttype": "path", "font.family": FONT, "text.hinting": "none"}
    with mpl.rc_context(fixed), warnings.catch_warnings():
        # A title may hold letters that the font has not; they show as boxes, which is no reason to fail.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        page = Page(programme, review_states, events, now)
        figure = Figure(figsize=(page.width, page.height), facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, page.width)
        axes.set_ylim(page.height, 0)
        axes.set_axis_off()
        for draw in (draw_header, draw_streams, draw_reviews, draw_events, draw_legend):
            draw(axes, page)
        drawn = io.BytesIO()
        figure.savefig(drawn, format=suffix[1:], dpi=PNG_DOTS_PER_INCH, metadata=_metadata(suffix, programme))
    write_whole(path, drawn.getvalue())


def _metadata(suffix: str, programme: Programme) -> dict[str, Any]:
    if suffix == ".png":
        return {"Software": None, "Title": programme.title}
    return {"Date": None, "Creator": None, "Title": programme.title}
