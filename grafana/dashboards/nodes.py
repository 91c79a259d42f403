"""Nodes and Redis: whether each process has what it needs, reaches the others, and is watched."""

from grafana.dashboards import cluster
from grafana.dashboards.limits import LAG_STEPS
from grafana.model import GREEN, GREY, ORANGE, RED, Dashboard, Json, Panel, Row, Steps, Target, Why, at_most
from grafana.panels import Column, graph, heatmap, stat, table, timeline
from grafana.query import (
    NODES,
    NOW,
    aggregate,
    buckets,
    gauge,
    increase,
    observed,
    process,
    quantile,
    quiet,
    rate,
    ratio,
    selector,
)
from observability import catalogue as c
from observability.catalogue import TraceDecision

KEPT = (TraceDecision.KEPT_FAULT.value, TraceDecision.KEPT_SLOW.value, TraceDecision.KEPT_RATIO.value)
STATES: Json = {
    "type": "value",
    "options": {
        "0": {"text": "does not answer", "color": RED, "index": 0},
        "1": {"text": "not ready", "color": ORANGE, "index": 1},
        "2": {"text": "ready", "color": GREEN, "index": 2},
        "3": {"text": "draining", "color": GREY, "index": 3},
    },
}
_STATE = (
    f"3 * ({gauge(c.DRAINING, 'instance', how='max')} == 1) or on (instance) "
    f"(1 + {gauge(c.READY, 'instance', how='max')}) or on (instance) max by (instance) (up{{{NODES}}})"
)
_LAST_TICK = selector(c.EVENT_LOOP_LAST_TICK)
_FAILURES = selector(c.OBSERVER_FAILURES)


def dashboard() -> Dashboard:
    """How the processes are."""
    return Dashboard(
        uid="signalling-nodes",
        title="Signalling / Nodes and Redis",
        description="Whether each node is ready, has time, memory and sockets left, reaches the others over Redis, and "
        "whether telemetry works.",
        rows=(
            Row("Is every node there?", _THERE),
            Row("Has the event loop time?", _LOOP),
            Row("Are there resources left?", _RESOURCES),
            Row("Do the nodes reach each other?", cluster.TOGETHER),
            Row("Is Redis quick?", cluster.REDIS),
            Row("Do messages get from node to node?", cluster.INBOXES),
            Row("What was lost on the way?", cluster.LOSSES),
            Row("Does telemetry work?", _TELEMETRY),
        ),
    )


_THERE: tuple[Panel, ...] = (
    timeline(
        "State of each node",
        Why(
            "Which node was ready when?",
            "Red: Prometheus cannot reach it. Orange long after its start: it does not get ready.",
            "Red: process, host, network, in this order. Grey is a drain: did anyone order it?",
        ),
        Target(_STATE, "{{instance}}"),
        "none",
        thresholds=Steps(RED, ((1, ORANGE), (2, GREEN), (3, GREY))),
        width=14,
        mappings=(STATES,),
        no_value="no node was ever scraped",
    ),
    table(
        "What runs where",
        Why(
            "Which version and which Python runs on which node, and since when?",
            "Two versions outside a deployment; a node that started a moment ago.",
            "Finish the deployment or roll it back; a restart that nobody ordered is in the node's log.",
        ),
        ("instance", "version", "revision", "python"),
        (
            Column(
                "started",
                f"1000 * max by (instance) ({process('process_start_time_seconds')}) * on (instance) group_right "
                + gauge(c.BUILD_INFO, "instance", "version", "revision", "python", how="max"),
                "dateTimeFromNow",
            ),
        ),
        width=10,
        height=7,
    ),
)


_LOOP: tuple[Panel, ...] = (
    stat(
        "Last sign of life",
        Why(
            "How long had the slowest node's event loop been silent at its last scrape?",
            "Above 5 s: that loop is blocked now. Metrics come from another thread, so they still arrive.",
            "The log has the stack that blocks. If it does not come back: restart that node.",
        ),
        Target(f"max(timestamp({_LAST_TICK}) - {_LAST_TICK})"),
        "s",
        thresholds=at_most(5, 10),
        height=8,
        decimals=1,
    ),
    graph(
        "Event loop lag",
        Why(
            "How late does each event loop run its timers?",
            "p99 above 50 ms: everything on that node is late by as much.",
            "Stalls on the right; CPU below. CPU full: add a node. CPU idle: something blocks, see the log.",
        ),
        (
            Target(quantile(0.5, c.EVENT_LOOP_LAG, "instance"), "{{instance}} p50"),
            Target(quantile(0.99, c.EVENT_LOOP_LAG, "instance"), "{{instance}} p99"),
        ),
        "s",
        thresholds=LAG_STEPS,
        width=10,
    ),
    graph(
        "Stalls",
        Why(
            "Was an event loop blocked for a second or more?",
            "Any.",
            "Each has its stack in the log: runbook EventLoopStalled.",
        ),
        Target(increase(c.EVENT_LOOP_STALLS, "instance", window=NOW), "{{instance}}"),
        "suffix: stalls",
        thresholds=at_most(1),
        width=10,
    ),
    graph(
        "Garbage collection, p99",
        Why(
            "How long does the garbage collector stop each node?",
            "Above 50 ms, together with loop lag.",
            "Memory below: a heap that grows makes collections longer.",
        ),
        Target(quantile(0.99, c.GC_PAUSE, "instance"), "{{instance}}"),
        "s",
        thresholds=LAG_STEPS,
        width=8,
    ),
    graph(
        "Time in garbage collection",
        Why(
            "Which share of its time does each node collect garbage?",
            "Above 5 %.",
            "What allocates so much? Compare with events per second.",
        ),
        Target(observed(c.GC_PAUSE, "sum", "instance"), "{{instance}}"),
        "percentunit",
        thresholds=at_most(0.05, 0.2),
        width=8,
    ),
    heatmap(
        "Event loop lag of all nodes",
        Why(
            "Is the loop a little late always, or very late now and then?",
            "Cells far above the band.",
            "Regular ones: a periodic task. Irregular ones: compare with stalls and collections.",
        ),
        buckets(c.EVENT_LOOP_LAG),
        "s",
        width=8,
    ),
)


