"""One site for the tests that leave its nodes alone, and the Node process with the official client."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.front.support import Site, running_site
from tests.interop.js_client import Driver, node_driver
from tests.interop.stage import MODES, Stage, stage


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="session")
def driver() -> Iterator[Driver]:
    with node_driver() as started:
        yield started


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def clients(driver: Driver, site: Site, mode: str) -> AsyncIterator[Stage]:
    async with stage(driver, site.front.url, mode) as opened:
        yield opened
