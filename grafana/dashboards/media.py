"""Media: whether the parties find each other, which way it goes, and how good it is. All from what clients report."""

from grafana.media_alerts import ICE_FAILURE_SHARE
from grafana.model import Dashboard, Panel, Row, Target, Why, at_least, at_most
from grafana.panels import graph, heatmap, stat
from grafana.query import NOW, buckets, gauge, mean, quantile, rate, ratio
from observability import catalogue as c

ROUND_TRIP_S, JITTER_S, LOSS = (0.3, 0.5), (0.03, 0.05), (0.02, 0.05)
"""From where talk gets hard, and bad: half of ITU-T G.114's 150 and 250 ms one way, and what Opus still hides."""
_TRIED = ("connected", "failed")
_FAILED = rate(c.ICE_OUTCOMES, window=NOW, result="failed")
_REPORTED = {"event": "call:quality", "outcome": "ok"}


def _pairs(offset: str = "", **labels: str) -> str:
    return rate(c.ICE_SELECTED_PAIRS, window="1h", offset=offset, **labels)


def dashboard() -> Dashboard:
    """What happens to media."""
    return Dashboard(
        uid="signalling-media",
        title="Signalling / Media",
        description="Media goes past this server: this is what clients report of it (`call:quality`). Clients that "
        "report nothing are not in here.",
        rows=(
            Row("Now", _NOW),
            Row("Do the parties find each other?", _ICE),
            Row("Which way does media go?", _WAYS),
            Row("How good is it?", _GOOD),
            Row("Who reports?", _REPORTS),
        ),
    )


_NOW: tuple[Panel, ...] = (
    stat(
        "ICE that fails",
        Why(
            "Of the parties that reported, for which share did ICE fail in the last 5 minutes?",
            f"A few in a hundred are usual. Above {ICE_FAILURE_SHARE:.0%} an alert follows.",
            "Where it fails, below. Do the TURN servers answer?",
        ),
        Target(ratio(_FAILED, rate(c.ICE_OUTCOMES, window=NOW, result=_TRIED))),
        "percentunit",
        thresholds=at_most(ICE_FAILURE_SHARE / 2, ICE_FAILURE_SHARE),
        decimals=1,
    ),
    stat(
        "Relayed",
        Why(
            "Which share of the connections of 5 minutes goes over a relay?",
            "Far from its usual value, up or down.",
            "Relayed against yesterday, below.",
        ),
        Target(ratio(rate(c.ICE_SELECTED_PAIRS, window=NOW, path="relay"), rate(c.ICE_SELECTED_PAIRS, window=NOW))),
        "percentunit",
        decimals=1,
    ),
    stat(
        "Round trip, p95",
        Why(
            "How long does media take to the other party and back, for the worst twentieth of the reports?",
            "Above 300 ms people begin to interrupt each other; above 500 ms they give up.",
            "Round trip by way, below: is it the relays?",
        ),
        Target(quantile(0.95, c.MEDIA_RTT, window=NOW)),
        "s",
        thresholds=at_most(*ROUND_TRIP_S),
    ),
    stat(
        "Loss, p95",
        Why(
            "How many packets are lost, for the worst twentieth of the reports?",
            "Above 2 % video suffers, above 5 % speech too.",
            "Loss below: for all, or for a few?",
        ),
        Target(quantile(0.95, c.MEDIA_LOSS, window=NOW)),
        "percentunit",
        thresholds=at_most(*LOSS),
        decimals=1,
    ),
    stat(
        "Jitter, p95",
        Why(
            "How unevenly do packets arrive, for the worst twentieth of the reports?",
            "Above 30 ms the delay that evens it out is heard.",
            "With loss: networks are full. Alone: wireless networks, mostly.",
        ),
        Target(quantile(0.95, c.MEDIA_JITTER, window=NOW)),
        "s",
        thresholds=at_most(*JITTER_S),
    ),
    stat(
        "Reports per call and minute",
        Why(
            "How often is reported, for each connected call?",
            "Two parties every ten seconds make 12. Near 0: this dashboard speaks of few calls.",
            "Which client release reports nothing? See the client guide.",
        ),
        Target(
            f"60 * ({rate(c.EVENTS_TOTAL, window=NOW, **_REPORTED)})"
            f" / clamp_min(sum(avg_over_time({c.CALLS.full_name}"
            '{job=~"$job",instance=~"$instance",state="connected"}[5m])), 1)'
        ),
        "none",
        thresholds=at_least(2, 0.5),
        decimals=1,
    ),
)


_ICE: tuple[Panel, ...] = (
    graph(
        "What ICE comes to",
        Why(
            "Do the parties get through to each other?",
            "`failed` growing against `connected`. `disconnected` in bursts: networks that break.",
            "Failed: where, on the right. Disconnected: do connections to us break too (Connections dashboard)?",
        ),
        Target(rate(c.ICE_OUTCOMES, "result"), "{{result}}"),
        "suffix: parties/s",
        stacked=True,
        width=8,
    ),
    graph(
        "Where ICE fails",
        Why(
            "At what point does it fail?",
            "`checking`: no pair works, so firewalls, or no TURN server. `gathering`: no candidates at all, so a "
            "client without permission or network. `connected`: a way that worked broke.",
            "`checking`: try the TURN servers by hand. `gathering`: which client release? `connected`: do clients "
            "restart ICE?",
        ),
        Target(rate(c.ICE_FAILURES, "stage"), "{{stage}}"),
        "suffix: parties/s",
        stacked=True,
        width=8,
    ),
    graph(
        "ICE that fails, over time",
        Why(
            "Since when does it fail more often?",
            f"A step, or a line that climbs to {ICE_FAILURE_SHARE:.0%}.",
            "A step at a deploy: roll back. None of ours: ask what the network's or the TURN servers' people changed.",
        ),
        Target(ratio(rate(c.ICE_OUTCOMES, result="failed"), rate(c.ICE_OUTCOMES, result=_TRIED)), "failed"),
        "percentunit",
        thresholds=at_most(ICE_FAILURE_SHARE),
        maximum=1,
        width=8,
    ),
)


