"""The record of one call, and those who are told of it."""

from collections import Counter
from typing import NamedTuple

from observability.catalogue import Fault, Milestone, Phase, TraceDecision
from service.domain.call import Call, State
from service.domain.effects import Reason, Role
from service.domain.events import Event, GraceOver, HangUp, Lost, PartyEvent, Terminate
from service.domain.quality import CallStats, CandidatePair, IceOutcome
from service.domain.words import Word


class Handled(NamedTuple):
    """One event of a call, as its trace shows it."""

    event: str
    outcome: str
    role: Role | None
    received_at_s: float
    waited_s: float
    took_s: float


class Trickle:
    """The candidates of one side: how many, and from when to when."""

    __slots__ = ("count", "first_at_s", "last_at_s")

    def __init__(self) -> None:
        self.count = 0
        self.first_at_s = 0.0
        self.last_at_s = 0.0

    def add(self, now_s: float) -> None:
        """One more."""
        self.count += 1
        self.last_at_s = now_s
        if self.count == 1:
            self.first_at_s = now_s


MEASURES = ("round_trip_s", "jitter_s", "loss_ratio", "inbound_bps", "outbound_bps")
"""The numbers of a report, by their names in `CallStats`."""


class MediaReports:
    """What one party has reported on its media: sums and peaks of each measure, and what ICE came to, when first."""

    __slots__ = ("counts", "first_at_s", "last_at_s", "outcomes", "pair", "peaks", "reports", "sums")

    def __init__(self, now_s: float) -> None:
        self.reports = 0
        self.first_at_s = self.last_at_s = now_s
        self.counts: Counter[str] = Counter()
        self.sums: dict[str, float] = {}
        self.peaks: dict[str, float] = {}
        self.pair: CandidatePair | None = None
        """The last that was told of."""
        self.outcomes: dict[IceOutcome, tuple[float, CallStats]] = {}

    def add(self, stats: CallStats, now_s: float) -> bool:
        """One more. True where it says of ICE what this party has not said before."""
        self.reports += 1
        self.last_at_s = now_s
        self.pair = stats.pair or self.pair
        for measure in MEASURES:
            value: float | None = getattr(stats, measure)
            if value is not None:
                self.counts[measure] += 1
                self.sums[measure] = self.sums.get(measure, 0.0) + value
                self.peaks[measure] = max(value, self.peaks.get(measure, 0.0))
        if stats.ice is None or stats.ice in self.outcomes:
            return False
        self.outcomes[stats.ice] = (now_s, stats)
        return True


class CallRecord:
    """What one call has been through. Times are the clock's; `wall_offset_ns` makes Unix time of them.

    Where nodes share their calls (`is_shared`), each has a record of what it has itself seen of a call: the events and
    steps of its own sockets. The one that ends the call (`ended_here`) speaks for all.
    """

    __slots__ = (
        "absences",
        "call",
        "counted",
        "decision",
        "ended_by",
        "ended_here",
        "ended_in",
        "events",
        "events_lost",
        "fault",
        "glare",
        "is_kept",
        "is_leaving",
        "is_over",
        "is_shared",
        "marks",
        "media",
        "node_lost_at",
        "phases",
        "reached",
        "renegotiations",
        "server_s",
        "setup_exported",
        "setup_told",
        "traceparent",
        "trickle",
        "wall_offset_ns",
    )

    def __init__(self, call: Call, wall_offset_ns: int, *, is_shared: bool = False) -> None:
        self.call = call
        self.wall_offset_ns = wall_offset_ns
        self.is_shared = is_shared
        self.is_over = self.ended_here = self.is_leaving = False
        self.counted: State | None = None
        """The state in which this node counts it among its live calls; None where it does not."""
        self.node_lost_at: float | None = None
        """When this node found that the node of a party is dead."""
        self.decision: TraceDecision | None = None
        """What is to become of the trace; None while it is open."""
        self.is_kept = False
        """Whether the call's trace is certain to be exported, so that exemplars may point to it."""
        self.reached: dict[Milestone, float] = {}
        self.phases: list[tuple[Phase, float, float]] = []
        self.events: list[Handled] = []
        self.events_lost = 0
        self.trickle = {Role.CALLER: Trickle(), Role.CALLEE: Trickle()}
        self.absences: list[tuple[Role, float, float | None]] = []
        self.renegotiations: list[tuple[Role, float]] = []
        self.marks: dict[Role, float] = {}
        self.media: dict[Role, MediaReports] = {}
        self.server_s = 0.0
        self.glare = False
        self.ended_in = State.RINGING
        self.ended_by: Ender | None = None
        self.fault: Fault | None = None
        self.traceparent: str | None = None
        self.setup_told = False
        self.setup_exported = False
        """Whether the spans of the set-up are out. Written by the tracer alone."""

    @property
    def speaks_for_all(self) -> bool:
        """Whether this node tells what is told once of a call: the root of its trace, and what became of that."""
        return self.ended_here or not self.is_shared

    def decide(self, decision: TraceDecision) -> None:
        """Say what is to become of the trace. The tracer's business."""
        self.decision = decision
        self.is_kept = decision in _KEPT


