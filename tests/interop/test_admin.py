"""The admin API of real servers with real clients. Every answer is held against the OpenAPI document."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.py_client import PyClient, py_client
from tests.interop.raw_client import hear, raw_user
from tests.support.admin import DOCUMENT, TEXT, TOKEN, AdminClient, governed_server
from tests.support.needs import ROOT
from tests.support.privacy import assert_nothing_private
from tests.support.redis import RedisServer, eventually
from tests.support.server import SERVE, Server, free_port

Governed = tuple[Server, AdminClient]
OPERATIONS = [(method.upper(), path) for path, found in DOCUMENT["paths"].items() for method in found]


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Governed]:
    with governed_server(tmp_path_factory.mktemp("admin")) as running:
        yield running
        assert_nothing_private(running[0])


async def ring(alice: PyClient, bob: PyClient) -> str:
    """Place a call; both have heard of it."""
    call_id = str((await alice.ask("call:initiate", {"to": bob.name, "callType": "video"}))["callId"])
    assert (await alice.next())[0] == "call:initiated"
    assert (await bob.next())[0] == "call:incoming"
    return call_id


async def answer(alice: PyClient, bob: PyClient) -> str:
    """A call that was answered."""
    call_id = await ring(alice, bob)
    await bob.ask("call:accept", {"callId": call_id, "from": alice.name})
    for party in (alice, bob):
        assert (await party.next())[0] == "call:accepted"
    return call_id


async def connect(alice: PyClient, bob: PyClient) -> str:
    """A call with an offer, candidates, an answer, media, and a report on it."""
    call_id = await answer(alice, bob)
    await alice.ask("call:offer", {"offer": {"sdp": "o"}, "to": bob.name})
    for number in range(3):
        await alice.ask("ice:candidate", {"candidate": {"n": number}, "to": bob.name})
    await bob.ask("call:answer", {"answer": {"sdp": "a"}, "to": alice.name})
    await alice.ask("call:connected", {"callId": call_id})
    pair = {"local": "host", "remote": "relay", "protocol": "udp"}
    stats = {"ice": "connected", "roundTripTime": 0.05, "fractionLost": 0.01, "pair": pair}
    await bob.ask("call:quality", {"callId": call_id, "stats": stats})
    return call_id


async def ask(client: AdminClient, method: str, path: str, **more: Any) -> Any:
    return await asyncio.to_thread(lambda: client.ask(method, path, **more))


async def explained(client: AdminClient, call_id: str) -> dict[str, Any]:
    answer = await ask(client, "GET", f"/admin/calls/{call_id}")
    assert answer.status == 200
    return dict(answer.body)


# --- who may ask, and where --------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"bearer {TOKEN}", "Bearer é"])
@pytest.mark.parametrize("path", ["/admin/status", "/admin/calls/x", "/admin/nothing", "/"])
async def test_without_the_token_nothing_is_told(governed: Governed, token: str | None, path: str) -> None:
    refused = await ask(governed[1], "GET", path, authorization=token)
    assert (refused.status, refused.body["code"]) == (401, "unauthorized")
    assert refused.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_the_public_port_serves_none_of_it(governed: Governed, method: str, path: str) -> None:
    path = path.replace("{call_id}", "0" * 32).replace("{user}", "alice")
    assert await status_of(governed[0].port, method, path) == 404


async def status_of(port: int, method: str, path: str) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@pytest.mark.parametrize("settings", [{}, {"ADMIN_TOKEN": TOKEN, "ADMIN_PORT": "0"}])
def test_there_is_no_admin_api_unless_asked_for(settings: dict[str, str]) -> None:
    assert "Admin API" not in start_with(settings)


def start_with(settings: dict[str, str]) -> str:
    """What a server says on its standard output until it serves, and then it stops."""
    environment = {"HOST": "127.0.0.1", "PORT": str(free_port()), "METRICS_PORT": "0", "DEMO_PAGE": "false", **settings}
    with subprocess.Popen(
        [sys.executable, *SERVE],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        while "Warning" not in said:  # the last of what is said, since anybody may join
            line = process.stdout.readline()
            assert line, said
            said += line
        process.kill()
    return said


def test_the_start_says_where_it_is() -> None:
    port = str(free_port())
    assert f"http://127.0.0.1:{port}/admin/status" in start_with({"ADMIN_TOKEN": TOKEN, "ADMIN_PORT": port})


def test_a_taken_address_fails_the_start_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {"HOST": "127.0.0.1", "PORT": str(free_port()), "METRICS_PORT": "0"}
        environment |= {"ADMIN_TOKEN": TOKEN, "ADMIN_PORT": str(port)}
        done = subprocess.run(
            [sys.executable, *SERVE], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stderr == (
        f"signalling: cannot listen on 127.0.0.1 port {port} (Address already in use); "
        "stop what uses it or set ADMIN_PORT and ADMIN_HOST\n"
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/admin/nothing", 404, "no_such_path"),
        ("POST", "/admin/status", 405, "method_not_allowed"),
        ("GET", "/admin/calls?limit=0", 400, "bad_query"),
        ("GET", "/admin/calls?limit=1001", 400, "bad_query"),
        ("GET", "/admin/calls?limit=%C2%B2", 400, "bad_query"),
        ("GET", "/admin/calls?limit=00001", 400, "bad_query"),
        ("GET", f"/admin/calls/{'0' * 32}?format=xml", 400, "bad_query"),
        ("GET", f"/admin/calls/{'0' * 32}", 404, "call_not_seen"),
        ("GET", "/admin/calls/..%2f..%2fetc", 404, "call_not_seen"),
        ("DELETE", f"/admin/calls/{'0' * 32}", 404, "call_not_found"),
    ],
)
async def test_what_cannot_be_answered_says_why(
    governed: Governed, method: str, path: str, status: int, code: str
) -> None:
    failed = await ask(governed[1], method, path)
    assert (failed.status, failed.body["code"]) == (status, code)


async def test_a_request_that_is_too_large_is_not_read(governed: Governed) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(governed[1].url.rpartition(":")[2]))
    head = f"DELETE /admin/users/alice/connections HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: 100000\r\n\r\n".encode() + b"x" * 100)
    async with asyncio.timeout(10):
        answered = (await reader.read()).decode()
    writer.close()
    assert answered.startswith("HTTP/1.1 413 ")
    assert '"code":"unreadable"' in answered


# --- the node and its calls --------------------------------------------------------------------------------


async def test_the_node_and_its_live_calls(governed: Governed) -> None:
    server, admin = governed
    async with py_client(server.url, "websocket", "alice") as alice, py_client(server.url, "polling", "bob") as bob:
        call_id = await connect(alice, bob)
        status = (await ask(admin, "GET", "/admin/status")).body
        assert (status["ready"], status["draining"]) == (True, False)
        assert status["node"] is status["redis_reachable"] is None
        assert status["connections"] >= 2
        assert status["users"] >= 2
        live = (await ask(admin, "GET", "/admin/calls?limit=1000")).body
        assert live["total"] == len(live["calls"]) == status["calls"]
        (call,) = (each for each in live["calls"] if each["call_id"] == call_id)
        assert (call["state"], call["media"], call["roles_away"]) == ("connected", "video", [])
        assert call["roles_here"] == ["caller", "callee"]
        assert 0 <= call["connected_for_s"] <= call["age_s"]
        assert alice.name not in json.dumps(live)
        await alice.ask("call:end", {"callId": call_id})


async def test_a_node_that_stops_says_so_until_it_has_stopped(tmp_path: Path) -> None:
    with (
        governed_server(tmp_path, SHUTDOWN_TIMEOUT_S="60") as (server, admin),
        socket.create_connection(("127.0.0.1", server.port)) as held,
        socket.create_connection(("127.0.0.1", int(admin.url.rpartition(":")[2]))),
    ):
        held.sendall(b"GET /readyz HTTP/1.1\r\nHos")
        assert await status_of(server.port, "GET", "/readyz") == 200  # by now the other request has begun, too
        server.process.send_signal(signal.SIGTERM)

        async def is_told() -> bool:
            status = (await ask(admin, "GET", "/admin/status")).body
            return (status["ready"], status["draining"]) == (False, True)

        await eventually(is_told)
        held.close()
        assert await asyncio.to_thread(server.process.wait, 20) == 0


async def test_a_node_is_drained(tmp_path: Path) -> None:
    with governed_server(tmp_path) as (server, admin):
        async with py_client(server.url, "websocket", "alice") as alice:
            for _ in range(2):  # once more changes nothing
                assert (await ask(admin, "POST", "/admin/drain")).body == {"draining": True}
            name, told = await alice.next()
            assert (name, list(told)) == ("server:draining", ["reconnectInMs"])
            assert await asyncio.to_thread(server.process.wait, 20) == 0


async def test_the_oldest_calls_are_listed_first(governed: Governed) -> None:
    server, admin = governed
    async with (
        py_client(server.url, "websocket", "alice") as alice,
        py_client(server.url, "websocket", "bob") as bob,
        py_client(server.url, "websocket", "carol") as carol,
        py_client(server.url, "websocket", "dave") as dave,
    ):
        first, _second = await ring(alice, bob), await ring(carol, dave)
        live = (await ask(admin, "GET", "/admin/calls?limit=1")).body
        assert (live["total"], [call["call_id"] for call in live["calls"]]) == (2, [first])
        assert (live["calls"][0]["state"], live["calls"][0]["connected_for_s"]) == ("ringing", None)


# --- explain this call -------------------------------------------------------------------------------------


async def test_a_complete_call_is_explained(governed: Governed) -> None:
    server, admin = governed
    async with py_client(server.url, "websocket", "alice") as alice, py_client(server.url, "websocket", "bob") as bob:
        call_id = await connect(alice, bob)
        live = await explained(admin, call_id)
        assert (live["state"], live["verdict"]) == ("connected", "Media flows, as the clients say.")
        assert live["reason"] is live["fault"] is live["ended_by"] is None
        await bob.ask("call:end", {"callId": call_id})
        told = await explained(admin, call_id)
        assert (told["state"], told["reason"], told["fault"], told["ended_in"], told["ended_by"]) == (
            "ended",
            "hangup",
            "none",
            "connected",
            "callee",
        )
        assert told["verdict"].startswith("The callee hung up after ")
        assert [(event["role"], event["event"], event["outcome"]) for event in told["events"]] == [
            ("caller", "call:initiate", "ok"),
            ("callee", "call:accept", "ok"),
            ("caller", "call:offer", "ok"),
            ("callee", "call:answer", "ok"),
            ("caller", "call:connected", "ok"),
            ("callee", "call:end", "ok"),
        ]
        assert all(event["took_s"] > 0 for event in told["events"])
        assert list(told["milestones"]) == ["attempted", "ringing", "answered", "negotiated", "connected", "ended"]
        assert [(each["role"], each["count"]) for each in told["candidates"]] == [("caller", 3)]
        (media,) = told["media_reports"]
        assert (media["role"], media["ice"], media["path"]) == ("callee", ["connected"], "relay")
        assert media["round_trip_s"] == {"mean": 0.05, "worst": 0.05}
        assert media["jitter_s"] is None
        ladder = await ask(admin, "GET", f"/admin/calls/{call_id}", accept=TEXT)
        assert ladder.headers["content-type"] == "text/plain; charset=utf-8"
        assert ladder == (await ask(admin, "GET", f"/admin/calls/{call_id}?format=text"))
        assert f"video call {call_id}: ended, hangup by callee, fault none" in ladder.body
        assert not [name for name in (alice.name, bob.name) if name in ladder.body + json.dumps(told)]


async def test_a_rejected_call_is_explained(governed: Governed) -> None:
    server, admin = governed
    async with py_client(server.url, "websocket", "alice") as alice, py_client(server.url, "websocket", "bob") as bob:
        call_id = await ring(alice, bob)
        await bob.ask("call:reject", {"callId": call_id, "from": alice.name})
        told = await explained(admin, call_id)
        assert (told["reason"], told["fault"], told["ended_by"]) == ("rejected", "user", "callee")
        assert told["verdict"].startswith("The callee declined after ")


async def test_a_lost_call_is_explained(tmp_path: Path) -> None:
    with governed_server(tmp_path, RECONNECT_GRACE_S="0.2") as (server, admin):
        async with py_client(server.url, "websocket", "alice") as alice:
            async with raw_user(server.url, "websocket", "bob") as (bob, name):
                call_id = str((await alice.ask("call:initiate", {"to": name, "callType": "audio"}))["callId"])
                assert (await hear(bob))[0] == "call:incoming"
            heard = [(await alice.next())[0] for _ in range(3)]
            assert heard == ["call:initiated", "call:peer-reconnecting", "call:ended"]
            told = await explained(admin, call_id)
            assert (told["reason"], told["fault"], told["ended_by"]) == ("connection_lost", "network", "callee")
            assert [(away["role"], away["until_s"]) for away in told["absences"]] == [("callee", None)]
            ladder = (await ask(admin, "GET", f"/admin/calls/{call_id}", accept=TEXT)).body
            assert "The callee lost its connection while the call was ringing" in ladder
            assert "did not return" in ladder


# --- what it makes the node do -----------------------------------------------------------------------------


@pytest.mark.parametrize(("prepare", "code"), [(ring, "cancelled"), (connect, "hangup")])
async def test_a_call_is_ended(governed: Governed, prepare: Any, code: str) -> None:
    server, admin = governed
    async with py_client(server.url, "websocket", "alice") as alice, py_client(server.url, "polling", "bob") as bob:
        call_id = await prepare(alice, bob)
        done = await ask(admin, "DELETE", f"/admin/calls/{call_id}")
        assert (done.status, done.body) == (200, {"ended": call_id})
        told = {"callId": call_id, "by": None, "code": code, "reason": "Ended by the service"}
        for party in (alice, bob):
            while (heard := await party.next())[0] != "call:ended":
                pass
            assert heard == ("call:ended", told)
        explanation = await explained(admin, call_id)
        assert (explanation["ended_by"], explanation["fault"]) == ("operator", "none")
        assert explanation["verdict"].startswith("Those who run the service ended it")
        assert (await ask(admin, "DELETE", f"/admin/calls/{call_id}")).status == 404


async def test_a_user_is_sent_away(governed: Governed) -> None:
    server, admin = governed
    async with (
        raw_user(server.url, "websocket", "alice") as (alice, alice_id),
        raw_user(server.url, "websocket", "alice") as (bob, _),
    ):
        assert (await ask(admin, "DELETE", f"/admin/users/{alice_id}/connections")).body == {"closed": 1}
        assert await alice.receive() == "41"
        await bob.send('42["user:status",{"userId":"' + alice_id + '"}]')
        assert await hear(bob) == ("user:status", {"userId": alice_id, "isOnline": False, "isInCall": False})


async def test_nobody_is_there_to_be_sent_away(governed: Governed) -> None:
    path = "/admin/users/nobody%2Fat%20all/connections"
    assert (await ask(governed[1], "DELETE", path)).body == {"closed": 0}


# --- several nodes -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


async def test_a_call_of_other_nodes_is_ended_and_each_explains_its_own(redis: RedisServer, tmp_path: Path) -> None:
    with (
        governed_server(tmp_path, REDIS_URL=redis.url) as (one, first),
        governed_server(tmp_path, REDIS_URL=redis.url) as (other, _second),
        governed_server(tmp_path, REDIS_URL=redis.url) as (_server, third),
    ):
        async with py_client(one.url, "websocket", "alice") as alice, py_client(other.url, "websocket", "bob") as bob:
            call_id = await answer(alice, bob)
            assert (await ask(third, "GET", f"/admin/calls/{call_id}")).body["code"] == "call_not_seen"
            live = (await ask(first, "GET", "/admin/calls")).body["calls"]
            assert [(call["call_id"], call["roles_here"]) for call in live] == [(call_id, ["caller"])]
            assert (await ask(third, "DELETE", f"/admin/calls/{call_id}")).status == 200
            told = {"callId": call_id, "by": None, "code": "hangup", "reason": "Ended by the service"}
            for party in (alice, bob):
                assert await party.next() == ("call:ended", told)
            status = (await ask(first, "GET", "/admin/status")).body
            assert status["redis_reachable"] is True
            assert (await explained(first, call_id))["node"] == status["node"]
            assert status["node"].startswith("node-")


async def test_without_redis_it_says_so(tmp_path: Path) -> None:
    away = RedisServer(tmp_path)
    away.start()
    with governed_server(tmp_path, REDIS_URL=away.url) as (_server, admin):
        away.kill()

        async def is_told() -> bool:
            return (await ask(admin, "GET", "/admin/status")).body["redis_reachable"] is False

        await eventually(is_told)
        for path in (f"/admin/calls/{'0' * 32}", "/admin/users/alice/connections"):
            failed = await ask(admin, "DELETE", path)
            assert (failed.status, failed.body["code"]) == (503, "unavailable")


# --- call records ------------------------------------------------------------------------------------------


async def test_every_ended_call_has_a_record_also_those_that_a_stop_ends(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_text('{"call_id":"an older line"}\n')
    with governed_server(tmp_path, CALL_RECORDS=str(file)) as (server, admin):
        async with (
            py_client(server.url, "websocket", "alice") as alice,
            py_client(server.url, "websocket", "bob") as bob,
        ):
            hung_up = await connect(alice, bob)
            await bob.ask("call:end", {"callId": hung_up})
        async with (
            py_client(server.url, "websocket", "alice") as alice,
            py_client(server.url, "websocket", "bob") as bob,
        ):
            rejected = await ring(alice, bob)
            await bob.ask("call:reject", {"callId": rejected, "from": alice.name})
        async with (
            py_client(server.url, "websocket", "alice") as alice,
            py_client(server.url, "websocket", "bob") as bob,
        ):
            cut = await answer(alice, bob)
            await ask(admin, "DELETE", f"/admin/calls/{cut}")
        async with (
            py_client(server.url, "websocket", "alice") as alice,
            py_client(server.url, "websocket", "bob") as bob,
        ):
            stopped = await answer(alice, bob)
            server.process.send_signal(signal.SIGTERM)
            assert [(await alice.next())[0] for _ in range(2)] == ["server:draining", "call:ended"]
            assert await asyncio.to_thread(server.process.wait, 20) == 0
    _older, *records = map(json.loads, file.read_text().splitlines())
    assert sorted((each["call_id"], each["reason"], each["fault"], each["ended_by"]) for each in records) == sorted(
        [
            (hung_up, "hangup", "none", "callee"),
            (rejected, "rejected", "user", "callee"),
            (cut, "hangup", "none", "operator"),
            (stopped, "server_shutdown", "server", "server"),
        ]
    )
    assert "-py-" not in file.read_text()


async def test_records_on_the_standard_output() -> None:
    port = free_port()
    environment = {"HOST": "127.0.0.1", "PORT": str(port), "METRICS_PORT": "0", "CALL_RECORDS": "stdout"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *SERVE, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        await eventually(lambda: answers(port))
        url = f"http://127.0.0.1:{port}"
        async with py_client(url, "websocket", "alice") as alice, py_client(url, "websocket", "bob") as bob:
            call_id = await ring(alice, bob)
            await alice.ask("call:end", {"callId": call_id})
        process.terminate()
        async with asyncio.timeout(20):
            said = (await process.communicate())[0].decode().splitlines()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    (record,) = (json.loads(line) for line in said if line.startswith("{"))
    assert (record["call_id"], record["reason"], record["ended_in"]) == (call_id, "cancelled", "ringing")


async def answers(port: int) -> bool:
    try:
        return await status_of(port, "GET", "/readyz") == 200
    except ConnectionError:
        return False
