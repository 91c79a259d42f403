"""The servers that the comparison compares."""

from collections.abc import Iterator

import pytest

from bench.measure import FURTHER, node, ours
from bench.server import Process
from tests.support.needs import need_node_module, need_program

WHOLE = ("ours", "node", "stock")


def need_node() -> None:
    """Skip where the Node server cannot run."""
    need_program("node", "nodejs")
    need_node_module("socket.io")


@pytest.fixture(scope="session", params=WHOLE)
def peer(request: pytest.FixtureRequest) -> Iterator[Process]:
    """Each of those in turn that keep the contract's first section."""
    yield from _running(request.param)


@pytest.fixture(scope="session", params=(*WHOLE, "floor"))
def relay(request: pytest.FixtureRequest) -> Iterator[Process]:
    """Each of those in turn that carry calls in which nothing goes wrong."""
    yield from _running(request.param)


def _running(name: str) -> Iterator[Process]:
    if name == "node":
        need_node()
    peer = FURTHER[name] if name in FURTHER else (ours() if name == "ours" else node())
    with peer.running() as server:
        yield server
