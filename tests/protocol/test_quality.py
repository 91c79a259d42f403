"""What `call:quality` takes and what it refuses: closed words, numbers in their ranges, and nothing else."""

import json
from typing import Any

import pytest

from service.domain.quality import CallStats, CandidatePair, CandidateType, IceOutcome, IceProtocol, IceStage
from service.errors import InvalidPayloadError
from service.protocol import codec
from service.protocol.client import CallQuality

PAIR = {"local": "host", "remote": "srflx", "protocol": "udp"}


def read(stats: object) -> CallStats:
    return read_text(json.dumps(stats))


def read_text(stats: str) -> CallStats:
    message = codec.decode(codec.split(f'2["call:quality",{{"callId":"c1","stats":{stats}}}]'))
    assert isinstance(message, CallQuality)
    return message.stats


def test_everything_that_can_be_said() -> None:
    stats = {
        "ice": "failed",
        "failedIn": "connected",
        "pair": {"local": "relay", "remote": "prflx", "protocol": "tls"},
        "roundTripTime": 60,
        "jitter": 0.0125,
        "fractionLost": 1,
        "inboundBitrate": 1_000_000_000,
        "outboundBitrate": 0,
    }
    assert read(stats) == CallStats(
        ice=IceOutcome.FAILED,
        failed_in=IceStage.CONNECTED,
        pair=CandidatePair(CandidateType.RELAY, CandidateType.PRFLX, IceProtocol.TLS),
        round_trip_s=60,
        jitter_s=0.0125,
        loss_ratio=1,
        inbound_bps=1e9,
        outbound_bps=0,
    )


def test_null_is_as_if_left_out() -> None:
    """JSON has no NaN: a browser makes null of it, as of the loss of no packets at all."""
    nothing = dict.fromkeys(("ice", "failedIn", "pair", "jitter", "fractionLost", "inboundBitrate", "outboundBitrate"))
    assert read({**nothing, "roundTripTime": 0}) == CallStats(round_trip_s=0)


def wrong_values(largest: float) -> tuple[object, ...]:
    return (-0.001, largest * 1.001, "0", True, [], {})


OUT_OF_RANGE: list[tuple[dict[str, object], str]] = [
    ({name: wrong}, f"stats.{name}")
    for name, largest in (
        ("roundTripTime", 60),
        ("jitter", 60),
        ("fractionLost", 1),
        ("inboundBitrate", 1e9),
        ("outboundBitrate", 1e9),
    )
    for wrong in wrong_values(largest)
]


@pytest.mark.parametrize(
    ("stats", "field"),
    [
        *OUT_OF_RANGE,
        ({}, "stats"),
        ({"roundTripTime": None}, "stats"),
        (None, "stats"),
        ([], "stats"),
        ("relay", "stats"),
        ({"ice": "checking"}, "stats.ice"),
        ({"ice": 1}, "stats.ice"),
        ({"ice": "failed", "failedIn": "lunch"}, "stats.failedIn"),
        ({"ice": "connected", "failedIn": "checking"}, "stats"),
        ({"failedIn": "checking"}, "stats"),
        ({"pair": "relay"}, "stats.pair"),
        ({"pair": {}}, "stats.pair"),
        ({"pair": {"local": "host", "remote": "host"}}, "stats.pair"),
        ({"pair": {**PAIR, "local": "192.0.2.7"}}, "stats.pair.local"),
        ({"pair": {**PAIR, "remote": "local"}}, "stats.pair.remote"),
        ({"pair": {**PAIR, "protocol": "sctp"}}, "stats.pair.protocol"),
        ({"pair": {**PAIR, "protocol": "tls"}}, "stats.pair"),
        ({"pair": {**PAIR, "address": "192.0.2.7"}}, "stats.pair"),
        ({"jitter": 0, "address": "192.0.2.7"}, "stats"),
        ({"jitter": 0, "candidate": "candidate:1 1 udp 1 192.0.2.7 9 typ host"}, "stats"),
    ],
)
def test_what_is_refused_names_its_field(stats: Any, field: str) -> None:
    with pytest.raises(InvalidPayloadError) as invalid:
        read(stats)
    assert invalid.value.field == field
    assert invalid.value.detail


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400])
def test_a_number_without_end_is_out_of_range(number: str) -> None:
    with pytest.raises(InvalidPayloadError) as invalid:
        read_text(f'{{"jitter":{number}}}')
    assert invalid.value.field == "stats.jitter"


def test_a_field_that_a_client_made_up_is_told_in_part() -> None:
    with pytest.raises(InvalidPayloadError) as invalid:
        read({"x" * 10_000: 1})
    assert len(invalid.value.detail) == codec.MAX_DETAIL_CHARS
