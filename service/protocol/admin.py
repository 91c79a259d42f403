"""The admin API: its operations, and what each answers. `docs/admin-openapi.json` is made from this.

The names are those of log lines and call records. Nothing here holds a user, an address or a description.
"""

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

PREFIX = "/admin"


class NodeStatus(msgspec.Struct, frozen=True):
    """This node, now."""

    version: Annotated[str, Meta(description="The version that runs.")]
    node: Annotated[
        str | None, Meta(description="What this node is called among the others; null where there are none.")
    ]
    ready: Annotated[bool, Meta(description="Whether new clients are welcome, as `/readyz` says.")]
    draining: Annotated[bool, Meta(description="Whether the node is going away.")]
    redis_reachable: Annotated[
        bool | None, Meta(description="Whether the other nodes can be reached over Redis; null without Redis.")
    ]
    uptime_s: Annotated[float, Meta(description="Seconds since the start.", ge=0)]
    connections: Annotated[int, Meta(description="Connected clients.", ge=0)]
    users: Annotated[int, Meta(description="Users with a client on this node.", ge=0)]
    calls: Annotated[int, Meta(description="Live calls with a party on this node.", ge=0)]


class LiveCall(msgspec.Struct, frozen=True):
    """A live call with a party on this node."""

    call_id: Annotated[str, Meta(description="The id of the call, and of its trace.")]
    state: Annotated[str, Meta(extra_json_schema={"enum": ["ringing", "connecting", "connected"]})]
    media: Annotated[str, Meta(description="What it was placed for.", extra_json_schema={"enum": ["audio", "video"]})]
    age_s: Annotated[float, Meta(description="Seconds since it was placed.", ge=0)]
    connected_for_s: Annotated[
        float | None, Meta(description="Seconds since media flows, as the clients say; null before.")
    ]
    roles_here: Annotated[tuple[str, ...], Meta(description="The parties that are connected to this node.")]
    roles_away: Annotated[tuple[str, ...], Meta(description="The parties whose return is waited for.")]


class LiveCalls(msgspec.Struct, frozen=True):
    """The live calls of this node, the oldest first."""

    total: Annotated[int, Meta(description="How many there are, listed or not.", ge=0)]
    calls: tuple[LiveCall, ...]


class Stretch(msgspec.Struct, frozen=True):
    """A phase of the set-up. `setup_server` and `setup_total` are sums that end where the set-up does."""

    phase: str
    at_s: Annotated[float, Meta(description="When it began, in seconds since the call was placed.")]
    took_s: Annotated[float, Meta(ge=0)]


class HandledEvent(msgspec.Struct, frozen=True):
    """One event of a client that this node dealt with. Candidates and reports that went well are summed up instead."""

    at_s: Annotated[float, Meta(description="When it came, in seconds since the call was placed.")]
    role: Annotated[str | None, Meta(description="Who sent it; null: neither party, or one that was replaced.")]
    event: str
    outcome: Annotated[str, Meta(description="`ok`, or the code of the error.")]
    waited_s: Annotated[float, Meta(description="How long it waited for earlier events of its socket.", ge=0)]
    took_s: Annotated[float, Meta(description="How long it took from then on.", ge=0)]


class Candidates(msgspec.Struct, frozen=True):
    """The candidates that one party sent."""

    role: str
    count: int
    first_at_s: float
    last_at_s: float


class Absence(msgspec.Struct, frozen=True):
    """A party's connection was lost. `until_s` is null where it did not come back."""

    role: str
    from_s: float
    until_s: float | None


class Renegotiation(msgspec.Struct, frozen=True):
    """A party made an offer after the first answer."""

    role: str
    at_s: float


class Measured(msgspec.Struct, frozen=True):
    """One measure over all reports of a party."""

    mean: float
    worst: float


class MediaSummary(msgspec.Struct, frozen=True):
    """What one party has reported on its media (`call:quality`)."""

    role: str
    reports: int
    ice: Annotated[tuple[str, ...], Meta(description="What ICE came to, in the order in which that was told.")]
    path: Annotated[
        str | None, Meta(description="The way of the media: `host`, `reflexive` or `relay`; null where not told.")
    ]
    round_trip_s: Measured | None
    jitter_s: Measured | None
    loss_ratio: Measured | None


class Explanation(msgspec.Struct, frozen=True):
    """What one node saw of a call, live or recently ended. Moments are seconds since the call was placed."""

    call_id: Annotated[str, Meta(description="The id of the call, and of its trace.")]
    verdict: Annotated[str, Meta(description="What became of it, in one sentence.")]
    node: Annotated[
        str | None,
        Meta(
            description="The node that explains, null where there is one only. A call between two nodes is explained "
            "by each from its own side: ask both."
        ),
    ]
    state: str
    media: str
    placed_at: Annotated[str, Meta(description="ISO 8601, in UTC.")]
    lasted_s: Annotated[float, Meta(description="Until it ended, or until now.", ge=0)]
    reason: Annotated[
        str | None,
        Meta(description="Why it ended, the `code` that clients got; null while it is live or if not known here."),
    ]
    fault: Annotated[
        str | None,
        Meta(
            description="Whose fault the end is: `none`, `user`, `network`, `client`, `server`; null where it has not "
            "ended, or another node ended it."
        ),
    ]
    ended_in: Annotated[str | None, Meta(description="The state that it was in before; null as for `fault`.")]
    ended_by: Annotated[
        str | None, Meta(description="`caller`, `callee`, `server` or `operator`; null as for `fault`.")
    ]
    glare: Annotated[bool, Meta(description="Whether both parties had called each other at once.")]
    server_s: Annotated[float, Meta(description="What this node took of the set-up in all.", ge=0)]
    milestones: Annotated[dict[str, float], Meta(description="When each was reached.")]
    phases: tuple[Stretch, ...]
    events: tuple[HandledEvent, ...]
    events_not_kept: Annotated[int, Meta(description="Events beyond those that are kept of one call.", ge=0)]
    candidates: tuple[Candidates, ...]
    absences: tuple[Absence, ...]
    renegotiations: tuple[Renegotiation, ...]
    media_reports: tuple[MediaSummary, ...]


