"""The two servers that the comparison compares."""

from collections.abc import Iterator

import pytest

from bench.server import OURS, Process, free_port, node_command, running
from tests.support.needs import need_node_module, need_program


@pytest.fixture(scope="session", params=["ours", "node"])
def peer(request: pytest.FixtureRequest) -> Iterator[Process]:
    """Each of them in turn."""
    if request.param == "node":
        need_program("node", "nodejs")
        need_node_module("socket.io")
    command = OURS if request.param == "ours" else node_command()
    with running(command, METRICS_PORT=str(free_port())) as server:
        yield server
