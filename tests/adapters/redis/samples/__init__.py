"""What nodes wrote in each version of the schema, as it was, and what it means.

`schema_<number>.json` holds the bytes, as hexadecimal digits by name. They stay for ever, as nodes of several
versions run side by side in every deployment: newer code reads all of them, to the values that stand here.
`python -m tests.adapters.redis.samples` adds those that are missing, of the present version, and changes none.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from service.adapters.redis.wire import (
    SCHEMA,
    Dismissal,
    Message,
    RedisTime,
    Routes,
    encode_batch,
    encode_message,
    encode_record,
)
from service.domain.call import Call, Party, State
from service.domain.effects import (
    Accepted,
    Ended,
    IceReport,
    Incoming,
    Initiated,
    Joined,
    PeerReconnected,
    PeerReconnecting,
    Reason,
    Rejected,
    RelayAnswer,
    RelayCandidate,
    RelayOffer,
    Role,
    Snapshot,
    StatusReport,
)
from service.domain.events import Media
from service.domain.ice import IceGrant, IceServer
from service.domain.ids import CallId, SessionId, UserId

FOLDER = Path(__file__).parent
ALICE, BOB = UserId("alice"), UserId("bob")
HERE, THERE = SessionId("alice-1"), SessionId("bob-1")
CALL = CallId("0123456789abcdef" * 2)
SDP = b'{"type":"offer","sdp":"v=0\\r\\n"}'
ROUTES: Routes = {HERE: "one", THERE: "other"}

_STUN = IceServer(("stun:stun.example.org",))
_TURN = IceServer(("turn:turn.example.org",), username="1800000000:pseudonym", credential="password")
_SNAPSHOT = Snapshot(CALL, Media.VIDEO, Role.CALLEE, ALICE, "connected", missed=2)

MESSAGES: Mapping[str, Message] = {
    "Joined": Joined((THERE,), BOB, THERE, _SNAPSHOT, IceGrant((_STUN, _TURN), 600), kept=3),
    "Joined (free)": Joined((THERE,), BOB, THERE),
    "IceReport": IceReport((THERE,), IceGrant((_STUN, _TURN), 600)),
    "StatusReport": StatusReport((THERE,), ALICE, online=True, in_call=False),
    "Incoming": Incoming((THERE, HERE), CALL, ALICE, Media.AUDIO),
    "Initiated": Initiated((HERE,), CALL, BOB),
    "Accepted": Accepted((HERE, THERE), CALL, BOB),
    "Rejected": Rejected((HERE,), CALL, BOB, Reason.BUSY),
    "Ended": Ended((HERE, THERE), CALL, ALICE, Reason.HANGUP),
    "Ended (by the server)": Ended((HERE,), CALL, None, Reason.NO_ANSWER),
    "RelayOffer": RelayOffer((THERE,), ALICE, SDP, Media.VIDEO),
    "RelayAnswer": RelayAnswer((HERE,), BOB, SDP),
    "RelayCandidate": RelayCandidate((THERE,), ALICE, b'{"candidate":"candidate:1"}'),
    "PeerReconnecting": PeerReconnecting((THERE,), CALL, ALICE),
    "PeerReconnected": PeerReconnected((THERE,), CALL, ALICE),
    "Dismissal": Dismissal(THERE),
}

_RINGING = Call(
    id=CALL,
    media=Media.VIDEO,
    caller=Party(ALICE, (HERE,)),
    callee=Party(BOB, (THERE,)),
    placed_at_s=1000.25,
    ring_until_s=1030.25,
    reconnect_grace_s=10.0,
)
_CONNECTED = replace(_RINGING, state=State.CONNECTED, version=3, answered_at_s=1002.5, connected_at_s=1003.0)
CALLS: Mapping[str, Call] = {
    "call (ringing)": _RINGING,
    "call (connected)": _CONNECTED,
    "call (caller away)": replace(_CONNECTED, version=4, caller=Party(ALICE, (HERE,), away_until_s=1015.0)),
    "call (ended)": replace(_CONNECTED, state=State.ENDED, version=5, ended_at_s=1060.0, reason=Reason.HANGUP),
}


class Sent(NamedTuple):
    """An entry of an inbox, in terms of what was sent."""

    origin: str
    seq: int
    messages: tuple[str, ...]
    """Their names in `MESSAGES`."""


BATCHES: Mapping[str, Sent] = {"batch": Sent("one", 7, ("Incoming", "RelayOffer", "RelayCandidate"))}


def file_of(schema: int) -> Path:
    """Where the samples of a version are."""
    return FOLDER / f"schema_{schema}.json"


def recorded(schema: int) -> dict[str, bytes]:
    """The samples of a version as they were written."""
    return {name: bytes.fromhex(digits) for name, digits in json.loads(file_of(schema).read_text()).items()}


def written_now() -> dict[str, bytes]:
    """What today's code writes for the same values."""
    messages = {name: encode_message(message) for name, message in MESSAGES.items()}
    calls = {name: encode_record(call, ROUTES, RedisTime()) for name, call in CALLS.items()}
    batches = {
        name: encode_batch(sent.origin, sent.seq, [messages[each] for each in sent.messages])
        for name, sent in BATCHES.items()
    }
    return {**messages, **calls, **batches}


def record() -> tuple[str, ...]:
    """Write the samples that are missing in the present version; gives their names. What is there stays."""
    path = file_of(SCHEMA)
    there: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = {name: it.hex() for name, it in written_now().items() if name not in there}
    if missing:
        path.write_text(json.dumps({**there, **missing}, indent=2) + "\n")
    return tuple(missing)
