import json

import pytest

from service.domain import effects
from service.domain.effects import Effect, Reason, Role, Snapshot
from service.domain.events import Media
from service.domain.ice import IceGrant, IceServer
from service.domain.ids import CallId, SessionId, UserId
from service.errors import (
    ALL_ERRORS,
    CallExpiredError,
    InternalError,
    InvalidPayloadError,
    SignallingError,
    UserIdRequiredError,
)
from service.protocol import client, codec, server
from service.protocol.server import SERVER_MESSAGES
from service.protocol.translate import REASON_TEXTS, to_error, to_message

TO = (SessionId("s1"),)
ALICE, BOB, CALL = UserId("alice"), UserId("bob"), CallId("c1")
SNAPSHOT = Snapshot(CALL, Media.VIDEO, Role.CALLER, BOB, "connected")

ON_THE_WIRE: list[tuple[Effect, str, dict[str, object]]] = [
    (effects.Joined(TO, ALICE, TO[0]), "user:joined", {"userId": "alice", "socketId": "s1", "iceServers": []}),
    (
        effects.IceReport(TO, IceGrant((IceServer(("stun:a",)), IceServer(("turn:b",), "u", "p")), 600)),
        "ice:servers",
        {
            "iceServers": [{"urls": ["stun:a"]}, {"urls": ["turn:b"], "username": "u", "credential": "p"}],
            "ttl": 600,
        },
    ),
    (effects.IceReport(TO, IceGrant(())), "ice:servers", {"iceServers": []}),
    (
        effects.Joined(TO, ALICE, TO[0], SNAPSHOT),
        "user:joined",
        {
            "userId": "alice",
            "socketId": "s1",
            "iceServers": [],
            "call": {"callId": "c1", "callType": "video", "role": "caller", "peer": "bob", "state": "connected"},
        },
    ),
    (
        effects.StatusReport(TO, BOB, online=True, in_call=False),
        "user:status",
        {"userId": "bob", "isOnline": True, "isInCall": False},
    ),
    (
        effects.Incoming(TO, CALL, ALICE, Media.AUDIO),
        "call:incoming",
        {"from": "alice", "callType": "audio", "callId": "c1"},
    ),
    (effects.Initiated(TO, CALL, BOB), "call:initiated", {"callId": "c1", "to": "bob"}),
    (effects.Accepted(TO, CALL, BOB), "call:accepted", {"callId": "c1", "by": "bob"}),
    (
        effects.Rejected(TO, CALL, BOB, Reason.REJECTED),
        "call:rejected",
        {"callId": "c1", "by": "bob", "code": "rejected"},
    ),
    (
        effects.Rejected(TO, CALL, BOB, Reason.NO_ANSWER),
        "call:rejected",
        {"callId": "c1", "by": "bob", "reason": "No answer", "code": "no_answer"},
    ),
    (effects.Ended(TO, CALL, BOB, Reason.HANGUP), "call:ended", {"callId": "c1", "by": "bob", "code": "hangup"}),
    (
        effects.Ended(TO, CALL, BOB, Reason.CONNECTION_LOST),
        "call:ended",
        {"callId": "c1", "by": "bob", "reason": "User disconnected", "code": "connection_lost"},
    ),
    (
        effects.Ended(TO, CALL, None, Reason.HANGUP),
        "call:ended",
        {"callId": "c1", "by": None, "reason": "Ended by the service", "code": "hangup"},
    ),
    (
        effects.Ended(TO, CALL, None, Reason.SERVER_SHUTDOWN),
        "call:ended",
        {"callId": "c1", "by": None, "reason": "Server shutting down", "code": "server_shutdown"},
    ),
    (
        effects.RelayOffer(TO, ALICE, b'{"sdp":"x"}', Media.VIDEO),
        "call:offer",
        {"offer": {"sdp": "x"}, "from": "alice", "callType": "video"},
    ),
    (effects.RelayAnswer(TO, BOB, b'{"sdp":"y"}'), "call:answer", {"answer": {"sdp": "y"}, "from": "bob"}),
    (effects.RelayCandidate(TO, BOB, b"null"), "ice:candidate", {"candidate": None, "from": "bob"}),
    (effects.PeerReconnecting(TO, CALL, BOB), "call:peer-reconnecting", {"callId": "c1", "userId": "bob"}),
    (effects.PeerReconnected(TO, CALL, BOB), "call:peer-reconnected", {"callId": "c1", "userId": "bob"}),
]


@pytest.mark.parametrize(("effect", "event", "payload"), ON_THE_WIRE)
def test_an_effect_on_the_wire(effect: Effect, event: str, payload: dict[str, object]) -> None:
    assert json.loads(codec.encode(to_message(effect))[1:]) == [event, payload]


def test_every_effect_and_every_event_of_the_server_is_covered() -> None:
    assert {type(effect) for effect, _, _ in ON_THE_WIRE} == set(Effect.__subclasses__())
    not_effects = {"error", "server:draining"}
    assert {event for _, event, _ in ON_THE_WIRE} | not_effects == {kind.event for kind in SERVER_MESSAGES}


def test_the_end_of_a_node_on_the_wire() -> None:
    packet = codec.encode(server.Draining(reconnect_in_ms=1500))
    assert json.loads(packet[1:]) == ["server:draining", {"reconnectInMs": 1500}]


def test_every_end_that_no_party_chose_by_hand_has_a_text() -> None:
    assert set(Reason) - set(REASON_TEXTS) == {Reason.HANGUP, Reason.CANCELLED, Reason.REJECTED}


def error(failure: SignallingError, kind: type[client.ClientMessage] | None, call: CallId | None) -> object:
    message = to_error(failure, kind.event if kind else "zap", kind, call)
    return json.loads(codec.encode(message)[1:])[1]


def test_errors_say_what_failed_and_in_which_call() -> None:
    assert error(CallExpiredError(), client.CallAccept, CALL) == {
        "message": "Call not found or expired",
        "code": "call_not_found",
        "event": "call:accept",
        "callId": "c1",
    }


def test_an_invalid_payload_carries_the_text_of_its_event() -> None:
    assert error(InvalidPayloadError("to", "Expected str, got int"), client.CallOffer, None) == {
        "message": "Failed to send offer",
        "code": "invalid_payload",
        "event": "call:offer",
        "field": "to",
        "detail": "Expected str, got int",
    }


def test_an_invalid_payload_without_a_field() -> None:
    assert error(InvalidPayloadError(None, "one object"), client.CallEnd, None) == {
        "message": "Failed to end call",
        "code": "invalid_payload",
        "event": "call:end",
        "detail": "one object",
    }


def test_a_missing_user_id_has_a_text_of_its_own() -> None:
    assert error(UserIdRequiredError(), client.UserJoin, None) == {
        "message": "User ID is required",
        "code": "invalid_payload",
        "event": "user:join",
        "field": "userId",
        "detail": "a string of 1 to 128 characters is required",
    }


def test_a_failure_of_the_server_carries_the_text_of_its_event() -> None:
    assert error(InternalError(), client.CallInitiate, None) == {
        "message": "Failed to initiate call",
        "code": "internal",
        "event": "call:initiate",
    }


def test_codes_are_words_and_every_error_has_advice() -> None:
    for kind in ALL_ERRORS:
        assert kind.code.replace("_", "").isalpha()
        assert kind.code.islower()
        assert kind.advice.endswith(".")
