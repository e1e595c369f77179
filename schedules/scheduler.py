"""The APScheduler process: ticks only, in a memory store. Any number may run; one is enough."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from events_service.clock import system_clock
from events_service.errors import EventsError

log = structlog.get_logger(__name__)


def start_scheduler(tick: Callable[[], object], seconds: float) -> BackgroundScheduler:
    """Call `tick` now and every `seconds` from now on, one at a time, in a thread. The caller shuts it down.

    A tick that comes late still runs, and several that were missed run as one: `misfire_grace_time` and `coalesce`.
    """

    def once() -> None:
        try:
            tick()
        except EventsError as error:
            # The next tick asks again; nothing was lost.
            log.error("tick failed", why=str(error))

    # A tick that takes longer than the pause between two is no warning each time: the next one does what it left.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler = BackgroundScheduler(timezone=UTC)
    scheduler.add_job(
        once,
        "interval",
        seconds=seconds,
        id="tick",
        next_run_time=system_clock(),
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,
    )
    scheduler.start()
    return scheduler
