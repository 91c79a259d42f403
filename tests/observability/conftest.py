"""An observed node for each test."""

from collections.abc import Iterator

import pytest

from tests.observability.node import ObservedNode


@pytest.fixture
def ratio() -> float:
    """The share of calls whose trace is kept though nothing was wrong."""
    return 1.0


@pytest.fixture
def node(ratio: float) -> Iterator[ObservedNode]:
    """An observed node; its telemetry is closed afterwards."""
    node = ObservedNode(ratio)
    yield node
    node.close()
