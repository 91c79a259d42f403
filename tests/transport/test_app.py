from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from sanic import Request
from sanic.response import HTTPResponse
from sanic_testing.testing import SanicASGITestClient

from service.adapters.memory.clock import ManualClock
from service.bootstrap import Node, compose
from service.config import Settings
from service.ports import Observer
from service.transport.engine.websocket import HandoverProtocol
from service.transport.server import listen
from tests.support.server import free_port


@pytest.fixture
def node() -> Node:
    """A node that does not listen."""
    return compose(Settings(_env_file=None), ManualClock(), Observer())  # type: ignore[call-arg]


async def test_a_node_is_live_from_the_start_and_ready_only_while_it_wants_clients(node: Node) -> None:
    client = SanicASGITestClient(node.transport.app)
    seen = []
    for ready in (False, True, False):
        node.health.ready = ready
        for path in ("/livez", "/readyz"):
            _, answer = await client.get(path)
            seen.append((path, answer.status, answer.json["status"]))
    starting, serving, stopping = seen[0:2], seen[2:4], seen[4:6]
    assert serving == [("/livez", 200, "live"), ("/readyz", 200, "ready")]
    assert starting == stopping == [("/livez", 200, "live"), ("/readyz", 503, "not ready")]


async def test_a_node_that_drains_says_so_and_is_live(node: Node) -> None:
    client = SanicASGITestClient(node.transport.app)
    node.health.ready = True
    node.drain.begin()
    for path, expected in (("/livez", (200, "live")), ("/readyz", (503, "draining"))):
        _, answer = await client.get(path)
        assert (answer.status, answer.json["status"]) == expected


async def test_load_balancers_may_ask_with_head(node: Node) -> None:
    client = SanicASGITestClient(node.transport.app)
    for path, status in (("/livez", 200), ("/readyz", 503)):
        _, answer = await client.head(path)
        assert (answer.status, answer.body) == (status, b"")


@asynccontextmanager
async def listening(node: Node) -> AsyncIterator[str]:
    """The application on a real socket, for what Sanic does differently without one."""
    port = free_port()
    server = await node.transport.app.create_server(
        sock=listen("127.0.0.1", port, 45.0), protocol=HandoverProtocol, access_log=False
    )
    assert server is not None
    await server.startup()  # type: ignore[no-untyped-call]
    await server.start_serving()  # type: ignore[no-untyped-call]
    yield f"http://127.0.0.1:{port}"
    await server.close()  # type: ignore[no-untyped-call]


async def ask(node: Node, path: str) -> int:
    """The status of an answer, which is JSON and says the same."""
    async with listening(node) as url, aiohttp.ClientSession() as http, http.get(url + path) as answer:
        assert (await answer.json())["status"] == answer.status
        return answer.status


async def test_a_failure_of_ours_is_logged_without_the_key_in_its_query(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_request: Request) -> HTTPResponse:
        raise LookupError

    node.transport.app.add_route(broken, "/broken")
    assert await ask(node, "/broken?sid=the-key-to-a-connection") == 500
    assert "GET /broken failed" in caplog.text
    assert "LookupError" in caplog.text
    assert "the-key-to-a-connection" not in caplog.text


async def test_what_is_not_there_is_a_short_404_and_no_news(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    assert await ask(node, "/admin.php?sid=the-key-to-a-connection") == 404
    assert "admin.php" not in caplog.text


def test_every_application_is_a_new_one(node: Node) -> None:
    other = compose(Settings(_env_file=None), ManualClock(), Observer())  # type: ignore[call-arg]
    assert other.transport.app is not node.transport.app
    assert other.transport.app.name != node.transport.app.name
