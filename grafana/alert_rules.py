"""The alerts on symptoms and causes; `slo_alerts.py` has those on error budgets."""

from grafana.alert_types import JOB, NONE, PAGE, PROBE_JOB, TICKET, Alert
from grafana.backend_alerts import backend_alerts
from grafana.cluster_alerts import cluster_alerts
from grafana.media_alerts import media_alerts
from grafana.query import ANYWHERE, buckets, gauge, increase, rate, selector
from grafana.slo import RING_DELIVERY_S, SETUP_S, Window, phase_count
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

ONCALL, CALLS_BOARD, CONNECTIONS_BOARD = "signalling-oncall", "signalling-calls", "signalling-connections"
ERRORS_BOARD, NODES_BOARD = "signalling-errors", "signalling-nodes"

UP = f'up{{job="{JOB}"}}'
PROBE_SILENCE_S = 180
LOOP_SILENCE_S = 10
STALLS_IN_5M = 3
FEWEST_CONNECTIONS = 50
FEWEST_CALLS = 20
FEWEST_LOST = 100
FEWEST_DROPPED = 20
FEWEST_REFUSED = 50
FEWEST_LIMITED = 200
LONGEST_CALL_S = 12 * 3600
QUARTER_HOUR = Window("15m", 900)
TEN_MINUTES = Window("10m", 600)


def _name(metric: Metric, **labels: str) -> str:
    return selector(metric, scope=ANYWHERE, labels=dict(labels))


def _process(name: str) -> str:
    return f'{name}{{job="{JOB}"}}'


def _down() -> tuple[Alert, ...]:
    advice = "See that the process runs and what it wrote last; roll back if it began with a deploy."
    return (
        Alert(
            "SignallingDown",
            PAGE,
            f"sum by (job) ({UP}) == 0\nor\nabsent({UP})",
            "1m",
            "No signalling node of {{ $labels.job }} answers",
            f"Prometheus reaches {{{{ $value | humanize }}}} targets too few: none is up, nobody can call. {advice}",
            ONCALL,
            {"scope": "all"},
        )._replace(description="Prometheus reaches none of the nodes of {{ $labels.job }}: nobody can call. " + advice),
        Alert(
            "SignallingDown",
            PAGE,
            f"{UP} == 0\nand on (job) sum by (job) ({UP}) > 0",
            "1m",
            "Node {{ $labels.instance }} does not answer",
            "Prometheus cannot reach {{ $labels.instance }} (up is {{ $value | humanize }}); its clients have moved to "
            f"the other nodes or are lost. {advice}",
            NODES_BOARD,
            {"scope": "node"},
        ),
        Alert(
            "SignallingDown",
            PAGE,
            f"{_name(READY)} == 0\nunless on (job, instance) {_name(DRAINING)} == 1\n"
            f"unless on (job, instance) {_name(REDIS_UP)} == 0",  # RedisDown tells of those
            "2m",
            "Node {{ $labels.instance }} refuses new clients",
            "{{ $labels.instance }} runs and is not stopping, but signalling_ready is {{ $value | humanize }}: the "
            "proxy sends it nobody. Read its log for what it waits for; restart it if it waits for nothing.",
            NODES_BOARD,
            {"scope": "not_ready"},
        ),
    )


def _probe() -> tuple[Alert, ...]:
    return (
        Alert(
            "ProbeFailing",
            PAGE,
            f"time() - max by (job) ({_name(PROBE_LAST_SUCCESS)}) > {PROBE_SILENCE_S}",
            "1m",
            "The synthetic caller gets no call through",
            "The last good call of {{ $labels.job }} was {{ $value | humanizeDuration }} ago. Users most likely cannot "
            "call either. Its log names the step that fails; start with that step.",
            ONCALL,
        ),
        Alert(
            "ProbeDown",
            TICKET,
            f'up{{job="{PROBE_JOB}"}} == 0',
            "10m",
            "The synthetic caller does not run",
            "{{ $labels.instance }} of {{ $labels.job }} cannot be scraped (up is {{ $value | humanize }}). Calls may "
            "be fine, but nothing tries them. Start it again.",
            ONCALL,
        ),
    )


