"""A call's record as OpenTelemetry spans: one tree for the whole life of a call.

    call
      call.setup
        ring_delivery, ringing, negotiation, media
        one SERVER span for each handled event, one ice.trickle for each side
      call.connected
        call.reconnecting, renegotiation, call.node_lost, the events handled meanwhile
      media.quality, one for each side that reported on its media
      call.hangup

The call id is the trace id, and the id of the root span follows from it, so that nobody need carry context
anywhere: nodes agree on it, and the call id in a support ticket opens the trace. Ids of other spans follow from
their name, and where there may be more than one, from their place and time. Attributes are the call's facts; never a
user, an address, a description or a candidate.

Of a call that nodes share each makes the spans of what it has seen itself. The frame that they hang in (call,
call.setup, call.connected, call.hangup) is made by the node that ended the call, and by no other.
"""

import hashlib
from collections.abc import Iterator, Mapping

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode
from opentelemetry.util.types import AttributeValue

from observability import mediaspans
from observability.catalogue import Fault, Milestone, Phase
from observability.record import CallRecord, Handled
from service import __version__
from service.domain.ids import CallId

SCOPE = InstrumentationScope("hellotalk.signalling", __version__)
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
TREE_PHASES = (Phase.RING_DELIVERY, Phase.RINGING, Phase.NEGOTIATION, Phase.MEDIA)
"""The phases that are stretches of time; the others are sums over them."""

Attributes = Mapping[str, AttributeValue]


def root_span_id(call_id: CallId) -> str:
    """The id of the span `call`, 16 hexadecimal digits; the same on every node."""
    return f"{_root(call_id):016x}"