class CallOver(msgspec.Struct, frozen=True):
    """The call is over and its parties are told."""

    ended: Annotated[str, Meta(description="The id of the call.")]


class Draining(msgspec.Struct, frozen=True):
    """The node is going away."""

    draining: Annotated[bool, Meta(description="True. `/admin/status` says how many clients are left.")]


class Evicted(msgspec.Struct, frozen=True):
    """The connections of the user are closed."""

    closed: Annotated[int, Meta(description="How many there were; none is no error.", ge=0)]


class Failure(NamedTuple):
    """A way in which a request can fail."""

    status: int
    code: str
    message: str


UNAUTHORIZED = Failure(401, "unauthorized", "Send `Authorization: Bearer <ADMIN_TOKEN>`")
BAD_QUERY = Failure(400, "bad_query", "`limit` must be a whole number from 1 to 1000, `format` must be json or text")
UNREADABLE = Failure(400, "unreadable", "The request is malformed or too large")
NO_SUCH_PATH = Failure(404, "no_such_path", "There is nothing here; docs/admin.md lists the operations")
CALL_UNKNOWN = Failure(404, "call_not_found", "There is no live call of this id on any node")
CALL_UNSEEN = Failure(
    404,
    "call_not_seen",
    "This node has seen no call of this id, or more than 1000 have ended since; ask the other nodes",
)
WRONG_METHOD = Failure(405, "method_not_allowed", "This path has another method; docs/admin.md lists the operations")
FAILED = Failure(500, "internal", "The request failed; the log of this node says why")
OUT_OF_REACH = Failure(503, "unavailable", "Redis cannot be reached now; try again when /admin/status says it is")
FAILURES = (
    UNREADABLE,
    BAD_QUERY,
    UNAUTHORIZED,
    NO_SUCH_PATH,
    CALL_UNKNOWN,
    CALL_UNSEEN,
    WRONG_METHOD,
    FAILED,
    OUT_OF_REACH,
)


class AdminError(msgspec.Struct, frozen=True):
    """The request failed and nothing has changed."""

    code: Annotated[str, Meta(extra_json_schema={"enum": [failure.code for failure in FAILURES]})]
    message: Annotated[str, Meta(description="What to do, for people.")]


MAX_LISTED = 1000
"""Live calls in one answer at the most."""


class Parameter(NamedTuple):
    """A parameter of an operation. `where` is `path` or `query`."""

    name: str
    where: str
    description: str
    schema: dict[str, object]


_CALL_ID = Parameter("call_id", "path", "The id of the call.", {"type": "string"})
_USER = Parameter("user", "path", "The user id, percent-encoded.", {"type": "string"})
_LIMIT = Parameter(
    "limit",
    "query",
    "How many calls to list at the most.",
    {"type": "integer", "minimum": 1, "maximum": MAX_LISTED, "default": 100},
)
_FORMAT = Parameter(
    "format",
    "query",
    "`text` for the ladder, as `Accept: text/plain`.",
    {"type": "string", "enum": ["json", "text"]},
)


class Operation(NamedTuple):
    """One thing that can be asked of the admin API. `path` is below `PREFIX`."""

    name: str
    method: str
    path: str
    summary: str
    answer: type[msgspec.Struct]
    parameters: tuple[Parameter, ...] = ()
    failures: tuple[Failure, ...] = ()
    as_text: bool = False


OPERATIONS = (
    Operation("status", "GET", "/status", "How this node is.", NodeStatus),
    Operation("calls", "GET", "/calls", "The live calls of this node.", LiveCalls, (_LIMIT,), (BAD_QUERY,)),
    Operation(
        "explain",
        "GET",
        "/calls/{call_id}",
        "Explain a call, live or recently ended: who did what when, and what became of it.",
        Explanation,
        (_CALL_ID, _FORMAT),
        (BAD_QUERY, CALL_UNSEEN),
        as_text=True,
    ),
    Operation(
        "end_call",
        "DELETE",
        "/calls/{call_id}",
        "End a live call, on whichever nodes its parties are.",
        CallOver,
        (_CALL_ID,),
        (CALL_UNKNOWN, OUT_OF_REACH),
    ),
    Operation(
        "evict",
        "DELETE",
        "/users/{user}/connections",
        "Close the connections of a user on every node. Its client does not connect again by itself.",
        Evicted,
        (_USER,),
        (OUT_OF_REACH,),
    ),
    Operation(
        "drain",
        "POST",
        "/drain",
        "Stop this node as SIGTERM does: no new clients and calls, its clients leave one after the other, the process "
        "ends. Repeatable; there is no way back.",
        Draining,
    ),
)
"""All operations. A new one is a row here and a handler of its name in `service.transport.admin`."""
