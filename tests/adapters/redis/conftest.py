"""A Redis of its own for every test that may hurt it, and one that all others share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.redis import RedisServer, running_redis


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """An empty Redis."""
    with running_redis(tmp_path) as server:
        yield server
