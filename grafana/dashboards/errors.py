"""Errors: what fails, in which event, and through whose fault."""

from grafana.dashboards.limits import HANDLER_ERRORS, HANDLER_S
from grafana.model import Dashboard, Panel, Row, Target, Why, at_most, trace_link
from grafana.panels import Column, bars, graph, heatmap, stat, table
from grafana.query import (
    NOW,
    OUR_OUTCOMES,
    Not,
    appeared,
    buckets,
    gauge,
    increase,
    quantile,
    quiet,
    rate,
    ratio,
    ratio_by,
)
from observability import catalogue as c

THEIRS = Not(("ok", *OUR_OUTCOMES))
STRANGE = ("unknown_event", "reserved_event", "invalid_payload")
"""Outcomes that a working client never causes."""
KEYS_AGE_S = 600
"""After how long keys are fetched anew, while tokens come."""
_EVERYTHING = rate(c.EVENTS_TOTAL, window=NOW)
_TRACES = (trace_link("Traces of slow events", f"{{ kind = server && duration > {HANDLER_S:g}s }}"),)


def dashboard() -> Dashboard:
    """What fails."""
    return Dashboard(
        uid="signalling-errors",
        title="Signalling / Errors",
        description="What fails, in which event, through whose fault; rate, errors and duration of every event.",
        rows=(
            Row("Now", _NOW),
            Row("What fails?", _WHAT),
            Row("Rate, errors and duration of every event", (_RED,)),
            Row("How slow?", _SLOW),
            Row("Who sends what they should not?", _STRANGE),
            Row("Do those answer whom we ask?", _ASKED),
        ),
    )


_NOW: tuple[Panel, ...] = (
    stat(
        "Our errors",
        Why(
            "Which share of the events of 5 minutes failed through our fault?",
            f"Above {HANDLER_ERRORS:.2%}, the SLO.",
            "Exceptions by type, below; the log has the traceback.",
        ),
        Target(ratio(rate(c.EVENTS_TOTAL, window=NOW, outcome=OUR_OUTCOMES), _EVERYTHING)),
        "percentunit",
        thresholds=at_most(HANDLER_ERRORS, 10 * HANDLER_ERRORS),
        decimals=3,
        width=5,
    ),
    stat(
        "Refused to clients",
        Why(
            "Which share of the events of 5 minutes was refused, rightly?",
            "Well above the usual: a client release that does something wrong.",
            "By outcome, below.",
        ),
        Target(ratio(rate(c.EVENTS_TOTAL, window=NOW, outcome=THEIRS), _EVERYTHING)),
        "percentunit",
        thresholds=at_most(0.1, 0.3),
        decimals=1,
        width=5,
    ),
    stat(
        "Events per second",
        Why("How busy are we?", "Many times the usual.", "Which event grew? See the table below."),
        Target(quiet(_EVERYTHING)),
        "none",
        decimals=1,
        width=4,
    ),
    stat(
        "In progress",
        Why(
            "How many events are being handled at this moment?",
            "A number that grows and stays: handlers hang.",
            "Queue delay below; Nodes dashboard: stalls.",
        ),
        Target(quiet(gauge(c.EVENTS_IN_PROGRESS))),
        "none",
        thresholds=at_most(100, 1000),
        width=5,
    ),
    stat(
        "Unknown events per minute",
        Why(
            "Do clients send events that we do not know?",
            "More than a trickle: a newer client against an older server, or somebody probing.",
            "Was a client released before the server? Its log names the event; ours cannot, as clients choose names.",
        ),
        Target(quiet(f"60 * {rate(c.EVENTS_TOTAL, window=NOW, event=c.OTHER)}")),
        "none",
        thresholds=at_most(60, 600),
        decimals=1,
        width=5,
    ),
)


