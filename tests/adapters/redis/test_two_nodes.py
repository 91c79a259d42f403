"""Two real servers on one Redis: what is true of two users on one node is true of two users on two."""

import asyncio
import contextlib
import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.py_client import PyClient, py_client
from tests.support.privacy import assert_nothing_private
from tests.support.redis import RedisServer, eventually
from tests.support.server import START_TIMEOUT_S, Server, free_port, running_server

BOUND_S = 2.0
"""Far more than a client may wait on Redis, far less than for ever."""

LASTING = ("signalling:born", "signalling:epoch", "signalling:over:")
"""Keys that outlive users, calls and nodes; those of calls that are over for a minute."""

QUICK = {
    "RECONNECT_GRACE_S": "0",
    "PING_INTERVAL_S": "1",
    "PING_TIMEOUT_S": "1",
    "NODE_LEASE_S": "1",
    "SHUTDOWN_TIMEOUT_S": "3",
}


@contextlib.contextmanager
def two_servers(redis: RedisServer, directory: Path, **settings: str) -> Iterator[tuple[Server, Server]]:
    options = {**QUICK, "REDIS_URL": redis.url, **settings}
    with running_server(directory, **options) as one, running_server(directory, **options) as other:
        yield one, other


async def call(alice: PyClient, bob: PyClient) -> str:
    """Place a call and answer it."""
    answer = await alice.ask("call:initiate", {"to": bob.name, "callType": "video"})
    call_id = str(answer["callId"])
    assert await bob.next() == ("call:incoming", {"from": alice.name, "callType": "video", "callId": call_id})
    assert await alice.next() == ("call:initiated", {"callId": call_id, "to": bob.name})
    assert (await bob.ask("call:accept", {"callId": call_id, "from": alice.name}))["ok"]
    for party in (alice, bob):
        assert await party.next() == ("call:accepted", {"callId": call_id, "by": bob.name})
    return call_id


async def negotiate(alice: PyClient, bob: PyClient, candidates: int = 20) -> None:
    """Offer, answer and candidates arrive complete and in order."""
    await alice.emit("call:offer", {"offer": {"sdp": "o"}, "from": alice.name, "to": bob.name})
    for number in range(candidates):
        await alice.emit("ice:candidate", {"candidate": {"n": number}, "from": alice.name, "to": bob.name})
    assert await bob.next() == ("call:offer", {"offer": {"sdp": "o"}, "from": alice.name, "callType": "video"})
    for number in range(candidates):
        assert await bob.next() == ("ice:candidate", {"candidate": {"n": number}, "from": alice.name})
    await bob.emit("call:answer", {"answer": {"sdp": "a"}, "from": bob.name, "to": alice.name})
    assert await alice.next() == ("call:answer", {"answer": {"sdp": "a"}, "from": bob.name})


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_whole_call_between_two_nodes(redis: RedisServer, tmp_path: Path, transport: str) -> None:
    with two_servers(redis, tmp_path) as (one, other):
        async with py_client(one.url, transport, "alice") as alice, py_client(other.url, transport, "bob") as bob:
            status = await alice.ask("user:status", {"userId": bob.name})
            assert (status["isOnline"], status["isInCall"]) == (True, False)
            await alice.next()
            call_id = await call(alice, bob)
            await negotiate(alice, bob)
            ended = {"callId": call_id, "by": bob.name, "code": "hangup"}
            assert await bob.ask("call:end", {"callId": call_id}) == {"ok": True, **ended}
            for party in (alice, bob):
                assert await party.next() == ("call:ended", ended)
        for server in (one, other):
            assert_nothing_private(server)
            assert server.stop() == 0
            assert "Traceback" not in server.log.read_text()
    async with redis.client() as client:
        keys = [key for key in await client.keys("signalling:*") if not str(key).startswith(LASTING)]
        assert keys == []


