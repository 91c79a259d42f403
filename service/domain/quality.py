"""What a party may say of how its media fares: closed words and numbers in their ranges.

The names are those of getStats (W3C WebRTC statistics), and so are the units. Nothing here can hold an address, a
candidate or any other text, and fields that are not named here are refused, so that nobody sends a raw report.
"""

from typing import Annotated

import msgspec
from msgspec import field

from service.domain.words import Word

MAX_DELAY_S = 60.0
MAX_BITRATE_BPS = 1e9


class CandidateType(Word):
    """Where a candidate's address comes from (RFC 8445, section 5.1.1)."""

    HOST = "host"
    SRFLX = "srflx"
    PRFLX = "prflx"
    RELAY = "relay"


class IceProtocol(Word):
    """What carries the media of this side; of a relay, how this side reaches it (`relayProtocol`)."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


class IceOutcome(Word):
    """What ICE has come to (`iceConnectionState`, without the states on the way)."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"


class IceStage(Word):
    """Where ICE failed: no candidates were found, no pair worked, or a pair that worked was lost."""

    GATHERING = "gathering"
    CHECKING = "checking"
    CONNECTED = "connected"


class Path(Word):
    """The way of the media: within one network, through address translation, or over a relay of either side."""

    HOST = "host"
    REFLEXIVE = "reflexive"
    RELAY = "relay"


class CandidatePair(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The pair of candidates that carries the media, by their kinds."""

    local: Annotated[CandidateType, msgspec.Meta(description="The sender's candidate, `candidateType`.")]
    remote: Annotated[CandidateType, msgspec.Meta(description="The other party's candidate, `candidateType`.")]
    protocol: Annotated[
        IceProtocol,
        msgspec.Meta(description="`protocol` of the sender's candidate; of a relay its `relayProtocol`."),
    ]

    def __post_init__(self) -> None:
        """Check that the words go together.

        Raises:
            ValueError: they do not; says why.
        """
        if self.protocol is IceProtocol.TLS and self.local is not CandidateType.RELAY:
            raise ValueError("only a relay is reached over tls")

    @property
    def path(self) -> Path:
        """The way that media takes over this pair."""
        kinds = {self.local, self.remote}
        if CandidateType.RELAY in kinds:
            return Path.RELAY
        return Path.HOST if kinds == {CandidateType.HOST} else Path.REFLEXIVE


class CallStats(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the media of one party fares. Everything is optional, and something must be there; null is as if left out.

    Measures are those since the last report. Other fields are refused, so that no address gets here by accident.
    """

    ice: (
        Annotated[
            IceOutcome, msgspec.Meta(description="What ICE has come to. Send it when that changes, not periodically.")
        ]
        | None
    ) = None
    failed_in: (
        Annotated[
            IceStage,
            msgspec.Meta(
                description="Where ICE failed, with `ice: failed`: no candidates (`gathering`), no pair that works "
                "(`checking`), or a pair that worked was lost (`connected`)."
            ),
        ]
        | None
    ) = field(default=None, name="failedIn")
    pair: (
        Annotated[CandidatePair, msgspec.Meta(description="The chosen pair of candidates, by their kinds.")] | None
    ) = None
    round_trip_s: (
        Annotated[
            float,
            msgspec.Meta(
                ge=0, le=MAX_DELAY_S, description="Seconds to the other party and back, `currentRoundTripTime`."
            ),
        ]
        | None
    ) = field(default=None, name="roundTripTime")
    jitter_s: (
        Annotated[float, msgspec.Meta(ge=0, le=MAX_DELAY_S, description="Seconds, `jitter` of what is received.")]
        | None
    ) = field(default=None, name="jitter")
    loss_ratio: (
        Annotated[
            float,
            msgspec.Meta(ge=0, le=1, description="Share of packets that the other party did not get, `fractionLost`."),
        ]
        | None
    ) = field(default=None, name="fractionLost")
    inbound_bps: (
        Annotated[float, msgspec.Meta(ge=0, le=MAX_BITRATE_BPS, description="Bits per second received.")] | None
    ) = field(default=None, name="inboundBitrate")
    outbound_bps: (
        Annotated[float, msgspec.Meta(ge=0, le=MAX_BITRATE_BPS, description="Bits per second sent.")] | None
    ) = field(default=None, name="outboundBitrate")

    def __post_init__(self) -> None:
        """Check that the fields go together.

        Raises:
            ValueError: they do not; says why.
        """
        if all(getattr(self, name) is None for name in self.__struct_fields__):
            raise ValueError("at least one field is required")
        if self.failed_in is not None and self.ice is not IceOutcome.FAILED:
            raise ValueError("failedIn goes with ice: failed only")
