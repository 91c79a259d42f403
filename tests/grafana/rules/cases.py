"""Each alert of `grafana/alert_rules.py`: at least one case in which it fires and one in which it stays silent."""

from grafana.query import Values, selector
from observability.catalogue import (
    BUILD_INFO,
    CALL_ATTEMPTS,
    CALL_PHASE_DURATION,
    CALLS,
    CONNECTIONS,
    CONNECTS,
    DISCONNECTS,
    DRAINING,
    EVENT_EXCEPTIONS,
    EVENT_LOOP_LAST_TICK,
    EVENT_LOOP_STALLS,
    ICE_OUTCOMES,
    ICE_SELECTED_PAIRS,
    KEY_FETCHES,
    LEAVES,
    OBSERVER_FAILURES,
    OLDEST_CALL,
    OUTBOUND_DROPPED,
    PROBE_LAST_SUCCESS,
    RATE_LIMITED,
    READY,
    REDIS_UP,
    TRACE_SPANS,
    USERS_ONLINE,
    Metric,
    Phase,
)
from tests.grafana.rules.cluster_cases import CLUSTER
from tests.grafana.rules.promtool import PROBE, A, B, Case, Firing

JOB_A = {"job": "signalling"}
NODE_A = {"job": "signalling", "instance": "a:9464"}
UP_A, UP_B = f"up{{{A}}}", f"up{{{B}}}"


def of(metric: Metric, within: str = A, part: str = "", **labels: Values) -> str:
    return selector(metric, part=part, scope=within, labels=labels)


def exception(error_type: str) -> str:
    scope = f'{A},event="call:accept",error_type="{error_type}"'
    return f"{EVENT_EXCEPTIONS.full_name}{{{scope}}}"


def version(scope: str, version_: str) -> str:
    return f'{BUILD_INFO.full_name}{{{scope},version="{version_}",revision="f00d",python="3.11.2"}}'


def delays(phase: Phase, per_minute: dict[float, float], minutes: int) -> dict[str, str]:
    """A histogram that grows by so many observations of each of these lengths."""
    scope = f'{A},phase="{phase.value}"'
    name = CALL_PHASE_DURATION.full_name
    total = sum(per_minute.values())
    series = {
        f'{name}_bucket{{{scope},le="{bound}"}}': f"0+{sum(n for at, n in per_minute.items() if at <= bound)}x{minutes}"
        for bound in CALL_PHASE_DURATION.buckets
    }
    return {
        **series,
        f'{name}_bucket{{{scope},le="+Inf"}}': f"0+{total}x{minutes}",
        f"{name}_count{{{scope}}}": f"0+{total}x{minutes}",
    }


