"""How Redis is reached: with a password, over TLS, through Sentinel."""

import datetime as dt
import ipaddress
import logging
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis.exceptions import RedisError

from service.adapters.redis.address import RedisUrlError, connector
from service.domain.ids import SessionId, UserId
from tests.support.redis import Member, eventually, members, running_redis, running_sentinel, until
from tests.support.server import free_port

ALICE_ID, ALICE = UserId("alice"), SessionId("alice-1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://localhost",
        "redis://",
        "redis://localhost:port",
        "redis+sentinel://localhost:26379",
        "redis+sentinel:///service",
        "redis+sentinel://localhost/service/database",
        "memcached+sentinel://localhost/service",
    ],
)
def test_a_url_that_cannot_be_used(url: str) -> None:
    with pytest.raises(RedisUrlError):
        connector(url)


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(RedisUrlError) as refused:
        connector("redis://user:secret@localhost:port")
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_a_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with running_redis(tmp_path, "--requirepass", "open sesame") as redis:
        good = redis.url.replace("127.0.0.1", ":open%20sesame@127.0.0.1")
        async with members(good, 1) as (one,):
            await one.directory.seat(ALICE_ID, ALICE)
        bad = Member(redis.url.replace("127.0.0.1", ":guess@127.0.0.1"))
        with caplog.at_level(logging.WARNING):
            bad.cluster.start()
            await until(lambda: "AuthenticationError" in caplog.text)
        assert not bad.cluster.is_ready
        assert "guess" not in caplog.text
        await bad.die()


def certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis.test")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = directory / "cert.pem", directory / "key.pem"
    cert_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    key_file.write_bytes(pem)
    return cert_file, key_file


async def test_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    port = free_port()
    files = ("--tls-cert-file", str(cert), "--tls-key-file", str(key), "--tls-ca-cert-file", str(cert))
    with running_redis(tmp_path, "--tls-port", str(port), "--tls-auth-clients", "no", *files):
        url = f"rediss://127.0.0.1:{port}/0"
        async with members(f"{url}?ssl_ca_certs={cert}", 1) as (one,):
            await one.directory.seat(ALICE_ID, ALICE)
        with pytest.raises(RedisError, match="certificate verify failed"):
            await connector(url)()


async def test_a_failover_by_sentinel_is_followed(tmp_path: Path) -> None:
    with running_sentinel(tmp_path) as redis:
        async with members(redis.url, 2) as (one, other):
            await one.directory.seat(ALICE_ID, ALICE)
            assert (await other.directory.presence(ALICE_ID)).sessions == (ALICE,)
            redis.master.kill()
            await until(lambda: not one.cluster.is_ready)
            await until(lambda: one.cluster.is_ready and other.cluster.is_ready, 30)

            async def found() -> bool:
                return (await other.directory.presence(ALICE_ID)).sessions == (ALICE,)

            await eventually(found)
            async with redis.replica.client() as client:
                assert await client.hgetall("test:user:alice") == {f"s:{ALICE}": one.name}
