import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picows import WSMsgType

from service.transport.engine.codes import CloseCode
from service.transport.engine.frames import (
    BINARY_FRAME,
    MAX_FRAGMENTS,
    TEXT_FRAME,
    Assembler,
    FrameError,
    invalid_text,
    reserved_bits,
    whole_frame,
)

TEXT, BINARY, MORE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION


def assembled(kind: WSMsgType, *parts: bytes, limit_bytes: int = 100) -> str | bytes:
    assembler = Assembler(kind)
    for number, part in enumerate(parts):
        assembler.add(MORE if number else kind, part, limit_bytes)
    return assembler.message()


@given(st.text(max_size=20), st.lists(st.integers(0, 80), max_size=5))
def test_a_text_may_be_cut_anywhere_also_within_a_character(text: str, cuts: list[int]) -> None:
    data = text.encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[begin:end] for begin, end in itertools.pairwise(edges)]
    assert assembled(TEXT, *parts) == text
    assert assembled(BINARY, *parts) == data


def test_nothing_is_a_message_too() -> None:
    assert assembled(TEXT, b"", b"") == ""
    assert assembled(BINARY, b"") == b""


def test_a_continuation_continues_something() -> None:
    with pytest.raises(FrameError, match="a continuation continues something") as error:
        Assembler(MORE)
    assert error.value.code is CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize("kind", [TEXT, BINARY])
@pytest.mark.parametrize("first", [TEXT, BINARY])
def test_a_message_ends_before_the_next_begins(first: WSMsgType, kind: WSMsgType) -> None:
    assembler = Assembler(first)
    assembler.add(first, b"a", 100)
    with pytest.raises(FrameError, match="one message ends before the next begins") as error:
        assembler.add(kind, b"b", 100)
    assert (error.value.code, error.value.rule) == (CloseCode.PROTOCOL_ERROR, str(error.value))


def test_a_message_may_be_as_large_as_the_limit() -> None:
    assert assembled(BINARY, b"x" * 60, b"y" * 40) == b"x" * 60 + b"y" * 40
    with pytest.raises(FrameError, match="exceed the limit") as error:
        assembled(BINARY, b"x" * 60, b"y" * 41)
    assert error.value.code is CloseCode.MESSAGE_TOO_BIG


def test_a_message_may_have_as_many_fragments_as_the_limit() -> None:
    assert assembled(TEXT, *[b"x"] * MAX_FRAGMENTS, limit_bytes=MAX_FRAGMENTS) == "x" * MAX_FRAGMENTS
    with pytest.raises(FrameError, match="exceed the limit") as error:
        assembled(TEXT, *[b""] * (MAX_FRAGMENTS + 1))
    assert error.value.code is CloseCode.MESSAGE_TOO_BIG


def test_a_text_is_utf8_once_it_is_whole() -> None:
    with pytest.raises(FrameError, match="a text message is UTF-8") as error:
        assembled(TEXT, b"ok \xc3", b"\x28")
    assert error.value.code is CloseCode.INVALID_TEXT


def test_errors_that_are_found_elsewhere_have_their_codes() -> None:
    assert reserved_bits().code is CloseCode.PROTOCOL_ERROR
    assert invalid_text().code is CloseCode.INVALID_TEXT


@pytest.mark.parametrize(
    ("size", "length"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (125, b"\x7d"),
        (126, b"\x7e\x00\x7e"),
        (65_535, b"\x7e\xff\xff"),
        (65_536, b"\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
@pytest.mark.parametrize("head", [TEXT_FRAME, BINARY_FRAME])
def test_a_frame_has_the_shortest_form_of_its_length_and_no_mask(head: int, size: int, length: bytes) -> None:
    payload = bytes(number % 251 for number in range(size))
    assert whole_frame(head, payload) == bytes([head]) + length + payload
