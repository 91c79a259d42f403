"""All of it put together: give `Telemetry.observer` to the service, and close it at the end."""

import os
import platform
import socket
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, TextIO

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter
from prometheus_client import CollectorRegistry, ProcessCollector

from observability import callrecords
from observability import catalogue as c
from observability.callrecords import CallRecords, LineWriter
from observability.cluster_metrics import ClusterMetrics
from observability.explanation import explain
from observability.exposition import Exposition
from observability.fanout import Fanout
from observability.instruments import Instruments
from observability.ledger import Ledger
from observability.logs import CallLog, FailureLog, LogWriter, configure_logging
from observability.metric import Metric
from observability.metrics import BackendMetrics, CallMetrics, EventMetrics, MediaMetrics
from observability.recent import RecentCalls
from observability.record import CallWatcher
from observability.runtime import GcWatch, LoopWatch
from observability.traces import Pipeline, Tracer
from service import __version__
from service.domain.call import State
from service.domain.ids import CallId
from service.ports import Clock, Observer, RedisWatch
from service.protocol.admin import Explanation

TRACES_PATH = "/v1/traces"
NO_METRICS_PORT = 0


class TelemetryOptions(NamedTuple):
    """What telemetry needs to be told; see `service.config.Settings` for each.

    `shared` says that the node shares its users with others, over Redis.
    """

    metrics_host: str
    metrics_port: int
    trace_ratio: float
    otlp_endpoint: str | None
    log_level: str
    log_stream: TextIO = sys.stderr
    shared: bool = False
    call_records: str = callrecords.OFF
    keeps_ended: bool = False
    """Whether calls that have ended can still be explained for a while."""


