"""Connections: who comes, how, why they go, and how far away they are."""

from grafana.dashboards.limits import ALLOWED
from grafana.model import Dashboard, Panel, Row, Target, Why, at_least, at_most
from grafana.panels import graph, heatmap, stat
from grafana.query import NOW, Not, buckets, gauge, mean, quantile, quiet, rate, ratio, ratio_by
from observability import catalogue as c

CONNECT_FAILURES = ALLOWED["connects"]
COUNTED = ("ok", "abandoned")
"""The results that the SLO of connects counts; the others are for what clients sent."""
LOST = ("transport_lost", "ping_timeout")
"""Disconnects that nobody wanted."""
_BY_NODE = gauge(c.CONNECTIONS, "instance")


def dashboard() -> Dashboard:
    """What happens to connections."""
    return Dashboard(
        uid="signalling-connections",
        title="Signalling / Connections",
        description="Who is connected and how, who cannot connect, why connections end, and how far away clients are.",
        rows=(
            Row("Now", _NOW),
            Row("Who is connected, and where?", _OPEN),
            Row("Can everyone connect?", _CONNECTS),
            Row("Why do connections end?", _ENDS),
            Row("How far away are clients?", _DISTANCE),
            Row("How much do they send?", _TRAFFIC),
        ),
    )


_NOW: tuple[Panel, ...] = (
    stat(
        "Connections",
        Why("How many clients are connected?", "A sudden fall.", "See the disconnect reasons below."),
        Target(quiet(gauge(c.CONNECTIONS))),
        "none",
    ),
    stat(
        "Users online",
        Why(
            "How many users have joined?",
            "Far fewer than connections: clients connect and do not join.",
            "Errors dashboard: `user:join` and its outcomes.",
        ),
        Target(quiet(gauge(c.USERS_ONLINE))),
        "none",
    ),
    stat(
        "Connects that fail",
        Why(
            "Which share of the connects of 5 minutes was given up? (Refused and malformed ones are the clients'.)",
            f"Above {CONNECT_FAILURES:.1%}, the SLO, and above all when it stays there.",
            "Connects by result, below.",
        ),
        Target(ratio(rate(c.CONNECTS, window=NOW, result="abandoned"), rate(c.CONNECTS, window=NOW, result=COUNTED))),
        "percentunit",
        thresholds=at_most(CONNECT_FAILURES, 20 * CONNECT_FAILURES),
        decimals=2,
    ),
    stat(
        "On long polling",
        Why(
            "Which share of the connections is not on a websocket?",
            "Well above the usual: a proxy refuses the upgrade.",
            "Try a websocket through the front door; look at the proxy's configuration and log.",
        ),
        Target(ratio(gauge(c.CONNECTIONS, transport="polling"), gauge(c.CONNECTIONS))),
        "percentunit",
        thresholds=at_most(0.2, 0.5),
        decimals=1,
    ),
    stat(
        "Lost per minute",
        Why(
            "How many connections break a minute, unwanted?",
            "Many times the usual.",
            "One node or all? See by node below. All: the network or the proxy in front.",
        ),
        Target(quiet(f"60 * {rate(c.DISCONNECTS, window=NOW, reason=LOST)}")),
        "none",
        decimals=1,
    ),
    stat(
        "Calls that survive a break",
        Why(
            "Of the calls whose party lost its connection in the last hour, which share got it back?",
            "Below 80 %: people are cut off. With no break at all it is 100 %.",
            "Resumes below; is the grace period shorter than clients need to reconnect?",
        ),
        Target(
            quiet(
                f"({rate(c.RESUMES, window='1h', result=Not(('expired',)))}) / ({rate(c.RESUMES, window='1h')} > 0)",
                calm="1",
            )
        ),
        "percentunit",
        thresholds=at_least(0.8, 0.5),
        decimals=0,
    ),
)


_OPEN: tuple[Panel, ...] = (
    graph(
        "Connections by transport",
        Why(
            "Which transport do clients use?",
            "`polling` growing while `websocket` falls: upgrades fail.",
            "The proxy in front: does it pass the Upgrade header?",
        ),
        Target(gauge(c.CONNECTIONS, "transport"), "{{transport}}"),
        "suffix: connections",
        stacked=True,
        width=8,
    ),
    graph(
        "Connections by node",
        Why(
            "Is the load spread evenly?",
            "One node with far more or none. After a restart its line climbs only as clients reconnect.",
            "None: is it ready (Nodes dashboard), does the proxy see it? Far more: drain it to spread its clients.",
        ),
        Target(_BY_NODE, "{{instance}}"),
        "suffix: connections",
        width=8,
    ),
    graph(
        "Imbalance",
        Why(
            "How much more than its share does the fullest node carry?",
            "Above twice its share with more than a handful of connections.",
            "Check the proxy's balancing; drain the fullest node.",
        ),
        Target(f"max({_BY_NODE}) / (avg({_BY_NODE}) > 0)", "fullest to mean"),
        "suffix:x",
        thresholds=at_most(1.5, 2),
        width=8,
    ),
)


