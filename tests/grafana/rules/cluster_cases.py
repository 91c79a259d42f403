"""Each alert of `grafana/cluster_alerts.py`: cases in which it fires and cases in which it stays silent."""

from grafana.query import Values, selector
from observability.catalogue import CLUSTER_NODES, INBOX_LAG, INBOX_PROBLEMS, READY, REDIS_UP, Metric
from tests.grafana.rules.promtool import A, B, Case, Firing

JOB_A = {"job": "signalling"}
NODE_A = {"job": "signalling", "instance": "a:9464"}
UP_B = f"up{{{B}}}"
FRONT = {"job": "haproxy", "instance": "front:8404"}


def of(metric: Metric, within: str = A, **labels: Values) -> str:
    return selector(metric, scope=within, labels=labels)


def lags(per_minute: dict[float, float], minutes: int = 60) -> dict[str, str]:
    """The inbox of node A: so many entries a minute of each of these lags."""
    name, total = INBOX_LAG.full_name, sum(per_minute.values())
    series = {
        f'{name}_bucket{{{A},le="{bound}"}}': f"0+{sum(n for at, n in per_minute.items() if at <= bound)}x{minutes}"
        for bound in INBOX_LAG.buckets
    }
    return series | {
        f'{name}_bucket{{{A},le="+Inf"}}': f"0+{total}x{minutes}",
        f"{name}_count{{{A}}}": f"0+{total}x{minutes}",
    }


def servers(**counts: str) -> dict[str, str]:
    """Nodes in each state, as HAProxy sees them."""
    labels = 'job="haproxy",instance="front:8404",proxy="nodes",server="node1"'
    return {f'haproxy_server_status{{{labels},state="{state}"}}': values for state, values in counts.items()}


CLUSTER = (
    Case(
        "RedisDown",
        "Redis is gone",
        {of(REDIS_UP): "1x5 0x10", of(REDIS_UP, B): "1x5 0x10", UP_B: "1x20", of(READY): "1x5 0x10"},
        "9m",
        (Firing({**JOB_A, "scope": "all"}, "0"),),
    ),
    Case(
        "RedisDown",
        "one node of two is cut off",
        {of(REDIS_UP): "1x5 0x10", of(REDIS_UP, B): "1x20", UP_B: "1x20", of(READY): "1x5 0x10"},
        "9m",
        (Firing({**NODE_A, "scope": "node"}, "0"),),
    ),
    Case("RedisDown", "a replica takes over in half a minute", {of(REDIS_UP): "1x5 0 1x20"}, "7m"),
    Case("RedisDown", "the nodes are alone and share nothing", {}, "30m"),
    Case(
        "InboxLag",
        "one entry in eleven waits up to a second",
        lags({0.005: 10, 1.0: 1}),
        "25m",
        (Firing(NODE_A, "587.5ms"),),
    ),
    Case("InboxLag", "all are read within 25 ms", lags({0.005: 10, 0.025: 1}), "25m"),
    Case("InboxLag", "an entry an hour, late", lags({5.0: 0.02}), "25m"),
    Case(
        "MessagesLost",
        "Redis forgot four entries",
        {of(INBOX_PROBLEMS, problem="lost"): "0x5 4x20"},
        "6m",
        (Firing({**NODE_A, "problem": "lost"}, "4"),),
    ),
    Case(
        "MessagesLost",
        "clients go, and entries come twice",
        {of(INBOX_PROBLEMS, problem="undelivered"): "0+9x30", of(INBOX_PROBLEMS, problem="duplicate"): "0+1x30"},
        "20m",
    ),
    Case(
        "ClusterSplit",
        "two nodes, each with a Redis of its own",
        {
            of(CLUSTER_NODES): "1x30",
            of(CLUSTER_NODES, B): "1x30",
            of(REDIS_UP): "1x30",
            of(REDIS_UP, B): "1x30",
            UP_B: "1x30",
        },
        "15m",
        (Firing(NODE_A, "1"), Firing({**JOB_A, "instance": "b:9464"}, "1")),
    ),
    Case(
        "ClusterSplit",
        "a node joins, and another goes",
        {
            of(CLUSTER_NODES): "1x5 2x10 1x20",
            of(CLUSTER_NODES, B): "_x5 2x9 _x20",
            of(REDIS_UP): "1x40",
            of(REDIS_UP, B): "_x5 1x9 _x20",
            UP_B: "_x5 1x9 _x20",
        },
        "30m",
    ),
    Case(
        "FrontNodeDown",
        "a node does not answer the proxy",
        servers(UP="1x5 0x20", DOWN="0x5 1x20"),
        "15m",
        (Firing(FRONT, "1"),),
    ),
    Case("FrontNodeDown", "a node stops, and is gone from DNS", servers(UP="1x5 0x20", DOWN="0x5 1 0x20"), "15m"),
    Case("FrontNodeDown", "there is no proxy", {}, "15m"),
)
