"""All Prometheus metrics, by the names of the contract, in a registry of their own; every known label set starts at 0.

Whoever owns a number counts it here; gauges whose truth lies elsewhere are asked for at scrape time.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Sequence

from prometheus_client import (
    GC_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hotfolder.errors import Reason
from hotfolder.model import COUNTED, Kind, Lane, WatchState
from hotfolder.telemetry import logs

STAGES = ("settle", "wait", "read", "decode", "resize", "encode", "store", "analyze")
STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
READY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0)
WHERE = (
    "main",
    "index",
    "sync",
    "oversight",
    "feeder",
    "orders",
    "dispatcher",
    "suspects",
    "intake",
    "reconcile",
    "inotify",
    "hook",
    "worker",
    "callback",
    "http",
    "control",
    "pulse",
    "thread",
    "interpreter",
    "log",
)
"""Where an error of our own can come up: the kinds of threads first, then what belongs to none."""

PREFIX = "hotfolder_"

log = logs.get("metrics")


class _Maker:
    """Makes metrics in one registry, with the prefix that all have."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, text, labels, registry=self._registry)

    def gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(PREFIX + name, text, labels, registry=self._registry)

    def histogram(
        self, name: str, text: str, *labels: str, buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS
    ) -> Histogram:
        return Histogram(PREFIX + name, text, labels, registry=self._registry, buckets=buckets)


