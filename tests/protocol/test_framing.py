import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from socketio import packet as library

from service.protocol.framing import (
    MAX_ATTACHMENTS,
    MAX_DEPTH,
    RESERVED_EVENTS,
    Head,
    Kind,
    MalformedPacketError,
    check,
    check_depth,
)

FORM = "a client's {} packet has the form of Socket.IO protocol 5"
NO_TYPE = "the type of a packet is a digit from 0 to 6"
NO_JSON = "a payload is JSON"
COUNTED = "attachments are counted in binary packets, and only there"
TOO_MANY = "a packet has 10 attachments at most"
PLACEHOLDERS = "each attachment has one placeholder"
TOO_DEEP = "JSON is nested 32 levels deep at most"

DEFAULT_MESSAGE_BYTES = 262_144
CPU_S = 2.0
"""Far more than judging the largest packet takes, far less than a judgement that goes over it again and again."""


def hole(number: object) -> str:
    return f'{{"_placeholder":true,"num":{number}}}'


WELL_FORMED = {
    "0": Head(Kind.CONNECT, "/", 0),
    "0{}": Head(Kind.CONNECT, "/", 0),
    '0{"token":"123"}': Head(Kind.CONNECT, "/", 0),
    "0/": Head(Kind.CONNECT, "/", 0),
    "0/custom": Head(Kind.CONNECT, "/custom", 0),
    "0/custom,": Head(Kind.CONNECT, "/custom", 0),
    '0/custom,{"token":"123"}': Head(Kind.CONNECT, "/custom", 0),
    "0/custom?token=123,": Head(Kind.CONNECT, "/custom", 0),
    "0/?token=123,{}": Head(Kind.CONNECT, "/", 0),
    "1": Head(Kind.DISCONNECT, "/", 0),
    "1/custom,": Head(Kind.DISCONNECT, "/custom", 0),
    '2["message"]': Head(Kind.EVENT, "/", 0),
    '2["",null]': Head(Kind.EVENT, "/", 0),
    "2[1]": Head(Kind.EVENT, "/", 0),
    "2[1.5,true]": Head(Kind.EVENT, "/", 0),
    '2 ["message"]': Head(Kind.EVENT, "/", 0),
    '20["message"]': Head(Kind.EVENT, "/", 0),
    '2999999999999999["message"]': Head(Kind.EVENT, "/", 0),
    '2/custom,7["message",{"a":[]}]': Head(Kind.EVENT, "/custom", 0),
    f'2["message",{hole(0)}]': Head(Kind.EVENT, "/", 0),
    "30[]": Head(Kind.ACK, "/", 0),
    '3/custom,12[{"a":1}]': Head(Kind.ACK, "/custom", 0),
    f'51-["message",{hole(0)}]': Head(Kind.BINARY_EVENT, "/", 1),
    f'52-/custom,3["message",{{"b":{hole(1)},"a":[[{hole(0)}]]}}]': Head(Kind.BINARY_EVENT, "/custom", 2),
    f'5{MAX_ATTACHMENTS}-["message",{",".join(map(hole, range(MAX_ATTACHMENTS)))}]': Head(Kind.BINARY_EVENT, "/", 10),
    f'51-["message",{hole(0)},{{"_placeholder":false,"num":7}}]': Head(Kind.BINARY_EVENT, "/", 1),
    f"61-5[{hole(0)}]": Head(Kind.BINARY_ACK, "/", 1),
}

