"""`docs/protocol.md`: every event, error and end code, with what the wire says of them."""

import json
import re
from typing import Annotated

import msgspec
import pytest

from service.domain.effects import Reason
from service.errors import ALL_ERRORS, CallExpiredError, SignallingError
from service.export.catalogue import fields
from service.export.protocol_reference import limits_text, protocol_reference, received, sent, type_text
from service.protocol.client import CLIENT_MESSAGES, ClientMessage, UserJoin
from service.protocol.framing import RESERVED_EVENTS
from service.protocol.server import SERVER_MESSAGES, ServerMessage
from service.protocol.translate import REASON_TEXTS
from tests.export.markdown import blocks, dead_links, rows, sections
from tests.support.needs import ROOT

TEXT = protocol_reference()
EVENTS = sections(TEXT, 3)
CHAPTERS = sections(TEXT, 2)


def test_every_link_leads_somewhere() -> None:
    assert dead_links(TEXT) == set()


def test_every_link_to_a_file_leads_to_one() -> None:
    targets = re.findall(r"\]\(([^#)]+)\)", TEXT)
    assert targets
    assert [target for target in targets if not (ROOT / "docs" / target).is_file()] == []


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_a_clients_event_has_its_fields_confirmation_and_errors(kind: type[ClientMessage]) -> None:
    section = EVENTS[sent(kind)]
    assert _field_names(section) == [field.name for field in fields(kind)]
    confirmed = kind.confirmed_by.event if kind.confirmed_by else "the acknowledgement alone"
    assert confirmed in next(line for line in section.splitlines() if line.startswith("**Confirmed by**"))
    for error in kind.errors:
        assert f"| `{error.message}` | [`{error.code}`](#error-codes) |" in section
    for code in ("invalid_payload", "internal"):
        assert f"| `{kind.failure}` | [`{code}`](#error-codes) |" in section


@pytest.mark.parametrize("kind", SERVER_MESSAGES)
def test_a_servers_event_has_its_fields_and_example(kind: type[ServerMessage]) -> None:
    section = EVENTS[received(kind)]
    assert _field_names(section) == [field.name for field in fields(kind)]
    example = json.loads(blocks(section, "json")[0])
    required = {field.name for field in fields(kind) if field.required}
    assert required <= set(example)
    assert f'socket.on("{kind.event}"' in blocks(section, "js")[0]


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_a_clients_event_is_shown_as_an_awaited_call(kind: type[ClientMessage]) -> None:
    assert f'await socket.emitWithAck("{kind.event}", {{' in blocks(EVENTS[sent(kind)], "js")[0]


@pytest.mark.parametrize("error", ALL_ERRORS)
def test_every_error_is_listed_with_its_advice(error: type[SignallingError]) -> None:
    listed = [row for row in rows(CHAPTERS["Error codes"]) if row[0] == f"`{error.code}`"]
    assert error.advice in {row[3] for row in listed}


def test_an_error_with_one_text_is_listed_with_it() -> None:
    texts = {row[1] for row in rows(CHAPTERS["Error codes"])}
    assert f"`{CallExpiredError.message}`" in texts


def test_no_text_names_a_class_of_the_server() -> None:
    assert re.findall(r"\w+Error\b", TEXT) == []


@pytest.mark.parametrize("reason", Reason)
def test_every_end_code_is_listed_with_its_text_and_a_meaning(reason: Reason) -> None:
    row = next(row for row in rows(CHAPTERS["End codes"]) if row[0] == f"`{reason.value}`")
    assert row[1] == (f"`{REASON_TEXTS[reason]}`" if reason in REASON_TEXTS else "")
    assert row[2].endswith(".")


@pytest.mark.parametrize("name", sorted(RESERVED_EVENTS))
def test_every_reserved_name_is_listed(name: str) -> None:
    assert f"`{name}`" in CHAPTERS["Reserved names"]


def test_the_picture_of_a_call_shows_events_that_exist() -> None:
    known = {kind.event for kind in CLIENT_MESSAGES} | {kind.event for kind in SERVER_MESSAGES}
    shown = re.findall(r"->>\w+: (\S+)", CHAPTERS["Overview"])
    assert shown
    assert set(shown) <= known


def test_a_field_that_only_an_error_requires_is_required() -> None:
    row = next(row for row in rows(EVENTS[sent(UserJoin)]) if row[0] == "`userId`")
    assert row[1:3] == ["string", "yes"]


class Inner(msgspec.Struct):
    """Something inside."""

    share: Annotated[int, msgspec.Meta(ge=0, le=100)]


class Sample(msgspec.Struct):
    """One field of every kind that a message may have."""

    names: Annotated[list[str], msgspec.Meta(min_length=1, max_length=5)]
    inner: Inner
    either: str | int
    more: list[Inner | None]
    counts: dict[str, int]
    ratio: Annotated[float, msgspec.Meta(ge=0.5)] | None
    label: Annotated[str, msgspec.Meta(max_length=3)] | msgspec.UnsetType = msgspec.UNSET


def test_types_and_limits_are_said_in_words() -> None:
    said = {field.name: (type_text(field), limits_text(field.type), field.required) for field in fields(Sample)}
    assert said == {
        "names": ("array of string", "1 to 5 entries", True),
        "inner": ("[Inner](#inner)", "", True),
        "either": ("string or integer", "", True),
        "more": ("array of [Inner](#inner) or `null`", "", True),
        "counts": ("object", "", True),
        "ratio": ("number or `null`", "at least 0.5", True),
        "label": ("string", "at most 3 characters", False),
    }


def _field_names(section: str) -> list[str]:
    table = section.split("**", 1)[0]
    return [row[0].strip("`") for row in rows(table)[2:]]
