"""One suite for each port. An adapter joins by adding itself to the parameters of its port's fixture."""

import pytest

from service.adapters.memory.clock import ManualClock
from service.adapters.memory.directory import MemoryDirectory
from service.ports import Directory


@pytest.fixture(params=["memory"])
def directory(request: pytest.FixtureRequest) -> Directory:
    """An empty directory of each kind."""
    return {"memory": MemoryDirectory}[request.param]()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock(start_s=100.0)
