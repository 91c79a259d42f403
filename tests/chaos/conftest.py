"""Servers with the settings that make a fault come soon."""

from collections.abc import Iterator

import pytest

from tests.support.server import Server, running_server

ATTACKED = {"LIMIT_CONNECTS": "0", "LIMIT_EVENTS": "0", "LIMIT_CALL_INITIATE": "0", "RECONNECT_GRACE_S": "0"}
"""Other limits than the tested one must not be met first."""

BEAT_S = 1.0
"""Ping interval and timeout of `impatient`."""


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Default settings, no limits of rates. Tests leave it as they found it."""
    with running_server(tmp_path_factory.mktemp("attacked"), **ATTACKED) as running:
        yield running


@pytest.fixture(scope="session")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Misses a silent client within two seconds, and one that does not join within one."""
    settings = {"PING_INTERVAL_S": str(BEAT_S), "PING_TIMEOUT_S": str(BEAT_S), "JOIN_TIMEOUT_S": "1"}
    with running_server(tmp_path_factory.mktemp("impatient"), **ATTACKED, **settings) as running:
        yield running
