import pytest

from tests.transport.engine.harness import Bench


@pytest.fixture
async def bench() -> Bench:
    """An engine on the loop of the test."""
    return Bench()