MALFORMED = {
    "": NO_TYPE,
    "7": NO_TYPE,
    "-1": NO_TYPE,
    "x": NO_TYPE,
    " 0": NO_TYPE,
    "\u0663[]": NO_TYPE,
    "0[]": FORM.format("CONNECT"),
    "0null": FORM.format("CONNECT"),
    '0"token"': FORM.format("CONNECT"),
    "01": FORM.format("CONNECT"),
    "01{}": FORM.format("CONNECT"),
    "0{": NO_JSON,
    '0{"token":"1"}{}': NO_JSON,
    "0custom": NO_JSON,
    "1{}": FORM.format("DISCONNECT"),
    "15": FORM.format("DISCONNECT"),
    "2": FORM.format("EVENT"),
    "2[]": FORM.format("EVENT"),
    "2{}": FORM.format("EVENT"),
    '2"message"': FORM.format("EVENT"),
    "2[null]": FORM.format("EVENT"),
    "2[true]": FORM.format("EVENT"),
    "2[{}]": FORM.format("EVENT"),
    '2[["message"]]': FORM.format("EVENT"),
    '2["message"': NO_JSON,
    '2["message"]]': NO_JSON,
    '2["\x00"]': NO_JSON,
    '2["\\ud800"]': NO_JSON,
    "2[NaN]": NO_JSON,
    "2['message']": NO_JSON,
    '2-1["message"]': NO_JSON,
    '2x["message"]': NO_JSON,
    '2\u0663["message"]': NO_JSON,
    '21000000000000000["message"]': NO_JSON,
    '2/custom["message"]': FORM.format("EVENT"),
    f'2/{"x" * 257},["message"]': NO_JSON,
    "3[]": FORM.format("ACK"),
    "30": FORM.format("ACK"),
    "30{}": FORM.format("ACK"),
    "4": FORM.format("CONNECT_ERROR"),
    '4{"message":"no"}': FORM.format("CONNECT_ERROR"),
    '21-["message"]': COUNTED,
    "01-": COUNTED,
    f'5["message",{hole(0)}]': COUNTED,
    f'5-["message",{hole(0)}]': COUNTED,
    f'5-1-["message",{hole(0)}]': COUNTED,
    f'599999-["message",{hole(0)}]': COUNTED,
    f'511-["message",{",".join(map(hole, range(11)))}]': TOO_MANY,
    '59999-["message"]': TOO_MANY,
    "51-[]": FORM.format("BINARY_EVENT"),
    f"51-{hole(0)}": FORM.format("BINARY_EVENT"),
    f"51-[{hole(0)}]": FORM.format("BINARY_EVENT"),
    f"61-[{hole(0)}]": FORM.format("BINARY_ACK"),
    f'51-["message",{hole(0)},{{"_placeholder":1,"num":7}}]': PLACEHOLDERS,
    '51-["message"]': PLACEHOLDERS,
    f'51-["message",{hole(1)}]': PLACEHOLDERS,
    f'51-["message",{hole(-1)}]': PLACEHOLDERS,
    f'51-["message",{hole(0.0)}]': PLACEHOLDERS,
    f'51-["message",{hole("false")}]': PLACEHOLDERS,
    '51-["message",{"_placeholder":true,"num":"0"}]': PLACEHOLDERS,
    '51-["message",{"_placeholder":true}]': PLACEHOLDERS,
    f'51-["message",{hole(0)},{hole(0)}]': PLACEHOLDERS,
    f'52-["message",{hole(0)},{hole(0)}]': PLACEHOLDERS,
    f'52-["message",{hole(0)}]': PLACEHOLDERS,
}


@pytest.mark.parametrize(("packet", "head"), WELL_FORMED.items(), ids=WELL_FORMED)
def test_a_well_formed_packet_is_known_by_its_head(packet: str, head: Head) -> None:
    assert check(packet) == head


@pytest.mark.parametrize(("packet", "rule"), MALFORMED.items(), ids=map(ascii, MALFORMED))
def test_a_malformed_packet_is_told_by_the_rule_that_it_breaks(packet: str, rule: str) -> None:
    with pytest.raises(MalformedPacketError) as error:
        check(packet)
    assert error.value.rule == rule


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
@pytest.mark.parametrize("head", ["2", "51-"])
def test_a_reserved_name_is_no_events(head: str, name: str) -> None:
    with pytest.raises(MalformedPacketError):
        check(f'{head}["{name}",{hole(0)}]')


def test_without_words_of_its_own_the_error_names_the_protocol() -> None:
    assert MalformedPacketError().rule == "a packet is one of Socket.IO protocol 5"