class Telemetry:
    """Metrics, traces and logs of one node.

    Make it on the event loop's thread.

    Raises:
        AddressError: the metrics address cannot be listened on.
    """

    def __init__(self, options: TelemetryOptions, clock: Clock, exporter: SpanExporter | None = None) -> None:
        people = options.log_stream.isatty()
        configure_logging(options.log_stream, options.log_level, people=people)
        self.instruments = Instruments(_metrics(shared=options.shared))
        self.registry = _registry(self.instruments)
        self._log = LogWriter(options.log_stream, clock, level=options.log_level, people=people)
        self._exposition = _expose(options, self.registry)
        exporter = exporter or _exporter(options.otlp_endpoint)
        self._pipeline = Pipeline(exporter, self.instruments) if exporter is not None else None
        self.node: str | None = None
        """What this node is called among others."""
        self._clock = clock
        self._recent = RecentCalls()
        self._call_records: LineWriter | None = None
        if options.call_records != callrecords.OFF:
            self._call_records = LineWriter(options.call_records, self._on_lost_records)
        watchers = self._call_watchers(options, clock).front
        self.ledger = Ledger(watchers, clock, time.time_ns, shared=options.shared)
        self.fanout = Fanout(Observer, self._observers(clock), self._on_failure)
        self.observer: Observer = self.fanout.front
        self.redis_watch: RedisWatch = self._redis_watch() if options.shared else RedisWatch()
        self._loop_watch = LoopWatch(clock, self.instruments)
        self._gc_watch = GcWatch(self.instruments)
        self._look_up(c.OLDEST_CALL, lambda: self.ledger.oldest_s)
        self._look_up(c.CALLS_PEAK, lambda: self.ledger.peak)

    @property
    def metrics_port(self) -> int:
        """The port that is scraped; 0 where there is none."""
        return self._exposition.port if self._exposition is not None else NO_METRICS_PORT

    def watch_node(
        self,
        *,
        is_ready: Callable[[], bool],
        is_draining: Callable[[], bool],
        users_online: Callable[[], int],
        watches: Callable[[], int],
        events_in_progress: Callable[[], int],
        outbound_buffer_bytes: Callable[[], int],
        background_tasks: Callable[[], int],
    ) -> None:
        """Look these up at each scrape, from the scrape's thread."""
        self._look_up(c.READY, is_ready)
        self._look_up(c.DRAINING, is_draining)
        self._look_up(c.USERS_ONLINE, users_online)
        self._look_up(c.WATCHES, watches)
        self._look_up(c.EVENTS_IN_PROGRESS, events_in_progress)
        self._look_up(c.OUTBOUND_BUFFER, outbound_buffer_bytes)
        self._look_up(c.BACKGROUND_TASKS, background_tasks)

    def explain(self, call_id: CallId) -> Explanation | None:
        """What this node saw of a call that is live or has ended lately; None if nothing."""
        record = self.ledger.find(call_id)
        is_live = record is not None and record.call.state is not State.ENDED
        record = record or self._recent.find(call_id)
        return None if record is None else explain(record, self.node, self._clock.now(), is_live=is_live)

    def flush_call_records(self) -> None:
        """Wait until the records of ended calls are written."""
        if self._call_records is not None:
            self._call_records.flush()

    def flush_log(self) -> None:
        """Write now what would be written a moment later."""
        self._log.flush()

    def flush_traces(self) -> None:
        """Send now what is queued for the collector, and wait for it."""
        if self._pipeline is not None:
            self._pipeline.flush()

    def close(self) -> None:
        """Settle what is open, send what is queued, stop serving. Takes a few seconds at the most."""
        self.ledger.close()
        if self._call_records is not None:
            self._call_records.close()
        self._loop_watch.close()
        self._gc_watch.close()
        if self._pipeline is not None:
            self._pipeline.close()
        if self._exposition is not None:
            self._exposition.close()
        self._log.flush()

    def _call_watchers(self, options: TelemetryOptions, clock: Clock) -> Fanout[CallWatcher]:
        watchers: dict[str, CallWatcher] = {}
        if self._pipeline is not None:  # first, since its decision is what exemplars depend on
            watchers["call_traces"] = Tracer(
                ratio=options.trace_ratio,
                export=self._pipeline.export,
                resource=_resource(),
                instruments=self.instruments,
                now=clock.now,
            )
        watchers["call_metrics"] = CallMetrics(self.instruments)
        watchers["media_metrics"] = MediaMetrics(self.instruments)
        if options.keeps_ended:
            watchers["recent_calls"] = self._recent
        if self._call_records is not None:
            watchers["call_records"] = CallRecords(self._call_records.write, lambda: self.node)
        if self._log.writes("info"):
            watchers["call_log"] = CallLog(self._log.write)
        return Fanout(CallWatcher, watchers, self._on_failure)

    def _observers(self, clock: Clock) -> dict[str, Observer]:
        return {
            "call_ledger": self.ledger,
            "event_metrics": EventMetrics(self.instruments, self.ledger.is_kept),
            "backend_metrics": BackendMetrics(self.instruments),
            "failure_log": FailureLog(self._log.write, clock.now),
        }

    def _redis_watch(self) -> RedisWatch:
        watchers = {"cluster_metrics": ClusterMetrics(self.instruments), "call_ledger": self.ledger}
        return Fanout(RedisWatch, watchers, self._on_failure).front

    def _look_up(self, metric: Metric, read: Callable[[], float]) -> None:
        self.instruments.gauge(metric).read = read

    def _on_failure(self, name: str) -> None:
        if name == "call_traces":
            self.ledger.keep_none()  # nothing is exported any more, so no exemplar may point to it
        self.instruments.counter(c.OBSERVER_FAILURES, name).value += 1

    def _on_lost_records(self, count: int) -> None:
        self.instruments.counter(c.OBSERVER_FAILURES, "call_records").value += count


def _metrics(*, shared: bool) -> tuple[Metric, ...]:
    return tuple(metric for metric in c.SERVER_METRICS if shared or metric not in c.CLUSTER_METRICS)


def _registry(instruments: Instruments) -> CollectorRegistry:
    registry = instruments.registry()
    ProcessCollector(registry=registry)
    facts = (__version__, os.environ.get("REVISION", "unknown"), platform.python_version())
    instruments.gauge(c.BUILD_INFO, *facts).value = 1
    return registry


def _expose(options: TelemetryOptions, registry: CollectorRegistry) -> Exposition | None:
    if options.metrics_port == NO_METRICS_PORT:
        return None
    return Exposition(registry, options.metrics_host, options.metrics_port)


def _exporter(endpoint: str | None) -> SpanExporter | None:
    """The SDK's own exporter. The more specific standard variables win, as its specification asks for."""
    if os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return OTLPSpanExporter()
    if not endpoint:
        return None
    return OTLPSpanExporter(endpoint=endpoint.rstrip("/") + TRACES_PATH)


def _resource() -> Resource:
    """Which node this is. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` add to it and win."""
    facts = {"service.version": __version__, "service.instance.id": f"{socket.gethostname()}-{os.getpid()}"}
    if not os.environ.get("OTEL_SERVICE_NAME"):
        facts["service.name"] = "hellotalk-signalling"
    return Resource.create(facts)
