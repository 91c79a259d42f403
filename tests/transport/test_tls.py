import asyncio
import datetime as dt
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.transport.tls import CertificateError, ReloadingContext

PATIENCE_S = 10.0
EXAMPLE = "TLS_CERT_FILE=/etc/ssl/fullchain.pem TLS_KEY_FILE=/etc/ssl/privkey.pem"

Files = tuple[Path, Path]
Write = Callable[[str], Files]


def write_pair(directory: Path, name: str) -> Files:
    """A certificate of this name and its key, over what was there before."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(names)
        .issuer_name(names)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    directory.joinpath("cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    directory.joinpath("key.pem").write_bytes(key.private_bytes(*pem))
    return directory / "cert.pem", directory / "key.pem"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    return lambda name: write_pair(tmp_path, name)


@asynccontextmanager
async def listening(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Seen:
    """What a client sees of a TLS server."""

    def __init__(self, tls: ssl.SSLObject) -> None:
        (self.name,) = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"").subject
        self.protocol = tls.selected_alpn_protocol()
        self.version = tls.version()


async def look(port: int, **limits: ssl.TLSVersion) -> Seen:
    """Connect once, whoever the server says that it is."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    trusting.set_alpn_protocols(["h2", "http/1.1"])
    for name, version in limits.items():
        setattr(trusting, name, version)
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        assert await reader.read() == b"hello"
    seen = Seen(writer.get_extra_info("ssl_object"))
    writer.close()
    await writer.wait_closed()
    return seen


async def test_the_certificate_is_served_with_http_1_alone(write: Write) -> None:
    async with listening(ReloadingContext(*write("first")).context) as port:
        seen = await look(port)
    assert (seen.name.value, seen.protocol, seen.version) == ("first", "http/1.1", "TLSv1.3")


async def test_tls_1_2_is_the_least(write: Write) -> None:
    context = ReloadingContext(*write("first")).context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    async with listening(context) as port:
        assert (await look(port, maximum_version=ssl.TLSVersion.TLSv1_2)).version == "TLSv1.2"


async def test_a_new_certificate_is_served_after_a_reload_and_not_before(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    tls = ReloadingContext(*write("first"))
    async with listening(tls.context) as port:
        write("second")
        assert (await look(port)).name.value == "first"
        tls.reload()
        assert (await look(port)).name.value == "second"
    assert caplog.messages == ["the certificate was reloaded"]


def no_file(_certificate: Path, key: Path) -> None:
    key.unlink()


def no_key(_certificate: Path, key: Path) -> None:
    key.write_text("no key")


def another_key(certificate: Path, key: Path) -> None:
    pem = certificate.read_bytes()
    write_pair(key.parent, "another")
    certificate.write_bytes(pem)


@pytest.mark.parametrize("spoil", [no_file, no_key, another_key])
async def test_a_certificate_that_cannot_be_used_leaves_the_one_in_use(
    write: Write, spoil: Callable[[Path, Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    files = write("first")
    tls = ReloadingContext(*files)
    async with listening(tls.context) as port:
        spoil(*files)
        tls.reload()
        assert (await look(port)).name.value == "first"
        write("third")
        tls.reload()
        assert (await look(port)).name.value == "third"
    (line,) = caplog.messages
    assert line.startswith("the certificate was not reloaded: TLS_CERT_FILE and TLS_KEY_FILE cannot be used (")


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (no_file, "No such file or directory"),
        (no_key, "they do not belong together"),
        (another_key, "they do not belong together"),
    ],
)
def test_files_that_cannot_be_used_are_told_in_one_line(
    write: Write, spoil: Callable[[Path, Path], None], problem: str
) -> None:
    files = write("first")
    spoil(*files)
    with pytest.raises(CertificateError) as error:
        ReloadingContext(*files)
    told = f"TLS_CERT_FILE and TLS_KEY_FILE cannot be used ({problem}), for example"
    assert str(error.value) == f"{told} {EXAMPLE}"


def test_a_certificate_that_is_a_directory(write: Write, tmp_path: Path) -> None:
    _, key = write("first")
    with pytest.raises(CertificateError, match="cannot be used"):
        ReloadingContext(tmp_path, key)
