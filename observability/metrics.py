"""Observers that move the instruments: one for events and links, one for calls."""

import time
from collections.abc import Callable

from observability import catalogue as c
from observability.catalogue import Milestone, Phase
from observability.instruments import Counter, Histogram, Instruments
from observability.record import CallRecord, CallWatcher
from service.domain.budget import Scope
from service.domain.call import State
from service.domain.effects import Role
from service.domain.events import Media
from service.domain.ids import CallId, SessionId
from service.domain.quality import CallStats, IceOutcome
from service.errors import RateLimitedError
from service.ports import EventHandled, LinkClosed, LinkOpened, LinkRefused, Observer


class EventMetrics(Observer):
    """Rate, errors and duration of every event from one place, and the links that they come through."""

    def __init__(self, instruments: Instruments, is_kept: Callable[[CallId | None], bool]) -> None:
        self._instruments = instruments
        self._is_kept = is_kept
        self._children: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        self._queue_delay = instruments.histogram(c.EVENT_QUEUE_DELAY)
        self._received = self._sizes("in")
        self._sent = self._sizes("out")
        self._transports: dict[SessionId, str] = {}
        self.message_received = self._received.observe  # type: ignore[assignment] # one call less, for each message
        self.message_sent = self._sent.observe  # type: ignore[assignment]

    # --- on the way of every event: children are kept, nothing is looked up twice ---

    def rate_limited(self, scope: Scope) -> None:
        """See `Observer.rate_limited`."""
        self._instruments.counter(c.RATE_LIMITED, scope).value += 1

    def event_handled(self, record: EventHandled) -> None:
        """See `Observer.event_handled`."""
        counter, duration = self._children.get((record.event, record.outcome)) or self._make_children(record)
        counter.value += 1
        if record.call_id is not None and self._is_kept(record.call_id):
            duration.observe_traced(record.took_s, record.call_id)
        else:
            duration.observe(record.took_s)
        self._queue_delay.observe(record.waited_s)
        if record.error is not None:
            kind = type(record.error).__name__
            self._instruments.counter(c.EVENT_EXCEPTIONS, record.event, kind).value += 1

    def message_received(self, size_bytes: int) -> None:
        """See `Observer.message_received`."""
        self._received.observe(size_bytes)

    def message_sent(self, size_bytes: int) -> None:
        """See `Observer.message_sent`."""
        self._sent.observe(size_bytes)

    def _make_children(self, record: EventHandled) -> tuple[Counter, Histogram]:
        counter = self._instruments.counter(c.EVENTS_TOTAL, record.event, record.outcome)
        children = counter, self._instruments.histogram(c.EVENT_DURATION, record.event)
        self._children[record.event, record.outcome] = children
        return children

    def _sizes(self, direction: str) -> Histogram:
        """The histogram of message sizes, which counts and adds up for the two counters as well."""
        sizes = self._instruments.histogram(c.MESSAGE_SIZE, direction)
        self._instruments.counter(c.MESSAGES, direction).read = lambda: sizes.count
        self._instruments.counter(c.MESSAGE_BYTES, direction).read = lambda: sizes.sum
        return sizes

    # --- links ---

    def link_opened(self, record: LinkOpened) -> None:
        """See `Observer.link_opened`."""
        self._transports[record.session] = record.transport
        self._instruments.gauge(c.CONNECTIONS, record.transport).value += 1
        self._instruments.counter(c.CONNECTS, record.transport, "ok").value += 1
        self._instruments.histogram(c.CONNECT_DURATION, record.transport).observe(record.took_s)

    def link_refused(self, record: LinkRefused) -> None:
        """See `Observer.link_refused`."""
        self._instruments.counter(c.CONNECTS, record.transport, record.result).value += 1
        if record.result == RateLimitedError.code:
            self._instruments.counter(c.RATE_LIMITED, Scope.CONNECT).value += 1

    def statuses_pushed(self, count: int) -> None:
        """See `Observer.statuses_pushed`."""
        self._instruments.counter(c.STATUS_PUSHES).value += count

    def link_upgraded(self, session: SessionId) -> None:
        """See `Observer.link_upgraded`."""
        before = self._transports.get(session)
        if before is not None:
            self._instruments.gauge(c.CONNECTIONS, before).value -= 1
            self._instruments.gauge(c.CONNECTIONS, "websocket").value += 1
            self._transports[session] = "websocket"

    def link_closed(self, record: LinkClosed) -> None:
        """See `Observer.link_closed`."""
        transport = self._transports.pop(record.session, record.transport)
        self._instruments.gauge(c.CONNECTIONS, transport).value -= 1
        self._instruments.counter(c.DISCONNECTS, record.reason).value += 1
        self._instruments.histogram(c.CONNECTION_DURATION).observe(record.lasted_s)

    def messages_dropped(self, reason: str, count: int) -> None:
        """See `Observer.messages_dropped`."""
        self._instruments.counter(c.OUTBOUND_DROPPED, reason).value += count

    def messages_missed(self, result: str, count: int) -> None:
        """See `Observer.messages_missed`."""
        self._instruments.counter(c.MISSED_MESSAGES, result).value += count

    def client_answered(self, transport: str, round_trip_s: float) -> None:
        """See `Observer.client_answered`."""
        self._instruments.histogram(c.CLIENT_RTT, transport).observe(round_trip_s)


