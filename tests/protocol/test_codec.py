import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.effects import Reason
from service.domain.events import Media
from service.domain.ids import CallId, UserId
from service.errors import InvalidPayloadError, ReservedEventError, SignallingError, UnknownEventError
from service.protocol import client, codec, server
from service.protocol.codec import Packet
from service.protocol.framing import RESERVED_EVENTS, MalformedPacketError
from service.protocol.translate import to_error

VALID: dict[str, dict[str, object]] = {
    "auth:refresh": {"token": "a.b.c"},
    "ice:servers": {},
    "user:join": {"userId": "alice"},
    "user:status": {"userId": "alice"},
    "call:initiate": {"to": "bob", "callType": "video"},
    "call:accept": {"callId": "c1", "from": "alice"},
    "call:reject": {"callId": "c1", "from": "alice"},
    "call:offer": {"offer": {"sdp": "v=0"}, "from": "alice", "to": "bob", "callType": "audio"},
    "call:answer": {"answer": {"sdp": "v=0"}, "from": "bob", "to": "alice"},
    "ice:candidate": {"candidate": {"candidate": ""}, "from": "bob", "to": "alice"},
    "call:connected": {"callId": "c1"},
    "call:end": {"callId": "c1"},
}


def packet(event: str, payload: object, ack: str = "") -> str:
    return f"2{ack}{json.dumps([event, payload])}"


def read(text: str) -> client.ClientMessage:
    return codec.decode(codec.split(text))


def test_every_event_of_the_contract_is_known() -> None:
    assert {kind.event for kind in client.CLIENT_MESSAGES} == set(VALID)
    assert codec.kind_of("call:offer") is client.CallOffer
    assert codec.kind_of("call:zap") is None


@pytest.mark.parametrize("event", VALID)
def test_a_valid_packet_is_decoded_into_its_type(event: str) -> None:
    message = read(packet(event, VALID[event], "7"))
    assert message.event == event
    sent = {field.encode_name: getattr(message, field.name) for field in msgspec.structs.fields(type(message))}
    for name, value in VALID[event].items():
        assert (json.loads(bytes(sent[name])) if isinstance(sent[name], msgspec.Raw) else sent[name]) == value


def test_the_name_and_the_ack_id_are_found_without_decoding_the_payload() -> None:
    assert codec.split('2["call:end",{"callId":"c1"}]') == Packet("call:end", None, '["call:end",{"callId":"c1"}]')
    assert codec.split('213["call:end"]') == Packet("call:end", "13", '["call:end"]')
    assert codec.split('2[ "call:end" , {}]').event == "call:end"
    assert codec.split(r'2["call\u003aend",{}]').event == "call:end"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        "3[]",
        "2{}",
        '2"x"',
        "2x[]",
        "2[]",
        "2[null]",
        "2[true]",
        "2[{}]",
        '2["zap"',
        "2[[[",
        '2["zap",NaN]',
        "2[" * 9000,
        '2/admin,["zap"]',
        "2" + "9" * 16 + '["zap"]',
        '2["call:end",{"callId":"c1","x":' + "[" * 100_000,
        '2["call:end",' + "[" * 32 + "]" * 32 + "]",
    ],
)
def test_what_is_no_event_packet_is_malformed(text: str) -> None:
    with pytest.raises(MalformedPacketError):
        codec.split(text)


@pytest.mark.parametrize(
    "payload",
    [
        '{"callId":"c1"',
        '{"callId":"c1"}]x',
        r'{"callId":"\ud800"}',
        '{"callId":01}',
        '{"callId":"c1",}',
        "nul",
    ],
)
def test_a_known_event_with_broken_json_is_malformed(payload: str) -> None:
    split = codec.split(f'2["call:end",{payload}]')
    with pytest.raises(MalformedPacketError):
        codec.decode(split)


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
def test_reserved_names_are_refused(name: str) -> None:
    with pytest.raises(ReservedEventError):
        read(packet(name, {}))


@pytest.mark.parametrize("name", ["", "zap", "Call:End", "__proto__", "call:end ", 'qu"ote'])
def test_names_outside_the_contract_are_unknown(name: str) -> None:
    with pytest.raises(UnknownEventError):
        read(packet(name, {}))


def test_a_number_is_a_name_that_nobody_knows() -> None:
    with pytest.raises(UnknownEventError):
        read("2[7,{}]")


