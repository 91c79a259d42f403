import asyncio
import sys
from pathlib import Path

import pytest

from bench.load.client import LoadError
from bench.load.herd import CLIENTS_A_SOURCE, herd, source
from bench.load.probe import Probe
from bench.server import Process, free_port, running
from tests.bench.faulty import FaultyServer

PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


async def test_a_herd_joins_and_joins_again(peer: Process) -> None:
    async with herd(peer.port, 20, "herd") as them:
        first, second = await them.again(), await them.again()
    for joined in (first, second):
        assert joined.seconds > 0
        assert joined.generator_share > 0


async def test_a_herd_is_there_until_it_leaves() -> None:
    async with FaultyServer() as server:
        async with herd(server.port, 5, "herd"):
            assert set(server.users) == {f"herd-{n}" for n in range(5)}
            assert not any(transport.is_disconnected for transport in server.users.values())
        transports = server.users.values()
        async with asyncio.timeout(10):
            await asyncio.gather(*(transport.wait_disconnected() for transport in transports))


async def test_a_herd_has_addresses_of_its_own() -> None:
    async with FaultyServer() as server, herd(server.port, 3, "herd"):
        sources = {transport.underlying_transport.get_extra_info("peername")[0] for transport in server.users.values()}
    assert sources == {"127.0.0.2"}


def test_an_address_has_no_more_clients_than_it_has_ports_for() -> None:
    sources = [source(number) for number in (0, CLIENTS_A_SOURCE - 1, CLIENTS_A_SOURCE, 2 * CLIENTS_A_SOURCE - 1)]
    assert sources == ["127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"]
    first, last = (int(port) for port in PORTS.read_text(encoding="ascii").split())
    assert last - first + 1 >= CLIENTS_A_SOURCE


async def test_a_herd_that_loses_a_connection_says_so() -> None:
    async with FaultyServer() as server:
        with pytest.raises(LoadError, match=r"the connection of herd-\d was lost"):
            async with herd(server.port, 5, "herd"):
                server.drop()


async def test_a_herd_that_finds_nobody_says_so() -> None:
    with pytest.raises(LoadError, match=r"[Cc]onnect"):
        async with herd(free_port(), 5, "herd"):
            pass


async def test_health_is_asked_at_least_once(peer: Process) -> None:
    async with Probe(peer.port) as probe:
        pass
    assert probe.slowest_s > 0


async def test_another_answer_than_yes_is_a_failure() -> None:
    with running((sys.executable, "-m", "bench.sink")) as sink, pytest.raises(LoadError, match="501"):
        async with Probe(sink.port):
            pass
