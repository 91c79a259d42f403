"""Which web pages may talk to the server."""

import json
from collections.abc import Iterator

import aiohttp
import pytest

from tests.support.server import Server, running_server

OURS = "https://app.example.com"
THEIRS = "https://evil.example.net"
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("strict"), CLIENT_URL=f"{OURS}/") as running:
        yield running


async def handshake(server: Server, origin: str | None) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a polling handshake."""
    headers = {} if origin is None else {"Origin": origin}
    async with aiohttp.ClientSession() as http:
        async with http.get(server.url + POLLING, headers=headers) as response:
            body = await response.text()
        if response.status == 200:
            sid = json.loads(body[1:])["sid"]
            async with http.post(f"{server.url}{POLLING}&sid={sid}", headers=headers, data="1") as goodbye:
                assert goodbye.status == 200
    return response.status, {name.lower(): value for name, value in response.headers.items()}, body


@pytest.mark.parametrize("origin", [OURS, THEIRS])
async def test_every_origin_is_welcome_by_default(server: Server, origin: str) -> None:
    status, headers, body = await handshake(server, origin)
    assert (status, body[:2]) == (200, "0{")
    assert headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in headers, "browsers refuse both together"


async def test_own_origin_is_welcome(strict_server: Server) -> None:
    status, headers, body = await handshake(strict_server, OURS)
    assert (status, body[:2]) == (200, "0{")
    assert headers["access-control-allow-origin"] == OURS
    assert headers["access-control-allow-credentials"] == "true"


async def test_client_without_an_origin_is_welcome(strict_server: Server) -> None:
    status, _, body = await handshake(strict_server, None)
    assert (status, body[:2]) == (200, "0{")


@pytest.mark.parametrize("origin", [THEIRS, f"{OURS}.evil.example.net", "http://app.example.com", "null"])
async def test_other_origins_are_refused(strict_server: Server, origin: str) -> None:
    status, headers, body = await handshake(strict_server, origin)
    assert 400 <= status < 500
    assert "sid" not in body
    assert "access-control-allow-origin" not in headers


async def test_other_origins_are_refused_on_websocket(strict_server: Server) -> None:
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            await http.ws_connect(strict_server.url + WEBSOCKET, headers={"Origin": THEIRS})
        assert 400 <= refusal.value.status < 500
        async with http.ws_connect(strict_server.url + WEBSOCKET, headers={"Origin": OURS}) as socket:
            assert (await socket.receive_str()).startswith("0{")


async def test_preflight(server: Server) -> None:
    headers = {"Origin": OURS, "Access-Control-Request-Method": "POST"}
    async with aiohttp.ClientSession() as http, http.options(server.url + POLLING, headers=headers) as response:
        assert response.status in (200, 204)
        assert response.headers["access-control-allow-origin"] == "*"
        allowed = response.headers["access-control-allow-methods"].replace(" ", "").split(",")
        assert {"GET", "POST"} <= set(allowed)