def _loop() -> tuple[Alert, ...]:
    advice = "The node's log has the blocked stack. If it does not come back by itself, restart the node."
    return (
        Alert(
            "EventLoopStalled",
            PAGE,
            f"time() - {_name(EVENT_LOOP_LAST_TICK)} > {LOOP_SILENCE_S}\nand on (job, instance) up == 1",
            "30s",
            "Node {{ $labels.instance }} is blocked",
            "The event loop of {{ $labels.instance }} has shown no sign of life for {{ $value | humanizeDuration }}: "
            f"none of its clients is served. {advice}",
            NODES_BOARD,
            {"symptom": "blocked"},
        ),
        Alert(
            "EventLoopStalled",
            PAGE,
            f"{increase(EVENT_LOOP_STALLS, 'job', 'instance', window='5m', scope=ANYWHERE)} >= {STALLS_IN_5M}",
            "",
            "Node {{ $labels.instance }} is blocked again and again",
            "The event loop of {{ $labels.instance }} was blocked for a second or more, {{ $value | humanize }} times "
            f"in five minutes; all its clients wait meanwhile. {advice}",
            NODES_BOARD,
            {"symptom": "repeated"},
        ),
    )


def _collapsed() -> Alert:
    now, before = "signalling:connections:sum", "avg_over_time(signalling:connections:sum[30m] offset 5m)"
    return Alert(
        "ConnectionsCollapsed",
        PAGE,
        f"{now} < 0.5 * {before}\nand {before} >= {FEWEST_CONNECTIONS}\n"
        f"unless on (job) max by (job) (max_over_time({_name(DRAINING)}[15m])) == 1",
        "2m",
        "More than half of the connections of {{ $labels.job }} are gone",
        "{{ $value | humanize }} connections are left, less than half of the last half hour's, and no node was stopped "
        "on purpose. Look at the reasons of the disconnects, then at the proxy, its certificates and its network.",
        CONNECTIONS_BOARD,
    )


def _no_calls() -> Alert:
    rate_, quarter = "signalling:call_attempts:rate5m", QUARTER_HOUR.seconds
    last_week, lately = f"{rate_}[30m] offset 1w", f"{rate_}[3h] offset {QUARTER_HOUR.name}"
    expected = f"(avg_over_time({last_week}) or avg_over_time({lately})) * {quarter}"
    placed = increase(CALL_ATTEMPTS, "job", window=QUARTER_HOUR.name, scope=ANYWHERE)
    return Alert(
        "NoCalls",
        PAGE,
        f"{placed}\n< 0.05 * {expected}\nand {expected} >= {FEWEST_CALLS}",
        "5m",
        "Hardly anyone calls on {{ $labels.job }}",
        "{{ $value | humanize }} calls were placed in the last 15 minutes, less than a twentieth of what was usual at "
        "this time last week (or, without a last week, in the last hours). Call by hand or ask the probe; if that "
        "works, look for a broken client release.",
        CALLS_BOARD,
    )


def _slow() -> tuple[Alert, ...]:
    def p95(phase: Phase, limit: float) -> str:
        delay = buckets(CALL_PHASE_DURATION, "job", window=TEN_MINUTES.name, scope=ANYWHERE, phase=phase.value)
        count = f"{phase_count(phase, TEN_MINUTES)} * {TEN_MINUTES.seconds}"
        return f"histogram_quantile(0.95, {delay}) > {limit:g}\nand {count} >= {FEWEST_CALLS}"

    return (
        Alert(
            "RingDeliverySlow",
            TICKET,
            p95(Phase.RING_DELIVERY, RING_DELIVERY_S),
            "10m",
            "Phones ring late on {{ $labels.job }}",
            "One ring in twenty takes {{ $value | humanizeDuration }} or longer to reach the callee's socket; 250 ms "
            "is promised. Compare the event loop's lag of the nodes.",
            CALLS_BOARD,
        ),
        Alert(
            "SetupSlow",
            TICKET,
            p95(Phase.SETUP_TOTAL, SETUP_S),
            "15m",
            "Calls are set up slowly on {{ $labels.job }}",
            "One call in twenty takes {{ $value | humanizeDuration }} or longer to be set up, without the ringing; 3 s "
            "is promised. See which phase takes the time.",
            CALLS_BOARD,
        ),
    )


