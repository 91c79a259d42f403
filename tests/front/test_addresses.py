"""A node behind HAProxy counts by the address that the client has, and by none that it claims to have."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.front.support import HANDSHAKE, LEFT, Front, node, running_front
from tests.support.server import free_port

ALLOWED = 3


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    """HAProxy before one node, which lets an address open three connections in a minute."""
    port = free_port()
    with (
        node(tmp_path, LEFT, port, LIMIT_CONNECTS=f"{ALLOWED}/1m"),
        running_front(tmp_path, port, LEFT) as running,
    ):
        yield running


def codes(front: Front, count: int, source: str, **headers: str) -> list[int]:
    """The answers to so many handshakes."""
    return [front.get(HANDSHAKE, source, **headers)[0] for _ in range(count)]


def test_every_address_has_its_own_limit(front: Front) -> None:
    for source in ("127.0.0.11", "127.0.0.12"):
        assert codes(front, ALLOWED + 1, source) == [200] * ALLOWED + [429]


def test_an_address_that_is_made_up_does_not_help(front: Front) -> None:
    assert codes(front, ALLOWED, "127.0.0.11") == [200] * ALLOWED
    claims = ("203.0.113.7", "203.0.113.7, 198.51.100.1", "127.0.0.12", "", ",", "unknown")
    assert [front.get(HANDSHAKE, "127.0.0.11", X_Forwarded_For=claim)[0] for claim in claims] == [429] * len(claims)


def test_an_address_that_is_made_up_is_not_counted_for_its_owner(front: Front) -> None:
    codes(front, ALLOWED + 1, "127.0.0.11", X_Forwarded_For="127.0.0.12")
    assert codes(front, ALLOWED, "127.0.0.12") == [200] * ALLOWED
