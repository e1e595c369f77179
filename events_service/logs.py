"""Logs of the processes that run for long: lines for people, or JSON. They hold numbers of deliveries, no addresses."""

from __future__ import annotations

import logging
import sys
from typing import Any

from events_service.config import Settings


def configure_logs(settings: Settings, level: int = logging.INFO) -> None:
    """Send the logs of this process, from `level` on, to stderr, in the format that the settings ask for."""
    # Commands that only print have no use for it, and it costs their start.
    import structlog

    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # Not cached: a logger that was used before would keep the settings, and the stderr, of that time.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
