"""Calls: how far they get, how long each phase takes, how they end."""

from typing import NamedTuple

from grafana.dashboards.limits import RING_DELIVERY_S, SETUP_S
from grafana.model import Dashboard, Panel, Row, Steps, Target, Why, at_least, at_most, trace_link
from grafana.panels import Column, bars, graph, heatmap, stat, table
from grafana.query import ANYWHERE, BAD_FAULTS, buckets, gauge, increase, quantile, quiet, rate, ratio, recorded
from observability import catalogue as c
from observability.catalogue import Milestone, Phase

NO_RULES = "no samples from the rules"
QUANTILES = (0.5, 0.95, 0.99)


class PhaseOf(NamedTuple):
    """What to say of a phase."""

    phase: Phase
    title: str
    asks: str
    bad: str
    then: str
    limit: Steps | None = None


PHASES = (
    PhaseOf(
        Phase.RING_DELIVERY,
        "Ring delivery",
        "How long until the ring reaches the callee's socket?",
        f"p99 above {RING_DELIVERY_S:g} s, the SLO.",
        "All of it is our own time: queue delay on the Errors dashboard, loop lag on the Nodes dashboard.",
        at_most(RING_DELIVERY_S),
    ),
    PhaseOf(
        Phase.RINGING,
        "Ringing",
        "How long do callees let it ring?",
        "Everything at the ring timeout: callees do not see or hear the call.",
        "Was a client released? Does its `call:incoming` show? Compare with the reason `no_answer`.",
    ),
    PhaseOf(
        Phase.NEGOTIATION,
        "Negotiation",
        "How long from accepting to the answer of the offer?",
        "p95 of seconds: clients wait for the camera, or for all candidates.",
        "Compare `setup_server`: if that is small, the time goes in the clients or their networks.",
    ),
    PhaseOf(
        Phase.MEDIA,
        "Media",
        "How long from the answer until media flows?",
        "p95 of seconds: connectivity checks fall back to a relay, or fail at first.",
        "Is TURN reachable? One trace shows how many candidates each side sent, and when.",
    ),
    PhaseOf(
        Phase.SETUP_SERVER,
        "Set-up, our part",
        "How much of the set-up do we spend ourselves?",
        "p99 above 0.1 s.",
        "Errors dashboard: which event got slow. Nodes dashboard: loop lag.",
        at_most(0.1),
    ),
    PhaseOf(
        Phase.SETUP_TOTAL,
        "Set-up without ringing",
        "How long do people wait, the ringing not counted?",
        f"p95 above {SETUP_S:g} s, the SLO.",
        "The other panels of this row show the phase that grew.",
        at_most(SETUP_S),
    ),
)

_ATTEMPTED = rate(c.CALL_MILESTONES, milestone=Milestone.ATTEMPTED)
_STEPS = (Milestone.RINGING, Milestone.ANSWERED, Milestone.NEGOTIATED, Milestone.CONNECTED)


def dashboard() -> Dashboard:
    """What happens to calls."""
    return Dashboard(
        uid="signalling-calls",
        title="Signalling / Calls",
        description="How far calls get, how long each phase takes, how they end, and how that was last week.",
        rows=(
            Row("How far do calls get?", _FUNNEL),
            Row("Is it as it was last week?", _LAST_WEEK),
            Row("How long does each phase take?", [_phase(each) for each in PHASES]),
            Row("How do they end?", _ENDS),
            Row("What is going on?", _LIVE),
            Row("In the terms of RFC 6076", _RFC_6076),
            Row("What does the probe see?", (_PROBE,)),
        ),
    )


