"""Prometheus metrics: the ledger's figures, asked of the database when somebody looks, and what the ticks here did.

Nothing is counted in the workers, so figures are the same whichever process serves them, and no process's end loses
any. A look is kept for some seconds, and longer where it took long: a monitor must not slow what it watches.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import structlog
from prometheus_client import CollectorRegistry, Counter, ProcessCollector, Summary
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector

from events_service import figures, heartbeat
from events_service.clock import Clock
from events_service.config import Settings
from events_service.db.session import Database
from events_service.domain.delivery import STATES
from events_service.errors import EventsError

log = structlog.get_logger(__name__)

_KEPT_SECONDS = 5.0
_KEPT_TIMES = 20
"""A look is kept for so many times as long as it took: it then costs a twentieth of one connection at the most."""


class Metrics:
    """The registry of a process: `registry` is what is served, `ticked` and `tick_failed` are told of each tick."""

    def __init__(self, database: Database, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._ticks = Counter("events_ticks", "Ticks of this process, by how they ended.", ["result"], registry=None)
        self._seconds = Summary("events_tick_seconds", "How long a tick took.", registry=None)
        self._did = Counter(
            "events_tick_did",
            "What the ticks of this process did: deliveries rung for, expired, released, swept, and more.",
            ["what"],
            registry=None,
        )
        for each in (self._ticks, self._seconds, self._did, _Ledger(database, clock, monotonic)):
            self.registry.register(each)
        ProcessCollector(registry=self.registry)

    def ticked(self, did: Mapping[str, int], seconds: float) -> None:
        """A tick has ended: what it did, and how long it took."""
        self._ticks.labels("ok").inc()
        self._seconds.observe(seconds)
        for what, count in did.items():
            self._did.labels(what).inc(count)

    def tick_failed(self) -> None:
        """A tick could not do its work."""
        self._ticks.labels("failed").inc()


@contextmanager
def serving(metrics: Metrics, settings: Settings) -> Iterator[int | None]:
    """Serve them in a thread while the block runs, at the address that the settings say; gives the port.

    An address that cannot be had is a line in the log and no reason to stop; None then, and where they are off.
    """
    listener = settings.metrics_listener
    if listener is None:
        yield None
        return
    host, port = listener
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        log.warning("no metrics are served; set EVENTS_METRICS_ADDR to another address, or to off",
                    address=settings.metrics_addr, why=why)  # fmt: skip
        yield None
        return
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Ledger(Collector):
    """The database's own figures. Where it does not answer, `events_database_up` is 0 and there are no others."""

    def __init__(self, database: Database, clock: Clock, monotonic: Callable[[], float]) -> None:
        self._database, self._clock, self._monotonic = database, clock, monotonic
        self._looking = threading.Lock()
        self._sent = figures.Sent()
        self._kept: list[Metric] = []
        self._until = float("-inf")

    def describe(self) -> list[Metric]:
        """Nothing beforehand: to register it must cost no look."""
        return []

    def collect(self) -> Iterator[Metric]:
        """What was found a moment ago, or is found now."""
        with self._looking:
            began = self._monotonic()
            if began >= self._until:
                self._kept = self._look()
                ended = self._monotonic()
                self._until = ended + max(_KEPT_SECONDS, _KEPT_TIMES * (ended - began))
            kept = list(self._kept)
        yield from kept

    def _look(self) -> list[Metric]:
        up = GaugeMetricFamily("events_database_up", "Whether the database answered.")
        try:
            found = list(self._figures(self._clock()))
        except EventsError as error:
            log.warning("no figures for the metrics", why=str(error))
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [up, *found]

    def _figures(self, now: datetime) -> Iterator[Metric]:
        with self._database.read() as session:
            states, reasons = figures.by_state(session), figures.held(session)
            waiting, suppressed = figures.waiting(session, now), figures.suppressed(session)
            revisions, beat = figures.feed_revisions(session), heartbeat.last(session)
            self._sent.look(session, now)
        yield _labelled(
            "events_deliveries", "Deliveries by state.", "state", {one: states.get(one, 0) for one in STATES}
        )
        yield _labelled("events_deliveries_held", "Deliveries held, by reason.", "reason", reasons)
        yield _labelled("events_suppressions", "Addresses that get no mail, by reason.", "reason", suppressed)
        yield GaugeMetricFamily("events_deliveries_due", "Deliveries that are due and wait.", value=waiting.due)
        due, unknown = _age(now, waiting.oldest_due), _age(now, waiting.oldest_unknown)
        yield GaugeMetricFamily("events_oldest_due_seconds", "How long the oldest that is due has waited.", value=due)
        yield GaugeMetricFamily(
            "events_oldest_unknown_seconds", "How long the oldest unknown one is so.", value=unknown
        )
        last = "When a live scheduler last ended a tick, by the database; 0 where none ever did."
        at = beat.ended_at.timestamp() if beat and beat.ended_at else 0
        yield GaugeMetricFamily("events_tick_last_success_timestamp_seconds", last, value=at)
        yield CounterMetricFamily(
            "events_feed_revisions", "How often the bytes of feeds have changed.", value=revisions
        )
        sent = CounterMetricFamily("events_sent", "Messages sent, by the recipient's domain.", labels=["domain"])
        for domain, count in sorted(self._sent.by_domain().items()):
            sent.add_metric([domain], count)
        yield sent
        counts, seconds = self._sent.latencies()
        bounds = [*map(str, figures.BUCKETS), "+Inf"]
        text = "Seconds from when a message was due, or was written if later, until it was sent."
        yield HistogramMetricFamily(
            "events_send_latency_seconds", text, buckets=list(zip(bounds, counts, strict=True)), sum_value=seconds
        )


def _age(now: datetime, since: datetime | None) -> float:
    """In seconds; 0 where there is none."""
    return max((now - since).total_seconds(), 0) if since else 0


def _labelled(name: str, what: str, label: str, values: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
