"""Every metric, declared once: name, kind, unit, help, labels with their closed values, buckets, since when.

Instruments, dashboards, alert rules, `docs/metrics.md` and the contract tests all take metrics from here. Names
follow Prometheus' rules: base units, the unit as the suffix, `_total` on counters only.
"""

import itertools
from collections.abc import Mapping

from observability.cluster_catalogue import (
    CALLS_RECOVERED,
    CLUSTER_NODES,
    INBOX_BATCH_SIZE,
    INBOX_LAG,
    INBOX_MESSAGES,
    INBOX_PROBLEMS,
    LEASES_LOST,
    REDIS_COMMAND_DURATION,
    REDIS_COMMANDS_FAILED,
    REDIS_RECONNECTS,
    REDIS_UP,
    SESSIONS_REAPED,
)
from observability.metric import HISTOGRAM_UNITS, PREFIX, Kind, Metric, counter, gauge, histogram
from service.domain.budget import Scope
from service.domain.call import State
from service.domain.effects import Reason
from service.domain.events import Media
from service.domain.quality import IceOutcome, IceProtocol, IceStage, Path
from service.domain.words import Word
from service.errors import ALL_ERRORS
from service.protocol.client import CLIENT_MESSAGES

__all__ = [
    "CALLS_RECOVERED",
    "CLUSTER_NODES",
    "HISTOGRAM_UNITS",
    "INBOX_BATCH_SIZE",
    "INBOX_LAG",
    "INBOX_MESSAGES",
    "INBOX_PROBLEMS",
    "LEASES_LOST",
    "PREFIX",
    "REDIS_COMMANDS_FAILED",
    "REDIS_COMMAND_DURATION",
    "REDIS_RECONNECTS",
    "REDIS_UP",
    "SESSIONS_REAPED",
    "Kind",
    "Metric",
]

OTHER = "_OTHER"
"""The value that stands for everything outside a closed set, since clients could choose the rest."""