# --- depth -------------------------------------------------------------------------------------------------


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_json_may_be_as_deep_as_the_limit() -> None:
    assert check(f'2["message",{nested(MAX_DEPTH - 1)}]').kind is Kind.EVENT
    check_depth('{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH)
    for deeper in (f'2["message",{nested(MAX_DEPTH)}]', f'0{{"auth":{nested(MAX_DEPTH)}}}', "2" + "[" * 100_000):
        with pytest.raises(MalformedPacketError, match=TOO_DEEP):
            check(deeper)


@pytest.mark.parametrize(
    "argument",
    [
        ",".join(["[]"] * 100),
        ",".join(['{"a":[]}'] * 100),
        f'"{"[" * 100}"',
        f'"{"{" * 100}"',
        rf'"\"{"[" * 100}"',
        rf'"\\\"{"[" * 100}\\"',
        rf'"{"[" * 50}\\","{"[" * 50}"',
        f'{{"{"[" * 100}":"{"]" * 100}"}}',
        f'"{"]" * 100}",{nested(MAX_DEPTH - 1)}',
    ],
    ids=lambda argument: argument[:12],
)
def test_brackets_beside_each_other_and_in_texts_are_not_depth(argument: str) -> None:
    assert check(f'2["message",{argument}]').kind is Kind.EVENT


@pytest.mark.parametrize("before", [r'"\\",', r'"\"",', r'"a\\\\",', '"]]]]",', r'"\"]]]]",'])
def test_a_text_does_not_hide_the_depth_behind_it(before: str) -> None:
    with pytest.raises(MalformedPacketError, match=TOO_DEEP):
        check(f'2["message",{before}{nested(MAX_DEPTH)}]')


@contextmanager
def cpu_limited() -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("filling", ['\\"', '"', "\\", "[]", '[]"', "{}\\", '"\\"'], ids=ascii)
@pytest.mark.parametrize("begin", ['2["', "2[", "0{"])
def test_the_largest_packet_is_judged_in_one_pass(begin: str, filling: str) -> None:
    many = DEFAULT_MESSAGE_BYTES // len(filling) - MAX_DEPTH
    packet = begin + filling * many + "[" * (MAX_DEPTH + 1)
    with cpu_limited(), pytest.raises(MalformedPacketError):
        check(packet)


# --- what the library says, and what anybody says ------------------------------------------------------------

numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
keys = st.text(max_size=10).filter(lambda key: key != "_placeholder")
plain = st.none() | st.booleans() | numbers | st.text(max_size=20)


def containers(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=4) | st.dictionaries(keys, values, max_size=4)


json_values = st.recursive(plain, containers, max_leaves=12)
mixed_values = st.recursive(plain | st.binary(max_size=8), containers, max_leaves=MAX_ATTACHMENTS)
names = st.text(max_size=20).filter(lambda name: name not in RESERVED_EVENTS) | st.integers(0, 99)
namespaces = st.just("/") | st.text(st.characters(codec="ascii", exclude_characters=",?"), max_size=20).map(
    lambda name: f"/{name}"
)
ack_ids = st.integers(0, 10**15 - 1)
packets: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.CONNECT: st.tuples(st.none() | st.dictionaries(keys, json_values, max_size=3), st.none()),
    Kind.DISCONNECT: st.tuples(st.none(), st.none()),
    Kind.EVENT: st.tuples(
        st.tuples(names, st.lists(mixed_values, max_size=1)).map(lambda parts: [parts[0], *parts[1]]),
        st.none() | ack_ids,
    ),
    Kind.ACK: st.tuples(st.lists(mixed_values, max_size=1), ack_ids),
}


@pytest.mark.parametrize("kind", packets, ids=lambda kind: kind.name)
@given(data=st.data(), namespace=namespaces)
def test_what_the_library_encodes_is_well_formed(kind: Kind, data: st.DataObject, namespace: str) -> None:
    payload, ack_id = data.draw(packets[kind])
    packet = library.Packet(kind.value, data=payload, namespace=namespace, id=ack_id)
    encoded = packet.encode()
    text, *attachments = encoded if isinstance(encoded, list) else [encoded]
    assert check(text) == Head(Kind(packet.packet_type), namespace, len(attachments))


def heads(separator: str) -> st.SearchStrategy[str]:
    return st.builds(
        lambda kind, count, namespace, ack_id: f"{kind}{count}{namespace}{ack_id}",
        st.sampled_from("0123456"),
        st.sampled_from(["", "-", "0-", "1-", "10-", "999-"]),
        st.sampled_from(["", f"/{separator}", "/a,", "/?,"]),
        st.sampled_from(["", "0", "12"]),
    )


fragments = st.sampled_from(
    ["[", "]", "{", "}", ",", ":", '"', "\\", '"a"', "0", "-", "1e999", "null", "NaN", hole(0), '"num"', '["a"', "\n"]
)
garbage: dict[str, Callable[[], st.SearchStrategy[str]]] = {
    "any text": st.text,
    "a head and any text": lambda: st.tuples(heads(","), st.text()).map("".join),
    "a head and pieces of JSON": lambda: st.tuples(heads(""), st.lists(fragments).map("".join)).map("".join),
}


@pytest.mark.parametrize("strategy", garbage.values(), ids=garbage)
@given(data=st.data())
def test_whatever_comes_is_judged(strategy: Callable[[], st.SearchStrategy[str]], data: st.DataObject) -> None:
    text = data.draw(strategy())
    try:
        head = check(text)
    except MalformedPacketError as error:
        assert error.rule  # noqa: PT017 - most texts break a rule; the others are judged below
    else:
        assert head.kind is Kind(int(text[0]))
        assert head.namespace.startswith("/")
        assert 0 <= head.attachments <= MAX_ATTACHMENTS
