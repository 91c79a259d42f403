"""Explains a call from its record: who did what when, and what became of it, without who they are."""

from collections.abc import Iterable

from observability.catalogue import Fault, Milestone
from observability.logs import moment
from observability.record import CallRecord, Ender, MediaReports
from service.domain.call import State
from service.domain.effects import Reason, Role
from service.domain.quality import IceOutcome
from service.protocol import admin

LIVE_VERDICTS = {
    State.RINGING: "It rings, for {lasted} so far.",
    State.CONNECTING: "It was answered; no client says yet that media flows.",
    State.CONNECTED: "Media flows, as the clients say.",
}
VERDICTS = {
    Reason.HANGUP: "The {by} hung up after {talked} of media: a normal call.",
    Reason.CANCELLED: "The {by} gave up after {lasted}, before the answer.",
    Reason.REJECTED: "The callee declined after {lasted}.",
    Reason.BUSY: "The callee was engaged in something else.",
    Reason.NO_ANSWER: "Nobody answered within {lasted}.",
    Reason.CONNECTION_LOST: "The {by} lost its connection while the call was {ended_in}, and was not back in time.",
    Reason.SERVER_SHUTDOWN: "This node stopped and could not hand the call over.",
    Reason.FAILED: "The {by} reported that no media came about{ice}.",
}
BEFORE_MEDIA = "The {by} hung up after the answer, before any client said that media flows."
GAVE_UP = "The {by} gave up an answered call whose offer had no answer: a client failed to negotiate."
LEFT = "The {by} left without hanging up while the call was {ended_in}."
BY_OPERATOR = "Those who run the service ended it after {lasted}, while it was {ended_in}."
OVER_ELSEWHERE = "It is over for this node, and another node ended it or goes on with it: ask that one."


def explain(record: CallRecord, node: str | None, now_s: float, *, is_live: bool) -> admin.Explanation:
    """What this node, `node`, saw of a call by now. `is_live` says that the call is not over for this node."""
    call, is_ours = record.call, record.fault is not None
    until_s = call.ended_at_s if call.ended_at_s is not None else now_s
    if call.ended_at_s is None and not is_live:
        until_s = max(record.reached.values(), default=call.placed_at_s)
    lasted_s = max(0.0, until_s - call.placed_at_s)
    return admin.Explanation(
        call_id=call.id,
        verdict=verdict(record, lasted_s, is_live=is_live),
        node=node,
        state=call.state.value,
        media=call.media.value,
        placed_at=moment(unix_s(record, call.placed_at_s)),
        lasted_s=_rounded(lasted_s),
        reason=call.reason.value if call.reason is not None else None,
        fault=record.fault.value if record.fault is not None else None,
        ended_in=record.ended_in.value if is_ours else None,
        ended_by=record.ended_by.value if record.ended_by is not None else None,
        glare=record.glare,
        server_s=_rounded(record.server_s),
        milestones={milestone.value: _since(record, at_s) for milestone, at_s in record.reached.items()},
        phases=tuple(
            admin.Stretch(phase.value, _since(record, start_s), _rounded(max(0.0, end_s - start_s)))
            for phase, start_s, end_s in record.phases
        ),
        events=tuple(_events(record)),
        events_not_kept=record.events_lost,
        candidates=tuple(
            admin.Candidates(role.value, sent.count, _since(record, sent.first_at_s), _since(record, sent.last_at_s))
            for role, sent in record.trickle.items()
            if sent.count
        ),
        absences=tuple(
            admin.Absence(role.value, _since(record, from_s), None if to_s is None else _since(record, to_s))
            for role, from_s, to_s in record.absences
        ),
        renegotiations=tuple(admin.Renegotiation(role.value, _since(record, at)) for role, at in record.renegotiations),
        media_reports=tuple(_summary(role, told) for role, told in record.media.items()),
    )


def verdict(record: CallRecord, lasted_s: float, *, is_live: bool) -> str:
    """What became of a call, in one sentence."""
    call = record.call
    form = LIVE_VERDICTS[call.state] if is_live and call.state is not State.ENDED else _form(record)
    by = record.ended_by.value if record.ended_by is not None else ""
    return form.format(
        lasted=_seconds(lasted_s),
        talked=_seconds(talked_s(record) or 0.0),
        by=by,
        ended_in=record.ended_in.value,
        ice=_ice(record.media.values()),
    )


def _form(record: CallRecord) -> str:
    reason = record.call.reason
    if record.fault is None or reason is None:
        return OVER_ELSEWHERE
    if record.ended_by is Ender.OPERATOR:
        return BY_OPERATOR
    if record.fault is Fault.CLIENT:
        return GAVE_UP
    if reason is Reason.HANGUP and talked_s(record) is None:
        return BEFORE_MEDIA
    if reason is Reason.CONNECTION_LOST and record.fault is Fault.USER:
        return LEFT
    return VERDICTS[reason]


def talked_s(record: CallRecord) -> float | None:
    """How long media flowed until the end; None where it never did, or there is no end yet."""
    connected_s, ended_s = record.reached.get(Milestone.CONNECTED), record.call.ended_at_s
    return None if connected_s is None or ended_s is None else ended_s - connected_s


def unix_s(record: CallRecord, at_s: float) -> float:
    """A time of the record as Unix time."""
    return record.wall_offset_ns / 1e9 + at_s


def _ice(media: Iterable[MediaReports]) -> str:
    """Where ICE failed, as far as a party has told."""
    for told in media:
        failed = told.outcomes.get(IceOutcome.FAILED)
        if failed is not None:
            stage = failed[1].failed_in
            return "; ICE failed" + (f" ({stage})" if stage is not None else "")
    return ""


def _events(record: CallRecord) -> Iterable[admin.HandledEvent]:
    for handled in record.events:
        yield admin.HandledEvent(
            at_s=_since(record, handled.received_at_s),
            role=handled.role.value if handled.role is not None else None,
            event=handled.event,
            outcome=handled.outcome,
            waited_s=_rounded(handled.waited_s),
            took_s=_rounded(handled.took_s),
        )


def _summary(role: Role, told: MediaReports) -> admin.MediaSummary:
    def measured(name: str) -> admin.Measured | None:
        count = told.counts[name]
        return admin.Measured(_rounded(told.sums[name] / count), _rounded(told.peaks[name])) if count else None

    return admin.MediaSummary(
        role=role.value,
        reports=told.reports,
        ice=tuple(outcome.value for outcome in told.outcomes),
        path=told.pair.path.value if told.pair is not None else None,
        round_trip_s=measured("round_trip_s"),
        jitter_s=measured("jitter_s"),
        loss_ratio=measured("loss_ratio"),
    )


def _since(record: CallRecord, at_s: float) -> float:
    return _rounded(at_s - record.call.placed_at_s)


def _rounded(seconds: float) -> float:
    return round(seconds, 6)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"
