"""What stands in Redis: records of calls, and the entries of inboxes.

Everything is MessagePack with named fields, so that a field with a default can be added while nodes of both
versions run. A change that older nodes cannot read raises `SCHEMA`; they ignore and count what they cannot read.
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from service.domain.call import Call, Party
from service.domain.effects import (
    Accepted,
    Effect,
    Ended,
    IceReport,
    Incoming,
    Initiated,
    Joined,
    PeerReconnected,
    PeerReconnecting,
    Rejected,
    RelayAnswer,
    RelayCandidate,
    Relayed,
    RelayOffer,
    StatusReport,
)
from service.domain.ids import SessionId
from service.ports import RedisWatch

SCHEMA = 1
"""The version of everything here. Older ones are read too."""

Routes = Mapping[SessionId, str]
"""Which node each session is on."""


class Dismissal(msgspec.Struct, frozen=True, tag=True):
    """Close this session's socket, after what was sent before."""

    session: SessionId


AnyEffect = (
    Joined
    | IceReport
    | StatusReport
    | Incoming
    | Initiated
    | Accepted
    | Rejected
    | Ended
    | RelayOffer
    | RelayAnswer
    | RelayCandidate
    | PeerReconnecting
    | PeerReconnected
)
Message = AnyEffect | Dismissal


class Batch(msgspec.Struct, frozen=True):
    """One entry of an inbox: what a node had for another in one turn. `seq` counts them from 1."""

    schema: int
    origin: str
    seq: int
    messages: list[msgspec.Raw]


class Record(msgspec.Struct, frozen=True):
    """A call as Redis keeps it. Its times are Redis'."""

    schema: int
    call: Call
    routes: dict[SessionId, str]


class PoisonError(Exception):
    """Something that cannot be read. `kind` is `malformed` or `version`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class RedisTime:
    """The time of Redis, as this node's clock sees it."""

    TOLERANCE_S = 0.1
    """The estimate is kept while it is this good, so that times do not wander with every measurement."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def measured(self, redis_us: int, asked_s: float, answered_s: float) -> None:
        """Redis said `redis_us` (microseconds) between these two times. A slow answer says too little."""
        ahead_s = round(redis_us / 1e6 - (asked_s + answered_s) / 2, 6)
        if self._ahead_s is None or answered_s - asked_s < self.TOLERANCE_S < abs(ahead_s - self._ahead_s):
            self._ahead_s = ahead_s

    @property
    def ahead_s(self) -> float:
        """What Redis' time is more than this node's, in seconds; 0 before the first measurement."""
        return self._ahead_s or 0.0

    def to_ms(self, local_s: float) -> int:
        """A time of this node in milliseconds of Redis' time, rounded up."""
        return -int(-(local_s + self.ahead_s) * 1000 // 1)


_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_message = msgspec.msgpack.Decoder(Message).decode
_decode_relay = msgspec.msgpack.Decoder(Relayed).decode
_decode_record = msgspec.msgpack.Decoder(Record).decode


def encode_message(message: Effect | Dismissal) -> bytes:
    """A message, for `encode_batch`."""
    return _encode(message)


def encode_batch(origin: str, seq: int, messages: Sequence[bytes]) -> bytes:
    """An entry for an inbox."""
    return _encode(Batch(SCHEMA, origin, seq, [msgspec.Raw(message) for message in messages]))


def decode_batch(entry: bytes) -> Batch:
    """Read an entry of an inbox, but not yet its messages.

    Raises:
        PoisonError: it cannot be read.
    """
    try:
        batch = _decode_batch(entry)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise PoisonError("malformed") from None
    if not 1 <= batch.schema <= SCHEMA:
        raise PoisonError("version")
    return batch


def decode_messages(batch: Batch, watch: RedisWatch) -> list[Message]:
    """The messages of a batch that can be read; the others are counted."""
    messages: list[Message] = []
    for raw in batch.messages:
        try:
            messages.append(_decode_message(raw))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            watch.poison_ignored("malformed")
    return messages


def decode_relays(kept: Sequence[bytes], watch: RedisWatch) -> tuple[Relayed, ...]:
    """The relays that were kept for a party and can be read; the others are counted."""
    relays: list[Relayed] = []
    for relay in kept:
        try:
            relays.append(_decode_relay(relay))
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            watch.poison_ignored("malformed")
    return tuple(relays)


def encode_record(call: Call, routes: Routes, time: RedisTime) -> bytes:
    """A call for Redis."""
    return _encode(Record(SCHEMA, _shifted(call, time.ahead_s), dict(routes)))


def decode_record(record: bytes, time: RedisTime) -> tuple[Call, Routes]:
    """A call from Redis, in this node's time, and where its sessions are.

    Raises:
        PoisonError: it cannot be read.
    """
    try:
        stored = _decode_record(record)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise PoisonError("malformed") from None
    if not 1 <= stored.schema <= SCHEMA:
        raise PoisonError("version")
    return _shifted(stored.call, -time.ahead_s), stored.routes


def _shifted(call: Call, by_s: float) -> Call:
    """The call with all its times moved; to the microsecond, so that moving back gives what was there."""
    return replace(
        call,
        caller=_party_shifted(call.caller, by_s),
        callee=_party_shifted(call.callee, by_s),
        placed_at_s=round(call.placed_at_s + by_s, 6),
        ring_until_s=round(call.ring_until_s + by_s, 6),
        answered_at_s=_moved(call.answered_at_s, by_s),
        connected_at_s=_moved(call.connected_at_s, by_s),
        ended_at_s=_moved(call.ended_at_s, by_s),
    )


def _party_shifted(party: Party, by_s: float) -> Party:
    away_until_s = _moved(party.away_until_s, by_s)
    return party if away_until_s is None else replace(party, away_until_s=away_until_s)


def _moved(when_s: float | None, by_s: float) -> float | None:
    return None if when_s is None else round(when_s + by_s, 6)
