"""What a party reported on its media, as attributes and events of its span `media.quality`."""

from collections.abc import Callable, Iterator

from opentelemetry.sdk.trace import Event
from opentelemetry.util.types import AttributeValue

from observability.record import MediaReports
from service.domain.effects import Role
from service.domain.quality import CallStats, CandidatePair

_NAMES = {
    "round_trip_s": "signalling.media.round_trip_time",
    "jitter_s": "signalling.media.jitter",
    "loss_ratio": "signalling.media.fraction_lost",
    "inbound_bps": "signalling.media.inbound_bitrate",
    "outbound_bps": "signalling.media.outbound_bitrate",
}


def attributes(role: Role, told: MediaReports) -> dict[str, AttributeValue]:
    """Mean and maximum of each measure, in the units of the reports, and the last pair of candidates."""
    facts: dict[str, AttributeValue] = {"signalling.call.role": role.value, "signalling.media.reports": told.reports}
    for measure, count in told.counts.items():
        facts[f"{_NAMES[measure]}.mean"] = told.sums[measure] / count
        facts[f"{_NAMES[measure]}.max"] = told.peaks[measure]
    return facts | _pair(told.pair)


def events(told: MediaReports, at_ns: Callable[[float], int]) -> Iterator[Event]:
    """An event for each thing that ICE came to. `at_ns` makes Unix time of the clock's."""
    for outcome, (now_s, stats) in told.outcomes.items():
        yield Event(f"ice.{outcome}", {**_stage(stats), **_pair(stats.pair)}, at_ns(now_s))


def _stage(stats: CallStats) -> dict[str, AttributeValue]:
    return {} if stats.failed_in is None else {"signalling.ice.stage": stats.failed_in.value}


def _pair(pair: CandidatePair | None) -> dict[str, AttributeValue]:
    if pair is None:
        return {}
    return {
        "signalling.ice.local": pair.local.value,
        "signalling.ice.remote": pair.remote.value,
        "signalling.ice.protocol": pair.protocol.value,
        "signalling.ice.path": pair.path.value,
    }