_RESOURCES: tuple[Panel, ...] = (
    graph(
        "CPU",
        Why(
            "How much of a core does each node use?",
            "Above 0.8: one process is one core, and latency grows from here on.",
            "Add a node; one node alone above: balance on the Connections dashboard.",
        ),
        Target(f"sum by (instance) (rate({process('process_cpu_seconds_total')}[$__rate_interval]))", "{{instance}}"),
        "percentunit",
        thresholds=at_most(0.8, 0.95),
        width=6,
    ),
    graph(
        "Memory",
        Why(
            "How much memory does each node hold?",
            "A line that climbs for days while connections do not.",
            "Runbook MemoryGrowth: compare with connections and live calls; restart by draining.",
        ),
        Target(f"max by (instance) ({process('process_resident_memory_bytes')})", "{{instance}}"),
        "bytes",
        width=6,
    ),
    graph(
        "File descriptors in use",
        Why(
            "How near is each node to its limit of sockets?",
            "Above 80 %: soon nobody new can connect.",
            "Raise the limit or add a node; runbook FdNearLimit.",
        ),
        Target(f"max by (instance) ({process('process_open_fds')} / {process('process_max_fds')})", "{{instance}}"),
        "percentunit",
        thresholds=at_most(0.8, 0.9),
        maximum=1,
        width=6,
    ),
    graph(
        "Background tasks",
        Why(
            "How many tasks does each event loop carry?",
            "A line that climbs and does not come down when connections and calls do: tasks that never end.",
            "Runbook MemoryGrowth: a leak. Peaks are normal: a connection whose events wait for Redis has a task.",
        ),
        Target(gauge(c.BACKGROUND_TASKS, "instance", how="max"), "{{instance}}"),
        "suffix: tasks",
        width=6,
    ),
)


_TELEMETRY: tuple[Panel, ...] = (
    graph(
        "Calls by what became of their trace",
        Why(
            "Which traces can I expect to find?",
            "`dropped_cap`: more failed calls than traces may be kept; what you find is a sample.",
            "No trace for a call id? `dropped_ratio` says why. TRACE_RATIO=1 keeps every call.",
        ),
        Target(rate(c.CALL_TRACES, "decision"), "{{decision}}"),
        "suffix: calls/s",
        stacked=True,
        width=8,
    ),
    graph(
        "Spans by result",
        Why(
            "Do spans reach the collector?",
            "`failed` or `dropped` at all: links to traces lead nowhere meanwhile.",
            "Is the collector up, is its address right? Runbook TraceExportFailing. Calls are not harmed.",
        ),
        Target(rate(c.TRACE_SPANS, "result"), "{{result}}"),
        "suffix: spans/s",
        stacked=True,
        width=8,
    ),
    stat(
        "Calls traced",
        Why(
            "Which share of the calls of 5 minutes has a trace?",
            "Near 0 while calls fail.",
            "TRACE_RATIO is the share of good calls. The cap on bad ones is fixed, so that an outage floods nobody.",
        ),
        Target(ratio(rate(c.CALL_TRACES, window=NOW, decision=KEPT), rate(c.CALL_TRACES, window=NOW))),
        "percentunit",
        height=8,
        decimals=0,
    ),
    stat(
        "Observers taken out",
        Why(
            "Which observer raised and was taken out?",
            "Any: what it measured is missing on these dashboards until the restart. Each is a bug.",
            "The log has the traceback; restart the node by draining it to measure again.",
        ),
        (
            Target(quiet(aggregate("sum", _FAILURES)), "all"),
            Target(aggregate("sum", _FAILURES, "observer") + " > 0", "{{observer}}"),
        ),
        "none",
        thresholds=at_most(1),
        height=8,
        names=True,
    ),
)