_FUNNEL: tuple[Panel, ...] = (
    bars(
        "The funnel",
        Why(
            "Of the calls placed in this time, how many got how far?",
            "A step much shorter than the one before. Ringing far below attempted is ours; answered is the users'.",
            "Find the step on the right, then the phase of that step below.",
        ),
        tuple(
            Target(quiet(increase(c.CALL_MILESTONES, window="$__range", milestone=milestone)), milestone, instant=True)
            for milestone in Milestone
        ),
        "none",
        width=10,
    ),
    graph(
        "Share of the attempts that reach each step",
        Why(
            "When did a step get worse?",
            "A line that falls and stays down. `connected` needs clients that send `call:connected`.",
            "Compare with the annotations: versions and process starts. Then the ends by reason.",
        ),
        tuple(Target(ratio(rate(c.CALL_MILESTONES, milestone=step), _ATTEMPTED), step) for step in _STEPS),
        "percentunit",
        width=14,
        maximum=1,
    ),
)


_LAST_WEEK: tuple[Panel, ...] = (
    graph(
        "Attempts, now and a week ago",
        Why(
            "Are as many calls placed as at the same time last week?",
            "Less than half of last week's with no holiday to explain it.",
            "Fewer connections too: Connections dashboard. As many connections: a client release that cannot call.",
        ),
        (
            Target(rate(c.CALL_ATTEMPTS, "media"), "{{media}}"),
            Target(rate(c.CALL_ATTEMPTS, offset="1w"), "all, a week ago"),
        ),
        "suffix: calls/s",
    ),
    graph(
        "Share that ended badly, now and a week ago",
        Why(
            "Do more calls fail than at the same time last week?",
            "Twice last week's or more.",
            "Ends by reason and fault, below.",
        ),
        (
            Target(ratio(rate(c.CALLS_ENDED, fault=BAD_FAULTS), rate(c.CALLS_ENDED)), "now"),
            Target(
                f"({rate(c.CALLS_ENDED, offset='1w', fault=BAD_FAULTS)}) / ({rate(c.CALLS_ENDED, offset='1w')} > 0)",
                "a week ago",
            ),
        ),
        "percentunit",
        maximum=1,
        thresholds=at_most(0.05, 0.2),
    ),
)


def _phase(of: PhaseOf) -> Panel:
    return graph(
        of.title,
        Why(of.asks, of.bad, f"{of.then} Click a dot for the trace of one call."),
        tuple(
            Target(quantile(q, c.CALL_PHASE_DURATION, phase=of.phase), f"p{q * 100:g}", exemplars=q == QUANTILES[-1])
            for q in QUANTILES
        ),
        "s",
        thresholds=of.limit,
        width=8,
        links=(trace_link("Traces of calls", '{ rootName = "call" && name = "call.setup" }'),),
    )


_ENDS: tuple[Panel, ...] = (
    graph(
        "Ends by reason",
        Why(
            "How do calls end?",
            "`failed`, `connection_lost` or `server_shutdown` growing at the cost of `hangup`.",
            "The table tells whose fault and in which state. `connection_lost`: Connections dashboard.",
        ),
        Target(rate(c.CALLS_ENDED, "reason"), "{{reason}}"),
        "suffix: calls/s",
        stacked=True,
        width=8,
    ),
    graph(
        "Ends by fault",
        Why(
            "Whose fault are the ends?",
            "`server` at all: only that burns the error budget of call establishment.",
            "Errors dashboard for `server`; the traces of failed calls show where each stopped.",
        ),
        Target(rate(c.CALLS_ENDED, "fault"), "{{fault}}"),
        "suffix: calls/s",
        stacked=True,
        width=8,
        links=(trace_link("Traces of failed calls", '{ rootName = "call" && status = error }'),),
    ),
    table(
        "Ends in this time",
        Why(
            "Which ends are most frequent, by reason, fault and state?",
            "A line with fault `server` or `network` near the top.",
            "Take the state: `ringing` is delivery, `connecting` negotiation, `connected` a call that was cut off.",
        ),
        ("reason", "fault", "phase"),
        (
            Column(
                "calls",
                increase(c.CALLS_ENDED, "reason", "fault", "phase", window="$__range") + " > 0",
                "none",
            ),
        ),
        width=8,
        sort_by="calls",
    ),
    heatmap(
        "How long calls last",
        Why(
            "How long do answered calls last?",
            "A new dark band at the bottom: people hang up at once since they hear or see nothing.",
            "Look at the phase Media, and ask for a call id: its trace shows both sides.",
        ),
        buckets(c.CALL_DURATION),
        "s",
        width=16,
    ),
    stat(
        "Call length, middle",
        Why(
            "How long does the middle call of the last hour last?",
            "Far below the usual: people give up.",
            "See the heatmap on the left for since when.",
        ),
        Target(quantile(0.5, c.CALL_DURATION, window="1h")),
        "s",
        width=8,
        height=8,
    ),
)


