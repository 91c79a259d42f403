"""The ledger of calls: what each live call has been through, told on to those who count, trace and log it.

It turns the raw sights of `service.ports.Observer` into the vocabulary of calls: milestones, phases, faults. A
record is a few tuples (4.6 microseconds for a call of 32 events where live spans cost 1,553, measured while
designing); spans are made of them later, and only for the calls that are kept.

Nodes that share their calls each have a record of a call in which they have a part. Every step of a call is carried
out by one node, and what follows from it is told by that node alone: so each milestone counts once. What the others
did is caught up with in silence.
"""

from collections import deque
from collections.abc import Callable, Iterator

from observability.catalogue import Milestone, Phase
from observability.record import CallRecord, CallWatcher, Handled, MediaReports, ender_of, fault_of
from observability.whereabouts import Whereabouts
from service.domain.call import Call, State
from service.domain.effects import Initiated, Role
from service.domain.events import (
    Accept,
    Answer,
    Candidate,
    Event,
    GraceOver,
    Lost,
    Offer,
    PartyEvent,
    QualityReport,
    Returned,
)
from service.domain.ids import CallId, SessionId
from service.ports import CallStepped, Clock, EventHandled, LinkClosed, LinkOpened, Observer, RedisWatch

MAX_EVENTS = 64
"""Handled events kept for the trace of one call; candidates and reports are summed up, not kept."""

SUMMED_UP = frozenset({"ice:candidate", "call:quality"})

MAX_STRETCHES = 16
"""Renegotiations and absences kept for the trace of one call, of each kind."""

SETTLE_S = 1.0
"""A call's last events are still being handled when it changes; what is told of it later waits this long."""

LEAVE_S = 5.0
"""How long after its deadline a call without a socket on this node is still this node's to watch."""


