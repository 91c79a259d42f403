"""On call: are calls working, right now, for whom not, and since when?"""

from grafana.dashboards.limits import BURN_STEPS, LAG_STEPS, RING_DELIVERY_S, SETUP_S
from grafana.model import (
    GREEN,
    ORANGE,
    RED,
    YELLOW,
    Dashboard,
    Panel,
    Row,
    Steps,
    Target,
    Why,
    at_least,
    at_most,
    trace_link,
)
from grafana.panels import Column, graph, stat, table, timeline
from grafana.query import (
    ANYWHERE,
    BAD_FAULTS,
    NODES,
    NOW,
    OUR_OUTCOMES,
    Not,
    budget_left,
    burn_rate,
    gauge,
    increase,
    quantile,
    quiet,
    rate,
    ratio,
    ratio_by,
)
from observability import catalogue as c

FIRING = 'ALERTS{alertstate="firing",alertname!="Watchdog"}'
PAGES = 'ALERTS{alertstate="firing",alertname!="Watchdog",severity="page"}'
TICKETS = 'ALERTS{alertstate="firing",alertname!="Watchdog",severity="ticket"}'
NO_RULES = "no samples from the rules"
FAILED_TRACES = trace_link("Traces of failed calls", '{ rootName = "call" && status = error }')


def dashboard() -> Dashboard:
    """The first dashboard to open."""
    return Dashboard(
        uid="signalling-oncall",
        title="Signalling / On call",
        description="Are calls working, right now, for whom not, and since when? Start here; the others tell why.",
        rows=(
            Row("Are calls working right now?", (*_NOW, _BURN, _BUDGET)),
            Row("Since when?", (_SINCE_WHEN, _ALERTS)),
            Row("For whom not?", _FOR_WHOM),
            Row("How fast?", _HOW_FAST),
            Row("What carries it?", _LOAD),
        ),
    )


_NOW: tuple[Panel, ...] = (
    stat(
        "Nodes that answer",
        Why(
            "How many nodes does Prometheus reach?",
            "0, or fewer than you run. At 0 nobody can call.",
            "Look at the process and its log; runbook SignallingDown. The panels below speak of nodes that answer.",
        ),
        Target(f"sum(up{{{NODES}}}) or vector(0)"),
        "none",
        thresholds=at_least(1),
    ),
    stat(
        "Calls that ended badly",
        Why(
            "Which share of the calls that ended in 5 minutes ended through the server, the network or a client?",
            "Above 5 %. Calls that users rejected, cancelled or did not answer are not counted.",
            "See by whose fault below; then the Calls dashboard, by reason.",
        ),
        Target(
            ratio(rate(c.CALLS_ENDED, window=NOW, fault=BAD_FAULTS), rate(c.CALLS_ENDED, window=NOW)),
        ),
        "percentunit",
        thresholds=at_most(0.05, 0.2),
        decimals=1,
    ),
    stat(
        "Attempts per minute",
        Why(
            "Is anybody calling?",
            "0 when there should be traffic: users do not reach us, or cannot place calls.",
            "Compare with last week on the Calls dashboard; look at connections and at connects refused.",
        ),
        Target(quiet(f"60 * {rate(c.CALL_ATTEMPTS, window=NOW)}")),
        "none",
        decimals=1,
    ),
    stat(
        "Live calls",
        Why("How many calls are going on?", "A sudden fall.", "See connections and disconnect reasons."),
        Target(quiet(gauge(c.CALLS))),
        "none",
    ),
    stat(
        "Last good probe call",
        Why(
            "When did the synthetic caller last complete a call through the front door?",
            "More than 5 minutes ago, or never (a span of decades).",
            "If users' calls work, mend the probe; else runbook ProbeFailing. Its slow or missing step is below.",
        ),
        Target(f"time() - {gauge(c.PROBE_LAST_SUCCESS, how='max', scope=ANYWHERE)}"),
        "s",
        thresholds=at_most(120, 300),
        decimals=0,
        no_value="no probe runs",
    ),
    stat(
        "Alerts firing",
        Why(
            "How many alerts fire?",
            "Any that pages.",
            "They are listed below, with how long they have been firing.",
        ),
        (
            Target(f"count({PAGES}) or vector(0)", "page"),
            Target(f"count({TICKETS}) or vector(0)", "ticket"),
        ),
        "none",
        thresholds=Steps(GREEN, ((1, RED),)),
        names=True,
    ),
)