DOWN = (
    Case(
        "SignallingDown",
        "the only node dies",
        {UP_A: "1x5 0x10"},
        "8m",
        (Firing({**JOB_A, "scope": "all"}),),
    ),
    Case("SignallingDown", "no target is left", {UP_A: ""}, "8m", (Firing({**JOB_A, "scope": "all"}),)),
    Case(
        "SignallingDown",
        "one node of two dies",
        {UP_A: "1x5 0x10", UP_B: "1x20"},
        "8m",
        (Firing({**NODE_A, "scope": "node"}, "0"),),
    ),
    Case(
        "SignallingDown",
        "a node is not ready and not stopping",
        {of(READY): "1x5 0x10", of(DRAINING): "0x20"},
        "8m",
        (Firing({**NODE_A, "scope": "not_ready"}, "0"),),
    ),
    Case(
        "SignallingDown",
        "a node reaches Redis and is not ready all the same",
        {of(READY): "1x5 0x10", of(REDIS_UP): "1x20"},
        "8m",
        (Firing({**NODE_A, "scope": "not_ready"}, "0"),),
    ),
    Case("SignallingDown", "one scrape fails", {UP_A: "1x5 0 1x10"}, "7m"),
    Case("SignallingDown", "a node drains", {of(READY): "1x5 0x10", of(DRAINING): "0x5 1x10"}, "12m"),
)
PROBING = (
    Case(
        "ProbeFailing",
        "no good call for seven minutes",
        {of(PROBE_LAST_SUCCESS, PROBE): "0+60x5 300x20"},
        "12m",
        (Firing({"job": "signalling-probe"}, "7m 0s"),),
    ),
    Case("ProbeFailing", "a call each minute", {of(PROBE_LAST_SUCCESS, PROBE): "0+60x30"}, "12m"),
    Case("ProbeFailing", "no probe at all", {}, "30m"),
    Case(
        "ProbeDown",
        "its process is gone",
        {f"up{{{PROBE}}}": "1x5 0x20"},
        "17m",
        (Firing({"job": "signalling-probe", "instance": "probe:9464"}, "0"),),
    ),
    Case("ProbeDown", "it restarts", {f"up{{{PROBE}}}": "1x5 0x3 1x20"}, "17m"),
)
LOOP = (
    Case(
        "EventLoopStalled",
        "no tick for two minutes",
        {of(EVENT_LOOP_LAST_TICK): "0+60x10 600x10"},
        "12m",
        (Firing({**NODE_A, "symptom": "blocked"}, "2m 0s"),),
    ),
    Case(
        "EventLoopStalled",
        "four stalls in five minutes",
        {of(EVENT_LOOP_STALLS): "0x5 0+1x4 4x10"},
        "10m",
        (Firing({**NODE_A, "symptom": "repeated"}, "4"),),
    ),
    Case(
        "EventLoopStalled",
        "one stall, and ticks",
        {of(EVENT_LOOP_LAST_TICK): "0+60x20", of(EVENT_LOOP_STALLS): "0x5 1x15"},
        "8m",
    ),
    Case(
        "EventLoopStalled",
        "its target is down",
        {UP_A: "1x10 0x1", UP_B: "1x20", of(EVENT_LOOP_LAST_TICK): "0+60x9 _x20"},
        "11m",
    ),
)
CONNECTED = of(CONNECTIONS, transport="websocket")
COLLAPSE = (
    Case(
        "ConnectionsCollapsed", "four of five are gone", {CONNECTED: "1000x40 200x10"}, "44m", (Firing(JOB_A, "200"),)
    ),
    Case(
        "ConnectionsCollapsed",
        "they are gone because a node was stopped",
        {
            CONNECTED: "900x40 _x10",
            of(CONNECTIONS, B, transport="websocket"): "100x60",
            of(DRAINING): "0x37 1x3 _x10",
            UP_A: "1x40 _x10",
            UP_B: "1x60",
        },
        "46m",
    ),
    Case("ConnectionsCollapsed", "there were only a few", {CONNECTED: "40x40 2x10"}, "44m"),
    Case("ConnectionsCollapsed", "they go slowly, as at night", {CONNECTED: "1000-5x100"}, "80m"),
)
PLACED = of(CALL_ATTEMPTS, media="audio")
RECORDED_PLACED = 'signalling:call_attempts:rate5m{job="signalling"}'
CALLING = (
    Case("NoCalls", "calls stop", {PLACED: "0+2x200 400x40"}, "230m", (Firing(JOB_A, "0"),)),
    Case("NoCalls", "calls go on", {PLACED: "0+2x300"}, "230m"),
    Case("NoCalls", "there is a call an hour", {PLACED: "0x60 1x60 2x60 3x100"}, "230m"),
    Case(
        "NoCalls",
        "fewer than last week at this time",
        {RECORDED_PLACED: "0.5x2100", PLACED: "0x2100", UP_A: "1x2100"},
        "170h",
        (Firing(JOB_A, "0"),),
        interval="5m",
        evaluation="30m",
        recorded=False,
    ),
    Case(
        "NoCalls",
        "night, as last week, after a busy evening",
        {RECORDED_PLACED: "0x2000 0.5x100", PLACED: "0x2100", UP_A: "1x2100"},
        "170h",
        interval="5m",
        evaluation="30m",
        recorded=False,
    ),
)
SLOW = (
    Case(
        "RingDeliverySlow",
        "one ring in eleven takes up to half a second",
        delays(Phase.RING_DELIVERY, {0.05: 10, 0.5: 1}, 60),
        "25m",
        (Firing(JOB_A, "362.5ms"),),
        others=("ErrorBudgetBurnFast",),
    ),
    Case("RingDeliverySlow", "all within 50 ms", delays(Phase.RING_DELIVERY, {0.05: 11}, 60), "25m"),
    Case("RingDeliverySlow", "slow, but one call in five minutes", delays(Phase.RING_DELIVERY, {0.5: 0.2}, 60), "25m"),
    Case(
        "SetupSlow",
        "one set-up in eleven takes up to five seconds",
        delays(Phase.SETUP_TOTAL, {1.0: 10, 5.0: 1}, 60),
        "35m",
        (Firing(JOB_A, "3.9s"),),
    ),
    Case("SetupSlow", "all within a second", delays(Phase.SETUP_TOTAL, {1.0: 11}, 60), "35m"),
    Case("SetupSlow", "slow, but one call in ten minutes", delays(Phase.SETUP_TOTAL, {5.0: 0.1}, 60), "35m"),
)
CAME = of(CONNECTS, transport="websocket", result="ok")
LOST = of(DISCONNECTS, reason="transport_lost")
STORM = (
    Case(
        "ReconnectStorm",
        "each of 1000 clients comes back every five minutes",
        {CONNECTED: "1000x60", CAME: "0+200x60", LOST: "0+200x60"},
        "20m",
        (Firing(JOB_A, "1k"),),
    ),
    Case(
        "ReconnectStorm",
        "the morning: many come, few go",
        {CONNECTED: "0+200x60", CAME: "0+200x60", LOST: "0x60"},
        "4m",
    ),
    Case(
        "ReconnectStorm",
        "nodes are stopped, and their clients come back to others",
        {CONNECTED: "1000x60", CAME: "0+200x60", of(DISCONNECTS, reason="shutdown"): "0+200x60", LOST: "0x60"},
        "20m",
    ),
    Case("ReconnectStorm", "everyday losses", {CONNECTED: "1000x60", CAME: "0+20x60", LOST: "0+20x60"}, "20m"),
)
REFUSED = of(CONNECTS, transport="websocket", result="refused")
REFUSALS = (
    Case(
        "AuthFailureSpike",
        "one of two tokens is refused",
        {CAME: "0+20x60", REFUSED: "0+20x60"},
        "30m",
        (Firing(JOB_A, "200"),),
    ),
    Case("AuthFailureSpike", "a few old tokens among many", {CAME: "0+200x60", REFUSED: "0+10x60"}, "30m"),
    Case("AuthFailureSpike", "hardly anybody comes", {CAME: "0+1x60", REFUSED: "0+2x60"}, "30m"),
    Case(
        "RateLimitSpike",
        "a client that loops",
        {of(RATE_LIMITED, scope="user"): "0+100x60"},
        "30m",
        (Firing({**JOB_A, "scope": "user"}, "1k"),),
    ),
    Case("RateLimitSpike", "somebody redials", {of(RATE_LIMITED, scope="call"): "0+2x60"}, "30m"),
)
FETCHED = of(KEY_FETCHES, result="ok")
NO_KEYS = of(KEY_FETCHES, result="timeout")
LEAVE, NO_LEAVE = of(LEAVES, result="allowed"), of(LEAVES, result="unreachable")
FROM_ISSUER, FROM_BACKEND = {**NODE_A, "asked": "issuer"}, {**JOB_A, "asked": "backend"}
ASKED = (
    Case(
        "AuthBackendFailing",
        "no fetch of the keys succeeds",
        {FETCHED: "3x60", NO_KEYS: "0+2x60"},
        "30m",
        (Firing(FROM_ISSUER, "20"),),
    ),
    Case("AuthBackendFailing", "one fetch failed, the next did not", {FETCHED: "0+1x60", NO_KEYS: "0+1x60"}, "30m"),
    Case("AuthBackendFailing", "keys are not fetched at all", {FETCHED: "0x60", NO_KEYS: "0x60"}, "30m"),
    Case(
        "AuthBackendFailing",
        "half of the questions have no answer",
        {LEAVE: "0+20x60", NO_LEAVE: "0+20x60"},
        "30m",
        (Firing(FROM_BACKEND, "50%"),),
    ),
    Case("AuthBackendFailing", "a few among many", {LEAVE: "0+100x60", NO_LEAVE: "0+5x60"}, "30m"),
    Case("AuthBackendFailing", "hardly any question", {LEAVE: "0x60", NO_LEAVE: "0+1x60"}, "30m"),
)
DROPPED = of(OUTBOUND_DROPPED, reason="slow_consumer")
UNFETCHED = of(OUTBOUND_DROPPED, reason="unfetched")
DROPS = (
    Case("OutboundDrops", "three messages a minute", {DROPPED: "0+3x60"}, "30m", (Firing(NODE_A, "30"),)),
    Case("OutboundDrops", "one client, once", {DROPPED: "0 0 12x60"}, "30m"),
    Case("OutboundDrops", "clients on polling that go away", {UNFETCHED: "0+30x60"}, "30m"),
)
FAILURES = (
    Case(
        "NewExceptions",
        "an exception nobody has seen",
        {exception("KeyError"): "_x5 1x20"},
        "10m",
        (Firing({**JOB_A, "event": "call:accept", "error_type": "KeyError"}, "1"),),
    ),
    Case("NewExceptions", "one that has been there for days", {exception("KeyError"): "3x600"}, "480m"),
    Case("NewExceptions", "none", {exception("_OTHER"): "0x60"}, "30m"),
    Case(
        "ObserverFailed",
        "the log observer raised",
        {of(OBSERVER_FAILURES, observer="failure_log"): "0x5 1x20"},
        "10m",
        (Firing({**NODE_A, "observer": "failure_log"}, "1"),),
    ),
    Case("ObserverFailed", "none did", {of(OBSERVER_FAILURES, observer="failure_log"): "0x30"}, "10m"),
)
LEAKS = (
    Case(
        "CallLeak",
        "a call of thirteen hours",
        {of(OLDEST_CALL): "46800x30"},
        "20m",
        (Firing({**NODE_A, "symptom": "old"}, "13h 0m 0s"),),
    ),
    Case(
        "CallLeak",
        "fifty calls of thirty users",
        {of(CALLS, state="connected"): "50x30", of(USERS_ONLINE): "30x30", of(OLDEST_CALL): "600x30"},
        "20m",
        (Firing({**JOB_A, "symptom": "more_than_users"}, "50"),),
    ),
    Case(
        "CallLeak",
        "a long night's call among others",
        {of(CALLS, state="connected"): "15x30", of(USERS_ONLINE): "30x30", of(OLDEST_CALL): "30000x30"},
        "20m",
    ),
)
ICE_OK, ICE_FAILED = of(ICE_OUTCOMES, result="connected"), of(ICE_OUTCOMES, result="failed")
RELAYED = of(ICE_SELECTED_PAIRS, path="relay", protocol="udp")
DIRECT = of(ICE_SELECTED_PAIRS, path="reflexive", protocol="udp")
MEDIA = (
    Case(
        "IceFailureHigh",
        "one party in five",
        {ICE_OK: "0+8x60", ICE_FAILED: "0+2x60"},
        "30m",
        (Firing(JOB_A, "20%"),),
    ),
    Case("IceFailureHigh", "one party in fifty", {ICE_OK: "0+49x60", ICE_FAILED: "0+1x60"}, "30m"),
    Case("IceFailureHigh", "half, of one call in ten minutes", {ICE_OK: "0+0.1x60", ICE_FAILED: "0+0.1x60"}, "30m"),
    Case("IceFailureHigh", "nobody reports", {ICE_OK: "0x60", ICE_FAILED: "0x60"}, "30m"),
    Case(
        "RelayShareAnomaly",
        "one connection in five is relayed, then four",
        {RELAYED: "0+2x300 608+8x60", DIRECT: "0+8x300 2402+2x60"},
        "27h",
        (Firing({**JOB_A, "symptom": "more_relayed"}, "80%"),),
        interval="5m",
        evaluation="5m",
    ),
    Case(
        "RelayShareAnomaly",
        "one connection in five is relayed, then none",
        {RELAYED: "0+2x300 600x60", DIRECT: "0+8x400"},
        "27h",
        (Firing({**JOB_A, "symptom": "hardly_relayed"}, "0%"),),
        interval="5m",
        evaluation="5m",
    ),
    Case(
        "RelayShareAnomaly",
        "always one connection in five",
        {RELAYED: "0+2x400", DIRECT: "0+8x400"},
        "27h",
        interval="5m",
        evaluation="5m",
    ),
    Case(
        "RelayShareAnomaly",
        "there is no relay, and never was",
        {RELAYED: "0x400", DIRECT: "0+10x400"},
        "27h",
        interval="5m",
        evaluation="5m",
    ),
    Case(
        "RelayShareAnomaly",
        "all are relayed, of few calls at night",
        {RELAYED: "0+2x300 601+1x60", DIRECT: "0+8x300 2400x60"},
        "27h",
        interval="5m",
        evaluation="5m",
    ),
)
OPEN_FDS, MAX_FDS = f"process_open_fds{{{A}}}", f"process_max_fds{{{A}}}"
MEMORY, STARTED = f"process_resident_memory_bytes{{{A}}}", f"process_start_time_seconds{{{A}}}"
RESOURCES = (
    Case(
        "FdNearLimit",
        "nine of ten are used",
        {OPEN_FDS: "900x30", MAX_FDS: "1000x30"},
        "15m",
        (Firing(NODE_A, "90%"),),
    ),
    Case("FdNearLimit", "half are used", {OPEN_FDS: "500x30", MAX_FDS: "1000x30"}, "15m"),
    Case(
        "MemoryGrowth",
        "a megabyte a minute, with the same clients",
        {MEMORY: "200e6+1048576x700", STARTED: "0x700", CONNECTED: "1000x700"},
        "600m",
        (Firing(NODE_A, "360Mi"),),
    ),
    Case(
        "MemoryGrowth",
        "it grows with its clients",
        {MEMORY: "200e6+1048576x700", STARTED: "0x700", CONNECTED: "1000+10x700"},
        "600m",
    ),
    Case("MemoryGrowth", "it stays", {MEMORY: "400e6x700", STARTED: "0x700", CONNECTED: "1000x700"}, "600m"),
)
SPANS = {result: of(TRACE_SPANS, result=result) for result in ("ok", "failed", "dropped")}
TELEMETRY = (
    Case(
        "VersionSkew",
        "two versions for more than an hour",
        {version(A, "0.1.0"): "1x100", version(B, "0.2.0"): "1x100", UP_B: "1x100"},
        "70m",
        (Firing(JOB_A, "2"),),
    ),
    Case(
        "VersionSkew",
        "a rolling deploy of twenty minutes",
        {version(A, "0.1.0"): "1x30 _x60", version(B, "0.2.0"): "_x10 1x90", UP_B: "1x100"},
        "70m",
    ),
    Case(
        "TraceExportFailing",
        "the collector refuses half",
        {SPANS["ok"]: "0+50x60", SPANS["failed"]: "0+50x60", SPANS["dropped"]: "0x60"},
        "40m",
        (Firing(NODE_A, "50%"),),
    ),
    Case(
        "TraceExportFailing",
        "all arrive",
        {SPANS["ok"]: "0+50x60", SPANS["failed"]: "0x60", SPANS["dropped"]: "0x60"},
        "40m",
    ),
    Case(
        "TraceExportFailing",
        "there is nothing to export",
        {SPANS["ok"]: "0x60", SPANS["failed"]: "0x60", SPANS["dropped"]: "0x60"},
        "40m",
    ),
    Case("Watchdog", "always", {}, "1m", (Firing({}),)),
)
CASES = (
    *DOWN,
    *PROBING,
    *LOOP,
    *CLUSTER,
    *COLLAPSE,
    *CALLING,
    *SLOW,
    *MEDIA,
    *STORM,
    *DROPS,
    *REFUSALS,
    *ASKED,
    *FAILURES,
    *LEAKS,
    *RESOURCES,
    *TELEMETRY,
)