_CONNECTS: tuple[Panel, ...] = (
    graph(
        "Connects by result",
        Why(
            "Do connects succeed, and how do the others fail?",
            "`refused`: authentication. `malformed`: something that is no client. `abandoned`: clients gave up. "
            "`rate_limited` and the like: a limit was met. All rising at once: everyone reconnects.",
            "`refused`: were keys changed? `abandoned`: time to connect, on the right.",
        ),
        Target(rate(c.CONNECTS, "result"), "{{result}}"),
        "suffix: connects/s",
        stacked=True,
        width=8,
    ),
    graph(
        "Share given up, by transport",
        Why(
            "Does one transport fail more than the other?",
            "One line alone: the proxy treats that transport badly. Both: we do.",
            "One: the proxy's log. Both: connects by result.",
        ),
        Target(
            ratio_by(
                rate(c.CONNECTS, "transport", result="abandoned"),
                rate(c.CONNECTS, "transport", result=COUNTED),
                "transport",
            ),
            "{{transport}}",
        ),
        "percentunit",
        thresholds=at_most(CONNECT_FAILURES, 20 * CONNECT_FAILURES),
        maximum=1,
        width=8,
        no_value="no connects",
    ),
    graph(
        "Time to connect, p95",
        Why(
            "How long from the handshake to CONNECT?",
            "Above 1 s: clients are far away, or we accept too slowly.",
            "Compare with the round trip below: if that is small, look at loop lag.",
        ),
        Target(quantile(0.95, c.CONNECT_DURATION, "transport"), "{{transport}}", exemplars=True),
        "s",
        thresholds=at_most(1),
        width=8,
    ),
)


_ENDS: tuple[Panel, ...] = (
    graph(
        "Disconnects by reason",
        Why(
            "Why do connections end?",
            "`ping_timeout` or `transport_lost` in bursts: the network or the proxy. `protocol_error`: a broken "
            "client. `slow_consumer`: it does not read. `idle`: it never joined. `shutdown` outside a deployment: a "
            "node went down.",
            "Compare with the annotations, and with the panel by node.",
        ),
        Target(rate(c.DISCONNECTS, "reason"), "{{reason}}"),
        "suffix: disconnects/s",
        stacked=True,
        width=8,
    ),
    graph(
        "Connections lost, by node",
        Why(
            "Does one node lose connections, or all?",
            "One line alone.",
            "One: its Nodes panels, then drain it. All: the network or the proxy in front.",
        ),
        Target(rate(c.DISCONNECTS, "instance", reason=LOST), "{{instance}}"),
        "suffix: disconnects/s",
        width=8,
    ),
    graph(
        "Calls whose party lost its connection",
        Why(
            "Do people come back into their call?",
            "`expired` at all often: those calls were cut off. `replaced` often: two devices fight for one user.",
            "`expired`: compare the grace period with how long clients need. `replaced`: one user, two devices?",
        ),
        Target(rate(c.RESUMES, "result"), "{{result}}"),
        "suffix: calls/s",
        stacked=True,
        width=8,
    ),
    heatmap(
        "How long connections last",
        Why(
            "How long do connections last?",
            "A band at one fixed length, such as 60 s: a proxy cuts idle connections. A dark band at the bottom: "
            "clients reconnect in a loop.",
            "Raise the proxy's timeout above the ping interval; find the looping client by its version.",
        ),
        buckets(c.CONNECTION_DURATION),
        "s",
        width=24,
    ),
)


_DISTANCE: tuple[Panel, ...] = (
    graph(
        "Round trip to clients",
        Why(
            "How far away are clients?",
            "p95 doubling for all: the network, or our own event loop (it is in this time).",
            "Loop lag on the Nodes dashboard is the part that is ours.",
        ),
        (
            Target(quantile(0.5, c.CLIENT_RTT, "transport"), "{{transport}} p50"),
            Target(quantile(0.95, c.CLIENT_RTT, "transport"), "{{transport}} p95"),
        ),
        "s",
        thresholds=at_most(0.5, 1),
    ),
    heatmap(
        "Round trips",
        Why(
            "Do all clients have the same distance, or are there groups?",
            "A second band that appears above the first: one region or one network got slow.",
            "Nothing here to mend if our loop lag is small; tell the network's people.",
        ),
        buckets(c.CLIENT_RTT),
        "s",
    ),
)


_TRAFFIC: tuple[Panel, ...] = (
    graph(
        "Messages",
        Why(
            "How many messages come and go?",
            "`in` growing without more calls: a client that loops. `out` growing alone: a storm of our own.",
            "Errors dashboard: which event grew.",
        ),
        Target(rate(c.MESSAGES, "direction"), "{{direction}}"),
        "suffix: messages/s",
        width=8,
    ),
    graph(
        "Bytes",
        Why(
            "How much is that in bytes?",
            "Near the network's limit.",
            "Message size on the right tells whether there are more messages or larger ones.",
        ),
        Target(rate(c.MESSAGE_BYTES, "direction"), "{{direction}}"),
        "Bps",
        width=8,
    ),
    graph(
        "Message size",
        Why(
            "How large are messages?",
            "p99 at 64 kB: something that is no signalling is sent here.",
            "Find the event that carries it; a limit refuses what is larger still.",
        ),
        (
            Target(mean(c.MESSAGE_SIZE, "direction"), "{{direction}} mean"),
            Target(quantile(0.99, c.MESSAGE_SIZE, "direction"), "{{direction}} p99"),
        ),
        "bytes",
        thresholds=at_most(65536),
        width=8,
    ),
    graph(
        "Waiting for the slowest client",
        Why(
            "Does a client not read what it is sent?",
            "A line that climbs to `MAX_OUTGOING_BYTES` and falls: such a client was disconnected.",
            "One client: nothing to do. Many: the network before the node.",
        ),
        Target(gauge(c.OUTBOUND_BUFFER, "instance"), "{{instance}}"),
        "bytes",
        width=12,
    ),
    graph(
        "Messages given up",
        Why(
            "How many messages did not reach their client?",
            "`slow_consumer` at all: those clients were disconnected. `unfetched`: clients on polling went away.",
            "`slow_consumer`: is the network full, or is one client release broken?",
        ),
        Target(rate(c.OUTBOUND_DROPPED, "reason"), "{{reason}}"),
        "suffix: messages/s",
        stacked=True,
        width=12,
    ),
)