class SpanTree:
    """Makes the spans of one record. `resource` says which node they come from."""

    def __init__(self, record: CallRecord, resource: Resource) -> None:
        self._record = record
        self._resource = resource
        self._trace_id = int(record.call.id, 16)
        self._root = _root(record.call.id)
        self._setup = self._id("call.setup")
        self._connected = self._id("call.connected")

    def setup(self) -> Iterator[ReadableSpan]:
        """The set-up and what belongs to it. Complete once the call is connected or over."""
        record = self._record
        if not record.is_shared:
            yield self._setup_span()
        for phase, start, end in record.phases:
            if phase in TREE_PHASES:
                links = _links(record.traceparent) if phase is Phase.RING_DELIVERY and record.is_shared else ()
                yield self._span(phase.value, start, end, self._id(phase.value), self._setup, links=links)
        for role, trickle in record.trickle.items():
            if trickle.count:
                facts = {"signalling.call.role": role.value, "signalling.ice.candidates": trickle.count}
                span_id = self._id_at(f"ice.trickle {role}", trickle.first_at_s)
                yield self._span("ice.trickle", trickle.first_at_s, trickle.last_at_s, span_id, self._setup, facts)
        yield from self._events(in_setup=True)

    def rest(self) -> Iterator[ReadableSpan]:
        """What came after the set-up, and the root. Complete once the call is over."""
        record, call = self._record, self._record.call
        ended_at = call.ended_at_s or call.placed_at_s
        parent = self._connected if Milestone.CONNECTED in record.reached else self._setup
        for place, (role, start, end) in enumerate(record.absences):
            if end is None and not record.speaks_for_all:
                continue  # whoever sees the end of it tells of it
            facts = {"signalling.call.role": role.value}
            span_id = self._id_at(f"call.reconnecting {place}", start)
            yield self._span("call.reconnecting", start, end or ended_at, span_id, parent, facts)
        for place, (role, at) in enumerate(record.renegotiations):
            facts = {"signalling.call.role": role.value}
            yield self._span("renegotiation", at, at, self._id_at(f"renegotiation {place}", at), parent, facts)
        if record.node_lost_at is not None:
            at = record.node_lost_at
            yield self._span("call.node_lost", at, at, self._id_at("call.node_lost", at), parent)
        yield from self._media()
        yield from self._events(in_setup=False)
        if record.speaks_for_all:
            yield from self._frame(ended_at)

    def _frame(self, ended_at: float) -> Iterator[ReadableSpan]:
        record, call = self._record, self._record.call
        if record.is_shared:
            yield self._setup_span()
        connected_at = record.reached.get(Milestone.CONNECTED)
        if connected_at is not None:
            yield self._span("call.connected", connected_at, ended_at, self._connected, self._root)
        reason = {"signalling.call.reason": call.reason.value if call.reason else ""}
        yield self._span("call.hangup", ended_at, ended_at, self._id("call.hangup"), self._root, reason)
        yield self._call(ended_at)

    def _setup_span(self) -> ReadableSpan:
        call = self._record.call
        until = self._record.reached.get(Milestone.CONNECTED, call.ended_at_s or call.placed_at_s)
        return self._span("call.setup", call.placed_at_s, until, self._setup, self._root)

    def _call(self, ended_at: float) -> ReadableSpan:
        record, call = self._record, self._record.call
        fault = record.fault or Fault.NONE
        facts: dict[str, AttributeValue] = {
            "signalling.call.id": call.id,
            "signalling.call.media": call.media.value,
            "signalling.call.reason": call.reason.value if call.reason else "",
            "signalling.call.fault": fault.value,
            "signalling.call.ended_in": record.ended_in.value,
            "signalling.call.glare": record.glare,
            "signalling.call.server_time": record.server_s,
        }
        if record.node_lost_at is not None:
            facts["signalling.call.node_lost"] = True
        if record.events_lost:
            facts["signalling.call.events_not_kept"] = record.events_lost
        failed = fault in (Fault.SERVER, Fault.NETWORK)
        status = Status(StatusCode.ERROR, str(facts["signalling.call.reason"])) if failed else Status(StatusCode.UNSET)
        links = _links(record.traceparent)
        return self._span("call", call.placed_at_s, ended_at, self._root, None, facts, status=status, links=links)

    def _media(self) -> Iterator[ReadableSpan]:
        for role, told in self._record.media.items():
            facts, events = mediaspans.attributes(role, told), tuple(mediaspans.events(told, self._unix_ns))
            span_id = self._id_at(f"media.quality {role}", told.first_at_s)
            yield self._span(
                "media.quality", told.first_at_s, told.last_at_s, span_id, self._root, facts, events=events
            )

    def _events(self, *, in_setup: bool) -> Iterator[ReadableSpan]:
        connected_at = self._record.reached.get(Milestone.CONNECTED)
        for place, handled in enumerate(self._record.events):
            is_setup = connected_at is None or handled.received_at_s <= connected_at
            if is_setup is in_setup:
                yield self._event(place, handled, self._setup if is_setup else self._connected)

    def _event(self, place: int, handled: Handled, parent: int) -> ReadableSpan:
        facts: dict[str, AttributeValue] = {
            "rpc.system.name": "socketio",
            "rpc.method": handled.event,
            "signalling.event.queue_time": handled.waited_s,
        }
        if handled.role is not None:
            facts["signalling.call.role"] = handled.role.value
        status = Status(StatusCode.UNSET)
        if handled.outcome != "ok":
            facts["error.type"] = handled.outcome
            status = Status(StatusCode.ERROR if handled.outcome == "internal" else StatusCode.UNSET)
        start = handled.received_at_s
        end = start + handled.waited_s + handled.took_s
        span_id = self._id_at(f"{handled.event} {place}", start)
        return self._span(handled.event, start, end, span_id, parent, facts, kind=SpanKind.SERVER, status=status)

    def _span(
        self,
        name: str,
        start_s: float,
        end_s: float,
        span_id: int,
        parent: int | None,
        attributes: Attributes | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status | None = None,
        links: tuple[Link, ...] = (),
        events: tuple[Event, ...] = (),
    ) -> ReadableSpan:
        return ReadableSpan(
            name=name,
            context=self._context(span_id),
            parent=None if parent is None else self._context(parent),
            resource=self._resource,
            attributes=attributes or {},
            kind=kind,
            status=status or Status(StatusCode.UNSET),
            links=links,
            events=events,
            start_time=self._unix_ns(start_s),
            end_time=self._unix_ns(max(start_s, end_s)),
            instrumentation_scope=SCOPE,
        )

    def _unix_ns(self, clock_s: float) -> int:
        return int(clock_s * 1e9) + self._record.wall_offset_ns

    def _context(self, span_id: int) -> SpanContext:
        return SpanContext(self._trace_id, span_id, is_remote=False, trace_flags=SAMPLED)

    def _id(self, name: str) -> int:
        return _span_id(f"{self._record.call.id} {name}")

    def _id_at(self, name: str, at_s: float) -> int:
        """Of what there may be more than one; another node may have one of the same name and place."""
        return self._id(f"{name} {self._unix_ns(at_s)}")


def _root(call_id: CallId) -> int:
    return _span_id(call_id)


def _span_id(text: str) -> int:
    """64 bits that follow from the text; never 0, which the specification forbids."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") or 1


def _links(traceparent: str | None) -> tuple[Link, ...]:
    if traceparent is None:
        return ()
    _version, trace_id, span_id, flags = traceparent.split("-")
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return (Link(context),) if context.is_valid else ()