@pytest.mark.parametrize(
    ("event", "change", "field"),
    [
        ("call:initiate", {"to": None}, "to"),
        ("call:initiate", {"to": ""}, "to"),
        ("call:initiate", {"to": "x" * 129}, "to"),
        ("call:initiate", {"to": ["bob"]}, "to"),
        ("call:initiate", {"callType": "fax"}, "callType"),
        ("call:initiate", {"callType": 1}, "callType"),
        ("call:accept", {"callId": 5}, "callId"),
        ("call:accept", {"from": 5}, "from"),
        ("call:reject", {"code": "no"}, "code"),
        ("call:end", {"callId": "x" * 129}, "callId"),
        ("call:end", {"code": "hangup"}, "code"),
        ("call:offer", {"from": {}}, "from"),
        ("user:join", {"userId": 12}, "userId"),
        ("user:join", {"userId": "x" * 129}, "userId"),
        ("user:status", {"userId": None}, "userId"),
    ],
)
def test_a_field_of_the_wrong_form_is_named(event: str, change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidPayloadError) as invalid:
        read(packet(event, VALID[event] | change))
    assert invalid.value.field == field
    assert invalid.value.detail


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (event, field)
        for event in VALID
        for field in VALID[event]
        if field != "from" and (event, field) not in {("user:join", "userId"), ("call:offer", "callType")}
    ],
)
def test_a_missing_field_is_named(event: str, field: str) -> None:
    payload = {name: value for name, value in VALID[event].items() if name != field}
    with pytest.raises(InvalidPayloadError) as invalid:
        read(packet(event, payload))
    assert invalid.value.field == field


@pytest.mark.parametrize("payload", ["null", '"text"', "7", "[]", "true"])
@pytest.mark.parametrize("event", VALID)
def test_a_payload_must_be_an_object(event: str, payload: str) -> None:
    with pytest.raises(InvalidPayloadError) as invalid:
        read(f'2["{event}",{payload}]')
    assert (invalid.value.field, invalid.value.detail) == (None, "one object is expected as the payload")


def test_an_event_that_has_nothing_to_say_needs_no_payload() -> None:
    assert read('2["ice:servers"]') == client.IceServersQuery()


@pytest.mark.parametrize("event", sorted(set(VALID) - {"ice:servers"}))
def test_a_payload_must_be_there(event: str) -> None:
    with pytest.raises(InvalidPayloadError):
        read(f'2["{event}"]')


def test_further_arguments_and_fields_are_ignored() -> None:
    assert read('2["call:end",{"callId":"c1","later":[1]},"more",{}]') == client.CallEnd(CallId("c1"))


@pytest.mark.parametrize(
    "opaque", ["null", "1.0", "1e2", '{"b": 1,  "a":[ ]}', '"\\u00e9\\u2028"', '"é 😀"', "{}", '{"a":1,"a":2}']
)
def test_opaque_parts_are_forwarded_byte_for_byte(opaque: str) -> None:
    message = read(f'2["call:offer",{{"offer":{opaque},"to":"bob"}}]')
    assert isinstance(message, client.CallOffer)
    sent = server.CallOffer(offer=message.offer, from_=UserId("alice"), call_type=Media.AUDIO)
    expected = f'2["call:offer",{{"offer":{opaque},"from":"alice","callType":"audio"}}]'
    assert codec.encode(sent) == expected.encode()


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(alphabet=st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet=st.characters(codec="utf-8")), inner),
    max_leaves=12,
)


@given(json_values, st.booleans())
def test_any_json_value_passes_unchanged(value: object, ascii_only: bool) -> None:
    text = json.dumps({"candidate": value, "to": "bob"}, ensure_ascii=ascii_only)
    message = read(f'2["ice:candidate",{text}]')
    assert isinstance(message, client.Candidate)
    sent = codec.encode(server.Candidate(candidate=message.candidate, from_=UserId("alice")))
    assert json.loads(sent[1:]) == ["ice:candidate", {"candidate": value, "from": "alice"}]


@given(st.text(), st.sampled_from(sorted(VALID)))
def test_no_text_makes_the_codec_fail_in_another_way(text: str, event: str) -> None:
    for attempt in (text, "2" + text, f"2[{text}", f'2["{event}",{text}]', f'2["{event}",{{"callId":{text}}}]'):
        with contextlib.suppress(MalformedPacketError, SignallingError):
            read(attempt)


def test_the_call_that_a_message_names() -> None:
    assert codec.call_id_of(client.CallEnd(CallId("c1"))) == "c1"
    assert codec.call_id_of(client.UserStatus(UserId("alice"))) is None


def test_what_is_unset_is_left_out() -> None:
    ended = server.CallEnded(call_id=CallId("c1"), by=None, code=Reason.HANGUP)
    assert codec.encode(ended) == b'2["call:ended",{"callId":"c1","by":null,"code":"hangup"}]'


def test_acknowledgements() -> None:
    initiated = server.CallInitiated(call_id=CallId("c1"), to=UserId("bob"))
    assert codec.encode_ack("4", initiated) == b'34[{"ok":true,"callId":"c1","to":"bob"}]'
    assert codec.encode_ack("4", None) == b'34[{"ok":true}]'
    error = to_error(UnknownEventError(), "zap", None, None)
    expected = b'39[{"ok":false,"error":{"message":"Unknown event","code":"unknown_event","event":"zap"}}]'
    assert codec.encode_error_ack("9", error) == expected