_WAYS: tuple[Panel, ...] = (
    graph(
        "Ways of media",
        Why(
            "Do parties reach each other directly, through address translation, or over a relay?",
            "`reflexive` turning into `relay`: STUN does not answer. `relay` gone: TURN does not answer.",
            "Ask the STUN and TURN servers by hand (`turnutils_uclient`).",
        ),
        Target(rate(c.ICE_SELECTED_PAIRS, "path"), "{{path}}"),
        "suffix: parties/s",
        stacked=True,
        width=8,
    ),
    graph(
        "Relayed against yesterday",
        Why(
            "Is as much relayed as is usual?",
            "The two lines part. Up: money and delay. Down to nothing: who needs a relay has no media.",
            "The runbook of `RelayShareAnomaly`.",
        ),
        (
            Target(ratio(_pairs(path="relay"), _pairs()), "now"),
            Target(f"({_pairs('1d', path='relay')}) / (({_pairs('1d')}) > 0)", "yesterday"),
        ),
        "percentunit",
        maximum=1,
        width=8,
    ),
    graph(
        "What carries it",
        Why(
            "How much goes over TCP or TLS because UDP does not get through?",
            "`tcp` and `tls` growing: some network blocks UDP. Video over them stutters.",
            "Is the TURN server reachable over UDP? One customer's network: talk to its people.",
        ),
        Target(rate(c.ICE_SELECTED_PAIRS, "protocol"), "{{protocol}}"),
        "suffix: parties/s",
        stacked=True,
        width=8,
    ),
)


_GOOD: tuple[Panel, ...] = (
    graph(
        "Round trip by way, p95",
        Why(
            "Which way is slow?",
            "`relay` far above the others: the relays are far away or full. All: the networks of the clients.",
            "Relays: their load and place. All: nothing to mend here.",
        ),
        Target(quantile(0.95, c.MEDIA_RTT, "path"), "{{path}}", exemplars=True),
        "s",
        thresholds=at_most(*ROUND_TRIP_S),
        width=12,
    ),
    heatmap(
        "Round trips of media",
        Why(
            "Do all calls have the same delay, or are there groups?",
            "A second band that appears above the first: one region, or one way, got slow.",
            "Open a dot in the upper band: the span `media.quality` says which way that call took.",
        ),
        buckets(c.MEDIA_RTT),
        "s",
        width=12,
    ),
    graph(
        "Loss",
        Why(
            "How many packets are lost?",
            "p95 above 5 %. The mean following it: everybody suffers, not a few.",
            "Everybody: the network of the relays or of one region. A few: nothing to mend here.",
        ),
        (
            Target(mean(c.MEDIA_LOSS), "mean"),
            Target(quantile(0.95, c.MEDIA_LOSS), "p95", exemplars=True),
        ),
        "percentunit",
        thresholds=at_most(*LOSS),
        width=8,
    ),
    graph(
        "Jitter",
        Why(
            "How unevenly do packets arrive?",
            "p95 above 50 ms: speech is cut.",
            "With loss: networks are full. Alone: wireless networks, mostly.",
        ),
        (
            Target(quantile(0.5, c.MEDIA_JITTER), "p50"),
            Target(quantile(0.95, c.MEDIA_JITTER), "p95", exemplars=True),
        ),
        "s",
        thresholds=at_most(*JITTER_S),
        width=8,
    ),
    graph(
        "Media of one party",
        Why(
            "How much does a party receive and send?",
            "A fall of `in` without one of `out`: it is lost on the way. Both near nothing: silent calls.",
            "With loss: full networks. Both near nothing: which client release came out?",
        ),
        (
            Target(mean(c.MEDIA_THROUGHPUT, "direction"), "{{direction}} mean"),
            Target(quantile(0.5, c.MEDIA_THROUGHPUT, "direction"), "{{direction}} p50"),
        ),
        "Bps",
        width=8,
    ),
)


_REPORTS: tuple[Panel, ...] = (
    graph(
        "Reports by outcome",
        Why(
            "Do clients report, and do we understand them?",
            "`invalid_payload`: a client release sends what is out of range or not asked for. A fall: it stopped.",
            "The error names the field, in that client's log; the client guide shows what to send.",
        ),
        Target(f"({rate(c.EVENTS_TOTAL, 'outcome', event='call:quality')}) > 0", "{{outcome}}"),
        "suffix: reports/s",
        stacked=True,
        width=12,
        no_value="no reports",
    ),
    graph(
        "Calls that are connected",
        Why(
            "How many calls is there something to report of?",
            "Reports falling while this stays.",
            "Compare with the reports on the left.",
        ),
        Target(gauge(c.CALLS, state="connected"), "connected"),
        "suffix: calls",
        width=12,
    ),
)
