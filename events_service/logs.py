"""Logs of the processes that run for long: lines for people, or JSON. They hold numbers of deliveries, no addresses.

What libraries log, from a warning on, comes out in the same format. Whatever slipped into a line all the same, such as
a server's own words in an error, has its addresses taken out here.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

from events_service.config import Settings
from events_service.mail.words import without_addresses

_WORD = re.compile(r"\S+")
_CLIENTS = ("pika", "redis")
"""The packages that talk to a broker: an error of theirs says that it is away."""


def configure_logs(settings: Settings, level: int = logging.INFO) -> None:
    """Send the logs of this process, from `level` on, to stderr, in the format that the settings ask for."""
    # Commands that only print have no use for it, and it costs their start.
    import structlog

    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lost_connections,
        structlog.processors.format_exc_info,
        scrubbed,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        # Not cached: a logger that was used before would keep the settings, and the stderr, of that time.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared], processors=[remove_meta, scrubbed, renderer]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def lost_connections(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same line, but where a connection was lost its traceback is one clause: it happens, and is nobody's fault."""
    told = line.get("exc_info")
    error = told[1] if isinstance(told, tuple) else told
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _CLIENTS:
        line["error"] = " ".join(f"{type(error).__name__}: {error}".split())
        del line["exc_info"]
    return line


def scrubbed(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same line, the e-mail addresses in its words replaced. Those in a URL are of servers, and stay."""
    for name, value in line.items():
        if isinstance(value, str) and "@" in value:
            line[name] = _WORD.sub(_scrub, value) if "://" in value else without_addresses(value)
    return line


def _scrub(word: re.Match[str]) -> str:
    return word[0] if "://" in word[0] else without_addresses(word[0])