async def test_a_killed_node_is_cleared_up_after(redis: RedisServer, tmp_path: Path) -> None:
    with two_servers(redis, tmp_path) as (one, other):
        async with py_client(one.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(other.url, "websocket")
            call_id = await call(alice, bob)
            other.process.kill()
            other.process.wait()
            event, ended = await alice.next()
            assert (event, ended["callId"], ended["code"]) == ("call:ended", call_id, "connection_lost")

            async def offline() -> bool:
                answer = await alice.ask("user:status", {"userId": bob.name})
                return not answer["isOnline"] and not answer["isInCall"]

            await eventually(offline)
            await bob.close()


async def test_a_call_survives_the_node_of_one_party(redis: RedisServer, tmp_path: Path) -> None:
    with two_servers(redis, tmp_path, RECONNECT_GRACE_S="10") as (one, other):
        async with py_client(one.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(other.url, "websocket")
            call_id = await call(alice, bob)
            other.process.kill()
            other.process.wait()
            assert await alice.next() == ("call:peer-reconnecting", {"callId": call_id, "userId": bob.name})
            again = PyClient("bob")
            again.name = bob.name
            joined = await again.connect(one.url, "websocket")
            assert joined["call"]["callId"] == call_id
            assert await alice.next() == ("call:peer-reconnected", {"callId": call_id, "userId": bob.name})
            await negotiate(alice, again)
            await again.close()
            await bob.close()


async def test_calls_are_handed_over_when_a_node_is_stopped(redis: RedisServer, tmp_path: Path) -> None:
    with two_servers(redis, tmp_path, RECONNECT_GRACE_S="10") as (one, other):
        async with py_client(one.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(other.url, "websocket")
            call_id = await call(alice, bob)
            assert await asyncio.to_thread(other.stop) == 0
            assert await alice.next() == ("call:peer-reconnecting", {"callId": call_id, "userId": bob.name})
            again = PyClient("bob")
            again.name = bob.name
            joined = await again.connect(one.url, "websocket")
            assert joined["call"]["callId"] == call_id
            assert await alice.next() == ("call:peer-reconnected", {"callId": call_id, "userId": bob.name})
            await negotiate(alice, again)
            await again.close()
            await bob.close()


async def test_a_second_join_on_another_node_takes_the_call_over(redis: RedisServer, tmp_path: Path) -> None:
    with two_servers(redis, tmp_path) as (one, other):
        async with py_client(one.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(other.url, "websocket")
            call_id = await call(alice, bob)
            again = PyClient("bob")
            again.name = bob.name
            joined = await again.connect(one.url, "websocket")
            assert joined["call"]["callId"] == call_id
            replaced = await bob.next()
            assert (replaced[0], replaced[1]["code"]) == ("call:ended", "replaced")
            assert (await bob.next())[0] == "disconnect"
            await negotiate(alice, again)
            await again.close()


def readiness(server: Server) -> tuple[int, int]:
    """The status codes of `/livez` and `/readyz`."""
    return status_of(f"{server.url}/livez"), status_of(f"{server.url}/readyz")


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return 0


async def test_calls_of_one_node_go_on_without_redis(redis: RedisServer, tmp_path: Path) -> None:
    with two_servers(redis, tmp_path) as (one, other):
        async with (
            py_client(one.url, "websocket", "alice") as alice,
            py_client(one.url, "websocket", "bob") as bob,
            py_client(other.url, "websocket", "carol") as carol,
        ):
            call_id = await call(alice, bob)
            redis.kill()

            async def told() -> bool:
                return readiness(one) == readiness(other) == (200, 503)

            await eventually(told)
            await negotiate(alice, bob)
            answer = await alice.ask("user:status", {"userId": carol.name})
            assert answer["error"]["code"] == "unavailable"
            assert (await alice.next())[0] == "error"
            redis.start()

            async def back() -> bool:
                return readiness(one) == readiness(other) == (200, 200)

            await eventually(back)
            assert (await carol.ask("user:status", {"userId": bob.name}))["isInCall"]
            await carol.next()
            await negotiate(alice, bob)
            assert (await alice.ask("call:end", {"callId": call_id}))["ok"]
            for party in (alice, bob):
                assert (await party.next())[0] == "call:ended"
            await call(alice, carol)
        for server in (one, other):
            for line in map(json.loads, server.log.read_text().splitlines()):
                assert line["level"] != "error", line


async def test_a_node_that_was_frozen_beyond_its_lease_comes_back(redis: RedisServer, tmp_path: Path) -> None:
    patient = {"PING_INTERVAL_S": "25", "PING_TIMEOUT_S": "20"}
    with two_servers(redis, tmp_path, **patient) as (one, other):
        alice, bob = PyClient("alice"), PyClient("bob")
        await alice.connect(one.url, "websocket")
        await bob.connect(other.url, "websocket")
        call_id = await call(alice, bob)
        other.process.send_signal(signal.SIGSTOP)
        assert await alice.next() == (
            "call:ended",
            {"callId": call_id, "by": bob.name, "code": "connection_lost", "reason": "User disconnected"},
        )
        other.process.send_signal(signal.SIGCONT)
        event, ended = await bob.next()
        assert (event, ended["callId"], ended["code"]) == ("call:ended", call_id, "connection_lost")

        async def seated_again() -> bool:
            answer = await alice.ask("user:status", {"userId": bob.name})
            await alice.next()
            return bool(answer["isOnline"])

        await eventually(seated_again)
        await call(alice, bob)
        await negotiate(alice, bob)
        for client in (alice, bob):
            await client.close()


async def test_a_call_goes_on_while_connections_to_redis_are_killed(redis: RedisServer, tmp_path: Path) -> None:
    with two_servers(redis, tmp_path) as (one, other):
        async with (
            py_client(one.url, "websocket", "alice") as alice,
            py_client(other.url, "websocket", "bob") as bob,
            redis.client() as client,
        ):
            for _ in range(10):
                call_id = await call(alice, bob)
                await client.client_kill_filter(_type="normal", skipme=True)
                await negotiate(alice, bob)
                assert (await alice.ask("call:end", {"callId": call_id}))["ok"]
                for party in (alice, bob):
                    assert (await party.next())[0] == "call:ended"


async def test_a_server_starts_without_redis_and_is_ready_when_it_comes(redis: RedisServer, tmp_path: Path) -> None:
    redis.kill()
    port = free_port()
    environment = {**QUICK, "REDIS_URL": redis.url, "PORT": str(port)}

    def start_late() -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while status_of(f"http://127.0.0.1:{port}/livez") != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert status_of(f"http://127.0.0.1:{port}/readyz") == 503
        redis.start()

    late = asyncio.create_task(asyncio.to_thread(start_late))

    def serve() -> None:
        with running_server(tmp_path, **environment):
            pass

    await asyncio.to_thread(serve)
    await late


async def settled(*servers: Server) -> None:
    """Wait until all of them are ready."""

    async def ready() -> bool:
        return all(readiness(server) == (200, 200) for server in servers)

    await eventually(ready)


@pytest.mark.parametrize("fault", ["restart", "freeze"])
async def test_a_call_between_nodes_goes_on_after_an_outage(redis: RedisServer, tmp_path: Path, fault: str) -> None:
    with two_servers(redis, tmp_path) as (one, other):
        async with py_client(one.url, "websocket", "alice") as alice, py_client(other.url, "websocket", "bob") as bob:
            call_id = await call(alice, bob)
            if fault == "restart":
                redis.kill()
            else:
                redis.freeze()
            async with asyncio.timeout(BOUND_S):
                candidate = {"candidate": {"n": 0}, "from": alice.name, "to": bob.name}
                answer = await alice.ask("ice:candidate", candidate)
            assert answer["error"]["code"] == "receiver_not_found"
            assert (await alice.next())[0] == "error"
            async with asyncio.timeout(BOUND_S):
                await alice.emit("ice:candidate", candidate)
                name, told = await alice.next()
            assert (name, told["event"], told["code"]) == ("error", "ice:candidate", "receiver_not_found")
            assert [status_of(f"{server.url}/livez") for server in (one, other)] == [200, 200]
            if fault == "restart":
                redis.start()
            else:
                redis.thaw()
            await settled(one, other)
            await negotiate(alice, bob)
            assert (await bob.ask("call:end", {"callId": call_id}))["ok"]
            for party in (alice, bob):
                assert (await party.next())[0] == "call:ended"


async def test_a_party_that_is_lost_during_an_outage_is_missed_after_it(redis: RedisServer, tmp_path: Path) -> None:
    with two_servers(redis, tmp_path) as (one, other):
        async with py_client(one.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(other.url, "websocket")
            call_id = await call(alice, bob)
            redis.kill()
            await bob.close()
            redis.start()
            event, ended = await alice.next()
            assert (event, ended["callId"], ended["code"]) == ("call:ended", call_id, "connection_lost")


@pytest.mark.parametrize("fault", ["restart", "freeze"])
async def test_a_node_that_dies_while_redis_is_away_is_missed_after_it(
    redis: RedisServer, tmp_path: Path, fault: str
) -> None:
    with two_servers(redis, tmp_path) as (one, other):
        async with py_client(one.url, "websocket", "alice") as alice:
            bob = PyClient("bob")
            await bob.connect(other.url, "websocket")
            call_id = await call(alice, bob)
            if fault == "restart":
                redis.kill()
            else:
                redis.freeze()
            other.process.kill()
            other.process.wait()
            if fault == "restart":
                redis.start()
            else:
                redis.thaw()
            event, ended = await alice.next()
            assert (event, ended["callId"], ended["code"]) == ("call:ended", call_id, "connection_lost")
            await bob.close()
