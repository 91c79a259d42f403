"""The ledger of calls: what each live call has been through, told on to those who count, trace and log it.

It turns the raw sights of `service.ports.Observer` into the vocabulary of calls: milestones, phases, faults. A
record is a few tuples (4.6 microseconds for a call of 32 events where live spans cost 1,553, measured while
designing); spans are made of them later, and only for the calls that are kept.
"""

from collections import deque
from collections.abc import Callable

from observability.catalogue import Milestone, Phase
from observability.record import CallRecord, CallWatcher, Handled, MediaReports, ender_of, fault_of
from service.domain.call import State
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
from service.domain.ids import CallId
from service.ports import CallStepped, Clock, EventHandled, Observer

MAX_EVENTS = 64
"""Handled events kept for the trace of one call; candidates and reports are summed up, not kept."""

SUMMED_UP = frozenset({"ice:candidate", "call:quality"})

MAX_STRETCHES = 16
"""Renegotiations and absences kept for the trace of one call, of each kind."""

SETTLE_S = 1.0
"""A call's last events are still being handled when it changes; what is told of it later waits this long."""


class Ledger(Observer):
    """Keeps a record for each live call of this node and tells a `CallWatcher` of it."""

    def __init__(self, watcher: CallWatcher, clock: Clock, wall_ns: Callable[[], int]) -> None:
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
        oldest = next(iter(tuple(self._live.values())), None)
        return 0.0 if oldest is None else max(0.0, self._clock.now() - oldest.call.placed_at_s)

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
        known = self._records.get(record.after.id)
        if known is None:
            return
        known.call = record.after
        act = self._acts.get(type(record.event)) if record.event is not None else None
        if act is not None:
            act(known, record)
        if record.after.state is not record.before.state:
            self._moved(known, record)

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

    # --- what happens to a call ---------------------------------------------------------------------------

    def _placed(self, step: CallStepped) -> None:
        call = step.after
        known = CallRecord(call, self._wall_ns() - int(step.now_s * 1e9))
        self._records[call.id] = self._live[call.id] = known
        self.peak = max(self.peak, len(self._live))
        self._watcher.placed(known)
        self._watcher.changed(known, None)
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
        if role is None or step.after.party(role).away_until_s is None:
            return
        if len(known.absences) < MAX_STRETCHES:
            known.absences.append((role, step.now_s, None))

    def _returned(self, known: CallRecord, step: CallStepped) -> None:
        for place, (role, from_s, to_s) in enumerate(known.absences):
            if to_s is None and step.after.party(role).away_until_s is None:
                known.absences[place] = (role, from_s, step.now_s)
                self._watcher.resumed(known, "returned")
                return
        self._watcher.resumed(known, "replaced")

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
        before = step.before.state if step.before else None
        if step.after.state is State.CONNECTED:
            self._connected(known, step.now_s)
        if step.after.state is State.ENDED:
            self._ended(known, step)
        self._watcher.changed(known, before)

    def _connected(self, known: CallRecord, now_s: float) -> None:
        answered = known.reached[Milestone.ANSWERED]
        self._phase(known, Phase.MEDIA, known.reached.get(Milestone.NEGOTIATED, answered), now_s)
        delivery = next((end - start for phase, start, end in known.phases if phase is Phase.RING_DELIVERY), 0.0)
        self._phase(known, Phase.SETUP_TOTAL, answered - delivery, now_s)
        self._phase(known, Phase.SETUP_SERVER, now_s - known.server_s, now_s)
        self._reach(known, Milestone.CONNECTED, now_s)
        self._later(known, now_s)

    def _ended(self, known: CallRecord, step: CallStepped) -> None:
        known.ended_in = step.before.state if step.before else State.RINGING
        if known.ended_in is State.RINGING:
            self._phase(known, Phase.RINGING, known.call.placed_at_s, step.now_s)
        known.fault = fault_of(known, step.event)
        known.ended_by = ender_of(step.before or step.after, step.event, step.now_s)
        self._live.pop(known.call.id, None)
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
        if known.call.state is State.ENDED:
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