def _storm() -> Alert:
    lost = increase(DISCONNECTS, "job", window="5m", scope=ANYWHERE, reason=("transport_lost", "ping_timeout"))
    again = increase(CONNECTS, "job", window="5m", scope=ANYWHERE, result="ok")
    return Alert(
        "ReconnectStorm",
        TICKET,
        f"{again} > 0.5 * {gauge(CONNECTIONS, 'job', scope=ANYWHERE)}\nand {lost} >= {FEWEST_LOST}",
        "5m",
        "Clients of {{ $labels.job }} lose their connections and come back",
        "{{ $value | humanize }} connections were made in five minutes, more than half of all that are open, and as "
        "many were lost. Look at the proxy's timeouts and the network before it.",
        CONNECTIONS_BOARD,
    )


def _drops() -> Alert:
    dropped = increase(OUTBOUND_DROPPED, "job", "instance", window="10m", scope=ANYWHERE, reason="slow_consumer")
    return Alert(
        "OutboundDrops",
        TICKET,
        f"{dropped} >= {FEWEST_DROPPED}",
        "5m",
        "Clients of {{ $labels.instance }} do not read what they are sent",
        "{{ $labels.instance }} gave up {{ $value | humanize }} messages in ten minutes, because their clients read "
        "too slowly; each such client was disconnected. Is the network before the node full, or one client release "
        "broken?",
        CONNECTIONS_BOARD,
    )


def _refused() -> tuple[Alert, ...]:
    refused = increase(CONNECTS, "job", window="10m", scope=ANYWHERE, result="refused")
    served = increase(CONNECTS, "job", window="10m", scope=ANYWHERE, result=("ok", "refused"))
    limited = increase(RATE_LIMITED, "job", "scope", window="10m", scope=ANYWHERE)
    return (
        Alert(
            "AuthFailureSpike",
            TICKET,
            f"{refused} > 0.2 * {served}\nand {refused} >= {FEWEST_REFUSED}",
            "5m",
            "Many tokens are refused on {{ $labels.job }}",
            "{{ $value | humanize }} connections were refused for their token in ten minutes, over a fifth of all. "
            "Were keys changed without an overlap, does a clock run wrong, or does somebody try tokens?",
            CONNECTIONS_BOARD,
        ),
        Alert(
            "RateLimitSpike",
            TICKET,
            f"{limited} >= {FEWEST_LIMITED}",
            "5m",
            "Much is refused for its rate on {{ $labels.job }}: {{ $labels.scope }}",
            "{{ $value | humanize }} times in ten minutes the limit {{ $labels.scope }} was exceeded. Is it "
            "one client release that loops, an attack, or a limit that is too low for what people do?",
            ERRORS_BOARD,
        ),
    )


def _exceptions() -> Alert:
    by = "sum by (job, event, error_type)"
    counter = _name(EVENT_EXCEPTIONS)
    return Alert(
        "NewExceptions",
        TICKET,
        f"{by} ({counter}) > 0\nunless {by} (max_over_time({counter}[1d] offset 6h)) > 0",
        "",
        "{{ $labels.error_type }} in {{ $labels.event }}, for the first time",
        "{{ $labels.event }} failed with {{ $labels.error_type }} {{ $value | humanize }} times on {{ $labels.job }}; "
        "it had not the day before. It is a bug: the log has the stack. Roll back if a deploy brought it.",
        ERRORS_BOARD,
    )


def _leak() -> tuple[Alert, ...]:
    advice = "If the call's parties are gone, it is a leak: a bug. Restarting the node clears it."
    calls, users = gauge(CALLS, "job", scope=ANYWHERE), gauge(USERS_ONLINE, "job", scope=ANYWHERE)
    return (
        Alert(
            "CallLeak",
            TICKET,
            f"{_name(OLDEST_CALL)} > {LONGEST_CALL_S}",
            "15m",
            "A call on {{ $labels.instance }} does not end",
            f"The oldest live call of {{{{ $labels.instance }}}} is {{{{ $value | humanizeDuration }}}} old. {advice}",
            CALLS_BOARD,
            {"symptom": "old"},
        ),
        Alert(
            "CallLeak",
            TICKET,
            f"{calls} > {users} + 10",
            "15m",
            "More calls than users on {{ $labels.job }}",
            "{{ $value | humanize }} calls are live, more than there are users to be in them. " + advice,
            CALLS_BOARD,
            {"symptom": "more_than_users"},
        ),
    )