_LIVE: tuple[Panel, ...] = (
    graph(
        "Live calls by state",
        Why(
            "How many calls are in which state?",
            "`connecting` growing: negotiation hangs. `ringing` growing: nobody answers.",
            "The phase's panel above; the oldest call on the right.",
        ),
        Target(gauge(c.CALLS, "state"), "{{state}}"),
        "suffix: calls",
        stacked=True,
        width=8,
    ),
    graph(
        "Oldest call",
        Why(
            "Does a call never end?",
            "A line that climbs for many hours while others come and go: a leak.",
            "Runbook CallLeak: the log has the call's last line; its trace is kept until it ends.",
        ),
        Target(gauge(c.OLDEST_CALL, "instance", how="max"), "{{instance}}"),
        "s",
        thresholds=at_most(6 * 3600, 12 * 3600),
        width=8,
    ),
    graph(
        "Glare and renegotiation",
        Why(
            "How often do two people call each other at once, and how often are calls negotiated anew?",
            "Renegotiation many times the usual: networks change, or a client loops.",
            "Compare with the network's faults; a client that loops shows in one trace.",
        ),
        (Target(rate(c.GLARE), "glare"), Target(rate(c.RENEGOTIATIONS), "renegotiations")),
        "suffix:/s",
        width=5,
    ),
    stat(
        "Peak",
        Why(
            "How many calls at a time was the most, over all nodes, since they started?",
            "Near what the nodes were sized for.",
            "Add a node before the next peak.",
        ),
        Target(quiet(gauge(c.CALLS_PEAK))),
        "none",
        width=3,
        height=8,
    ),
)


_RFC_6076: tuple[Panel, ...] = (
    graph(
        "Session establishment",
        Why(
            "SER and SEER: which share of the attempts was answered, and which share was handled well?",
            "SEER falling is ours or the network's. SER alone falling is people who do not answer.",
            "SEER: ends by fault. SER: ends by reason, `no_answer`, `rejected`, `busy`.",
        ),
        (
            Target(recorded("ser:ratio_rate5m"), "SER: answered"),
            Target(recorded("seer:ratio_rate5m"), "SEER: handled well"),
        ),
        "percentunit",
        maximum=1,
        width=12,
        thresholds=at_least(0.9, 0.5),
        no_value=NO_RULES,
    ),
    graph(
        "Session request delay",
        Why(
            "SRD p95: how long after calling does the caller learn that it rings?",
            f"Above {RING_DELIVERY_S:g} s, the SLO of ring delivery.",
            "The panel Ring delivery, and loop lag.",
        ),
        Target(recorded("srd_seconds:p95_rate5m"), "SRD p95"),
        "s",
        width=6,
        thresholds=at_most(RING_DELIVERY_S),
        no_value=NO_RULES,
    ),
    graph(
        "Session duration",
        Why(
            "SDT: how long is the mean call?",
            "Half of the usual.",
            "The heatmap of how long calls last shows what the mean hides.",
        ),
        Target(recorded("sdt_seconds:mean_rate5m"), "SDT mean"),
        "s",
        width=6,
        no_value=NO_RULES,
    ),
)


_PROBE = graph(
    "Steps of the probe's call, p95",
    Why(
        "Which step of a call through the front door is slow, or missing?",
        "A step that grew; a step without a line is the one that the call does not reach.",
        "`connect` and `join`: Connections dashboard. The others: the event of that name on the Errors dashboard.",
    ),
    Target(quantile(0.95, c.PROBE_STEP_DURATION, "step", window="15m", scope=ANYWHERE), "{{step}}", exemplars=True),
    "s",
    width=24,
    no_value="no probe runs",
)