class Metrics:
    """Attributes are the metrics; names, units and labels are fixed by the contract."""

    def __init__(self, version: str, jpeg: str = "pillow", extras: Iterable[str] = ()) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series
        self.registry = _of_the_process()
        make = _Maker(self.registry)
        self._of_watches(make)
        self._of_work(make)
        self._of_images(make)
        self._of_surroundings(make)
        self.registry.register(_InternalErrors())
        self.build_info = make.gauge("build_info", "Always 1; the labels say what runs.", "version", "python", "jpeg")
        self.build_info.labels(version, platform.python_version(), jpeg).set(1)
        self.known_reasons, self.known_extras = tuple(Reason), tuple(extras)
        self._presets: frozenset[str] = frozenset()
        self._start_at_zero()

    def _of_watches(self, make: _Maker) -> None:
        self.events = make.counter("events_total", "File system events noted, by kind.", "watch", "kind")
        self.overflows = make.counter("overflows_total", "Times that the kernel's event queue overflowed.", "watch")
        self.missed_changes = make.counter(
            "missed_changes_total", "Changes that a reconcile found and no event had announced.", "watch"
        )
        self.watch_up = make.gauge("watch_up", "1 while the root is there and watched.", "watch")
        self.watch_state = make.gauge("watch_state", "1 for the state that the watch is in.", "watch", "state")
        self.inotify_watches = make.gauge("inotify_watches", "Kernel watches in use.")
        self.inotify_limit = make.gauge("inotify_watches_limit", "Kernel watches that one user may have.")
        self.last_event = make.gauge("last_event_timestamp_seconds", "Time of the last event.", "watch")
        self.last_reconcile = make.gauge("last_reconcile_timestamp_seconds", "End of the last reconcile.", "watch")
        self.reconcile_seconds = make.histogram(
            "reconcile_duration_seconds",
            "Duration of whole reconciles.",
            buckets=(0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200),
        )
        self.held_deletions = make.gauge(
            "held_deletions", "Sources whose deletion waits for a second reconcile.", "watch"
        )
        self.sources = make.gauge("sources", "Sources in the index.", "watch")
        self.sources_pending = make.gauge(
            "sources_pending", "Sources that wait for work, beyond the queue, too.", "watch"
        )

    def _of_work(self, make: _Maker) -> None:
        self.oldest_pending = make.gauge(
            "oldest_pending_seconds", "How long the oldest job of a lane has waited.", "lane"
        )
        self.queue_depth = make.gauge("queue_depth", "Jobs waiting in the bounded queue.", "lane")
        self.queue_capacity = make.gauge("queue_capacity", "Jobs that one lane of the queue can hold.")
        self.paused = make.gauge("paused", "1 while a lane is paused.", "lane")
        self.workers = make.gauge("workers", "Worker threads by what they do.", "state")
        self.workers_bound = make.gauge(
            "workers_bound", "Between how many workers the pool grows and shrinks.", "bound"
        )
        self.pool_resizes = make.counter("pool_resizes_total", "Times that the pool was given another size.", "reason")
        self.jobs = make.counter("jobs_total", "Jobs ended, by result.", "watch", "result")

    def _of_images(self, make: _Maker) -> None:
        self.stages = make.histogram(
            "stage_duration_seconds", "Time of one image in each stage.", "stage", buckets=STAGE_BUCKETS
        )
        self.drop_to_ready = make.histogram(
            "drop_to_ready_seconds",
            "From the last event of a version to its last rendition.",
            "watch",
            buckets=READY_BUCKETS,
        )
        self.misnamed = make.counter(
            "misnamed_sources_total", "Sources made whose content is of another format than their name says.", "watch"
        )
        self.renditions = make.counter("renditions_total", "Renditions made.", "preset")
        self.analyzed = make.counter(
            "analyzed_total", "Images analysed, by the class of their camera and what was found.", "camera", "verdict"
        )
        self.source_bytes = make.counter("source_bytes_total", "Bytes of the sources from which renditions were made.")
        self.rendition_bytes = make.counter("rendition_bytes_total", "Bytes of the renditions made.")
        self.saved_bytes = make.counter(
            "saved_bytes_total", "Bytes that optimized copies are smaller than their sources."
        )
        self.cache_requests = make.counter("cache_requests_total", "Whether renditions were found current.", "result")
        self.quarantined = make.gauge("quarantined_sources", "Sources in quarantine.", "reason")
        self.skipped = make.gauge(
            "skipped_sources", "Sources whose decoder is an extra that is not installed.", "extra"
        )

    def _of_surroundings(self, make: _Maker) -> None:
        self.memory_reserved = make.gauge(
            "memory_reserved_bytes", "Memory that jobs in work have reserved, and the process itself."
        )
        self.memory_limit = make.gauge("memory_limit_bytes", "Memory that all of it may reserve together.")
        self.output_free = make.gauge("output_free_bytes", "Free space where renditions go.", "watch")
        self.hook_deliveries = make.counter("hook_deliveries_total", "Hook deliveries, by result.", "hook", "result")
        self.http_requests = make.counter("http_requests_total", "HTTP requests answered.", "route", "code")
        self.http_seconds = make.histogram("http_request_duration_seconds", "Time to answer a request.", "route")
        self.last_success = make.gauge("last_success_timestamp_seconds", "When a job last ended well.", "watch")

    def _start_at_zero(self) -> None:
        for stage in STAGES:
            self.stages.labels(stage)
        for result in ("hit", "miss"):
            self.cache_requests.labels(result)
        for reason in Reason:
            self.quarantined.labels(reason)
        for extra in self.known_extras:
            self.skipped.labels(extra)
        for lane in Lane:
            for gauge in (self.oldest_pending, self.queue_depth, self.paused):
                gauge.labels(lane)
        for state in ("busy", "idle", "stuck"):
            self.workers.labels(state)
        for bound in ("low", "high"):
            self.workers_bound.labels(bound)

    def know_watch(self, watch: str) -> None:
        """Begin all series of this watch at 0."""
        for kind in Kind:
            self.events.labels(watch, kind)
        for result in COUNTED:
            self.jobs.labels(watch, result)
        for state in WatchState:
            self.watch_state.labels(watch, state)
        self.drop_to_ready.labels(watch)
        self.misnamed.labels(watch)
        self.overflows.labels(watch)
        self.missed_changes.labels(watch)
        for gauge in (
            self.watch_up,
            self.last_event,
            self.last_reconcile,
            self.held_deletions,
            self.sources,
            self.sources_pending,
            self.output_free,
            self.last_success,
        ):
            gauge.labels(watch)

    def forget(self, label: str, name: str) -> None:
        """Drop all series of a watch or hook that is no longer there."""
        for metric in vars(self).values():
            if isinstance(metric, MetricWrapperBase) and label in metric._labelnames:
                metric.remove_by_labels({label: name})

    def know_presets(self, names: Iterable[str]) -> None:
        self._presets = frozenset(names)
        for name in (*self._presets, "custom"):
            self.renditions.labels(name)

    def preset_label(self, name: str) -> str:
        """What callers call their own sizes, or where they want them, makes no label."""
        return name if name in self._presets else "custom"

    def stage(self, name: str, seconds: float) -> None:
        self.stages.labels(name).observe(seconds)

    def set_state(self, watch: str, state: WatchState) -> None:
        for known in WatchState:
            self.watch_state.labels(watch, known).set(known == state)
        self.watch_up.labels(watch).set(state is not WatchState.OFFLINE)

    def value(self, name: str, **labels: str) -> float:
        """One sample as /metrics would show it; 0 where there is none."""
        return self.registry.get_sample_value(name, labels) or 0.0

    def expose(self, accept: str) -> tuple[bytes, str]:
        """The text for a scrape and its content type; OpenMetrics where the scraper asks for it."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type


class _InternalErrors(Collector):
    """Counted where they are logged, for the whole process."""

    def collect(self) -> Iterable[Metric]:
        found = CounterMetricFamily(
            "hotfolder_internal_errors", "Errors of our own, each logged with its traceback.", labels=["where"]
        )
        counts = dict.fromkeys(WHERE, 0) | logs.internal_errors()
        for where, count in counts.items():
            found.add_metric([where], count)
        yield found


def _of_the_process() -> CollectorRegistry:
    """A registry with what any Python process has to tell."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(GC_COLLECTOR)
    return registry


def asked(gauge: Gauge, read: Callable[[], float]) -> None:
    """Let the gauge ask `read` at scrape time; where that fails it shows NaN and the scrape goes on."""

    def safely() -> float:
        try:
            return float(read())
        except Exception as error:  # noqa: BLE001 - one number must not cost all others
            log.warning("metric_failed", error=error)
            return float("nan")

    gauge.set_function(safely)
