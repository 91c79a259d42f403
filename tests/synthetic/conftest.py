"""A server whose timeouts are short enough to wait for."""

from collections.abc import Iterator

import pytest

from tests.support.server import Server, running_server

SHORT = {
    "RING_TIMEOUT_S": "1",
    "PING_INTERVAL_S": "1",
    "PING_TIMEOUT_S": "1",
    "RECONNECT_GRACE_S": "0",
    "LOG_LEVEL": "warning",
}


@pytest.fixture(scope="package")
def quick_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("quick"), **SHORT) as running:
        yield running