class Ledger(Observer, RedisWatch):
    """Keeps a record for each live call of this node and tells a `CallWatcher` of it.

    `shared` says that other nodes take part in its calls.
    """

    def __init__(self, watcher: CallWatcher, clock: Clock, wall_ns: Callable[[], int], *, shared: bool = False) -> None:
        self._shared = shared
        self._here = Whereabouts(shared=shared)
        self._watcher = watcher
        self._clock = clock
        self._wall_ns = wall_ns
        self._records: dict[CallId, CallRecord] = {}
        self._live: dict[CallId, CallRecord] = {}
        self._settling: deque[tuple[float, CallRecord]] = deque()
        self.peak = 0
        self._acts: dict[type[Event], Callable[[CallRecord, CallStepped], None]] = {
            Accept: self._accepted,
            Offer: self._offered,
            Answer: self._answered,
            Candidate: self._trickled,
            Lost: self._lost,
            Returned: self._returned,
            GraceOver: self._grace_over,
            QualityReport: self._reported,
        }

    @property
    def oldest_s(self) -> float:
        """The age of the oldest live call; 0 without calls. From any thread."""
        placed = min((record.call.placed_at_s for record in tuple(self._live.values())), default=None)
        return 0.0 if placed is None else max(0.0, self._clock.now() - placed)

    def is_kept(self, call_id: CallId | None) -> bool:
        """Whether the trace of this call is certain to be exported."""
        record = self._records.get(call_id) if call_id is not None else None
        return record is not None and record.is_kept

    def find(self, call_id: CallId) -> CallRecord | None:
        """The record of a call that is live, or has ended a moment ago."""
        return self._records.get(call_id)

    def keep_none(self) -> None:
        """The traces of live calls will not be exported after all."""
        for record in self._records.values():
            record.is_kept = False

    def close(self) -> None:
        """Tell now what would be told later, because the process ends."""
        for record in tuple(self._records.values()):
            self._settle(record)

    # --- service.ports.Observer ---------------------------------------------------------------------------

    def call_stepped(self, record: CallStepped) -> None:
        """See `Observer.call_stepped`."""
        if record.before is None:
            self._placed(record)
            return
        known = self._records.get(record.after.id) or self._joined(record.before)
        known.call = record.after
        act = self._acts.get(type(record.event)) if record.event is not None else None
        if act is not None:
            act(known, record)
        if record.after.state is not record.before.state:
            self._moved(known, record)
        if record.after is not record.before:
            self._settle_in(known)

    def event_handled(self, record: EventHandled) -> None:
        """See `Observer.event_handled`."""
        known = self._records.get(record.call_id) if record.call_id is not None else None
        if known is None:
            return
        spent = record.waited_s + record.took_s
        if Milestone.CONNECTED not in known.reached:
            known.server_s += spent
        if record.event in SUMMED_UP and record.outcome == "ok":
            return
        if record.event == "call:initiate" and record.outcome == "ok":
            self._rung(known, record)
        if len(known.events) < MAX_EVENTS:
            role = known.call.role_of(record.session)
            known.events.append(
                Handled(record.event, record.outcome, role, record.received_at_s, record.waited_s, record.took_s)
            )
        else:
            known.events_lost += 1

    def link_opened(self, record: LinkOpened) -> None:
        """See `Observer.link_opened`."""
        self._here.opened(record.session)

    def link_closed(self, record: LinkClosed) -> None:
        """See `Observer.link_closed`."""
        self._here.closed(record.session)

    # --- service.ports.RedisWatch: what other nodes do ----------------------------------------------------

    def call_changed(self, call: Call) -> None:
        """See `RedisWatch.call_changed`."""
        known = self._records.get(call.id)
        if known is None:
            if self._here.has_part(call):
                self._settle_in(self._joined(call))
        elif not known.is_over and call.version > known.call.version:
            known.call = call
            self._catch_up(known)
            self._settle_in(known)

    def call_over(self, call_id: CallId, call: Call | None) -> None:
        """See `RedisWatch.call_over`."""
        known = self._records.get(call_id)
        if known is None or known.is_over:
            return
        known.call = call or known.call
        known.is_over = True
        self._catch_up(known)
        self._settle_in(known)
        self._later(known, self._clock.now())

    def answer_came(self, session: SessionId) -> None:
        """See `RedisWatch.answer_came`."""
        call_id = self._here.call_of(session)
        known = self._records.get(call_id) if call_id is not None else None
        role = known.call.role_of(session) if known is not None else None
        if known is not None and role is not None:
            known.marks.setdefault(Role.CALLER if role is Role.CALLEE else Role.CALLEE, self._clock.now())
            self._catch_up(known)

    def _joined(self, call: Call) -> CallRecord:
        """A call that another node has placed. Whoever comes into an answered one has missed its negotiation."""
        known = self._new(call, self._clock.now())
        known.reached = dict.fromkeys((Milestone.ATTEMPTED, Milestone.RINGING), call.placed_at_s)
        if call.answered_at_s is not None:
            known.reached[Milestone.NEGOTIATED] = call.answered_at_s
        self._catch_up(known)
        self._watcher.joined(known)
        return known

    def _catch_up(self, known: CallRecord) -> None:
        """Take in what other nodes have told and done."""
        call, reached = known.call, known.reached
        known.absences = [away for away in known.absences if away[2] or call.party(away[0]).away_until_s is not None]
        if call.answered_at_s is not None:
            reached.setdefault(Milestone.ANSWERED, call.answered_at_s)
            if known.marks:
                reached.setdefault(Milestone.NEGOTIATED, max(call.answered_at_s, *known.marks.values()))
        if call.connected_at_s is not None and Milestone.CONNECTED not in reached:
            reached.setdefault(Milestone.NEGOTIATED, call.connected_at_s)
            reached[Milestone.CONNECTED] = call.connected_at_s
            self._later(known, self._clock.now())

    def _settle_in(self, known: CallRecord) -> None:
        """Count a call where it belongs, and let it go where none of its sockets is here any more."""
        call = known.call
        self._here.note(call)
        is_counted = not known.is_over and self._here.counts(call, counted=known.counted is not None)
        before, known.counted = known.counted, call.state if is_counted else None
        if known.counted is not before:
            if is_counted:
                self._live[call.id] = known
                self.peak = max(self.peak, len(self._live))
            else:
                self._live.pop(call.id, None)
            self._watcher.changed(known, before)
        if not (known.is_over or known.is_leaving or self._here.has_part(call)):
            known.is_leaving = True
            self._clock.call_at(self._leaves_at(call), lambda: self._leave(known))

    def _leaves_at(self, call: Call) -> float:
        return max(self._clock.now(), call.deadline_s or 0.0) + LEAVE_S

    def _leave(self, known: CallRecord) -> None:
        known.is_leaving = False
        if self._clock.now() >= self._leaves_at(known.call) - LEAVE_S and not self._here.has_part(known.call):
            known.is_over = True  # somewhere else it may go on
            self._settle(known)
        self._settle_in(known)

    # --- what happens to a call ---------------------------------------------------------------------------

    def _new(self, call: Call, now_s: float) -> CallRecord:
        known = CallRecord(call, self._wall_ns() - int(now_s * 1e9), is_shared=self._shared)
        self._records[call.id] = known
        return known

    def _placed(self, step: CallStepped) -> None:
        known = self._new(step.after, step.now_s)
        self._watcher.placed(known)
        self._settle_in(known)
        self._reach(known, Milestone.ATTEMPTED, step.now_s)

    def _rung(self, known: CallRecord, record: EventHandled) -> None:
        if Milestone.RINGING in known.reached:  # the second attempt of a glare
            return
        known.traceparent = record.traceparent
        done_at = record.received_at_s + record.waited_s + record.took_s
        self._phase(known, Phase.RING_DELIVERY, record.received_at_s, done_at)
        self._reach(known, Milestone.RINGING, done_at)

    def _accepted(self, known: CallRecord, step: CallStepped) -> None:
        if any(isinstance(effect, Initiated) for effect in step.effects):
            known.glare = True
            self._watcher.glared(known)
        self._phase(known, Phase.RINGING, known.call.placed_at_s, step.now_s)
        self._reach(known, Milestone.ANSWERED, step.now_s)
        if known.marks:  # the answer of the offer came while it rang
            self._negotiated(known, step.now_s)

    def _offered(self, known: CallRecord, step: CallStepped) -> None:
        if Milestone.NEGOTIATED not in known.reached:
            return
        role = _role_of(step)
        if role is not None and len(known.renegotiations) < MAX_STRETCHES:
            known.renegotiations.append((role, step.now_s))
        self._watcher.renegotiated(known)

    def _answered(self, known: CallRecord, step: CallStepped) -> None:
        role = _role_of(step)
        if role is not None:
            known.marks.setdefault(role, step.now_s)
        if Milestone.ANSWERED in known.reached:
            self._negotiated(known, step.now_s)

    def _negotiated(self, known: CallRecord, now_s: float) -> None:
        if Milestone.NEGOTIATED not in known.reached:
            self._phase(known, Phase.NEGOTIATION, known.reached[Milestone.ANSWERED], now_s)
            self._reach(known, Milestone.NEGOTIATED, now_s)

    def _trickled(self, known: CallRecord, step: CallStepped) -> None:
        role = _role_of(step)
        if role is not None:
            known.trickle[role].add(step.now_s)

    def _lost(self, known: CallRecord, step: CallStepped) -> None:
        role = _role_of(step)
        if role is None:
            return
        is_away = step.after.party(role).away_until_s is not None
        if is_away and len(known.absences) < MAX_STRETCHES:
            known.absences.append((role, step.now_s, None))
        if isinstance(step.event, Lost) and step.event.with_node:
            self._node_lost(known, step, is_away=is_away)

    def _node_lost(self, known: CallRecord, step: CallStepped, *, is_away: bool) -> None:
        known.node_lost_at = step.now_s
        if step.after.state is State.ENDED:
            self._watcher.node_lost(known, "ended")
        elif is_away and step.before is not None and not any(_absences(step.before)):  # else it is counted already
            self._watcher.node_lost(known, "waiting")

    def _returned(self, known: CallRecord, step: CallStepped) -> None:
        for place, (role, from_s, to_s) in enumerate(known.absences):
            if to_s is None and step.after.party(role).away_until_s is None:
                known.absences[place] = (role, from_s, step.now_s)
                self._watcher.resumed(known, "returned")
                return
        missed = [away for away in _absences(step.before) if step.after.party(away[0]).away_until_s is None]
        known.absences += [(role, from_s, step.now_s) for role, from_s in missed]  # it was lost on another node
        self._watcher.resumed(known, "returned" if missed else "replaced")

    def _grace_over(self, known: CallRecord, _step: CallStepped) -> None:
        self._watcher.resumed(known, "expired")

    def _reported(self, known: CallRecord, step: CallStepped) -> None:
        role, event = _role_of(step), step.event
        if role is None or not isinstance(event, QualityReport):
            return
        told = known.media.setdefault(role, MediaReports(step.now_s))
        is_news = told.add(event.stats, step.now_s)
        self._watcher.media_reported(known, role, event.stats)
        if is_news and event.stats.ice is not None:
            self._watcher.ice_came_to(known, role, event.stats.ice, event.stats)

    def _moved(self, known: CallRecord, step: CallStepped) -> None:
        if step.after.state is State.CONNECTED:
            self._connected(known, step.now_s)
        if step.after.state is State.ENDED:
            self._ended(known, step)

    def _connected(self, known: CallRecord, now_s: float) -> None:
        answered, is_whole = known.reached[Milestone.ANSWERED], self._here.has_whole(known.call)
        if is_whole or Milestone.NEGOTIATED in known.reached:
            self._phase(known, Phase.MEDIA, known.reached.get(Milestone.NEGOTIATED, answered), now_s)
        delivery = next((end - start for phase, start, end in known.phases if phase is Phase.RING_DELIVERY), 0.0)
        self._phase(known, Phase.SETUP_TOTAL, answered - delivery, now_s)
        if is_whole:  # of the other node's part this one knows nothing
            self._phase(known, Phase.SETUP_SERVER, now_s - known.server_s, now_s)
        self._reach(known, Milestone.CONNECTED, now_s)
        self._later(known, now_s)

    def _ended(self, known: CallRecord, step: CallStepped) -> None:
        known.ended_in = step.before.state if step.before else State.RINGING
        if known.ended_in is State.RINGING:
            self._phase(known, Phase.RINGING, known.call.placed_at_s, step.now_s)
        known.fault = fault_of(known, step.event)
        known.is_over = known.ended_here = True
        open_for = {role for role, _, to_s in known.absences if to_s is None}
        known.absences += [(role, from_s, None) for role, from_s in _absences(step.before) if role not in open_for]
        known.ended_by = ender_of(step.before or step.after, step.event, step.now_s)
        self._reach(known, Milestone.ENDED, step.now_s)
        self._watcher.ended(known)
        self._later(known, step.now_s)

    def _later(self, known: CallRecord, now_s: float) -> None:
        self._settling.append((now_s + SETTLE_S, known))
        if len(self._settling) == 1:
            self._clock.call_at(now_s + SETTLE_S, self._settle_due)

    def _settle_due(self) -> None:
        now = self._clock.now()
        while self._settling and self._settling[0][0] <= now:
            self._settle_one(self._settling.popleft()[1])
        if self._settling:
            self._clock.call_at(self._settling[0][0], self._settle_due)

    def _settle_one(self, known: CallRecord) -> None:
        if known.is_over:
            self._settle(known)
        elif not known.setup_told:
            known.setup_told = True
            self._watcher.setup_settled(known)

    def _settle(self, known: CallRecord) -> None:
        if self._records.pop(known.call.id, None) is not None:
            self._watcher.settled(known)

    def _phase(self, known: CallRecord, phase: Phase, start_s: float, end_s: float) -> None:
        known.phases.append((phase, start_s, end_s))
        self._watcher.phase_over(known, phase, max(0.0, end_s - start_s))

    def _reach(self, known: CallRecord, milestone: Milestone, now_s: float) -> None:
        if milestone not in known.reached:
            known.reached[milestone] = now_s
            self._watcher.reached(known, milestone)


def _role_of(step: CallStepped) -> Role | None:
    before, event = step.before, step.event
    return before.role_of(event.by) if before is not None and isinstance(event, PartyEvent) else None


def _absences(call: Call | None) -> Iterator[tuple[Role, float]]:
    """Who is away, and since when."""
    for role in Role:
        until_s = call.party(role).away_until_s if call is not None else None
        if call is not None and until_s is not None:
            yield role, until_s - call.reconnect_grace_s
