"""A server that speaks TLS itself, certificates for it, and clients that check them."""

import contextlib
import datetime as dt
import ipaddress
import itertools
import json
import os
import ssl
import subprocess
import sys
import urllib.error
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.chaos.clients import POLLING, WEBSOCKET, event
from tests.chaos.conftest import ATTACKED
from tests.chaos.footprint import scrape, until
from tests.interop.raw_client import RawClient, RawPolling, RawWebsocket
from tests.support.needs import ROOT
from tests.support.server import SERVE, Server, free_port

ADDRESS = "127.0.0.1"
_numbers = itertools.count(1)
_PEM = serialization.Encoding.PEM


class Certificate(NamedTuple):
    """A certificate for the loopback address, signed by itself, and its key. Both PEM."""

    certificate: bytes
    key: bytes


class Files(NamedTuple):
    """Where a server reads them."""

    certificate: Path
    key: Path

    def write(self, content: Certificate) -> None:
        """Put another certificate in place."""
        self.certificate.write_bytes(content.certificate)
        self.key.write_bytes(content.key)

    def settings(self) -> dict[str, str]:
        """The settings that name them."""
        return {"TLS_CERT_FILE": str(self.certificate), "TLS_KEY_FILE": str(self.key)}


def new_certificate() -> Certificate:
    """A new one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signalling test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    unencrypted = serialization.NoEncryption()
    return Certificate(
        signed.public_bytes(_PEM), key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, unencrypted)
    )


def start(directory: Path, **settings: str) -> Server:
    """Start a server that may fail to."""
    port, metrics_port = free_port(), free_port()
    addresses = {"HOST": ADDRESS, "PORT": str(port), "METRICS_PORT": str(metrics_port)}
    log = directory / f"server-{port}.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, *SERVE],
            cwd=ROOT,
            env={**os.environ, **addresses, **ATTACKED, **settings},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    return Server(f"https://{ADDRESS}:{port}", port, f"http://{ADDRESS}:{metrics_port}/metrics", process, log)


@contextlib.contextmanager
def stopped_afterwards(server: Server) -> Iterator[Server]:
    """End a server that `start` has started."""
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
        server.process.wait(15)


@contextlib.asynccontextmanager
async def secure_server(directory: Path, files: Files) -> AsyncIterator[Server]:
    """A server with these files."""
    with stopped_afterwards(start(directory, **files.settings())) as server:

        async def is_ready() -> bool:
            assert server.process.poll() is None, server.log.read_text()
            try:
                return (await scrape(server)).sum("ready") == 1
            except (urllib.error.URLError, ConnectionError):
                return False

        await until(is_ready, "the server is ready")
        yield server


@contextlib.asynccontextmanager
async def secure_user(server: Server, trusted: Certificate, transport: str) -> AsyncIterator[tuple[RawClient, str]]:
    """A user who has joined over TLS."""
    user = f"secure-{next(_numbers)}"
    context = ssl.create_default_context(cadata=trusted.certificate.decode())
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http,
        contextlib.AsyncExitStack() as stack,
    ):
        if transport == "websocket":
            client: RawClient = RawWebsocket(await stack.enter_async_context(http.ws_connect(server.url + WEBSOCKET)))
            assert (await client.receive()).startswith("0{")
        else:
            async with http.get(server.url + POLLING) as response:
                sid = json.loads((await response.text())[1:])["sid"]
            client = RawPolling(http, f"{server.url}{POLLING}&sid={sid}")
        await client.send("40")
        assert (await client.receive()).startswith('40{"sid"')
        await client.send(event("user:join", {"userId": user}))
        assert (await client.receive()).startswith('42["user:joined",')
        if transport == "upgraded":
            socket = await stack.enter_async_context(http.ws_connect(f"{server.url}{WEBSOCKET}&sid={sid}"))
            await socket.send_str("2probe")
            assert await socket.receive_str() == "3probe"
            await socket.send_str("5")
            client = RawWebsocket(socket)
        yield client, user
        if transport == "polling":
            await client.send("1")
