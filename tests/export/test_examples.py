"""Every example is a message that the real codec takes, or makes."""

import json
from typing import Annotated, Any, Literal

import msgspec
import pytest

from service.domain.events import Media
from service.export.examples import acknowledgement, error_acknowledgement, example
from service.protocol import codec
from service.protocol.client import CLIENT_MESSAGES, ClientMessage
from service.protocol.server import SERVER_MESSAGES, Error, ServerMessage


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_the_codec_decodes_a_clients_example_without_loss(kind: type[ClientMessage]) -> None:
    payload = example(kind)
    message = codec.decode(codec.split(f'2["{kind.event}",{json.dumps(payload)}]'))
    assert type(message) is kind
    assert msgspec.json.decode(msgspec.json.encode(message)) == payload


@pytest.mark.parametrize("kind", SERVER_MESSAGES)
def test_the_codec_encodes_a_servers_example(kind: type[ServerMessage]) -> None:
    payload = example(kind)
    message = msgspec.json.decode(json.dumps(payload), type=kind)
    assert json.loads(codec.encode(message)[1:]) == [kind.event, payload]


@pytest.mark.parametrize("kind", [kind for kind in CLIENT_MESSAGES if kind.confirmed_by])
def test_the_codec_makes_the_acknowledgement_that_is_shown(kind: type[ClientMessage]) -> None:
    assert kind.confirmed_by is not None
    confirmation = msgspec.json.decode(json.dumps(example(kind.confirmed_by)), type=kind.confirmed_by)
    assert json.loads(codec.encode_ack("7", confirmation)[2:]) == [acknowledgement(kind)]


def test_the_codec_makes_the_failed_acknowledgement_that_is_shown() -> None:
    error = msgspec.json.decode(json.dumps(example(Error)), type=Error)
    assert json.loads(codec.encode_error_ack("7", error)[2:]) == [error_acknowledgement()]


class Inner(msgspec.Struct):
    """Something inside."""

    level: Literal["high", "low"]


class Sample(ServerMessage, frozen=True):
    """One field of every kind that a message may have."""

    event = "sample"
    inner: Inner
    users: list[Annotated[str, msgspec.Meta(examples=["carol"])]]
    either: Inner | int
    flag: bool
    count: Annotated[int, msgspec.Meta(ge=3)]
    ratio: float
    note: str
    media: Media
    anything: Any
    maybe: int | msgspec.UnsetType = msgspec.UNSET


def test_a_message_of_any_make_gets_a_valid_example() -> None:
    payload = example(Sample)
    assert payload == {
        "inner": {"level": "high"},
        "users": ["carol"],
        "either": {"level": "high"},
        "flag": True,
        "count": 3,
        "ratio": 1,
        "note": "text",
        "media": "audio",
        "anything": {},
    }
    assert msgspec.convert(payload, Sample).users == ["carol"]