HANDLER_BUCKETS_S = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PHASE_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 20.0, 30.0, 60.0)
ROUND_TRIP_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LONG_BUCKETS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0)
PAUSE_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
JITTER_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)
LOSS_BUCKETS = (0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
THROUGHPUT_BUCKETS_BYTES_PER_S = (1e3, 2.5e3, 5e3, 1e4, 2.5e4, 5e4, 1e5, 2.5e5, 5e5, 1e6)
SIZE_BUCKETS_BYTES = (64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0)


class Fault(Word):
    """Whose fault the end of a call is. Only `server` burns the error budget."""

    NONE = "none"
    USER = "user"
    NETWORK = "network"
    CLIENT = "client"
    SERVER = "server"


class Phase(Word):
    """A stretch of a call's set-up, each timed."""

    RING_DELIVERY = "ring_delivery"
    RINGING = "ringing"
    NEGOTIATION = "negotiation"
    MEDIA = "media"
    SETUP_SERVER = "setup_server"
    SETUP_TOTAL = "setup_total"


class Milestone(Word):
    """A step of the funnel; each is reached once by a call, or never."""

    ATTEMPTED = "attempted"
    RINGING = "ringing"
    ANSWERED = "answered"
    NEGOTIATED = "negotiated"
    CONNECTED = "connected"
    ENDED = "ended"


class TraceDecision(Word):
    """What became of a call's trace, and why."""

    KEPT_FAULT = "kept_fault"
    KEPT_SLOW = "kept_slow"
    KEPT_RATIO = "kept_ratio"
    DROPPED_RATIO = "dropped_ratio"
    DROPPED_CAP = "dropped_cap"


def _values(kind: type[Word]) -> tuple[str, ...]:
    return tuple(member.value for member in kind)


EVENTS = (*(kind.event for kind in CLIENT_MESSAGES), OTHER)
OUTCOMES = ("ok", *dict.fromkeys(error.code for error in ALL_ERRORS))
TRANSPORTS = ("polling", "websocket")
LIVE_STATES = tuple(state.value for state in State if state is not State.ENDED)
END_REASONS = tuple(
    reason.value for reason in Reason if reason not in (Reason.ANSWERED_ELSEWHERE, Reason.REPLACED)
)  # those two end a call for one socket only; the call goes on
ERROR_TYPES_AT_MOST = 20
"""Exception types beyond these count as `_OTHER`. They come from our code and its libraries, not from clients."""

# --- identity ---

BUILD_INFO = gauge("build_info", "1", "1, with what runs here as labels.", version=("",), revision=("",), python=("",))
READY = gauge("ready", "1", "1 while new clients are welcome (`/readyz`).")
DRAINING = gauge("draining", "1", "1 while the node is stopping.")

# --- connections ---

CONNECTIONS = gauge("connections", "1", "Open Socket.IO connections, by their transport now.", transport=TRANSPORTS)
CONNECTS = counter(
    "connects_total",
    "Connections that were tried, by how it went: `ok`, `refused` by authentication, `malformed` before CONNECT, or "
    "`abandoned` without CONNECT; or turned away for a limit: `rate_limited`, `too_many_connections` of one address, "
    "`server_full`.",
    transport=TRANSPORTS,
    result=("ok", "refused", "malformed", "abandoned", "rate_limited", "too_many_connections", "server_full"),
)
CONNECT_DURATION = histogram(
    "connect_duration_seconds",
    "From the Engine.IO handshake to the Socket.IO CONNECT.",
    PHASE_BUCKETS_S,
    transport=TRANSPORTS,
)
DISCONNECTS = counter(
    "disconnects_total",
    "Connections that ended, by why.",
    reason=(
        "goodbye",
        "transport_lost",
        "ping_timeout",
        "dismissed",
        "protocol_error",
        "slow_consumer",
        "idle",
        "token_expired",
        "flooding",
        "shutdown",
    ),
)
CONNECTION_DURATION = histogram("connection_duration_seconds", "How long connections lasted.", LONG_BUCKETS_S)
RESUMES = counter(
    "resumes_total",
    "Calls whose party came back after a lost connection (`returned`), did not in time (`expired`), or was taken over "
    "by another socket (`replaced`).",
    result=("returned", "expired", "replaced"),
)
MISSED_MESSAGES = counter(
    "missed_messages_total",
    "Offers, answers and candidates for a party that was away: `kept`, `delivered` when it came back, or `overflowed`, "
    "since no more could be kept.",
    result=("kept", "delivered", "overflowed"),
)
CLIENT_RTT = histogram(
    "client_rtt_seconds",
    "From an Engine.IO ping to its pong: the network to the client and back, and both event loops.",
    ROUND_TRIP_BUCKETS_S,
    transport=TRANSPORTS,
)
USERS_ONLINE = gauge("users_online", "1", "Users who have joined on this node.")
WATCHES = gauge("watches", "1", "Users who are watched (`user:watch`), once for each socket that watches them.")
STATUS_PUSHES = counter(
    "status_pushes_total", "`user:status` that went to a watcher because it had changed; a watcher and user count one."
)

# --- traffic ---

DIRECTIONS = ("in", "out")
MESSAGES = counter("messages_total", "Socket.IO events and acknowledgements.", direction=DIRECTIONS)
MESSAGE_BYTES = counter("message_bytes_total", "Their size, without framing.", direction=DIRECTIONS)
MESSAGE_SIZE = histogram("message_size_bytes", "The size of each.", SIZE_BUCKETS_BYTES, direction=DIRECTIONS)

OUTBOUND_BUFFER = gauge(
    "outbound_buffer_bytes", "bytes", "What waits in the server for the client that reads most slowly."
)
OUTBOUND_DROPPED = counter(
    "outbound_dropped_total",
    "Messages that did not reach their client: it read too slowly (`slow_consumer`), or was gone before it had "
    "fetched them (`unfetched`, on polling), or its node was out of reach (`undelivered`).",
    reason=("slow_consumer", "unfetched", "undelivered"),
)

# --- handlers ---

EVENTS_TOTAL = counter(
    "events_total", "Client events, by what came of them: `ok` or the error's code.", event=EVENTS, outcome=OUTCOMES
)
EVENT_DURATION = histogram(
    "event_duration_seconds", "From the start of an event's handling to its end.", HANDLER_BUCKETS_S, event=EVENTS
)
EVENT_QUEUE_DELAY = histogram(
    "event_queue_delay_seconds", "From an event's arrival to the start of its handling.", HANDLER_BUCKETS_S
)
RATE_LIMITED = counter(
    "rate_limited_total",
    "What was refused for its rate: events of a `user`, of a `socket` that speaks for nobody, of an `address`; calls "
    "of a user (`call`) or from one to another (`pair`); questions for the status of users (`lookup`); connections of "
    "an address (`connect`).",
    scope=_values(Scope),
)
EVENTS_IN_PROGRESS = gauge("events_in_progress", "1", "Events that are being handled now.")
EVENT_EXCEPTIONS = counter(
    "event_exceptions_total",
    f"Events that failed through our fault, by the exception's type; the first {ERROR_TYPES_AT_MOST} types by name.",
    event=EVENTS,
    error_type=("",),
)

# --- whom the server asks ---

_IN_VAIN = ("unreachable", "timeout", "too_large", "malformed", "unusable")
KEY_FETCHES = counter(
    "jwks_fetches_total",
    "Fetches of the token issuer's keys, by how they went; `unusable` is another status than 200 or no key set.",
    result=("ok", *_IN_VAIN),
)
KEYS_FETCHED_AT = gauge(
    "jwks_last_success_timestamp_seconds", "seconds", "Unix time of the last fetch that went well; 0 before the first."
)
LEAVES = counter(
    "authorisations_total",
    "Questions to the backend whether a user may call another, by its answer (`allowed`, `refused`) or why there is "
    "none; `unusable` is another status than 200, or neither yes nor no. Answers from the cache do not count.",
    result=("allowed", "refused", *_IN_VAIN),
)
LEAVE_DURATION = histogram(
    "authorisation_duration_seconds", "How long these took, with the wait for a place.", HANDLER_BUCKETS_S
)

# --- calls ---

CALLS = gauge("calls", "1", "Live calls by state.", state=LIVE_STATES)
CALL_ATTEMPTS = counter("call_attempts_total", "Calls that were placed.", media=_values(Media))
CALL_MILESTONES = counter(
    "call_milestones_total",
    "Calls that reached each step of the funnel. `connected` needs a client that sends `call:connected`.",
    milestone=_values(Milestone),
)
CALLS_ENDED = counter(
    "calls_ended_total",
    "Calls that ended, by reason, by whose fault it was, and by the state they were in.",
    reason=END_REASONS,
    fault=_values(Fault),
    phase=LIVE_STATES,
)
CALL_PHASE_DURATION = histogram(
    "call_phase_duration_seconds",
    "How long each phase took: `ring_delivery` from the attempt's arrival to the ring at the callee, `ringing` "
    "until answered or over, `negotiation` from the answer of the call to the answer of the offer, `media` from there "
    "to `call:connected`, `setup_server` what of the set-up was spent in this server, `setup_total` the set-up without "
    "the ringing.",
    PHASE_BUCKETS_S,
    phase=_values(Phase),
)
CALL_DURATION = histogram(
    "call_duration_seconds", "From the answer to the end, of calls that were answered.", LONG_BUCKETS_S
)
OLDEST_CALL = gauge("oldest_call_seconds", "seconds", "The age of the oldest live call; 0 without calls.")
CALLS_PEAK = gauge("calls_peak", "1", "The most live calls at a time since the start.")
GLARE = counter("glare_total", "Attempts that met the call coming the other way and answered it.")
RENEGOTIATIONS = counter("renegotiations_total", "Offers after the first answer: renegotiation or ICE restart.")

# --- media, as the clients report it ---

UNKNOWN = "unknown"
"""The value for what a report does not say."""

ICE_OUTCOMES = counter(
    "ice_outcomes_total",
    "What ICE came to, as clients report it. Each party of a call counts once for each result.",
    result=_values(IceOutcome),
)
ICE_FAILURES = counter(
    "ice_failures_total",
    "Parties whose ICE failed, by where: no candidates (`gathering`), no pair that works (`checking`), or a pair that "
    "worked was lost (`connected`).",
    stage=(*_values(IceStage), UNKNOWN),
)
ICE_SELECTED_PAIRS = counter(
    "ice_selected_pairs_total",
    "The pair of candidates that each party was first connected by: `host` to `host`, `reflexive` through address "
    "translation, or with a `relay` on either side; and what carries it.",
    path=_values(Path),
    protocol=_values(IceProtocol),
)
MEDIA_RTT = histogram(
    "media_rtt_seconds",
    "Round trip of media between the parties, of each report, by the way that it takes.",
    ROUND_TRIP_BUCKETS_S,
    path=(*_values(Path), UNKNOWN),
)
MEDIA_JITTER = histogram("media_jitter_seconds", "Jitter of what was received, of each report.", JITTER_BUCKETS_S)
MEDIA_LOSS = histogram(
    "media_loss_ratio", "Share of packets that the other party did not get, of each report.", LOSS_BUCKETS
)
MEDIA_THROUGHPUT = histogram(
    "media_throughput_bytes_per_second",
    "Media that was received (`in`) and sent (`out`), of each report.",
    THROUGHPUT_BUCKETS_BYTES_PER_S,
    direction=DIRECTIONS,
)

# --- runtime ---

EVENT_LOOP_LAG = histogram(
    "event_loop_lag_seconds", "How much later than asked for the event loop ran a timer.", HANDLER_BUCKETS_S
)
EVENT_LOOP_LAST_TICK = gauge(
    "event_loop_last_tick_timestamp_seconds", "seconds", "Unix time of the event loop's last sign of life."
)
EVENT_LOOP_STALLS = counter(
    "event_loop_stalls_total", "Times the event loop was blocked for a second or more; the log has the blocked stack."
)
BACKGROUND_TASKS = gauge(
    "background_tasks",
    "1",
    "Tasks of the event loop that the server has started and that have not ended: a few that never do, and one for "
    "each connection whose events wait for something.",
)
GC_PAUSE = histogram("gc_pause_seconds", "Pauses of the garbage collector.", PAUSE_BUCKETS_S)

# --- telemetry itself ---

CALL_TRACES = counter(
    "call_traces_total",
    "Calls by what became of their trace, and why.",
    decision=_values(TraceDecision),
)
TRACE_SPANS = counter(
    "trace_spans_exported_total",
    "Spans handed to the collector (`ok`), refused by it (`failed`), or given up because the queue was full "
    "(`dropped`).",
    result=("ok", "failed", "dropped"),
)
OBSERVER_FAILURES = counter(
    "observer_failures_total",
    "Observers that raised and were taken out, each a bug; of `call_records` also lines that could not be written.",
    observer=(
        "event_metrics",
        "cluster_metrics",
        "backend_metrics",
        "call_ledger",
        "call_metrics",
        "media_metrics",
        "call_traces",
        "call_log",
        "recent_calls",
        "call_records",
        "failure_log",
    ),
)

# --- the synthetic caller (`signalling probe`, a process of its own) ---

PROBE_STEPS = ("connect", "join", "ring", "accept", "offer", "answer", "candidate", "hang_up")
PROBE_RUNS = counter(
    "probe_runs_total",
    "Calls that the probe placed, by how it went; `unavailable`: a node said that it could not reach Redis.",
    result=("ok", "failed", "unavailable"),
)
PROBE_STEP_DURATION = histogram(
    "probe_step_duration_seconds", "How long each step of the probe's call took.", PHASE_BUCKETS_S, step=PROBE_STEPS
)
PROBE_LAST_SUCCESS = gauge(
    "probe_last_success_timestamp_seconds", "seconds", "Unix time of the probe's last good call; 0 before the first."
)

AREAS: Mapping[str, tuple[Metric, ...]] = {
    "Identity": (
        BUILD_INFO,
        READY,
        DRAINING,
    ),
    "Connections": (
        CONNECTIONS,
        CONNECTS,
        CONNECT_DURATION,
        DISCONNECTS,
        CONNECTION_DURATION,
        RESUMES,
        MISSED_MESSAGES,
        CLIENT_RTT,
        USERS_ONLINE,
        WATCHES,
        STATUS_PUSHES,
    ),
    "Traffic": (
        MESSAGES,
        MESSAGE_BYTES,
        MESSAGE_SIZE,
        OUTBOUND_BUFFER,
        OUTBOUND_DROPPED,
    ),
    "Handlers": (
        EVENTS_TOTAL,
        EVENT_DURATION,
        EVENT_QUEUE_DELAY,
        RATE_LIMITED,
        EVENTS_IN_PROGRESS,
        EVENT_EXCEPTIONS,
    ),
    "Whom the server asks": (KEY_FETCHES, KEYS_FETCHED_AT, LEAVES, LEAVE_DURATION),
    "Calls": (
        CALLS,
        CALL_ATTEMPTS,
        CALL_MILESTONES,
        CALLS_ENDED,
        CALL_PHASE_DURATION,
        CALL_DURATION,
        OLDEST_CALL,
        CALLS_PEAK,
        GLARE,
        RENEGOTIATIONS,
    ),
    "Media, as clients report it": (
        ICE_OUTCOMES,
        ICE_FAILURES,
        ICE_SELECTED_PAIRS,
        MEDIA_RTT,
        MEDIA_JITTER,
        MEDIA_LOSS,
        MEDIA_THROUGHPUT,
    ),
    "Several nodes": (
        REDIS_UP,
        REDIS_COMMAND_DURATION,
        REDIS_COMMANDS_FAILED,
        REDIS_RECONNECTS,
        CLUSTER_NODES,
        INBOX_LAG,
        INBOX_MESSAGES,
        INBOX_BATCH_SIZE,
        INBOX_PROBLEMS,
        LEASES_LOST,
        SESSIONS_REAPED,
        CALLS_RECOVERED,
    ),
    "Runtime": (
        EVENT_LOOP_LAG,
        EVENT_LOOP_LAST_TICK,
        EVENT_LOOP_STALLS,
        BACKGROUND_TASKS,
        GC_PAUSE,
    ),
    "Telemetry itself": (
        CALL_TRACES,
        TRACE_SPANS,
        OBSERVER_FAILURES,
    ),
}
"""The metrics of a node, by what they are about."""

SERVER_METRICS: tuple[Metric, ...] = tuple(itertools.chain.from_iterable(AREAS.values()))
CLUSTER_METRICS: tuple[Metric, ...] = AREAS["Several nodes"]
"""Those of a node that shares its users with others; a node alone has none of them."""
PROBE_METRICS: tuple[Metric, ...] = (PROBE_RUNS, PROBE_STEP_DURATION, PROBE_LAST_SUCCESS)
PROCESS_METRICS: tuple[str, ...] = (
    "process_virtual_memory_bytes",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
)
"""What prometheus-client's own process collector adds, under the names that all Prometheus clients use."""

METRICS: tuple[Metric, ...] = SERVER_METRICS + PROBE_METRICS
BY_NAME: Mapping[str, Metric] = {metric.full_name: metric for metric in METRICS}
