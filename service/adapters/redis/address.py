"""From a URL to a connection: plain, TLS, or whichever server Sentinel names as the master."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from redis.asyncio import Sentinel
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CONNECT_TIMEOUT_S = 0.5
"""How long making a connection may take, all in all. Tried again for as long as it takes."""

SENTINEL_PORT = 26379
_OPTIONS: Mapping[str, Any] = {
    "protocol": 2,
    "socket_timeout": None,  # `RedisLink` and the inbox watch the time themselves
    "retry": Retry(NoBackoff(), 0),
}

Connect = Callable[[], Awaitable[AbstractConnection]]
"""Make a connection that is ready for commands. Raises `RedisError`, `OSError` or `TimeoutError`."""


class RedisUrlError(ValueError):
    """The URL of Redis cannot be used. The message says what it must look like, and repeats no password."""


def connector(url: str) -> Connect:
    """Read a URL: `redis://`, `rediss://`, `redis+sentinel://` or `rediss+sentinel://`.

    Sentinel: `redis+sentinel://[user:password@]host[:port][,host[:port]...]/service[/db]`.

    Raises:
        RedisUrlError: it is none of these.
    """
    parts = urlsplit(url)
    if parts.scheme.endswith("+sentinel"):
        return _through_sentinel(parts)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise RedisUrlError("must start with redis://, rediss:// or redis+sentinel:// and name a host")
    try:
        options: dict[str, Any] = {**parse_url(url)}
    except ValueError:
        raise RedisUrlError("has a port or an option that Redis URLs do not know") from None
    kind: type[AbstractConnection] = options.pop("connection_class", Connection)
    return lambda: _connected(kind(**options, **_OPTIONS))


def _through_sentinel(parts: SplitResult) -> Connect:
    scheme = parts.scheme.removesuffix("+sentinel")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    service, _, database = parts.path.strip("/").partition("/")
    if scheme not in ("redis", "rediss") or not hosts or not service or not (database or "0").isdigit():
        raise RedisUrlError("must look like redis+sentinel://host:26379,host:26379/service")
    kind, tls = (SSLConnection, {"ssl": True}) if scheme == "rediss" else (Connection, {})
    options: dict[str, Any] = {
        "db": int(database or 0),
        "username": unquote(user) or None,
        "password": unquote(password) or None,
    }

    async def connect() -> AbstractConnection:
        sentinels = [(host.hostname, host.port or SENTINEL_PORT) for host in _split(hosts)]
        guide = Sentinel(  # type: ignore[no-untyped-call] # redis-py
            sentinels, sentinel_kwargs={"socket_timeout": CONNECT_TIMEOUT_S, "retry": Retry(NoBackoff(), 0), **tls}
        )
        try:
            host, port = await guide.discover_master(service)
        finally:
            await guide.aclose()
        return await _connected(kind(host=host, port=port, **options, **_OPTIONS))

    return connect


def _split(hosts: str) -> list[SplitResult]:
    return [urlsplit(f"//{host}") for host in hosts.split(",")]


async def _connected(connection: AbstractConnection) -> AbstractConnection:
    stands = False
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py
        stands = True
    finally:
        if not stands:
            await connection.disconnect(nowait=True)
    return connection