_BURN = stat(
    "Error budget burns at",
    Why(
        "How many times faster than its SLO allows does each error budget burn, over the last hour?",
        "1 uses up 30 days' budget in 30 days; 14.4 uses 2 % of it in an hour and pages.",
        "Take the SLO that burns: its runbook is linked in its alert.",
    ),
    Target(burn_rate("1h"), "{{slo}}"),
    "suffix:x",
    thresholds=BURN_STEPS,
    width=12,
    height=5,
    decimals=1,
    no_value=NO_RULES,
    names=True,
)


_BUDGET = stat(
    "Error budget left",
    Why(
        "How much of the error budget of 30 days is left for each SLO?",
        "Below 25 %: no risky change. Below 0: the SLO is missed.",
        "Hold back deployments; find on the Calls and Errors dashboards what spent it.",
    ),
    Target(budget_left(), "{{slo}}"),
    "percentunit",
    thresholds=Steps(RED, ((0, ORANGE), (0.25, YELLOW), (0.5, GREEN))),
    width=12,
    height=5,
    decimals=1,
    no_value=NO_RULES,
    names=True,
)


_SINCE_WHEN = timeline(
    "Burn rate of each SLO",
    Why(
        "Since when is something wrong, and what?",
        "Yellow burns more than allowed, orange more than 6 times, red more than 14.4 times as much.",
        "Compare the start with the annotations: a version, a process start, an alert.",
    ),
    Target(burn_rate("5m"), "{{slo}}"),
    "suffix:x",
    thresholds=BURN_STEPS,
    width=14,
    no_value=NO_RULES,
)


_ALERTS = table(
    "Alerts firing, and since when",
    Why(
        "What fires, and since when?",
        "Any line. The oldest is often the cause, the others its effects.",
        "Open the runbook of the oldest from the alert.",
    ),
    ("alertname", "severity", "instance", "slo"),
    (Column("firing since", f"1000 * ALERTS_FOR_STATE and ignoring (alertstate) {FIRING}", "dateTimeFromNow"),),
    width=10,
    height=7,
    no_value="",
)


_FOR_WHOM: tuple[Panel, ...] = (
    graph(
        "Calls that ended badly, by fault",
        Why(
            "Whose fault is it: ours, the network's, the clients'?",
            "`server` at all; `network` or `client` well above the usual.",
            "`server`: Errors dashboard. `network`: Connections dashboard. `client`: was a client released?",
        ),
        Target(rate(c.CALLS_ENDED, "fault", fault=BAD_FAULTS), "{{fault}}"),
        "suffix: calls/s",
        stacked=True,
        width=8,
        links=(FAILED_TRACES,),
    ),
    graph(
        "Share that ended badly, by node",
        Why(
            "Is it one node or all?",
            "One node far from the others.",
            "One node: drain it, then look at the Nodes dashboard. All: look for what they share.",
        ),
        Target(
            ratio_by(rate(c.CALLS_ENDED, "instance", fault=BAD_FAULTS), rate(c.CALLS_ENDED, "instance"), "instance"),
            "{{instance}}",
        ),
        "percentunit",
        thresholds=at_most(0.05, 0.2),
        width=8,
        maximum=1,
    ),
    graph(
        "Failures of our handlers, by event",
        Why(
            "Which events fail through our fault?",
            "Anything above 0. `call:initiate` hits everyone, `ice:candidate` those with difficult networks.",
            "Errors dashboard: exceptions by type; the log has the traceback.",
        ),
        Target(rate(c.EVENTS_TOTAL, "event", outcome=OUR_OUTCOMES) + " > 0", "{{event}}"),
        "suffix: events/s",
        stacked=True,
        width=8,
        no_value="none",
    ),
    graph(
        "Connects that failed",
        Why(
            "Who cannot even connect?",
            "`refused` rising: authentication. `abandoned` rising: a proxy, or too slow an answer.",
            "Connections dashboard: results and time to connect by transport.",
        ),
        Target(rate(c.CONNECTS, "transport", "result", result=Not(("ok",))), "{{transport}} {{result}}"),
        "suffix: connects/s",
        stacked=True,
        width=12,
    ),
    graph(
        "Probe calls",
        Why(
            "Does a call through the front door work?",
            "`failed` above 0 for more than two runs; `unavailable`: nodes do not reach Redis; nothing at all: the "
            "probe is down.",
            "The Calls dashboard shows the step that takes long; try a call by hand.",
        ),
        Target(increase(c.PROBE_RUNS, "result", window=NOW, scope=ANYWHERE), "{{result}}"),
        "suffix: calls",
        stacked=True,
        width=12,
        no_value="no probe runs",
    ),
)