_WHAT: tuple[Panel, ...] = (
    graph(
        "Share of our errors, by event",
        Why(
            "Which event fails through our fault, and since when?",
            f"Above {HANDLER_ERRORS:.2%}, the SLO.",
            "Compare the start with the versions above the graph.",
        ),
        Target(
            ratio_by(rate(c.EVENTS_TOTAL, "event", outcome=OUR_OUTCOMES), rate(c.EVENTS_TOTAL, "event"), "event"),
            "{{event}}",
        ),
        "percentunit",
        thresholds=at_most(HANDLER_ERRORS),
        width=8,
        no_value="no traffic",
    ),
    graph(
        "By outcome",
        Why(
            "What goes wrong?",
            "`internal` at all; another that grew against the usual. `user_not_available` is a busy user.",
            "`receiver_not_found`, `call_not_found`: calls end before their events arrive; see ends by reason.",
        ),
        Target(rate(c.EVENTS_TOTAL, "outcome", outcome=Not(("ok",))) + " > 0", "{{outcome}}"),
        "suffix: events/s",
        stacked=True,
        width=8,
        no_value="none",
    ),
    graph(
        "Exceptions by type",
        Why(
            "What is the bug?",
            "Any. A type that was not there before the last version is that version's.",
            "Find the type in the log: its line has the stack and the ids of the trace. Roll back if it is new.",
        ),
        Target(appeared(c.EVENT_EXCEPTIONS, "error_type", "event") + " > 0", "{{error_type}} in {{event}}"),
        "suffix: exceptions",
        stacked=True,
        width=8,
        no_value="none",
    ),
    graph(
        "Our errors, by node",
        Why(
            "Is it one node or all?",
            "One line alone.",
            "One: drain it, then look at the Nodes dashboard. All: the version, or what they share.",
        ),
        Target(rate(c.EVENTS_TOTAL, "instance", outcome=OUR_OUTCOMES), "{{instance}}"),
        "suffix: events/s",
        width=12,
    ),
    bars(
        "Errors in this time, by event and outcome",
        Why(
            "Which errors are the most frequent?",
            "One bar that is longer than all others together.",
            "Look the outcome up in the protocol's list of errors: it says what the client should do.",
        ),
        Target(
            "topk(12, "
            + increase(c.EVENTS_TOTAL, "event", "outcome", window="$__range", outcome=Not(("ok",)))
            + " > 0)",
            "{{event}} {{outcome}}",
            instant=True,
        ),
        "none",
        width=12,
        no_value="none",
    ),
)


_RED = table(
    "Events in the last 5 minutes",
    Why(
        "How often does each event come, how often does it fail, how long does it take?",
        "A red cell.",
        "Read the line: errors and time up together is overload, errors alone a bug, time alone a slow dependency.",
    ),
    ("event",),
    (
        Column("per second", rate(c.EVENTS_TOTAL, "event", window=NOW), "none"),
        Column(
            "our errors",
            ratio_by(
                rate(c.EVENTS_TOTAL, "event", window=NOW, outcome=OUR_OUTCOMES),
                rate(c.EVENTS_TOTAL, "event", window=NOW),
                "event",
            ),
            "percentunit",
            at_most(HANDLER_ERRORS, 10 * HANDLER_ERRORS),
        ),
        Column(
            "refused",
            ratio_by(
                rate(c.EVENTS_TOTAL, "event", window=NOW, outcome=THEIRS),
                rate(c.EVENTS_TOTAL, "event", window=NOW),
                "event",
            ),
            "percentunit",
            at_most(0.1, 0.5),
        ),
        Column("p50", quantile(0.5, c.EVENT_DURATION, "event", window=NOW), "s"),
        Column("p95", quantile(0.95, c.EVENT_DURATION, "event", window=NOW), "s", at_most(HANDLER_S, 4 * HANDLER_S)),
        Column(
            "p99", quantile(0.99, c.EVENT_DURATION, "event", window=NOW), "s", at_most(2 * HANDLER_S, 8 * HANDLER_S)
        ),
    ),
    width=24,
    height=10,
    sort_by="per second",
)


_SLOW: tuple[Panel, ...] = (
    graph(
        "Duration by event, p95",
        Why(
            "Which event got slow?",
            f"Above {HANDLER_S:g} s.",
            "One event: its handler. All of them: the event loop; see queue delay. Click a dot for a trace.",
        ),
        Target(quantile(0.95, c.EVENT_DURATION, "event"), "{{event}}", exemplars=True),
        "s",
        thresholds=at_most(HANDLER_S),
        width=8,
        links=_TRACES,
    ),
    graph(
        "Wait before handling",
        Why(
            "How long do events wait before they run?",
            f"p99 above {HANDLER_S:g} s: we are behind.",
            "Nodes dashboard: loop lag and CPU. Add a node, or shed load.",
        ),
        (
            Target(quantile(0.95, c.EVENT_QUEUE_DELAY), "p95"),
            Target(quantile(0.99, c.EVENT_QUEUE_DELAY), "p99", exemplars=True),
        ),
        "s",
        thresholds=at_most(HANDLER_S),
        width=8,
    ),
    heatmap(
        "Durations of all events",
        Why(
            "Are all events a little slower, or a few much slower?",
            "A second band above the first: some wait for something.",
            "The panel by event shows which.",
        ),
        buckets(c.EVENT_DURATION),
        "s",
        width=8,
        links=_TRACES,
    ),
)


