"""Servers, the Node process, and one stage of clients for every test and mode of transport."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.interop.conformance_server import BRISK, CALM, HASTY, Conformance, conformance_server
from tests.interop.js_client import MODES, Driver, Stage, node_driver, stage
from tests.support.server import Server, running_server


@pytest.fixture(scope="session")
def driver(server: Server, impatient_server: Server) -> Iterator[Driver]:
    """The Node process. It ends before the servers do, so that no open request of it keeps them waiting."""
    with node_driver() as started:
        yield started


@pytest.fixture(scope="session")
def impatient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Rings for one second, and misses a silent client within two."""
    settings = {"RING_TIMEOUT_S": "1", "PING_INTERVAL_S": "1", "PING_TIMEOUT_S": "1"}
    with running_server(tmp_path_factory.mktemp("impatient"), **settings) as running:
        yield running


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def clients(driver: Driver, server: Server, mode: str) -> AsyncIterator[Stage]:
    async with stage(driver, server.url, mode) as opened:
        yield opened


@pytest.fixture
async def impatient_clients(driver: Driver, impatient_server: Server, mode: str) -> AsyncIterator[Stage]:
    async with stage(driver, impatient_server.url, mode) as opened:
        yield opened


@pytest.fixture(scope="session")
def brisk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conformance]:
    """A conformance server that sends a ping every 300 ms, and waits 200 ms for the pong."""
    with conformance_server(tmp_path_factory.mktemp("brisk"), BRISK) as running:
        yield running


@pytest.fixture(scope="session")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conformance]:
    """A conformance server with the default heartbeat: no test lasts long enough to see a ping."""
    with conformance_server(tmp_path_factory.mktemp("calm"), CALM) as running:
        yield running


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conformance]:
    """As `brisk`, and it soon gives up on an upgrade and on a client that does not connect."""
    with conformance_server(tmp_path_factory.mktemp("hasty"), HASTY) as running:
        yield running


@pytest.fixture(params=["brisk", "calm"])
def conformance(request: pytest.FixtureRequest) -> Conformance:
    server = request.getfixturevalue(request.param)
    assert isinstance(server, Conformance)
    return server