class BackendMetrics(Observer):
    """What comes of asking others: the token issuer for its keys, the application's backend for leave to call."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._fetched_at = instruments.gauge(c.KEYS_FETCHED_AT)
        self._duration = instruments.histogram(c.LEAVE_DURATION)

    def keys_fetched(self, result: str) -> None:
        """See `Observer.keys_fetched`."""
        self._instruments.counter(c.KEY_FETCHES, result).value += 1
        if result == "ok":
            self._fetched_at.value = time.time()

    def leave_asked(self, result: str, took_s: float) -> None:
        """See `Observer.leave_asked`."""
        self._instruments.counter(c.LEAVES, result).value += 1
        self._duration.observe(took_s)


class CallMetrics(CallWatcher):
    """The funnel, the phases and the ends of calls."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._attempts = {media: instruments.counter(c.CALL_ATTEMPTS, media) for media in Media}
        self._milestones = {step: instruments.counter(c.CALL_MILESTONES, step) for step in Milestone}
        self._phases = {phase: instruments.histogram(c.CALL_PHASE_DURATION, phase) for phase in Phase}
        self._states = {State(state): instruments.gauge(c.CALLS, state) for state in c.LIVE_STATES}
        self._duration = instruments.histogram(c.CALL_DURATION)

    def placed(self, record: CallRecord) -> None:
        """See `CallWatcher.placed`."""
        self._attempts[record.call.media].value += 1

    def reached(self, record: CallRecord, milestone: Milestone) -> None:
        """See `CallWatcher.reached`."""
        self._milestones[milestone].value += 1

    def phase_over(self, record: CallRecord, phase: Phase, seconds: float) -> None:
        """See `CallWatcher.phase_over`."""
        _observe(self._phases[phase], record, seconds)

    def changed(self, record: CallRecord, before: State | None) -> None:
        """See `CallWatcher.changed`."""
        if before is not None:
            self._states[before].value -= 1
        if record.counted is not None:
            self._states[record.counted].value += 1

    def node_lost(self, record: CallRecord, result: str) -> None:
        """See `CallWatcher.node_lost`."""
        self._instruments.counter(c.CALLS_RECOVERED, result).value += 1

    def glared(self, record: CallRecord) -> None:
        """See `CallWatcher.glared`."""
        self._instruments.counter(c.GLARE).value += 1

    def renegotiated(self, record: CallRecord) -> None:
        """See `CallWatcher.renegotiated`."""
        self._instruments.counter(c.RENEGOTIATIONS).value += 1

    def resumed(self, record: CallRecord, result: str) -> None:
        """See `CallWatcher.resumed`."""
        self._instruments.counter(c.RESUMES, result).value += 1

    def ended(self, record: CallRecord) -> None:
        """See `CallWatcher.ended`."""
        call = record.call
        reason = call.reason.value if call.reason else c.OTHER
        fault = record.fault.value if record.fault else c.OTHER
        self._instruments.counter(c.CALLS_ENDED, reason, fault, record.ended_in.value).value += 1
        if call.answered_at_s is not None and call.ended_at_s is not None:
            lasted = call.ended_at_s - call.answered_at_s
            _observe(self._duration, record, lasted)


class MediaMetrics(CallWatcher):
    """What clients report of ICE and of their media."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._rtt = {path: instruments.histogram(c.MEDIA_RTT, path) for path in c.MEDIA_RTT.labels["path"]}
        self._jitter = instruments.histogram(c.MEDIA_JITTER)
        self._loss = instruments.histogram(c.MEDIA_LOSS)
        self._in, self._out = (instruments.histogram(c.MEDIA_THROUGHPUT, way) for way in c.DIRECTIONS)

    def media_reported(self, record: CallRecord, role: Role, stats: CallStats) -> None:
        """See `CallWatcher.media_reported`. Bits become bytes here."""
        pair = record.media[role].pair
        measured = (
            (self._rtt[c.UNKNOWN if pair is None else pair.path], stats.round_trip_s, 1),
            (self._jitter, stats.jitter_s, 1),
            (self._loss, stats.loss_ratio, 1),
            (self._in, stats.inbound_bps, 1 / 8),
            (self._out, stats.outbound_bps, 1 / 8),
        )
        for histogram, value, scale in measured:
            if value is not None:
                _observe(histogram, record, value * scale)

    def ice_came_to(self, record: CallRecord, role: Role, outcome: IceOutcome, stats: CallStats) -> None:
        """See `CallWatcher.ice_came_to`."""
        self._instruments.counter(c.ICE_OUTCOMES, outcome).value += 1
        if outcome is IceOutcome.FAILED:
            self._instruments.counter(c.ICE_FAILURES, stats.failed_in or c.UNKNOWN).value += 1
        pair = record.media[role].pair
        if outcome is IceOutcome.CONNECTED and pair is not None:
            self._instruments.counter(c.ICE_SELECTED_PAIRS, pair.path, pair.protocol).value += 1


def _observe(histogram: Histogram, record: CallRecord, value: float) -> None:
    if record.is_kept:
        histogram.observe_traced(value, record.call.id)
    else:
        histogram.observe(value)
