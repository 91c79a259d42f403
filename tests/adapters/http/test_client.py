"""One request to a real server, whose answers are as bad as they come."""

import asyncio
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from service.adapters.http.client import Answer, Failure, HttpClient, HttpError
from tests.support.backend import Asked, Backend, answer_with, http, never, running_backend
from tests.support.server import free_port

MAX_BYTES = 1000


def client(backend: Backend, timeout_s: float = 10.0) -> HttpClient:
    return HttpClient(backend.url, timeout_s=timeout_s, max_bytes=MAX_BYTES)


async def failure(asking: HttpClient) -> Failure:
    with pytest.raises(HttpError) as error:
        await asking.get()
    assert str(error.value) == error.value.failure.value
    return error.value.failure


async def test_get_asks_for_the_path_and_the_query_of_the_url() -> None:
    async with running_backend("/keys?tenant=1") as backend:
        backend.answer = answer_with(http(b'{"keys": []}'))
        assert await client(backend).get() == Answer(200, b'{"keys": []}')
    (asked,) = backend.asked
    assert asked.line == "GET /keys?tenant=1 HTTP/1.1"
    assert backend.url == f"http://{asked.headers['host']}/keys?tenant=1"


async def test_a_url_without_a_path_asks_for_the_root() -> None:
    async with running_backend("") as backend:
        await client(backend).get()
    assert backend.asked[0].line == "GET / HTTP/1.1"


async def test_post_sends_the_body_and_the_headers() -> None:
    async with running_backend("/may") as backend:
        await client(backend).post(b'{"a": 1}', [("X-Mine", "yes")])
    (asked,) = backend.asked
    assert (asked.line, asked.body) == ("POST /may HTTP/1.1", b'{"a": 1}')
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["x-mine"] == "yes"


@pytest.mark.parametrize("status", ["204 No Content", "302 Found", "404 Not Found", "500 Internal Server Error"])
async def test_an_answer_of_any_status_is_an_answer_and_nothing_is_followed(status: str) -> None:
    async with running_backend() as backend:
        backend.answer = answer_with(http(b"", status, f"Location: {backend.url}elsewhere\r\n"))
        assert (await client(backend).get()).status == int(status[:3])
        assert len(backend.asked) == 1


async def test_a_body_in_chunks_is_put_together() -> None:
    async with running_backend() as backend:
        backend.answer = answer_with(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )
        assert await client(backend).get() == Answer(200, b"abcde")


async def test_an_announcement_before_the_answer_is_not_the_answer() -> None:
    async with running_backend() as backend:
        backend.answer = answer_with(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + http(b"abc"))
        assert await client(backend).get() == Answer(200, b"abc")


async def test_a_body_of_the_greatest_size_is_read_and_a_larger_one_is_not() -> None:
    async with running_backend() as backend:
        backend.answer = answer_with(http(b"x" * MAX_BYTES))
        assert len((await client(backend).get()).body) == MAX_BYTES
        backend.answer = answer_with(http(b"x" * (MAX_BYTES + 1)))
        assert await failure(client(backend)) is Failure.TOO_LARGE


async def test_a_body_without_end_is_given_up() -> None:
    async with running_backend() as backend:
        backend.answer = answer_with(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 10_000_000)
        assert await failure(client(backend)) is Failure.TOO_LARGE


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    ],
    ids=["nothing", "another protocol", "cut off", "negative length", "bad chunk", "endless header"],
)
async def test_nonsense_is_refused(response: bytes) -> None:
    async with running_backend() as backend:
        backend.answer = answer_with(response)
        assert await failure(client(backend)) is Failure.MALFORMED


async def test_silence_is_given_up() -> None:
    async with running_backend() as backend:
        backend.answer = never
        assert await failure(client(backend, timeout_s=0.05)) is Failure.TIMEOUT


async def test_an_answer_that_comes_byte_by_byte_does_not_prolong_the_time() -> None:
    stopped = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)
        writer.close()
        stopped.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server:
        assert await failure(HttpClient(url, timeout_s=0.2, max_bytes=1_000_000)) is Failure.TIMEOUT
        await asyncio.wait_for(stopped.wait(), 10)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_server_that_is_not_there(scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}/"
    assert await failure(HttpClient(url, timeout_s=10, max_bytes=1)) is Failure.UNREACHABLE


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody has signed, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path


async def test_a_certificate_counts_only_if_the_system_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    async with running_backend(tls=tls) as backend:
        assert await failure(client(backend)) is Failure.UNREACHABLE
        assert backend.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert await client(backend).get() == Answer(200, b"{}")


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    together = asyncio.Barrier(5)

    async def when_all_have_asked(asked: Asked) -> bytes:
        await together.wait()
        return http(asked.body)

    async with running_backend() as backend:
        backend.answer = when_all_have_asked
        asking = client(backend)
        answers = await asyncio.gather(*(asking.post(str(number).encode(), ()) for number in range(5)))
    assert [answer.body for answer in answers] == [b"0", b"1", b"2", b"3", b"4"]
