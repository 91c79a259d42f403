"""Fixtures that every part of the suite shares."""

from collections.abc import Iterator

import pytest

from tests.support.privacy import assert_nothing_private
from tests.support.server import Server, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with default settings, shared by tests that use user ids of their own.

    When all have used it, nothing that they sent may be found in what it told.
    """
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert_nothing_private(running)
