import asyncio

import pytest
from sanic import Request
from sanic.compat import Header
from sanic.models.server_types import ConnInfo

from service.transport.addresses import client_address
from service.transport.app import bare_app
from tests.transport.engine.harness import Bench

PEER = "203.0.113.9"


@pytest.fixture
def request_from(bench: Bench) -> "RequestFrom":
    return RequestFrom(bench)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


class RequestFrom:
    """Makes requests that came with these headers, from `PEER` where nothing else is said."""

    def __init__(self, bench: Bench) -> None:
        self._app = bare_app(bench.options)

    def __call__(self, *forwarded: str, peer: object = (PEER, 4711)) -> Request:
        headers = Header([("x-forwarded-for", value) for value in forwarded])
        transport = asyncio.Transport({"peername": peer})
        request = Request(b"/", headers, "1.1", "GET", transport, self._app)  # type: ignore[arg-type] # asyncio's own
        request.conn_info = ConnInfo(transport)  # type: ignore[arg-type] # as above
        return request


@pytest.mark.parametrize("forwarded", [[], ["198.51.100.1"], ["198.51.100.1, 198.51.100.2"], [""]])
def test_without_proxies_of_ours_the_address_is_the_connections(
    request_from: RequestFrom, forwarded: list[str]
) -> None:
    assert client_address(request_from(*forwarded), 0) == PEER


def test_the_connection_may_be_of_version_6(request_from: RequestFrom) -> None:
    assert client_address(request_from(peer=("2001:db8::1", 4711, 0, 0)), 0) == "2001:db8::1"


@pytest.mark.parametrize(
    ("proxies", "address"), [(1, "198.51.100.3"), (2, "198.51.100.2"), (3, "198.51.100.1"), (16, "198.51.100.1")]
)
@pytest.mark.parametrize(
    "forwarded",
    [
        ["198.51.100.1, 198.51.100.2, 198.51.100.3"],
        ["198.51.100.1,198.51.100.2 ,  198.51.100.3"],
        ["198.51.100.1", "198.51.100.2", "198.51.100.3"],
        ["198.51.100.1", "198.51.100.2, 198.51.100.3"],
    ],
    ids=str,
)
def test_each_proxy_has_appended_who_reached_it(
    request_from: RequestFrom, forwarded: list[str], proxies: int, address: str
) -> None:
    assert client_address(request_from(*forwarded), proxies) == address


@pytest.mark.parametrize("invented", ["10.0.0.1", "10.0.0.1, 10.0.0.2", "", "nonsense", "\u00fc"])
def test_what_a_client_has_written_itself_is_not_believed(request_from: RequestFrom, invented: str) -> None:
    in_front = f"{invented}, 198.51.100.7" if invented else "198.51.100.7"
    assert client_address(request_from(in_front), 1) == "198.51.100.7"
    assert client_address(request_from(invented, "198.51.100.7"), 1) == "198.51.100.7"


def test_a_request_that_came_past_the_proxies_is_the_connections(request_from: RequestFrom) -> None:
    assert client_address(request_from(), 2) == PEER


def test_a_request_without_a_connection_has_no_address(request_from: RequestFrom) -> None:
    request = request_from()
    request.conn_info = None
    assert client_address(request, 0) == ""
