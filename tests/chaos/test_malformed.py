"""Packets that are none: each is answered as documented, no handler sees it, and it costs one line of the log."""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from tests.chaos.clients import event, guest, join, stranger
from tests.chaos.footprint import scrape
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import Client, Packet, Polling, Socket, receive
from tests.support.server import Server, running_server

PROTOCOL_ERROR = 1002
LINES_AT_ONCE = 20
_MORE = re.compile(r"\(and ([0-9]+) more, not logged\)")
DEEPEST = "[" * 31 + "]" * 31
"""Within an object in the array of an event this is 33 levels."""


class Case(NamedTuple):
    """What a client sends, and what it gets: `CLOSED`, `IGNORED`, or the beginning of an answer."""

    packets: Sequence[Packet]
    outcome: str
    answers: int = 0
    """How many answers come before the connection is closed: to what was well formed."""


CLOSED, IGNORED = "closed", "ignored"


def refused(code: str) -> str:
    return f'"code":"{code}"'


def closed(*packets: Packet, answers: int = 0) -> Case:
    return Case(packets, CLOSED, answers)


STATUS = "user:status"
HOLE = '{"_placeholder":true,"num":%d}'

BEFORE_CONNECT = {
    "empty Engine.IO packet": closed(""),
    "unknown Engine.IO type": closed("7"),
    "garbage": closed("GET / HTTP/1.1"),
    "an open packet of the client's own": closed('0{"sid":"x"}'),
    "a ping of the client's own": closed("2"),
    "a probe without an upgrade": closed("2probe"),
    "an upgrade without a probe": closed("5"),
    "a close packet with data": closed("1x"),
    "a pong with data": closed("3probe"),
    "a noop with data": closed("6x"),
    "empty message": closed("4"),
    "event before CONNECT": closed('42["user:status",{"userId":"x"}]'),
    "join before CONNECT": closed('42["user:join",{"userId":"x"}]'),
    "DISCONNECT before CONNECT": closed("41"),
    "ACK before CONNECT": closed("430[]"),
    "binary event before CONNECT": closed(f'451-["user:join",{HOLE % 0}]', b"x"),
    "attachment before CONNECT": closed(b"x"),
    "CONNECT_ERROR from a client": closed('44{"message":"x"}'),
    "CONNECT with an array": closed("40[]"),
    "CONNECT with null": closed("40null"),
    "CONNECT with a text": closed('40"x"'),
    "CONNECT with NaN": closed('40{"token":NaN}'),
    "CONNECT cut short": closed("40{"),
    "CONNECT with an ack id": closed("401{}"),
    "CONNECT nested too deeply": closed('40{"a":' + "[" * 32 + "]" * 32 + "}"),
    "CONNECT nested beyond reason": closed("40" + '{"a":' * 30_000),
    "CONNECT twice at once": closed("40", "40", answers=1),
    "endless namespace": closed("40/" + "x" * 300 + ","),
    "event to a namespace that was refused": closed("40/admin,", '42/admin,["user:status",{"userId":"x"}]', answers=1),
    "unknown namespace": Case(["40/admin,"], '44/admin,{"message":"Invalid namespace"}'),
}

