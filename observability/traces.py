"""Which calls are traced, and how their spans get to the collector.

The decision is made at the end: of the set-up, and of the call. Kept is every call that ended through the fault of
the server or the network, every slow one, and a ratio that follows from the trace id, so that all nodes agree.
Only then are spans made (73 microseconds for a call, measured while designing).

Nodes that share a call each decide on it for themselves, and come to the same by what the call itself says: its id,
how it ended, how long it took. What one node alone knows (a slow ring, an event that failed) keeps that node's part.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from observability import catalogue as c
from observability.catalogue import Fault, Phase, TraceDecision
from observability.instruments import Instruments
from observability.record import CallRecord, CallWatcher, ended_badly
from observability.spans import SpanTree

SLOW_S = {Phase.RING_DELIVERY: 0.25, Phase.SETUP_TOTAL: 3.0, Phase.SETUP_SERVER: 0.25}
"""A call is slow when one of these phases takes longer: the objectives of docs/slo.md."""

MAX_KEPT_PER_S = 20
"""Calls kept for being slow or at fault, so that an outage cannot flood the collector. The ratio is not capped."""

MAX_QUEUED_SPANS = 4096
MAX_BATCH_SPANS = 128
"""Spans that are sent together, unless `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` says otherwise. To encode them takes 1.7 ms,
for which the event loop may have to wait; the SDK's own 512 take 7."""

FLUSH_S = 3.0
"""How long the end of the process waits for the collector."""


class Tracer(CallWatcher):
    """Decides on each call's trace and hands the spans of the kept ones to `export`."""

    def __init__(
        self,
        *,
        ratio: float,
        export: Callable[[Iterable[ReadableSpan]], None],
        resource: Resource,
        instruments: Instruments,
        now: Callable[[], float],
    ) -> None:
        self._below = int(ratio * 2**64)
        self._export = export
        self._resource = resource
        self._instruments = instruments
        self._cap = _Cap(MAX_KEPT_PER_S, now)

    def placed(self, record: CallRecord) -> None:
        """See `CallWatcher.placed`. The ratio looks at the low 64 bits of the trace id, as the SDK's own sampler."""
        if int(record.call.id[16:], 16) < self._below:
            record.decide(TraceDecision.KEPT_RATIO)

    def joined(self, record: CallRecord) -> None:
        """See `CallWatcher.joined`."""
        self.placed(record)

    def phase_over(self, record: CallRecord, phase: Phase, seconds: float) -> None:
        """See `CallWatcher.phase_over`."""
        if seconds > SLOW_S.get(phase, float("inf")):
            self._keep(record, TraceDecision.KEPT_SLOW)

    def ended(self, record: CallRecord) -> None:
        """See `CallWatcher.ended`."""
        if record.fault in (Fault.SERVER, Fault.NETWORK):
            self._keep(record, TraceDecision.KEPT_FAULT)
        self._keep_as_the_others_do(record)

    def setup_settled(self, record: CallRecord) -> None:
        """See `CallWatcher.setup_settled`."""
        self._keep_failed_events(record)
        if record.is_kept:
            record.setup_exported = True
            self._export(SpanTree(record, self._resource).setup())

    def settled(self, record: CallRecord) -> None:
        """See `CallWatcher.settled`."""
        self._keep_failed_events(record)
        self._keep_as_the_others_do(record)
        if record.speaks_for_all:
            decision = record.decision or TraceDecision.DROPPED_RATIO
            self._instruments.counter(c.CALL_TRACES, decision.value).value += 1
        if record.is_kept:
            tree = SpanTree(record, self._resource)
            if not record.setup_exported:
                self._export(tree.setup())
            self._export(tree.rest())

    def _keep_failed_events(self, record: CallRecord) -> None:
        if any(handled.outcome == "internal" for handled in record.events):
            self._keep(record, TraceDecision.KEPT_FAULT)

    def _keep_as_the_others_do(self, record: CallRecord) -> None:
        call = record.call
        if not record.is_shared:
            return
        if ended_badly(call):
            self._keep(record, TraceDecision.KEPT_FAULT)
        if (call.connected_at_s or 0.0) - (call.answered_at_s or 0.0) > SLOW_S[Phase.SETUP_TOTAL]:
            self._keep(record, TraceDecision.KEPT_SLOW)

    def _keep(self, record: CallRecord, why: TraceDecision) -> None:
        if record.decision is None:
            record.decide(why if self._cap.take() else TraceDecision.DROPPED_CAP)


class _Cap:
    """So many in each second."""

    def __init__(self, per_s: int, now: Callable[[], float]) -> None:
        self._per_s = per_s
        self._now = now
        self._second = -1
        self._taken = 0

    def take(self) -> bool:
        """Whether there is room for one more in this second."""
        second = int(self._now())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken <= self._per_s


class Pipeline:
    """The SDK's batch processor in front of an exporter, with a bound that counts what it gives up."""

    def __init__(self, exporter: SpanExporter, instruments: Instruments) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs each failed batch; they are counted
        self._dropped = instruments.counter(c.TRACE_SPANS, "dropped")
        self._counting = _Counting(exporter, instruments)
        self._taken = 0
        batch = int(os.environ.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE") or MAX_BATCH_SPANS)
        self._processor = BatchSpanProcessor(
            self._counting, max_queue_size=MAX_QUEUED_SPANS, max_export_batch_size=batch
        )

    def export(self, spans: Iterable[ReadableSpan]) -> None:
        """Queue spans. Never waits."""
        for span in spans:
            if self._taken - self._counting.finished >= MAX_QUEUED_SPANS:
                self._dropped.value += 1
            else:
                self._taken += 1
                self._processor.on_end(span)

    def flush(self) -> None:
        """Send what is queued and wait until it is sent."""
        self._processor.force_flush()

    def close(self) -> None:
        """Send what is queued, for `FLUSH_S` at the most."""
        flushing = threading.Thread(target=self._processor.shutdown, name="flush traces", daemon=True)
        flushing.start()
        flushing.join(FLUSH_S)


class _Counting(SpanExporter):
    """Counts what becomes of the spans. Runs on the processor's thread."""

    def __init__(self, exporter: SpanExporter, instruments: Instruments) -> None:
        self._exporter = exporter
        self._ok = instruments.counter(c.TRACE_SPANS, "ok")
        self._failed = instruments.counter(c.TRACE_SPANS, "failed")
        self.finished = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter.export`."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            counter = self._ok if result is SpanExportResult.SUCCESS else self._failed
            counter.value += len(spans)
            self.finished += len(spans)
        return result

    def shutdown(self) -> None:
        """See `SpanExporter.shutdown`."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """See `SpanExporter.force_flush`."""
        return self._exporter.force_flush(timeout_millis)
