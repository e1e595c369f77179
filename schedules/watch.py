"""Watching a live service's ticks: the heartbeat, the restore that it gives away, and the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from events_service import heartbeat, restored
from events_service.clock import system_clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.metrics import Metrics, serving
from schedules.ticks import Ticked


class Watch:
    """Serves the metrics of this process from now on until `close`, and puts a watch on its ticks by `over`."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._metrics = Metrics(database, system_clock)
        self._open = ExitStack()
        self.port = self._open.enter_context(serving(self._metrics, settings))

    def over(self, tick: Callable[[], Ticked]) -> Callable[[], None]:
        """The same tick, with a restored database noticed before it, the heartbeat noted around it, and all counted."""

        def watched() -> None:
            began = time.monotonic()
            try:
                restored.notice(self._database, self._settings, system_clock())
                heartbeat.begin(self._database, self._settings, system_clock())
                done = tick()
                heartbeat.end(self._database, system_clock())
            except Exception:
                self._metrics.tick_failed()
                raise
            self._metrics.ticked(done.as_json(), time.monotonic() - began)

        return watched

    def close(self) -> None:
        """Serve no more."""
        self._open.close()
