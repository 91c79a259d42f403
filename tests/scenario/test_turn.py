"""A real coturn, set up as for docker-compose.yml, opens relays for the passwords that this server makes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aioice import stun, turn
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCIceTransportPolicy,
    RTCPeerConnection,
)

from service.domain.ice import IceServer, IceServers
from service.domain.ids import CallId, UserId
from tests.support.coturn import HOST, Coturn, running_coturn
from tests.support.needs import ROOT

PATIENCE_S = 20.0
OLD, NEW, UNKNOWN = "the old secret of the relay.......", "the new secret of the relay.......", "a guess at the secret"
QUOTA = 12
"""`user-quota` of the configuration. Tests use users of their own because of it."""

ALICE = UserId("alice@example.com")
CALL = CallId("7d44a1d0b5c94ee0a6f0d3c0a1b2c3d4")
TTL_S = 600
OPTIONS = ("-c", str(ROOT / "deploy" / "coturn" / "turnserver.conf"), f"--allowed-peer-ip={HOST}")


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    """Knows two secrets, as in the middle of a rotation."""
    with running_coturn(tmp_path_factory.mktemp("coturn"), (OLD, NEW), *OPTIONS) as running:
        yield running


def password(
    coturn: Coturn, secret: str = NEW, user: UserId = ALICE, *, ttl_s: int = TTL_S, made_s_ago: float = 0.0
) -> IceServer:
    """The relay's entry of what this server would tell a client."""
    servers = IceServers(stun_urls=(), turn_urls=(coturn.url,), turn_secret=secret, turn_ttl_s=ttl_s)
    return servers.for_user(user, CALL, time.time() - made_s_ago).servers[0]


@contextlib.asynccontextmanager
async def relay(coturn: Coturn, username: str | None, credential: str | None) -> AsyncIterator[Any]:
    """An open relay: the client's side of it.

    Raises:
        stun.TransactionFailed: it was refused.
    """
    transport, _ = await turn.create_turn_endpoint(
        asyncio.DatagramProtocol, server_addr=(HOST, coturn.port), username=username, password=credential
    )
    client: Any = vars(transport)["_TurnTransport__inner_protocol"]
    try:
        yield client
    finally:
        await client.delete()


async def refusal(coturn: Coturn, username: str | None, credential: str | None) -> int | None:
    """The error code with which a relay is refused; None if it is not."""
    try:
        async with relay(coturn, username, credential):
            return None
    except stun.TransactionFailed as error:
        return error.response.error_code


def refresh() -> stun.Message:
    message = stun.Message(message_method=stun.Method.REFRESH, message_class=stun.Class.REQUEST)
    message.attributes["LIFETIME"] = TTL_S
    return message


@pytest.mark.parametrize("secret", [OLD, NEW])
async def test_passwords_of_both_secrets_open_relays_during_a_rotation(coturn: Coturn, secret: str) -> None:
    entry = password(coturn, secret)
    assert await refusal(coturn, entry.username, entry.credential) is None


async def test_the_log_of_the_relay_names_nobody_and_finds_no_fault_in_its_configuration(tmp_path: Path) -> None:
    with running_coturn(tmp_path, (NEW,), *OPTIONS, "--verbose") as coturn:
        entry = password(coturn)
        assert await refusal(coturn, entry.username, entry.credential) is None
    log = coturn.log.read_text(errors="replace")
    assert f"<{entry.username}>" in log
    assert "alice" not in log
    assert "Default realm: signalling" in log
    assert "Bad configuration format" not in log


async def test_passwords_that_this_server_did_not_make_open_nothing(coturn: Coturn) -> None:
    good, guessed = password(coturn), password(coturn, UNKNOWN)
    others = password(coturn, user=UserId("bob"))
    expiry, _, rest = str(good.username).partition(":")
    forgeries = [
        (guessed.username, guessed.credential),
        (good.username, others.credential),
        (f"{int(expiry) + 86_400}:{rest}", good.credential),
        (f"{expiry}:{ALICE}", good.credential),
        (f"{good.username}x", good.credential),
        (good.username, str(good.credential)[::-1]),
        (good.username, ""),
        ("", ""),
        (ALICE, NEW),
    ]
    assert [await refusal(coturn, *forgery) for forgery in forgeries] == [401] * len(forgeries)
    assert await refusal(coturn, good.username, good.credential) is None


async def test_an_expired_password_opens_nothing(coturn: Coturn) -> None:
    nearly, over = password(coturn, made_s_ago=TTL_S - 60), password(coturn, made_s_ago=TTL_S + 1)
    assert await refusal(coturn, nearly.username, nearly.credential) is None
    assert await refusal(coturn, over.username, over.credential) == 401


async def test_a_relay_that_is_open_stays_open_when_its_password_expires(coturn: Coturn) -> None:
    entry = password(coturn, user=UserId("carol"), ttl_s=2)
    async with relay(coturn, entry.username, entry.credential) as client:
        async with asyncio.timeout(PATIENCE_S):
            while await refusal(coturn, entry.username, entry.credential) != 401:  # noqa: ASYNC110 - the relay tells nobody
                await asyncio.sleep(0.1)
        answer, _ = await client.request_with_retry(refresh())
        assert answer.attributes["LIFETIME"] == TTL_S


@pytest.mark.parametrize(
    "inside", ["10.0.0.1", "172.17.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.2", "100.64.0.1"]
)
async def test_a_relay_is_no_way_into_the_network_that_it_stands_in(coturn: Coturn, inside: str) -> None:
    entry = password(coturn, user=UserId(f"somebody who tries {inside}"))
    async with relay(coturn, entry.username, entry.credential) as client:
        with pytest.raises(stun.TransactionFailed) as refused:
            await client.channel_bind(0x4000, (inside, 80))
        assert refused.value.response.error_code == 403
        await client.channel_bind(0x4001, (HOST, 50_000))


# --- Two peers ---------------------------------------------------------------------------------------------


def relay_only(coturn: Coturn, user: str) -> RTCPeerConnection:
    entry = password(coturn, user=UserId(user))
    servers = [RTCIceServer(list(entry.urls), entry.username, entry.credential)]
    return RTCPeerConnection(RTCConfiguration(servers, iceTransportPolicy=RTCIceTransportPolicy.RELAY))


async def test_two_peers_talk_through_the_relay_alone(coturn: Coturn) -> None:
    caller, callee = relay_only(coturn, "alice"), relay_only(coturn, "bob")
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def opened(channel: RTCDataChannel) -> None:
        channel.on("message", heard.set_result)

    callee.on("datachannel", opened)
    channel = caller.createDataChannel("talk")
    channel.on("open", lambda: channel.send("hello"))
    try:
        await caller.setLocalDescription(await caller.createOffer())
        await callee.setRemoteDescription(caller.localDescription)
        await callee.setLocalDescription(await callee.createAnswer())
        await caller.setRemoteDescription(callee.localDescription)
        assert await asyncio.wait_for(heard, PATIENCE_S) == "hello"
        for side in (caller, callee):
            lines = [line for line in side.localDescription.sdp.splitlines() if line.startswith("a=candidate:")]
            assert lines
            assert all(" typ relay " in line for line in lines)
    finally:
        await asyncio.gather(caller.close(), callee.close())