_KEPT = frozenset({TraceDecision.KEPT_FAULT, TraceDecision.KEPT_SLOW, TraceDecision.KEPT_RATIO})


class CallWatcher:
    """Sees calls in their own terms. As it stands it watches nothing; override what is wanted."""

    def placed(self, record: CallRecord) -> None:
        """A call is there."""

    def joined(self, record: CallRecord) -> None:
        """A call is there that another node has placed."""

    def phase_over(self, record: CallRecord, phase: Phase, seconds: float) -> None:
        """A phase of the set-up took this long."""

    def reached(self, record: CallRecord, milestone: Milestone) -> None:
        """A milestone, once for each call. `connected` comes after the phases that it ends."""

    def changed(self, record: CallRecord, before: State | None) -> None:
        """This node counts the call as `record.counted` now, and counted it as `before`; None: not at all."""

    def glared(self, record: CallRecord) -> None:
        """The callee had called at the same time."""

    def renegotiated(self, record: CallRecord) -> None:
        """An offer came after the first answer."""

    def node_lost(self, record: CallRecord, result: str) -> None:
        """The node of a party died, and this one looks after the call: it is `waiting` for the party, or `ended`."""

    def resumed(self, record: CallRecord, result: str) -> None:
        """A party came back: see `RESUMES` in the catalogue for the results."""

    def media_reported(self, record: CallRecord, role: Role, stats: CallStats) -> None:
        """A party has said how its media fares; `record.media` has it already."""

    def ice_came_to(self, record: CallRecord, role: Role, outcome: IceOutcome, stats: CallStats) -> None:
        """A party has said for the first time that ICE has come to this."""

    def ended(self, record: CallRecord) -> None:
        """The call is over; its reason is `record.call.reason`, the fault `record.fault`."""

    def setup_settled(self, record: CallRecord) -> None:
        """The set-up of a connected call is over, and all its events are in the record."""

    def settled(self, record: CallRecord) -> None:
        """The call is over, and all its events are in the record. Nothing follows."""


def ended_badly(call: Call) -> bool:
    """Whether the end of a call was the server's or the network's fault, as far as the call itself says.

    All nodes come to the same. Who said goodbye was not waited for, where parties are waited for at all.
    """
    if call.reason is Reason.CONNECTION_LOST:
        was_waited_for = call.caller.away_until_s is not None or call.callee.away_until_s is not None
        return was_waited_for or not call.reconnect_grace_s
    return call.reason in (Reason.SERVER_SHUTDOWN, Reason.FAILED)


class Ender(Word):
    """Who or what brought a call to its end: by doing something, or by staying away."""

    CALLER = "caller"
    CALLEE = "callee"
    SERVER = "server"
    OPERATOR = "operator"


def ender_of(before: Call, event: Event | None, now_s: float) -> Ender:
    """Who ended a call: the party that did or that was lost, the operator, or the server's deadline or stop."""
    if isinstance(event, Terminate):
        return Ender.OPERATOR
    role = before.role_of(event.by) if isinstance(event, PartyEvent) else None
    if isinstance(event, GraceOver):
        until_s = before.caller.away_until_s
        role = Role.CALLER if until_s is not None and until_s <= now_s else Role.CALLEE
    return Ender.SERVER if role is None else Ender(role.value)


_BY_CHOICE = frozenset({Reason.CANCELLED, Reason.REJECTED, Reason.BUSY, Reason.NO_ANSWER})


def fault_of(known: CallRecord, event: Event | None) -> Fault:
    """Whose fault it is that a call ended as it did.

    A user's choice is the user's, also to leave without hanging up (a goodbye). A lost transport and media that
    never came about are the network's. An answered call that was given up before its offer was ever answered is
    the client's, since nothing else was missing. What the server ends is the server's; what those who run it end is
    nobody's.
    """
    reason = known.call.reason
    if reason is Reason.SERVER_SHUTDOWN:
        return Fault.SERVER
    if isinstance(event, Terminate):
        return Fault.NONE
    if reason in _BY_CHOICE or (isinstance(event, Lost) and event.goodbye):
        return Fault.USER
    if reason in (Reason.CONNECTION_LOST, Reason.FAILED):
        return Fault.NETWORK
    gave_up = (
        isinstance(event, HangUp) and known.ended_in is State.CONNECTING and Milestone.NEGOTIATED not in known.reached
    )
    return Fault.CLIENT if gave_up else Fault.NONE
