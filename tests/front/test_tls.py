"""HAProxy with a certificate: clients speak TLS to it, and it speaks plain HTTP to the nodes."""

import asyncio
import socket
import ssl
from pathlib import Path

from tests.front.support import LEFT, RIGHT, Front, Site, node, running_front
from tests.interop.js_client import Driver
from tests.interop.stage import stage
from tests.support.server import free_port
from tests.transport.test_tls import write_pair

FLOCK = ("ann", "ben", "cleo", "dan")


def protocol_chosen(front: Front, trusted: Path) -> str | None:
    """What HAProxy takes, of HTTP/2 and HTTP/1.1."""
    context = ssl.create_default_context(cafile=str(trusted))
    context.check_hostname = False
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=10) as plain,
        context.wrap_socket(plain) as connection,
    ):
        return connection.selected_alpn_protocol()


async def test_clients_connect_with_tls_and_stay_on_their_nodes(driver: Driver, tmp_path: Path, mode: str) -> None:
    certificate, key = write_pair(tmp_path, "signalling.test")
    key.rename(f"{certificate}.key")  # where HAProxy looks for it
    port = free_port()
    with (
        node(tmp_path, LEFT, port) as left,
        node(tmp_path, RIGHT, port) as right,
        running_front(tmp_path, port, LEFT, RIGHT, certificate=certificate) as front,
    ):
        assert protocol_chosen(front, certificate) == "http/1.1"
        async with stage(driver, f"https://127.0.0.1:{front.port}", mode) as clients:
            flock = await asyncio.gather(*(clients.connect(name, rejectUnauthorized=False) for name in FLOCK))
            spread = Site(front, left, right).counts()
            assert min(spread) >= 1
            for _ in range(10):
                await asyncio.gather(*(client.fence() for client in flock))
            assert Site(front, left, right).counts() == spread