def _resources() -> tuple[Alert, ...]:
    memory, fds = _process("process_resident_memory_bytes"), _process("process_open_fds")
    floor = f"min_over_time({memory}[1h])"
    open_now = f"sum by (job, instance) (avg_over_time({_name(CONNECTIONS)}[1h]))"
    open_then = f"sum by (job, instance) (avg_over_time({_name(CONNECTIONS)}[1h] offset 6h))"
    return (
        Alert(
            "FdNearLimit",
            TICKET,
            f"{fds} / {_process('process_max_fds')} > 0.8",
            "10m",
            "{{ $labels.instance }} runs out of file descriptors",
            "{{ $value | humanizePercentage }} of the descriptors of {{ $labels.instance }} are in use; at 100% it "
            "accepts nobody. Raise the limit, or add a node.",
            NODES_BOARD,
        ),
        Alert(
            "MemoryGrowth",
            TICKET,
            f"{floor} - {floor.replace('[1h]', '[1h] offset 6h')} > 100e6\n"
            f"and {floor} > 1.3 * {floor.replace('[1h]', '[1h] offset 6h')}\n"
            f"and on (job, instance) {open_now} <= 1.1 * {open_then}\n"
            f"and on (job, instance) time() - {_process('process_start_time_seconds')} > 8 * 3600",
            "30m",
            "{{ $labels.instance }} grows without more clients",
            "The memory of {{ $labels.instance }} grew by {{ $value | humanize1024 }}B in six hours, and its "
            "connections did not. Plan a restart before it is full, and look for what is kept.",
            NODES_BOARD,
        ),
    )


def _telemetry() -> tuple[Alert, ...]:
    lost = rate(TRACE_SPANS, "job", "instance", window="15m", scope=ANYWHERE, result=("failed", "dropped"))
    all_ = rate(TRACE_SPANS, "job", "instance", window="15m", scope=ANYWHERE)
    return (
        Alert(
            "VersionSkew",
            TICKET,
            f"count by (job) (count by (job, version, revision) ({BUILD_INFO.full_name})) > 1",
            "1h",
            "Nodes of {{ $labels.job }} run different versions",
            "{{ $value | humanize }} versions have run side by side for an hour. A deploy did not finish: finish it or "
            "roll it back.",
            NODES_BOARD,
        ),
        Alert(
            "TraceExportFailing",
            TICKET,
            f"{lost} / ({all_} > 0) > 0.05",
            "15m",
            "Traces of {{ $labels.instance }} are lost",
            "{{ $value | humanizePercentage }} of the spans of {{ $labels.instance }} did not reach the collector. "
            "Calls are not affected; their traces are missing. See whether the collector answers.",
            NODES_BOARD,
        ),
    )


def _observers() -> tuple[Alert, ...]:
    return (
        Alert(
            "ObserverFailed",
            TICKET,
            f"{_name(OBSERVER_FAILURES)} > 0",
            "",
            "{{ $labels.instance }} no longer observes: {{ $labels.observer }}",
            "The observer {{ $labels.observer }} of {{ $labels.instance }} raised and was taken out ({{ $value | "
            "humanize }} times). Calls are not affected, but what it counted stands still until a restart. It is a "
            "bug: the log has the stack.",
            NODES_BOARD,
        ),
        Alert(
            "Watchdog",
            NONE,
            "vector(1)",
            "",
            "The way of alerts works",
            "This alert always fires. Its receiver raises the alarm when it stops hearing it: then Prometheus or "
            "Alertmanager is down, and no other alert can arrive.",
            ONCALL,
        ),
    )


ALERTS: tuple[Alert, ...] = (
    *_down(),
    *_probe(),
    *_loop(),
    *cluster_alerts(),
    _collapsed(),
    _no_calls(),
    *_slow(),
    *media_alerts(),
    _storm(),
    _drops(),
    *_refused(),
    *backend_alerts(),
    _exceptions(),
    *_leak(),
    *_resources(),
    *_telemetry(),
    *_observers(),
)