AFTER_CONNECT = {
    "second CONNECT": closed("40"),
    "second CONNECT with a payload": closed('40{"token":"x"}'),
    "unknown Socket.IO type": closed("47"),
    "letter for a type": closed("4x"),
    "DISCONNECT with a payload": closed("41{}"),
    "event without an array": closed('42{"user:status":{}}'),
    "event without a name": closed("42[]"),
    "event without anything": closed("42"),
    "event cut short": closed('42["user:status",{"userId":"a"}'),
    "text behind the event": closed('42["user:status",{"userId":"a"}] and more'),
    "two events in one": closed('42["user:status",{"userId":"a"}]["user:status",{"userId":"a"}]'),
    "single quotes": closed("42['user:status',{}]"),
    "comma too many": closed('42["user:status",{"userId":"a"},]'),
    "NaN": closed('42["user:status",{"userId":NaN}]'),
    "Infinity": closed('42["user:status",{"userId":-Infinity}]'),
    "NaN for a name": closed("42[NaN,{}]"),
    "object for a name": closed('42[{},"x"]'),
    "null for a name": closed("42[null]"),
    "true for a name": closed("42[true,{}]"),
    "number without an end": closed('42["user:status",{"userId":1e}]'),
    "number for a name": Case(["42[1,{}]"], refused("unknown_event")),
    "fraction for a name": Case(["42[-1.5e3,{}]"], refused("unknown_event")),
    "huge number for a name": closed(f"42[{'9' * 5000},{{}}]"),
    "huge number for a user": Case([f'42["user:status",{{"userId":{"9" * 5000}}}]'], refused("invalid_payload")),
    "number beyond all numbers": Case(['42["user:status",{"userId":1e999}]'], refused("invalid_payload")),
    "lone surrogate for a user": closed('42["user:status",{"userId":"\\ud800"}]'),
    "lone surrogate for a name": closed('42["\\udfff",{}]'),
    "lone surrogate in the opaque part": closed('42["ice:candidate",{"candidate":"\\ud800","to":"nobody"}]'),
    "control character in a text": closed('42["user:status",{"userId":"\x01"}]'),
    "nested too deeply by one": closed(f'42["user:status",{{"userId":{DEEPEST}}}]'),
    "nested too deeply in the opaque part": closed(f'42["ice:candidate",{{"candidate":{DEEPEST},"to":"nobody"}}]'),
    "nested beyond reason": closed('42["nothing",' + "[" * 100_000 + "]" * 100_000 + "]"),
    "nested and never closed": closed('42["nothing",' + '{"a":' * 40_000),
    "nested as deeply as allowed": Case(
        [f'42["user:status",{{"userId":{DEEPEST[1:-1]}}}]'], refused("invalid_payload")
    ),
    "ack id is no number": closed('42x["user:status",{}]'),
    "ack id is negative": closed('42-1["user:status",{}]'),
    "ack id beyond all numbers": closed(f'42{"1" * 16}["user:status",{{}}]'),
    "ACK without an id": closed("43[]"),
    "ACK with an object": closed("430{}"),
    "ACK cut short": closed("430["),
    "ACK that nobody asked for": Case(['437[{"ok":true}]'], IGNORED),
    "CONNECT_ERROR from a member": closed('44{"message":"x"}'),
    "attachment of nothing": closed(b"x"),
    "attachment that does not come": closed(f'451-["user:status",{HOLE % 0}]', '42["user:status",{"userId":"a"}]'),
    "attachment too many": closed(f'451-["nothing",{HOLE % 0}]', b"x", b"y", answers=1),
    "attachments without a count": closed(f'45["user:status",{HOLE % 0}]'),
    "attachments beyond the limit": closed('4511-["user:status"]'),
    "attachments beyond all numbers": closed('4599999999999-["user:status"]'),
    "attachments in a plain event": closed('421-["user:status",{}]'),
    "attachment without a placeholder": closed('451-["user:status",{}]'),
    "placeholder of another attachment": closed(f'451-["user:status",{HOLE % 1}]'),
    "placeholder before the first": closed(f'451-["user:status",{HOLE % -1}]'),
    "placeholder twice": closed(f'452-["user:status",{HOLE % 0},{HOLE % 0}]'),
    "binary event that is whole": Case([f'451-["user:status",{HOLE % 0}]', b"x"], refused("invalid_payload")),
    "binary ACK that nobody asked for": Case([f"461-7[{HOLE % 0}]", b"x"], IGNORED),
    "event to a namespace that is not there": closed('42/admin,["user:status",{"userId":"a"}]'),
    "pong that nobody asked for": Case(["3"], IGNORED),
    "noop": Case(["6"], IGNORED),
    "binary that is not base64": closed("b!"),
    "unknown event": Case(['42["user:delete",{}]'], refused("unknown_event")),
    "empty name": Case(['42["",{}]'], refused("unknown_event")),
    "payload is missing": Case(['42["user:status"]'], refused("invalid_payload")),
    "payload is an array": Case(['42["user:status",["a"]]'], refused("invalid_payload")),
    "payload is null": Case(['42["call:end",null]'], refused("invalid_payload")),
    **{
        f"reserved name {name}": Case([event(name, {"userId": "a"})], refused("reserved_event"))
        for name in ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener")
    },
    "reserved name in escapes": Case(['42["\\u0064isconnect",{}]'], refused("reserved_event")),
}


