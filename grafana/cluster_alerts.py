"""The alerts on what joins the nodes: Redis between them, the inboxes, and the proxy in front."""

from grafana.alert_types import FRONT_JOB, PAGE, TICKET, Alert
from grafana.query import ANYWHERE, increase, observed, quantile
from observability.catalogue import CLUSTER_NODES, INBOX_LAG, INBOX_PROBLEMS, REDIS_UP

NODES_BOARD = "signalling-nodes"
LAG_S = 0.25
FEWEST_ENTRIES = 20
NOT_CARRIED_OUT = ("too_large", "malformed", "version", "lost")
"""What must not happen to a message. A duplicate is harmless, and a socket may always have gone."""


def _redis_down() -> tuple[Alert, ...]:
    up = REDIS_UP.full_name
    effect = "users of different nodes cannot call each other, and nobody new is let in. Calls on one node go on."
    return (
        Alert(
            "RedisDown",
            PAGE,
            f"max by (job) ({up}) == 0",
            "1m",
            "No node of {{ $labels.job }} can reach Redis",
            f"No node reaches Redis (redis_up is {{{{ $value | humanize }}}}): {effect} See that Redis runs, and what "
            "its log says. Nodes come back by themselves, also to an empty Redis.",
            NODES_BOARD,
            {"scope": "all"},
        ),
        Alert(
            "RedisDown",
            PAGE,
            f"{up} == 0\nand on (job) max by (job) ({up}) == 1",
            "2m",
            "Node {{ $labels.instance }} cannot reach Redis",
            "{{ $labels.instance }} cannot reach Redis (redis_up is {{ $value | humanize }}), others can: the proxy "
            "sends it nobody, and its users are offline for the others. See the network between the two, and the "
            "node's log.",
            NODES_BOARD,
            {"scope": "node"},
        ),
    )


def _inbox() -> tuple[Alert, ...]:
    lag = quantile(0.95, INBOX_LAG, "job", "instance", window="10m", scope=ANYWHERE)
    entries = observed(INBOX_LAG, "count", "job", "instance", window="10m", scope=ANYWHERE)
    problems = increase(
        INBOX_PROBLEMS, "job", "instance", "problem", window="15m", scope=ANYWHERE, problem=NOT_CARRIED_OUT
    )
    return (
        Alert(
            "InboxLag",
            TICKET,
            f"{lag} > {LAG_S:g}\nand {entries} * 600 >= {FEWEST_ENTRIES}",
            "10m",
            "Node {{ $labels.instance }} hears the others late",
            "One entry in twenty waits {{ $value | humanizeDuration }} or longer before {{ $labels.instance }} reads "
            "it: rings and candidates from other nodes are late by as much. Compare its event loop's lag with the "
            "latency of Redis.",
            NODES_BOARD,
        ),
        Alert(
            "MessagesLost",
            TICKET,
            f"{problems} >= 1",
            "",
            "Messages from other nodes were not carried out on {{ $labels.instance }}: {{ $labels.problem }}",
            "{{ $value | humanize }} of what others sent to {{ $labels.instance }} in a quarter of an hour was not "
            "carried out ({{ $labels.problem }}). Calls may hang in their set-up. Did Redis lose its memory, do nodes "
            "run different versions, or does something else write to these keys?",
            NODES_BOARD,
        ),
    )


def _split() -> Alert:
    return Alert(
        "ClusterSplit",
        TICKET,
        f"{CLUSTER_NODES.full_name}\n!= on (job) group_left count by (job) ({REDIS_UP.full_name} == 1)",
        "10m",
        "{{ $labels.instance }} does not see the nodes that Prometheus sees",
        "{{ $labels.instance }} shares its users with {{ $value | humanize }} nodes, itself included; that is not how "
        "many answer Prometheus and reach Redis. Do all have the same REDIS_URL and REDIS_KEY_PREFIX, and is every "
        "node scraped?",
        NODES_BOARD,
    )


def _front() -> Alert:
    down = f'haproxy_server_status{{job="{FRONT_JOB}",proxy="nodes",state="DOWN"}}'
    return Alert(
        "FrontNodeDown",
        TICKET,
        f"sum by (job, instance) ({down}) > 0",
        "5m",
        "The proxy does not reach {{ $value | humanize }} of the nodes",
        "For {{ $labels.instance }} {{ $value | humanize }} nodes are down: DNS names them, and they do not answer. "
        "Their clients were sent to others. If Prometheus reaches them, the network between the two is at fault.",
        NODES_BOARD,
    )


def cluster_alerts() -> tuple[Alert, ...]:
    """All of them."""
    return (*_redis_down(), *_inbox(), _split(), _front())
