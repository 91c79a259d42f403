"""TLS of the server's own: whole calls, and certificates that are exchanged, broken or wrong."""

import asyncio
import contextlib
import json
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.footprint import returned, settled, until
from tests.chaos.healthy import HealthyCall, talking
from tests.chaos.secure import (
    ADDRESS,
    Certificate,
    Files,
    new_certificate,
    secure_server,
    secure_user,
    start,
    stopped_afterwards,
)
from tests.interop.conformance_frames import ask
from tests.interop.raw_client import Closed
from tests.support.server import Server

EXIT_USAGE = 2


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")


@contextlib.asynccontextmanager
async def secure_call(server: Server, trusted: Certificate, transport: str) -> AsyncIterator[HealthyCall]:
    before = await settled(server)
    async with (
        secure_user(server, trusted, transport) as alice,
        secure_user(server, trusted, transport) as bob,
        talking(alice, bob) as call,
    ):
        yield call
    await returned(server, before)


async def presented(server: Server) -> str:
    """The certificate that new connections get, PEM."""
    return await asyncio.to_thread(ssl.get_server_certificate, (ADDRESS, server.port), timeout=10)


def is_same(pem: str, certificate: Certificate) -> bool:
    return ssl.PEM_cert_to_DER_cert(pem) == ssl.PEM_cert_to_DER_cert(certificate.certificate.decode())


async def test_whole_calls_over_tls(tmp_path: Path, files: Files) -> None:
    mine = new_certificate()
    files.write(mine)
    async with secure_server(tmp_path, files) as server:
        for transport in ("polling", "websocket", "upgraded"):
            async with secure_call(server, mine, transport) as call:
                await call.whole_turn()
        async with secure_call(server, mine, "websocket"):
            with pytest.raises(Closed):  # plain HTTP has no answer here
                await ask(server.port, "GET", "/livez")


async def test_certificate_is_exchanged_while_calls_go_on(tmp_path: Path, files: Files) -> None:
    old, new = new_certificate(), new_certificate()
    files.write(old)
    async with secure_server(tmp_path, files) as server, secure_call(server, old, "websocket") as call:
        assert is_same(await presented(server), old)
        files.write(new)
        server.process.send_signal(signal.SIGHUP)

        async def has_changed() -> bool:
            return is_same(await presented(server), new)

        await until(has_changed, "new connections get the new certificate")
        await call.whole_turn()
        async with secure_call(server, new, "upgraded"):
            await call.whole_turn()


@pytest.mark.parametrize("broken", ["garbage", "other key", "gone"])
async def test_unusable_certificate_is_not_taken(tmp_path: Path, files: Files, broken: str) -> None:
    mine = new_certificate()
    files.write(mine)
    async with secure_server(tmp_path, files) as server, secure_call(server, mine, "websocket") as call:
        if broken == "garbage":
            files.certificate.write_text("no certificate")
        elif broken == "other key":
            files.key.write_bytes(new_certificate().key)
        else:
            files.certificate.unlink()
        server.process.send_signal(signal.SIGHUP)

        async def is_told() -> bool:
            lines = [json.loads(line) for line in server.log.read_text().splitlines()]
            return [line["level"] for line in lines if "was not reloaded" in line["message"]] == ["error"]

        await until(is_told, "one line of the log says so")
        assert is_same(await presented(server), mine)
        await call.whole_turn()
        async with secure_call(server, mine, "polling"):
            await call.whole_turn()


def wrong_files(files: Files, wrong: str) -> dict[str, str]:
    """Settings that no server can start with."""
    settings = files.settings()
    if wrong == "no certificate":
        files.certificate.unlink()
    elif wrong == "no key":
        files.key.unlink()
    elif wrong == "garbage":
        files.certificate.write_bytes(b"\x00garbage")
    elif wrong == "other key":
        files.key.write_bytes(new_certificate().key)
    elif wrong == "a directory":
        settings["TLS_CERT_FILE"] = str(files.certificate.parent)
    else:
        settings[wrong] = ""
    return settings


@pytest.mark.parametrize(
    "wrong", ["no certificate", "no key", "garbage", "other key", "a directory", "TLS_KEY_FILE", "TLS_CERT_FILE"]
)
def test_start_with_wrong_files_ends_with_one_line(tmp_path: Path, files: Files, wrong: str) -> None:
    files.write(new_certificate())
    with stopped_afterwards(start(tmp_path, **wrong_files(files, wrong))) as server:
        assert server.process.wait(30) == EXIT_USAGE
        (line,) = server.log.read_text().splitlines()
    assert line.startswith("signalling: TLS_CERT_FILE and TLS_KEY_FILE cannot be used (")
    assert "for example" in line
    assert str(files.certificate) not in line