_STRANGE: tuple[Panel, ...] = (
    graph(
        "Malformed, reserved and unknown events",
        Why(
            "Do clients send what no working client sends?",
            "A step up: a client release with a bug, or an attack.",
            "`invalid_payload`: the client was told which field. From few addresses: block them at the proxy.",
        ),
        Target(rate(c.EVENTS_TOTAL, "outcome", outcome=STRANGE), "{{outcome}}"),
        "suffix: events/s",
        stacked=True,
    ),
    graph(
        "Refused for who they are",
        Why(
            "Are clients refused for who they say they are?",
            "`refused` connects or `unauthorized` events rising: keys were changed, or somebody guesses.",
            "Were keys or tokens changed? If not, look for few addresses with many tries in the proxy's log.",
        ),
        (
            Target(rate(c.CONNECTS, result="refused"), "connects refused"),
            Target(rate(c.EVENTS_TOTAL, "outcome", outcome=("unauthorized", "not_joined")), "events {{outcome}}"),
        ),
        "suffix:/s",
        stacked=True,
    ),
    graph(
        "Refused for their rate",
        Why(
            "Does somebody send, call or connect faster than allowed?",
            "Any scope that stays up. `connect` alone after a restart: everybody comes back at once.",
            "Runbook RateLimitSpike.",
        ),
        Target(rate(c.RATE_LIMITED, "scope"), "{{scope}}"),
        "suffix: refusals/s",
        stacked=True,
        width=24,
    ),
)


_ASKED: tuple[Panel, ...] = (
    graph(
        "Fetches of the issuer's keys",
        Why(
            "Can the keys that tokens are checked with be fetched?",
            "Anything but `ok`. A new node without keys lets nobody in; on others new keys are not known.",
            "Runbook AuthBackendFailing. Nothing at all is normal without AUTH_JWKS_URL.",
        ),
        Target(rate(c.KEY_FETCHES, "result"), "{{result}}"),
        "suffix: fetches/s",
        stacked=True,
        width=8,
        no_value="none",
    ),
    graph(
        "Age of the issuer's keys",
        Why(
            "How old are the keys that each node knows?",
            f"Well above {KEYS_AGE_S} s while clients connect: fetching fails, and a withdrawn key is still good.",
            "Runbook AuthBackendFailing.",
        ),
        Target(f"time() - ({gauge(c.KEYS_FETCHED_AT, 'instance')} > 0)", "{{instance}}"),
        "s",
        thresholds=at_most(3 * KEYS_AGE_S),
        width=8,
        no_value="none",
    ),
    graph(
        "May this user call that one?",
        Why(
            "What does the backend answer?",
            "Anything but `allowed` and `refused`: calls are refused, or let through unasked, as AUTHORIZE_ON_FAILURE "
            "says. `refused` rising at once: the backend's rules changed.",
            "Runbook AuthBackendFailing. Nothing at all is normal without AUTHORIZE_URL.",
        ),
        Target(rate(c.LEAVES, "result"), "{{result}}"),
        "suffix: questions/s",
        stacked=True,
        width=8,
        no_value="none",
    ),
    graph(
        "Duration of that question",
        Why(
            "How long do callers wait for the backend?",
            f"p95 above {HANDLER_S:g} s: it is part of every call's set-up.",
            "Ask those who run the backend; AUTHORIZE_CACHE_S spares questions.",
        ),
        (
            Target(quantile(0.5, c.LEAVE_DURATION), "p50"),
            Target(quantile(0.95, c.LEAVE_DURATION), "p95"),
            Target(quantile(0.99, c.LEAVE_DURATION), "p99"),
        ),
        "s",
        thresholds=at_most(HANDLER_S),
        width=24,
        no_value="none",
    ),
)
