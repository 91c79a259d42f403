"""Web pages that are not on the list do not get in: not by polling, not by websocket, not by asking first.

`test_cors.py` holds what the pages on the list may do. An origin is compared whole, character by character (RFC 6454,
section 6.2: scheme, host and port), as browsers send it.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping

import aiohttp
import pytest

from tests.support.server import Server, running_server

PAGES = ("https://app.example.com", "http://localhost:3000")
STRANGERS = [
    "null",
    "*",
    "https://evil.example.net",
    "https://app.example.com.evil.example.net",
    "https://app.example.comevil.example.net",
    "https://evilapp.example.com",
    "https://evil.app.example.com",
    "https://example.com",
    "https://app.example.com@evil.example.net",
    "https://evil.example.net/https://app.example.com",
    "https://evil.example.net?https://app.example.com",
    "https://evil.example.net#https://app.example.com",
    "https://app.example.com, https://evil.example.net",
    "https://evil.example.net, https://app.example.com",
    "https://app.example.com https://evil.example.net",
    "https://app.example.com\thttps://evil.example.net",
    "https://app.example.com/",
    "https://app.example.com/page",
    "https://app.example.com.",
    "https://app.example.com:8443",
    "https://app.example.com:443",
    "https://app.example.com:",
    "http://app.example.com",
    "http://app.example.com:443",
    "ws://app.example.com",
    "app.example.com",
    "//app.example.com",
    "http://localhost",
    "http://localhost:3001",
    "http://localhost:30000",
    "http://localhost:300",
    "http://localhost.:3000",
    "http://localhost.evil.example.net:3000",
    "http://127.0.0.1:3000",
    "https://localhost:3000",
    "https://*.example.com",
    "https://app%2eexample.com",
    "https://app_example.com",
    "https://appxexample.com",
    "file://",
    "chrome-extension://abcdefghijklmnop",
    "undefined",
    "x" * 4000,
]
POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"

each_stranger = pytest.mark.parametrize("origin", STRANGERS, ids=lambda origin: origin[:60])
each_page = pytest.mark.parametrize("origin", PAGES)


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("listed"), CLIENT_URL=", ".join(PAGES)) as running:
        yield running


class Said:
    """What a server answered to one request."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def is_refusal(self) -> bool:
        """Refused, without a session and without a word that a browser would show the page."""
        opened = "sid" in self.body or self.status == 101
        return 400 <= self.status < 500 and not opened and not self.lets_the_page_read

    @property
    def lets_the_page_read(self) -> bool:
        """Whether a browser would (Fetch, section 3.3.3): without this header the others mean nothing to it."""
        return "access-control-allow-origin" in self.headers


async def ask(server: Server, method: str, path: str, headers: dict[str, str], body: str | None = None) -> Said:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, server.url + path, headers=headers, data=body) as answer,
    ):
        return Said(answer.status, answer.headers, await answer.text())


async def handshake(server: Server, headers: dict[str, str]) -> tuple[Said, str]:
    """A handshake by polling that succeeds, and the id of its session."""
    said = await ask(server, "GET", POLLING, headers)
    assert said.body.startswith("0{"), said.body
    return said, str(json.loads(said.body[1:])["sid"])


async def upgrade(server: Server, headers: dict[str, str], path: str = WEBSOCKET) -> int:
    """The status of a websocket's handshake. aiohttp adds no origin of its own."""
    async with aiohttp.ClientSession() as http:
        try:
            async with http.ws_connect(server.url + path, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as refusal:
            return refusal.status


# --- Pages on the list, and no page at all -----------------------------------------------------------------


@each_page
async def test_a_page_on_the_list_is_welcome_and_named(listed: Server, origin: str) -> None:
    said, sid = await handshake(listed, {"Origin": origin})
    assert said.headers["access-control-allow-origin"] == origin
    posted = await ask(listed, "POST", f"{POLLING}&sid={sid}", {"Origin": origin}, "1")
    assert (posted.status, posted.headers["access-control-allow-origin"]) == (200, origin)
    assert await upgrade(listed, {"Origin": origin}) == 101


async def test_what_is_no_page_has_no_origin_and_is_welcome(listed: Server) -> None:
    said, sid = await handshake(listed, {})
    assert not said.lets_the_page_read
    assert (await ask(listed, "POST", f"{POLLING}&sid={sid}", {}, "1")).status == 200
    assert await upgrade(listed, {}) == 101


# --- Pages that are not on it ------------------------------------------------------------------------------


@each_stranger
async def test_polling_is_refused(listed: Server, origin: str) -> None:
    assert (await ask(listed, "GET", POLLING, {"Origin": origin})).is_refusal
    assert (await ask(listed, "POST", POLLING, {"Origin": origin}, "40")).is_refusal


@each_stranger
async def test_a_websocket_is_refused(listed: Server, origin: str) -> None:
    assert 400 <= await upgrade(listed, {"Origin": origin}) < 500


@each_stranger
async def test_asking_first_is_of_no_use(listed: Server, origin: str) -> None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    assert not (await ask(listed, "OPTIONS", POLLING, headers)).lets_the_page_read


@pytest.mark.parametrize("origin", STRANGERS[:5])
async def test_the_session_of_a_page_on_the_list_is_of_no_use_to_another(listed: Server, origin: str) -> None:
    _, sid = await handshake(listed, {"Origin": PAGES[0]})
    theirs = {"Origin": origin}
    assert (await ask(listed, "POST", f"{POLLING}&sid={sid}", theirs, "1")).is_refusal
    assert (await ask(listed, "GET", f"{POLLING}&sid={sid}", theirs)).is_refusal
    assert 400 <= await upgrade(listed, theirs, f"{WEBSOCKET}&sid={sid}") < 500
    assert (await ask(listed, "POST", f"{POLLING}&sid={sid}", {"Origin": PAGES[0]}, "1")).status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Forwarded-Proto", "Host", "Referer"])
async def test_no_other_header_speaks_for_a_page(listed: Server, header: str) -> None:
    headers = {"Origin": "https://evil.example.net", header: "evil.example.net"}
    assert (await ask(listed, "GET", POLLING, headers)).is_refusal
    assert 400 <= await upgrade(listed, headers) < 500


@pytest.mark.parametrize("path", [POLLING, WEBSOCKET])
@pytest.mark.parametrize("origins", [(PAGES[0], "https://evil.example.net"), ("https://evil.example.net", PAGES[0])])
async def test_two_origins_are_none_on_the_list(listed: Server, path: str, origins: tuple[str, str]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", listed.port)
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"Origin: {origin}" for origin in origins),
        *(("Connection: Upgrade", "Upgrade: websocket") if path == WEBSOCKET else ("Connection: close",)),
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = (await asyncio.wait_for(reader.readline(), 10)).split()[1]
    writer.close()
    assert 400 <= int(status) < 500
