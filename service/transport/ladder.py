"""An explanation of a call as text: a ladder of what the caller, this node and the callee did, from top to bottom."""

from collections.abc import Iterator
from typing import NamedTuple

from service.protocol.admin import Explanation, MediaSummary

_SIDE = 26
_MIDDLE = 14
_SUMS = ("setup_server", "setup_total")
_IMPLIED = ("attempted",)
"""What the first event says already."""


class _Rung(NamedTuple):
    at_s: float
    order: int
    role: str | None
    text: str
    note: str = ""
    is_sent: bool = False


def ladder(explanation: Explanation) -> str:
    """The explanation for people, in lines."""
    lines = [*_head(explanation), "", _row("at s", "caller", "this node", "callee", "")]
    lines += [_drawn(rung) for rung in sorted(_rungs(explanation), key=lambda rung: rung[:2])]
    lines += _foot(explanation)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _head(told: Explanation) -> Iterator[str]:
    end = f", {told.reason}" if told.reason is not None else ""
    by = f" by {told.ended_by}, fault {told.fault}" if told.ended_by is not None else ""
    yield f"{told.media} call {told.call_id}: {told.state}{end}{by}"
    yield told.verdict
    yield f"placed {told.placed_at}, lasted {told.lasted_s:.3f} s, {_ms(told.server_s)} of the set-up in this node"
    if told.node is not None:
        yield f"as node {told.node} saw it; if the other party is on another node, ask that one too"
    if told.glare:
        yield "glare: both had called each other, and got one call"


def _rungs(told: Explanation) -> Iterator[_Rung]:
    for event in told.events:
        waited = f", waited {_ms(event.waited_s)}" if event.waited_s >= 0.001 else ""  # noqa: PLR2004 - shown in ms
        note = f"{event.outcome}, {_ms(event.took_s)}{waited}"
        yield _Rung(event.at_s, 0, event.role, event.event, note, is_sent=True)
    for sent in told.candidates:
        until = f" until {sent.last_at_s:.3f}" if sent.count > 1 else ""
        yield _Rung(sent.first_at_s, 1, sent.role, "ice:candidate", f"{sent.count} in all{until}", is_sent=True)
    for name, at_s in told.milestones.items():
        if name not in _IMPLIED:
            yield _Rung(at_s, 2, None, name)
    for absence in told.absences:
        yield _Rung(absence.from_s, 3, absence.role, "(lost)", "" if absence.until_s is not None else "did not return")
        if absence.until_s is not None:
            yield _Rung(absence.until_s, 3, absence.role, "(back)", f"after {absence.until_s - absence.from_s:.3f} s")
    for offer in told.renegotiations:
        yield _Rung(offer.at_s, 3, None, "renegotiation", f"the {offer.role}'s")


def _drawn(rung: _Rung) -> str:
    left = right = ""
    middle = rung.text if rung.role is None else ""
    if rung.role == "caller":
        left = f"{rung.text} ".ljust(_SIDE - 2, "-") + "> " if rung.is_sent else rung.text
    elif rung.role == "callee":
        right = f" <{f' {rung.text}'.rjust(_SIDE - 2, '-')}" if rung.is_sent else rung.text.rjust(_SIDE)
    return _row(f"{round(rung.at_s, 3) + 0.0:.3f}", left, middle, right, rung.note)


def _row(at: str, left: str, middle: str, right: str, note: str) -> str:
    return f"{at:>9}  {left:<{_SIDE}}|{middle:^{_MIDDLE}}|{right:<{_SIDE}}  {note}"


def _foot(told: Explanation) -> Iterator[str]:
    if told.events_not_kept:
        yield f"           and {told.events_not_kept} events more, which were not kept"
    phases = [f"{phase.phase} {phase.took_s:.3f} s" for phase in told.phases if phase.phase not in _SUMS]
    if phases:
        yield ""
        yield f"phases: {', '.join(phases)}"
    for media in told.media_reports:
        yield f"media, as the {media.role} says: {_media(media)}"


def _media(media: MediaSummary) -> str:
    facts = ["1 report" if media.reports == 1 else f"{media.reports} reports"]
    if media.ice:
        facts.append(f"ICE {', then '.join(media.ice)}")
    if media.path is not None:
        facts.append(f"path {media.path}")
    measures = (("round trip", media.round_trip_s), ("jitter", media.jitter_s))
    facts += [f"{name} {_ms(value.mean)} (worst {_ms(value.worst)})" for name, value in measures if value is not None]
    if media.loss_ratio is not None:
        facts.append(f"loss {media.loss_ratio.mean:.1%} (worst {media.loss_ratio.worst:.1%})")
    return ", ".join(facts)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
