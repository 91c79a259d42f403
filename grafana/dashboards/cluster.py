"""Redis and what goes on between nodes: rows of the dashboard `nodes.py`."""

from grafana.cluster_alerts import LAG_S
from grafana.model import GREEN, RED, Json, Panel, Steps, Target, Why, at_most
from grafana.panels import graph, stat, timeline
from grafana.query import NODES_UP, NOW, gauge, increase, mean, observed, quantile, rate
from observability import catalogue as c

ALONE = "these nodes share no Redis"
COMMAND_S = 0.025
"""No promise: most commands take a tenth of it."""
REACHED: Json = {
    "type": "value",
    "options": {
        "0": {"text": "out of reach", "color": RED, "index": 0},
        "1": {"text": "reached", "color": GREEN, "index": 1},
    },
}

TOGETHER: tuple[Panel, ...] = (
    timeline(
        "Redis, as each node finds it",
        Why(
            "Which node could reach Redis when?",
            "Red on all: Redis. Red on one: that node or its network. It takes no new clients meanwhile.",
            "Runbook RedisDown. Calls on one node go on; those between nodes cannot change until it is back.",
        ),
        Target(gauge(c.REDIS_UP, "instance", how="max"), "{{instance}}"),
        "none",
        thresholds=Steps(RED, ((1, GREEN),)),
        width=12,
        mappings=(REACHED,),
        no_value=ALONE,
    ),
    stat(
        "Nodes together",
        Why(
            "Do the nodes see each other, and does Prometheus see them all?",
            "Three numbers that differ, for longer than a lease.",
            "Fewer seen than answer: a node with another REDIS_URL or prefix. More: one is not scraped. Runbook "
            "ClusterSplit.",
        ),
        (
            Target(gauge(c.CLUSTER_NODES, how="min"), "seen by a node, at least"),
            Target(gauge(c.CLUSTER_NODES, how="max"), "at most"),
            Target(NODES_UP, "answer Prometheus"),
        ),
        "none",
        width=6,
        height=7,
        no_value=ALONE,
        names=True,
    ),
    graph(
        "Leases lost",
        Why(
            "Was a node taken for dead though it lives?",
            "Any: its users were offline for the others, and came back.",
            "A stall of that node, or a break of its way to Redis, longer than NODE_LEASE_S.",
        ),
        Target(increase(c.LEASES_LOST, "instance", window=NOW), "{{instance}}"),
        "suffix: times",
        thresholds=at_most(1),
        width=6,
        height=7,
        no_value=ALONE,
    ),
)

REDIS: tuple[Panel, ...] = (
    graph(
        "Redis commands, p99",
        Why(
            "How long does Redis take, by command?",
            f"All above {1000 * COMMAND_S:g} ms: Redis is busy or far. One alone: that script has much to do. At "
            "250 ms the connection is given up.",
            "Redis' own slow log and CPU; if it is idle, the loop lag above is in these times.",
        ),
        Target(quantile(0.99, c.REDIS_COMMAND_DURATION, "command"), "{{command}}"),
        "s",
        thresholds=at_most(COMMAND_S, 0.25),
        width=8,
        no_value=ALONE,
    ),
    graph(
        "Redis commands",
        Why(
            "What is asked of Redis, and how often?",
            "More commands without more calls: a node that repeats itself, or clients that join in a loop.",
            "Compare with calls and joins; failed commands are on the right.",
        ),
        Target(observed(c.REDIS_COMMAND_DURATION, "count", "command"), "{{command}}"),
        "suffix: commands/s",
        stacked=True,
        width=8,
        no_value=ALONE,
    ),
    graph(
        "Redis connections and failed commands",
        Why(
            "Does the way to Redis hold?",
            "Reconnects again and again; `refused`: Redis is full, or a node was taken for dead.",
            "The node's log has what Redis said. Full: raise maxmemory, nothing may be evicted.",
        ),
        (
            Target(increase(c.REDIS_RECONNECTS, "instance", window=NOW), "{{instance}} reconnects"),
            Target(increase(c.REDIS_COMMANDS_FAILED, "outcome", window=NOW), "commands {{outcome}}"),
        ),
        "suffix: times",
        thresholds=at_most(1),
        width=8,
        no_value=ALONE,
    ),
)

INBOXES: tuple[Panel, ...] = (
    graph(
        "Inbox lag",
        Why(
            "How late does a node hear what others send it?",
            f"p99 above {1000 * LAG_S:g} ms: calls between nodes are set up late by as much.",
            "One node: its event loop's lag. All: Redis. Runbook InboxLag.",
        ),
        (
            Target(quantile(0.5, c.INBOX_LAG, "instance"), "{{instance}} p50"),
            Target(quantile(0.99, c.INBOX_LAG, "instance"), "{{instance}} p99"),
        ),
        "s",
        thresholds=at_most(LAG_S),
        width=8,
        no_value=ALONE,
    ),
    graph(
        "Messages between nodes",
        Why(
            "How much goes from node to node?",
            "`out` above `in` over all nodes: something is not read.",
            "Compare with what did not arrive, below.",
        ),
        Target(rate(c.INBOX_MESSAGES, "direction"), "{{direction}}"),
        "suffix: messages/s",
        width=8,
        no_value=ALONE,
    ),
    graph(
        "Messages in an entry",
        Why(
            "How many messages travel together?",
            "1 under load: nothing is batched, and Redis has as much to do as there are messages.",
            "More load makes larger entries, which is right. Larger ones without load: a node sends in bursts.",
        ),
        (
            Target(mean(c.INBOX_BATCH_SIZE, "instance"), "{{instance}} mean"),
            Target(quantile(0.95, c.INBOX_BATCH_SIZE, "instance"), "{{instance}} p95"),
        ),
        "suffix: messages",
        width=8,
        no_value=ALONE,
    ),
)

LOSSES: tuple[Panel, ...] = (
    graph(
        "Messages that were not carried out",
        Why(
            "Did messages between nodes go astray?",
            "`lost`: Redis forgot them. `version`, `malformed`, `too_large`: a node or a stranger writes what others "
            "do not take. `duplicate` is harmless, `undelivered` means a client that had just left.",
            "Runbook MessagesLost.",
        ),
        Target(increase(c.INBOX_PROBLEMS, "problem", window=NOW), "{{problem}}"),
        "suffix: messages",
        stacked=True,
        width=8,
        no_value=ALONE,
    ),
    graph(
        "Calls that were recovered",
        Why(
            "What became of calls when a node died, or Redis forgot?",
            "`ended`: cut off with their node, without grace. `waiting`: their party may come back; see resumes on the "
            "Connections dashboard. `over`: could not be kept.",
            "Which node died, and why? A call's trace says `node_lost`.",
        ),
        Target(increase(c.CALLS_RECOVERED, "result", window=NOW), "{{result}}"),
        "suffix: calls",
        stacked=True,
        width=8,
        no_value=ALONE,
    ),
    graph(
        "Sessions of dead nodes",
        Why(
            "Did a node die, and how many clients had it?",
            "Any, outside a restart by force: a node went without a word.",
            "State of each node, above; its last lines of log. Clients come back by themselves.",
        ),
        Target(increase(c.SESSIONS_REAPED, "instance", window=NOW), "cleared up by {{instance}}"),
        "suffix: sessions",
        stacked=True,
        width=8,
        no_value=ALONE,
    ),
)