_HOW_FAST: tuple[Panel, ...] = (
    graph(
        "Set-up without ringing, p95",
        Why(
            "How long do people wait for their call, the ringing not counted?",
            f"p95 above {SETUP_S:g} s, the SLO.",
            "The Calls dashboard shows the phase that grew. Click a dot for the trace of one call.",
        ),
        (
            Target(quantile(0.95, c.CALL_PHASE_DURATION, phase="setup_total"), "set-up p95", exemplars=True),
            Target(quantile(0.95, c.CALL_PHASE_DURATION, phase="setup_server"), "of it in this server p95"),
        ),
        "s",
        thresholds=at_most(SETUP_S),
        links=(trace_link("Traces of slow set-ups", f'{{ name = "call.setup" && duration > {SETUP_S:g}s }}'),),
    ),
    graph(
        "Time until the callee is rung, p99",
        Why(
            "How long until the ring reaches the callee's socket?",
            f"p99 above {RING_DELIVERY_S:g} s, the SLO.",
            "It is all our own time: look at event loop lag and queue delay.",
        ),
        (
            Target(quantile(0.99, c.CALL_PHASE_DURATION, phase="ring_delivery"), "p99", exemplars=True),
            Target(quantile(0.5, c.CALL_PHASE_DURATION, phase="ring_delivery"), "p50"),
        ),
        "s",
        thresholds=at_most(RING_DELIVERY_S),
    ),
)


_LOAD: tuple[Panel, ...] = (
    graph(
        "Connections and live calls",
        Why(
            "Is the load usual?",
            "A cliff: many clients went at once. A climb of live calls alone: calls do not end.",
            "A cliff: disconnect reasons. A climb: the oldest call on the Calls dashboard.",
        ),
        (Target(gauge(c.CONNECTIONS), "connections"), Target(gauge(c.CALLS), "live calls")),
        "none",
        width=6,
    ),
    graph(
        "Nodes that reach Redis",
        Why(
            "Do the nodes reach each other?",
            "Fewer reach Redis than answer. At 0 there are no calls between nodes, and nobody new is let in.",
            "Runbook RedisDown; the dashboard Nodes and Redis shows which node, and since when.",
        ),
        (
            Target(gauge(c.REDIS_UP), "reach Redis"),
            Target(f"sum(up{{{NODES}}})", "answer"),
        ),
        "none",
        width=6,
    ),
    graph(
        "Event loop lag, p99",
        Why(
            "Does every node get to its work in time?",
            "Above 50 ms everything is late; a gap in a line is a node that is blocked or gone.",
            "Nodes dashboard: stalls, garbage collection, CPU. The log has the stack that blocked.",
        ),
        Target(quantile(0.99, c.EVENT_LOOP_LAG, "instance"), "{{instance}}"),
        "s",
        thresholds=LAG_STEPS,
        width=6,
    ),
    table(
        "What runs where",
        Why(
            "Which version runs on which node, and since when?",
            "Two versions outside a deployment; a node that started a moment ago.",
            "Finish the deployment or roll it back; a restart that nobody ordered is in the node's log.",
        ),
        ("instance", "version", "revision"),
        (
            Column(
                "started",
                f"1000 * max by (instance) (process_start_time_seconds{{{NODES}}}) * on (instance) group_right "
                + gauge(c.BUILD_INFO, "instance", "version", "revision", how="max"),
                "dateTimeFromNow",
            ),
        ),
        width=6,
    ),
)
