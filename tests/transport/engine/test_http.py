"""The routes of the engine, where `tests.interop` does not hold them: limits, the stop, and requests that overlap."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from service.domain.budget import Rate
from service.transport.admission import AdmissionLimits
from service.transport.engine import http as module
from service.transport.link import CloseReason
from tests.transport.engine.harness import MAX_MESSAGE_BYTES, MAX_PACKETS, PATH, PATIENCE_S, Bench, Serving

PROXIED = {"x-forwarded-for": "198.51.100.7"}


async def handshake(http: aiohttp.ClientSession, serving: Serving, **headers: str) -> str:
    """Open a session on polling; gives its sid."""
    async with http.get(serving.url(transport="polling"), headers=headers) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["cache-control"] == "no-store"
        return str(json.loads((await answer.text())[1:])["sid"])


async def refusal(
    http: aiohttp.ClientSession,
    serving: Serving,
    method: str = "GET",
    *,
    data: object = None,
    headers: dict[str, str] | None = None,
    **query: str,
) -> tuple[int, object, str, str | None]:
    """The status, code and message of an answer that refuses, and when to come again."""
    async with http.request(method, serving.url(**query), data=data, headers=headers) as answer:
        body = await answer.json()
        assert answer.headers["cache-control"] == "no-store"
        return answer.status, body["code"], body["message"], answer.headers.get("retry-after")


TURNED = {
    "too many from one address": (
        AdmissionLimits(connections_per_address=1),
        (429, "too_many_connections", "Too many connections are open", "10"),
    ),
    "full": (AdmissionLimits(connections=1), (503, "server_full", "The server is full", "10")),
    "too fast": (
        AdmissionLimits(connects=Rate(1, 3600.0)),
        (429, "rate_limited", "Too many connections are opened", "3600"),
    ),
}


@pytest.mark.parametrize(("limits", "expected"), TURNED.values(), ids=TURNED)
async def test_a_connection_beyond_a_limit_is_turned_away_and_told_when_to_come_again(
    bench: Bench, limits: AdmissionLimits, expected: tuple[int, str, str, str]
) -> None:
    async with bench.serving(limits) as serving, aiohttp.ClientSession() as http:
        await handshake(http, serving)
        assert bench.handler.take() == [("connected", "polling")]
        assert await refusal(http, serving, transport="polling") == expected
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(serving.url(transport="websocket"))
        assert refused.value.status == expected[0]
        code = expected[1]
        assert bench.handler.take() == [("turned away", "polling", code), ("turned away", "websocket", code)]
        assert len(bench.engine) == 1


async def test_who_has_gone_makes_room(bench: Bench) -> None:
    limits = AdmissionLimits(connections=2, connections_per_address=1)
    async with bench.serving(limits) as serving, aiohttp.ClientSession() as http:
        for _ in range(3):
            sid = await handshake(http, serving)
            async with http.post(serving.url(transport="polling", sid=sid), data="1") as answer:
                assert await answer.text() == "ok"
            async with asyncio.timeout(PATIENCE_S):
                await bench.engine.emptied()


async def test_addresses_are_those_in_front_of_trusted_proxies(bench: Bench) -> None:
    limits = AdmissionLimits(connections_per_address=1)
    async with bench.serving(limits, trusted_proxies=1) as serving, aiohttp.ClientSession() as http:
        sid = await handshake(http, serving, **PROXIED)
        await handshake(http, serving, **{"x-forwarded-for": "198.51.100.7, 198.51.100.8"})
        status, code, *_ = await refusal(http, serving, transport="polling", headers=PROXIED)
        assert (status, code) == (429, "too_many_connections")
        assert bench.engine.get(sid).address == "198.51.100.7"  # type: ignore[union-attr] # it was opened


async def test_a_node_that_stops_serves_those_who_are_here_and_nobody_else(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        sid = await handshake(http, serving)
        serving.routes.closing = True
        stopping = (503, "stopping", "The server is stopping", "1")
        assert await refusal(http, serving, transport="polling") == stopping
        async with http.post(serving.url(transport="polling", sid=sid), data="4hello") as answer:
            assert (answer.status, await answer.text()) == (200, "ok")
        assert bench.handler.take() == [("connected", "polling"), ("message", "hello")]


async def test_a_page_of_another_origin_is_refused_before_anything_else(bench: Bench) -> None:
    async with bench.serving(origins=("https://app.example",)) as serving, aiohttp.ClientSession() as http:
        headers = {"origin": "https://evil.example"}
        forbidden = (403, 4, "Forbidden: this origin is not allowed (CLIENT_URL)", None)
        assert await refusal(http, serving, transport="polling", headers=headers) == forbidden
        assert await refusal(http, serving, transport="nonsense", headers=headers) == forbidden
        assert bench.handler.take() == []
        async with http.get(serving.url(transport="polling"), headers={"origin": "https://app.example"}) as answer:
            assert answer.headers["access-control-allow-origin"] == "https://app.example"
            assert answer.headers["vary"] == "Origin"
        async with http.options(serving.url(), headers={"origin": "https://app.example"}) as answer:
            assert (answer.status, await answer.text()) == (204, "")
            assert answer.headers["access-control-allow-methods"] == "GET, POST, OPTIONS"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, (400, 0, "Transport unknown: it is polling or websocket", None)),
        ({"transport": "flash"}, (400, 0, "Transport unknown: it is polling or websocket", None)),
        ({"transport": "polling", "EIO": "3"}, (400, 5, module._VERSION, None)),
        ({"transport": "websocket"}, (400, 3, "Bad request: a websocket handshake is expected", None)),
        ({"transport": "polling", "sid": "nobodys"}, (400, 1, "Session ID unknown", None)),
    ],
    ids=str,
)
async def test_a_request_that_the_protocol_does_not_have(
    bench: Bench, query: dict[str, Any], expected: tuple[object, ...]
) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        assert await refusal(http, serving, **query) == expected
        assert bench.handler.take() == []


async def test_a_handshake_is_a_get_and_a_session_has_get_and_post(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        status, code, *_ = await refusal(http, serving, "POST", transport="polling", data="4hello")
        assert (status, code) == (400, 2)
        sid = await handshake(http, serving)
        status, code, *_ = await refusal(http, serving, "PUT", transport="polling", sid=sid, data="4hello")
        assert (status, code) == (400, 3)
        assert bench.handler.take() == [("connected", "polling")]


async def test_one_post_at_a_time(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        sid = await handshake(http, serving)
        connection = bench.engine.get(sid)
        assert connection is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        head = f"POST {PATH}?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: -\r\nContent-Length: 6\r\n\r\n4he"
        writer.write(head.encode())
        async with asyncio.timeout(PATIENCE_S):
            while not connection.is_posting:  # noqa: ASYNC110 - the engine has no need of an event for it
                await asyncio.sleep(0)
        message = "Bad request: one POST at a time"
        assert await refusal(http, serving, "POST", transport="polling", sid=sid, data="4a") == (400, 3, message, None)
        bench.handler.told.remove(("connected", "polling"))
        assert bench.handler.take() == [("disconnected", CloseReason.PROTOCOL_ERROR, "one POST at a time")]
        writer.write(b"llo")
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).split()[1] == b"200"
        writer.close()
        await writer.wait_closed()
        assert bench.handler.take() == []  # what the first one said came too late


async def test_a_body_is_waited_for_a_while(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_TIMEOUT_S", 0.01)
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        sid = await handshake(http, serving)
        reader, writer = await asyncio.open_connection("127.0.0.1", serving.port)
        head = f"POST {PATH}?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: -\r\nContent-Length: 6\r\n\r\n4he"
        writer.write(head.encode())
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.readline()).split()[1] == b"408"
        writer.close()
        rule = "The body was not sent within 0.01 s"
        assert bench.handler.take()[1:] == [("disconnected", CloseReason.PROTOCOL_ERROR, rule)]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_beyond_the_limit_closes(bench: Bench, *, declared: bool) -> None:
    body = b"4" + b"x" * MAX_MESSAGE_BYTES

    async def in_pieces() -> object:
        for begin in range(0, len(body), 100):
            yield body[begin : begin + 100]

    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        sid = await handshake(http, serving)
        data = body if declared else in_pieces()
        rule = f"The payload is larger than {MAX_MESSAGE_BYTES} bytes (maxPayload)"
        assert await refusal(http, serving, "POST", transport="polling", sid=sid, data=data) == (413, 3, rule, None)
        assert bench.handler.take()[1:] == [("disconnected", CloseReason.PROTOCOL_ERROR, rule)]


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"\xff", "a payload is UTF-8"),
        (b"\x1e".join([b"4"] * (MAX_PACKETS + 1)), "too many packets in one payload"),
        (b"4ok\x1ex", "a client sends pong, message, close or noop"),
    ],
)
async def test_a_broken_payload_closes_and_says_why(bench: Bench, data: bytes, rule: str) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        sid = await handshake(http, serving)
        expected = (400, 3, f"Bad request: {rule}", None)
        assert await refusal(http, serving, "POST", transport="polling", sid=sid, data=data) == expected
        assert bench.handler.take()[-1] == ("disconnected", CloseReason.PROTOCOL_ERROR, rule)
        assert (await refusal(http, serving, transport="polling", sid=sid))[:2] == (400, 1)


async def test_a_session_that_is_on_a_websocket_is_not_polled(bench: Bench) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        websocket = await http.ws_connect(serving.url(transport="websocket"))
        await bench.handler.hears("connected", "websocket")
        (connection,) = bench.engine
        expected = (400, 3, "Bad request: the session is closed, or on a websocket", None)
        assert await refusal(http, serving, transport="polling", sid=connection.sid) == expected
        assert not connection.closed
        assert not websocket.closed


async def test_a_failing_handler_is_a_500_without_the_key_and_the_session_stays(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async with bench.serving() as serving, aiohttp.ClientSession() as http:
        sid = await handshake(http, serving)
        bench.handler.refuses = LookupError()
        async with http.post(serving.url(transport="polling", sid=sid), data="4hello") as answer:
            assert answer.status == 500
            assert sid not in await answer.text()
        assert "LookupError" in caplog.text
        assert sid not in caplog.text
        bench.handler.refuses = None
        async with http.post(serving.url(transport="polling", sid=sid), data="4hello") as answer:
            assert answer.status == 200