async def check(client: Client, case: Case, *, connected: bool) -> None:
    """Send the packets of a case and hold what comes against what should."""
    if isinstance(client, Polling):
        assert (await client.post(*case.packets)).status in (200, 400)
    else:
        await client.send(*case.packets)
    if case.outcome == CLOSED:
        await check_closed(client, case)
        return
    if case.outcome != IGNORED:
        answer = str(await receive(client))
        assert case.outcome in answer, answer
    if connected:
        await client.send(event(STATUS, {"userId": "nobody"}))
        assert str(await receive(client)).startswith('42["user:status",{"userId":"nobody"')


async def check_closed(client: Client, case: Case) -> None:
    if isinstance(client, Polling):
        answer = await client.poll()
        assert answer.status == 400, answer
        return
    assert isinstance(client, Socket)
    for _ in range(case.answers):
        assert str(await client.next()).startswith("4")
    end = await client.frames.receive_end()
    assert int.from_bytes(end[:2]) == PROTOCOL_ERROR, end


def test_table_is_long_enough() -> None:
    assert len(BEFORE_CONNECT) + len(AFTER_CONNECT) >= 40


async def failures(server: Server, transport: str) -> dict[str, str]:
    """The cases that do not end as they should, and how they do."""
    found = {}
    for name, case in BEFORE_CONNECT.items():
        async with stranger(server, transport) as client:
            try:
                await check(client, case, connected=False)
            except Exception as error:  # noqa: BLE001 - all cases are told, not the first only
                found[name] = repr(error)
    for name, case in AFTER_CONNECT.items():
        async with guest(server, transport) as client:
            await join(client, "mallory")
            try:
                await check(client, case, connected=True)
            except Exception as error:  # noqa: BLE001 - as above
                found[name] = repr(error)
    return found


@pytest.mark.parametrize("transport", ["websocket", "polling", "upgraded"])
async def test_every_malformed_packet_has_its_outcome(attacked: Server, transport: str) -> None:
    before = await scrape(attacked)
    async with healthy_call(attacked):
        assert await failures(attacked, transport) == {}
    after = await scrape(attacked)
    good = {
        name: after.sum("events_total", event=name, outcome="ok") - before.sum("events_total", event=name, outcome="ok")
        for name in (STATUS, "user:join", "call:connected")
    }
    goes_on = [case for case in AFTER_CONNECT.values() if case.outcome != CLOSED]
    two_of_the_call = 2
    assert good == {STATUS: len(goes_on), "user:join": len(AFTER_CONNECT) + two_of_the_call, "call:connected": 0}
    assert after.sum("events_total", outcome="internal") == 0


@pytest.mark.parametrize("body", [b"\xff", b"42[\xc3\x28]", b"", b"\x1e", b"b\xe2\x82"])
async def test_malformed_payload_closes_the_session(attacked: Server, body: bytes) -> None:
    async with healthy_call(attacked), guest(attacked, "polling") as client:
        assert isinstance(client, Polling)
        assert (await client.post_bytes(body)).status == 400
        assert (await client.poll()).status == 400


def lines_of(server: Server) -> list[str]:
    told = [json.loads(line)["message"] for line in server.log.read_text().splitlines()]
    return [line for line in told if "the client broke a rule" in line]


async def test_offences_cost_few_lines_and_all_are_counted(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_server(tmp_path_factory.mktemp("offences"), LIMIT_CONNECTS="0") as server:
        async with healthy_call(server):
            made = 0
            while made < 4 * LINES_AT_ONCE:
                made += await offend(server)
            assert len(lines_of(server)) < made
            while told(server) != made:  # what was left out is told with the next line that may be written
                made += await offend(server)
        log = server.log.read_text()
    assert "mallory-secret" not in log
    assert "Traceback" not in log


def told(server: Server) -> int:
    lines = lines_of(server)
    return len(lines) + sum(int(found[1]) for line in lines if (found := _MORE.search(line)))


async def offend(server: Server) -> int:
    async with stranger(server) as client:
        await client.send('42["mallory-secret",{]')
        await check_closed(client, closed(""))
    return 1
