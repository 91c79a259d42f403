"""Engine.IO v4: opening a session, and the requests that open none."""

import json
import re

import pytest

from tests.interop.conformance_clients import (
    ENGINE,
    NEVER_A_SID,
    SOCKET,
    opened,
    polling,
    receive,
    socket,
    target,
)
from tests.interop.conformance_frames import Refused, ask, connected, request, websocket
from tests.interop.conformance_server import MAX_PAYLOAD_BYTES, Conformance

LEAST_SID_LENGTH = 20
"""What Node's server uses: 15 random bytes in base64."""
TRANSPORTS = ["polling", "websocket", "upgrade"]


@pytest.mark.parametrize("path", [ENGINE, SOCKET])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_handshake_says_exactly_this(conformance: Conformance, transport: str, path: str) -> None:
    async with opened(conformance, transport, path) as client:
        sid = client.handshake["sid"]
        assert client.handshake == {
            "sid": sid,
            "upgrades": ["websocket"] if transport == "polling" else [],
            "pingInterval": conformance.deadlines.ping_interval_ms,
            "pingTimeout": conformance.deadlines.ping_timeout_ms,
            "maxPayload": MAX_PAYLOAD_BYTES,
        }
        assert isinstance(sid, str)
        assert len(sid) >= LEAST_SID_LENGTH


async def test_sessions_have_keys_of_their_own(calm: Conformance) -> None:
    async with polling(calm) as one, polling(calm) as two, socket(calm) as three:
        assert len({one.sid, two.sid, three.handshake["sid"]}) == 3


async def test_poll_is_plain_text(calm: Conformance) -> None:
    answer = await ask(calm.port, "GET", target(ENGINE, transport="polling"))
    assert answer.headers["Content-Type"].lower().replace(" ", "") == "text/plain;charset=utf-8"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_parameters_that_nobody_knows_are_ignored(conformance: Conformance, transport: str) -> None:
    unknown = {"t": "PzKx1", "b64": "1", "x": "ä&=?"}
    if transport == "websocket":
        async with socket(conformance, **unknown) as direct:
            await direct.send("4hello")
            assert await receive(direct) == "4hello"
        return
    async with polling(conformance, **unknown) as poller:
        assert (await poller.post("4hello", b"\x01", **unknown)).body == "ok"
        answer = await poller.poll(**unknown)
        assert (answer.status, answer.body.removeprefix("2\x1e")) == (200, "4hello\x1ebAQ==")


VERSION, TRANSPORT, SESSION, METHOD = "EIO|version", "transport", "session|sid", "method|POST|PUT|DELETE|PATCH"
SESSIONLESS = {
    "no EIO": ("GET", {"EIO": "", "transport": "polling"}, VERSION),
    "EIO of letters": ("GET", {"EIO": "abc", "transport": "polling"}, VERSION),
    "EIO 5": ("GET", {"EIO": "5", "transport": "polling"}, VERSION),
    "EIO 3": ("GET", {"EIO": "3", "transport": "polling"}, "unsupported.*version 3|version 3.*not supported"),
    "no transport": ("GET", {}, TRANSPORT),
    "unknown transport": ("GET", {"transport": "abc"}, TRANSPORT),
    "POST without a session": ("POST", {"transport": "polling"}, f"{SESSION}|{METHOD}"),
    "PUT": ("PUT", {"transport": "polling"}, METHOD),
    "DELETE": ("DELETE", {"transport": "polling"}, METHOD),
    "PATCH": ("PATCH", {"transport": "polling"}, METHOD),
    "websocket without an upgrade": ("GET", {"transport": "websocket"}, "upgrade|websocket|request"),
    "poll of an unknown session": ("GET", {"transport": "polling", "sid": NEVER_A_SID}, SESSION),
    "POST to an unknown session": ("POST", {"transport": "polling", "sid": NEVER_A_SID}, SESSION),
}


@pytest.mark.parametrize("path", [ENGINE, SOCKET])
@pytest.mark.parametrize(("method", "query", "wrong"), SESSIONLESS.values(), ids=SESSIONLESS.keys())
async def test_wrong_request_is_told_what_is_wrong(
    calm: Conformance, path: str, method: str, query: dict[str, str], wrong: str
) -> None:
    address = target(path, **query).replace("EIO=&", "")
    answer = await ask(calm.port, method, address, b"4hello" if method == "POST" else b"")
    assert answer.status == 400
    assert answer.headers["Content-Type"].startswith("application/json")
    assert re.search(wrong, json.loads(answer.body)["message"], re.IGNORECASE), answer.body
    assert NEVER_A_SID not in answer.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused_in_a_session(calm: Conformance, method: str) -> None:
    async with polling(calm) as session:
        assert (await ask(calm.port, method, session.target(), b"4hello")).status == 400


WEBSOCKETLESS = {
    "no EIO": {"EIO": "", "transport": "websocket"},
    "EIO of letters": {"EIO": "abc", "transport": "websocket"},
    "EIO 3": {"EIO": "3", "transport": "websocket"},
    "no transport": {},
    "unknown transport": {"transport": "abc"},
    "unknown session": {"transport": "websocket", "sid": NEVER_A_SID},
}


@pytest.mark.parametrize("path", [ENGINE, SOCKET])
@pytest.mark.parametrize("query", WEBSOCKETLESS.values(), ids=WEBSOCKETLESS.keys())
async def test_wrong_websocket_is_not_opened(calm: Conformance, path: str, query: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        async with websocket(calm.port, target(path, **query).replace("EIO=&", "")):
            pass
    assert refused.value.args == (400,)


async def test_session_of_a_websocket_is_not_polled(calm: Conformance) -> None:
    async with socket(calm) as direct:
        address = target(ENGINE, transport="polling", sid=direct.handshake["sid"])
        assert (await ask(calm.port, "GET", address)).status == 400
        assert (await ask(calm.port, "POST", address, b"4hello")).status == 400
        await direct.send("4still here")
        assert await receive(direct) == "4still here"


async def test_body_beyond_the_limit_is_refused(calm: Conformance) -> None:
    async with polling(calm) as session:
        assert (await session.post("4" + "x" * MAX_PAYLOAD_BYTES)).status == 413


async def test_body_beyond_the_limit_is_refused_before_it_is_sent(calm: Conformance) -> None:
    async with polling(calm) as session, connected(calm.port) as wire:
        await wire.write(request("POST", session.target(), headers={"Content-Length": "95000000"}))
        assert (await wire.read_head()).startswith(b"HTTP/1.1 413 ")


async def test_body_of_a_stranger_is_refused_before_it_is_sent(calm: Conformance) -> None:
    async with connected(calm.port) as wire:
        stranger = target(ENGINE, transport="polling", sid=NEVER_A_SID)
        await wire.write(request("POST", stranger, headers={"Content-Length": "900000"}))
        assert (await wire.read_head()).startswith(b"HTTP/1.1 400 ")
