"""The metrics of a node that shares its users with others over Redis: the catalogue's part on that.

A node alone has none of them, so that none of them says of it what is not so.
"""

from observability.metric import counter, gauge, histogram

COMMAND_BUCKETS_S = (0.0005, 0.001, 0.005, 0.025, 0.1, 0.25)
"""Up to what a command may take before its connection is given up."""
LAG_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0)
BATCH_BUCKETS = (1.0, 2.0, 5.0, 10.0, 25.0, 100.0, 500.0)

COMMANDS = (
    "seat",
    "vacate",
    "presence",
    "load",
    "commit",
    "hold",
    "collect",
    "send",
    "deadlines",
    "claim",
    "settle",
    "statuses",
    "renew",
    "_OTHER",
)
"""The scripts that run all the time; those of starts, stops and outages are `_OTHER`."""

IGNORED = ("too_large", "malformed", "version", "duplicate")

REDIS_UP = gauge("redis_up", "1", "1 while this node can ask Redis and its lease there holds: others can reach it.")
REDIS_COMMAND_DURATION = histogram(
    "redis_command_duration_seconds",
    "From the command (the name of a script) to its answer, or to the end of its connection.",
    COMMAND_BUCKETS_S,
    command=COMMANDS,
)
REDIS_COMMANDS_FAILED = counter(
    "redis_commands_failed_total",
    "Commands that Redis `refused`, or whose connection broke, so that the outcome is `unknown`. Most are tried again.",
    outcome=("refused", "unknown"),
)
REDIS_RECONNECTS = counter("redis_reconnects_total", "Connections to Redis that were made after the first.")
CLUSTER_NODES = gauge("cluster_nodes", "1", "Nodes whose lease holds, this one among them, as of its last renewal.")
INBOX_LAG = histogram(
    "inbox_lag_seconds",
    "From an entry's arrival in Redis to its reading by this node, by the time of Redis as this node knows it.",
    LAG_BUCKETS_S,
)
INBOX_MESSAGES = counter(
    "inbox_messages_total",
    "Messages for sockets of other nodes (`out`), and from other nodes for sockets here (`in`).",
    direction=("in", "out"),
)
INBOX_BATCH_SIZE = histogram("inbox_batch_size", "Messages in an entry that this node sent.", BATCH_BUCKETS)
INBOX_PROBLEMS = counter(
    "inbox_problems_total",
    "What other nodes sent, or Redis kept, and was not carried out: `too_large`, `malformed` or of a newer `version`; "
    "a `duplicate`, which is harmless; entries that were `lost` before they were read; messages for a socket that had "
    "gone (`undelivered`).",
    problem=(*IGNORED, "lost", "undelivered"),
)
LEASES_LOST = counter("leases_lost_total", "Times that this node was taken for dead: its writes were refused.")
SESSIONS_REAPED = counter("sessions_reaped_total", "Sessions of dead nodes that this node cleared up after.")
CALLS_RECOVERED = counter(
    "calls_recovered_total",
    "Calls after a failure of what joins the nodes. The node of a party died, and the call is `waiting` for the party "
    "or has `ended`; this counts once for all nodes. Or a node wrote its calls to Redis again: it was `rewritten`, "
    "`newer` there, or `over` meanwhile.",
    result=("waiting", "ended", "rewritten", "newer", "over"),
)
