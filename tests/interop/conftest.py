"""Servers, the Node process, and one stage of clients for every test and mode of transport."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.interop.conformance_server import BRISK, CALM, HASTY, Conformance, conformance_server
from tests.interop.js_client import Driver, node_driver
from tests.interop.places import PLACES, TwoNodes, Urls, two_nodes, urls_of
from tests.interop.stage import JAVASCRIPT, MODES, Stage, stage
from tests.support.server import Server, running_server

IMPATIENT = {"RING_TIMEOUT_S": "1", "PING_INTERVAL_S": "1", "PING_TIMEOUT_S": "1", "RECONNECT_GRACE_S": "0"}


@pytest.fixture(scope="session")
def driver(server: Server, impatient_server: Server) -> Iterator[Driver]:
    """The Node process. It ends before the servers do, so that no open request of it keeps them waiting."""
    with node_driver() as started:
        yield started


@pytest.fixture(scope="session")
def impatient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Rings for one second, misses a silent client within two, and keeps no call for one that is lost."""
    with running_server(tmp_path_factory.mktemp("impatient"), **IMPATIENT) as running:
        yield running


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """As `server`, twice."""
    with two_nodes(tmp_path_factory.mktemp("nodes")) as running:
        yield running


@pytest.fixture(scope="session")
def impatient_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    """As `impatient_server`, twice."""
    with two_nodes(tmp_path_factory.mktemp("impatient-nodes"), **IMPATIENT) as running:
        yield running


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def urls(request: pytest.FixtureRequest, place: str) -> Urls:
    return urls_of(request, place, "server", "nodes")


@pytest.fixture
def impatient_urls(request: pytest.FixtureRequest, place: str) -> Urls:
    return urls_of(request, place, "impatient_server", "impatient_nodes")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair() -> str:
    """Which libraries the clients use, unless a test is marked with more pairs (see `stage.py`)."""
    return JAVASCRIPT


@pytest.fixture
async def clients(driver: Driver, urls: Urls, mode: str, pair: str) -> AsyncIterator[Stage]:
    async with stage(driver, urls, mode, pair) as opened:
        yield opened


@pytest.fixture
async def impatient_clients(driver: Driver, impatient_urls: Urls, mode: str, pair: str) -> AsyncIterator[Stage]:
    async with stage(driver, impatient_urls, mode, pair) as opened:
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
