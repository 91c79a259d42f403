"""Where the clients of a test are: on one node, on two that share a Redis, or on these two through HAProxy.

A test says nothing of it. Clients that are connected one after the other are on different nodes, so each call is one
between nodes. For that, each node has a HAProxy of its own; which node a shared one chooses is for `tests/front`.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.front.support import LEFT, RIGHT, node, running_front
from tests.support.privacy import assert_nothing_private
from tests.support.redis import running_redis
from tests.support.server import Server, free_port

PLACES = ("one-node", "two-nodes", "two-fronts")

Urls = tuple[str, ...]
"""Where the clients of a test connect to, in turn."""


class TwoNodes(NamedTuple):
    """Two nodes on one Redis, and the addresses of their proxies."""

    nodes: tuple[Server, Server]
    fronts: Urls

    def urls(self, place: str) -> Urls:
        """The addresses for one of `PLACES`."""
        return self.fronts if place == "two-fronts" else tuple(node.url for node in self.nodes)


@contextlib.contextmanager
def two_nodes(directory: Path, **settings: str) -> Iterator[TwoNodes]:
    """Start all of it; in the end, nothing private may be found in what the nodes told."""
    port = free_port()
    with (
        running_redis(directory) as redis,
        node(directory, LEFT, port, REDIS_URL=redis.url, **settings) as left,
        node(directory, RIGHT, port, REDIS_URL=redis.url, **settings) as right,
        running_front(directory, port, LEFT) as front,
        running_front(directory, port, RIGHT) as other,
    ):
        yield TwoNodes((left, right), (front.url, other.url))
        assert_nothing_private(left)
        assert_nothing_private(right)


def urls_of(request: pytest.FixtureRequest, place: str, one: str, two: str) -> Urls:
    """The addresses in a place, from the fixture with the single server or the one with two nodes.

    Only the one that is needed is started.
    """
    if place == "one-node":
        server = request.getfixturevalue(one)
        assert isinstance(server, Server)
        return (server.url,)
    nodes = request.getfixturevalue(two)
    assert isinstance(nodes, TwoNodes)
    return nodes.urls(place)
