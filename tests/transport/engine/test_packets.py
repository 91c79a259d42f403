import pytest
from engineio.payload import Payload
from hypothesis import given
from hypothesis import strategies as st

from service.transport.engine.packets import (
    MAX_PACKETS_PER_ANSWER,
    ProtocolError,
    binary_from_payload,
    binary_in_payload,
    join_payload,
    split_payload,
)


@pytest.mark.parametrize(
    ("payload", "packets"),
    [
        (b"4hello", ["4hello"]),
        (b"4hello\x1e2\x1e4world", ["4hello", "2", "4world"]),
        ("4ü€😀".encode(), ["4ü€😀"]),
        (b"", [""]),
        (b"4\x1e", ["4", ""]),
        (b"bAQIDBA==\x1e4", ["bAQIDBA==", "4"]),
    ],
)
def test_a_payload_is_packets_with_separators(payload: bytes, packets: list[str]) -> None:
    assert split_payload(payload, 10) == packets


def test_a_payload_has_as_many_packets_as_the_limit_and_no_more() -> None:
    assert split_payload(b"4\x1e4\x1e4", 3) == ["4"] * 3
    with pytest.raises(ProtocolError) as error:
        split_payload(b"4\x1e4\x1e4\x1e4", 3)
    assert error.value.rule == str(error.value) == "too many packets in one payload"


@pytest.mark.parametrize("payload", [b"\xff", b"4\xc3", b"4\xed\xa0\x80", b"4ok\x1e4\xf8"])
def test_a_payload_that_is_not_utf8_is_refused_without_a_word_of_it(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"^a payload is UTF-8$"):
        split_payload(payload, 10)


@given(st.binary())
def test_a_binary_message_goes_through_a_payload(data: bytes) -> None:
    assert binary_from_payload(binary_in_payload(data).decode()) == data


@pytest.mark.parametrize("packet", ["bA", "bAQ=", "b!!!!", "bAQID\n", "b=", "bAQ==AQ==", "bü"])
def test_what_is_not_base64_is_refused(packet: str) -> None:
    with pytest.raises(ProtocolError, match=r"^a binary packet is base64$"):
        binary_from_payload(packet)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x1e")).map("no JSON: {}".format)


@given(st.lists(texts | st.binary(), min_size=1, max_size=MAX_PACKETS_PER_ANSWER))
def test_the_librarys_client_reads_what_is_joined(messages: list[str | bytes]) -> None:
    packets = [binary_in_payload(it) if isinstance(it, bytes) else b"4" + it.encode() for it in messages]
    read = Payload(encoded_payload=join_payload(packets).decode())
    assert [packet.data for packet in read.packets] == messages
