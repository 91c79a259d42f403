"""Everything private is marked, everything is done that a server can be made to do, and no mark comes out.

A client is told what it sent itself: the name of an event or a field, the id of a call. Those have no mark.
"""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.adapters.jwt.tokens import forged, issuer_key
from tests.observability.collector import Collector
from tests.scenario.failing_server import FATAL
from tests.support.backend import Asked, Backend, answer_with, http, running_backend
from tests.support.server import Server, free_port, running_server

MARK = "qZx9mark"
JWT_SECRET, TURN_SECRET, ASK_SECRET, ADMIN_TOKEN = (
    f"{MARK}-{name}-that-is-long-enough-for-all" for name in ("jwt", "turn", "ask", "admin")
)
ADDRESS = "203.0.113.77"
ALICE, BOB, SHY, NOBODY, BROKEN = (f"{MARK}-{name}" for name in ("alice", "bob", "shy", "nobody", f"broken{FATAL}"))
SDP = {"type": "offer", "sdp": f"v=0 {MARK} c=IN IP4 198.51.100.7"}
CANDIDATE = {"candidate": f"candidate:{MARK} 1 udp 1 198.51.100.7 9 typ host"}
EVENTS_AN_HOUR = 60
SETTINGS = {
    "AUTH_JWT_SECRETS": JWT_SECRET,
    "AUTH_LEEWAY_S": "0",
    "AUTH_EXPIRY_GRACE_S": "0",
    "AUTHORIZE_SECRET": ASK_SECRET,
    "AUTHORIZE_CACHE_S": "0",
    "TURN_URLS": "turn:turn.example.com:3478",
    "TURN_SECRET": TURN_SECRET,
    "ADMIN_TOKEN": ADMIN_TOKEN,
    "TRUSTED_PROXIES": "1",
    "LIMIT_EVENTS": f"{EVENTS_AN_HOUR}/1h",
    "LIMIT_CALL_INITIATE": "8/1h",
    "MAX_MESSAGE_BYTES": "20000",
    "TRACE_RATIO": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "50",
}
private: set[str] = {MARK, ADDRESS, "198.51.100.7", "eyJ"}
"""What must not be found; keys of connections, passwords and parts of tokens come to it as they are made."""


def token(user: str, secret: str = JWT_SECRET, *, lives_s: float = 600) -> str:
    made = forged({"alg": "HS256"}, {"sub": user, "exp": int(time.time() + lives_s)}, secret.encode())
    private.update(made.split("."))
    return made


class Client:
    """A websocket that keeps all errors which it was told."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, errors: list[str]) -> None:
        self.socket = socket
        self._errors = errors

    async def say(self, event: str, payload: object) -> None:
        await self.socket.send_str(f"42{json.dumps([event, payload])}")

    async def hear(self, wanted: str) -> dict[str, Any]:
        """The next such event."""
        while True:
            packet = await self.packet()
            if packet.startswith("42["):
                event, payload = json.loads(packet[2:])
                if event == wanted:
                    return dict(payload)

    async def refusal(self, event: str, payload: object) -> str:
        """The code of the error that an event is answered with."""
        await self.say(event, payload)
        return str((await self.hear("error"))["code"])

    async def packet(self) -> str:
        packet = str(await self.socket.receive_str(timeout=10))
        if packet.startswith(("44", '42["error"')):
            self._errors.append(packet)
        return "" if packet == "2" else packet

    async def close_code(self) -> int | None:
        """Wait until the server has closed the connection."""
        while (await self.socket.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
            pass
        return self.socket.close_code


Connect = Callable[[str], contextlib.AbstractAsyncContextManager[Client]]


@contextlib.asynccontextmanager
async def clients(server: Server, errors: list[str]) -> AsyncIterator[Connect]:
    async with aiohttp.ClientSession(headers={"X-Forwarded-For": ADDRESS}) as session:

        @contextlib.asynccontextmanager
        async def connect(proof: str) -> AsyncIterator[Client]:
            url = f"{server.url}/socket.io/?EIO=4&transport=websocket"
            async with session.ws_connect(url) as socket:
                private.add(json.loads((await socket.receive_str())[1:])["sid"])
                await socket.send_str(f"40{json.dumps({'token': proof})}")
                yield Client(socket, errors)

        yield connect


@contextlib.asynccontextmanager
async def joined(connect: Connect, user: str) -> AsyncIterator[Client]:
    async with connect(token(user)) as client:
        await client.say("user:join", {"userId": user})
        for ice in (await client.hear("user:joined"))["iceServers"]:
            private.add(ice.get("credential", MARK))
        yield client


async def a_call_with_a_lost_socket(connect: Connect) -> None:
    async with joined(connect, ALICE) as alice:
        async with joined(connect, BOB) as bob:
            await alice.say("call:initiate", {"to": BOB, "callType": "video"})
            call_id = (await bob.hear("call:incoming"))["callId"]
            await bob.say("call:accept", {"callId": call_id, "from": ALICE})
            await alice.hear("call:accepted")
            await alice.say("call:offer", {"offer": SDP, "from": ALICE, "to": BOB, "callType": "video"})
            await bob.hear("call:offer")
            await bob.say("call:answer", {"answer": SDP, "from": BOB, "to": ALICE})
            for party, other in ((alice, BOB), (bob, ALICE)):
                await party.say("ice:candidate", {"candidate": CANDIDATE, "to": other})
            await alice.say("call:connected", {"callId": call_id})
            assert await alice.refusal(
                "call:quality", {"callId": call_id, "stats": {"address": MARK, "pair": CANDIDATE}}
            )
            bob.socket.get_extra_info("socket").shutdown(2)
        await alice.hear("call:peer-reconnecting")
        await alice.say("ice:candidate", {"candidate": CANDIDATE, "to": BOB})
        async with joined(connect, BOB) as bob:
            await bob.hear("ice:candidate")
            async with joined(connect, SHY) as stranger:
                assert await stranger.refusal("call:accept", {"callId": call_id, "from": ALICE}) == "call_not_found"
                relay = {"candidate": CANDIDATE, "from": ALICE, "to": BOB}
                assert await stranger.refusal("ice:candidate", relay) == "unauthorized"
            await alice.say("call:end", {"callId": call_id})
            await bob.hear("call:ended")


async def refused_calls(connect: Connect, backend: Backend) -> None:
    async with joined(connect, ALICE) as alice, joined(connect, SHY):
        place = {"callType": "audio"}
        assert await alice.refusal("call:initiate", {"to": SHY, **place}) == "not_allowed"
        assert await alice.refusal("call:initiate", {"to": NOBODY, **place}) == "user_not_found"
        assert await alice.refusal("call:initiate", {"to": ALICE, **place}) == "self_call"
        assert await alice.refusal("call:initiate", {"to": [MARK], "callType": MARK}) == "invalid_payload"
        assert await alice.refusal("call:initiate", {"to": BROKEN, **place}) == "internal"
        assert await alice.refusal("user:status", {"userId": BROKEN}) == "internal"
        assert await alice.refusal("call:end", {"callId": "no-such-call"}) == "call_not_found"
        backend.answer = answer_with(http(MARK.encode(), "500 Internal Server Error"))
        assert await alice.refusal("call:initiate", {"to": BOB, **place}) == "not_allowed"
        codes = [await alice.refusal("call:initiate", {"to": NOBODY, **place}) for _ in range(8)]
        assert codes[-1] == "rate_limited"


async def bad_tokens(connect: Connect) -> None:
    unknown_key = issuer_key("ES256", MARK).token(sub=ALICE)
    private.update(unknown_key.split("."))
    refused = (MARK, token(ALICE, "x" * 40), token(ALICE, lives_s=-1), unknown_key, MARK * 5000)
    for proof, code in zip(
        refused,
        ("token_invalid", "token_invalid", "token_expired", "authentication_unavailable", None),
        strict=True,
    ):
        async with connect(proof) as client:
            if code is None:
                assert await client.close_code() == 1009
            else:
                assert json.loads((await client.packet())[2:])["data"]["code"] == code
    async with joined(connect, BOB) as bob:
        assert await bob.refusal("auth:refresh", {"token": token(ALICE)}) == "unauthorized"
        assert await bob.refusal("auth:refresh", {"token": f"{MARK}.b.c"}) == "token_invalid"
        assert await bob.refusal("user:join", {"userId": ALICE}) == "already_joined"
        await bob.say("auth:refresh", {"token": token(BOB, lives_s=1.5)})
        assert await bob.close_code() == 4001


async def offenders(connect: Connect) -> None:
    for packet in (f'42["call:offer",{{"{MARK}":', f'451-["{MARK}",{{"_placeholder":true,"num":9}}]', f"9{MARK}"):
        async with joined(connect, f"{MARK}-offender") as client:
            await client.socket.send_str(packet)
            assert await client.close_code() is not None
    async with joined(connect, f"{MARK}-flooder") as flooder:
        for _ in range(EVENTS_AN_HOUR + 110):
            await flooder.say("user:status", {"userId": NOBODY})
        assert await flooder.close_code() == 4029


async def sent_away(connect: Connect, server: Server, admin_port: int) -> None:
    url = f"http://127.0.0.1:{admin_port}/admin/users/{ALICE}/connections"
    async with joined(connect, ALICE) as alice, aiohttp.ClientSession() as session:
        for given, status in ((f"{ADMIN_TOKEN}x", 401), (ADMIN_TOKEN, 200)):
            async with session.delete(url, headers={"Authorization": f"Bearer {given}"}) as answer:
                assert answer.status == status
                assert MARK not in await answer.text()
        assert await alice.close_code() is not None
        async with session.post(f"{server.url}/socket.io/?EIO=4&transport=polling&sid={MARK}", data=MARK) as answer:
            assert answer.status == 400
            assert MARK not in await answer.text()


async def who_may_call(asked: Asked) -> bytes:
    return http(json.dumps({"allowed": json.loads(asked.body)["callee"] != SHY}).encode())


async def test_no_mark_comes_out(tmp_path: Path) -> None:
    errors: list[str] = []
    collector = Collector()
    command = ("-m", "tests.scenario.failing_server")
    async with running_backend(f"/{MARK}?key={MARK}") as issuer, running_backend(f"/{MARK}?key={MARK}") as backend:
        issuer.answer = answer_with(http(MARK.encode()))
        backend.answer = who_may_call
        asked = {"AUTH_JWKS_URL": issuer.url, "AUTHORIZE_URL": backend.url}
        settings = {**SETTINGS, **asked, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        admin_port = free_port()
        with running_server(tmp_path, command, **settings, ADMIN_PORT=str(admin_port)) as server:
            async with clients(server, errors) as connect:
                await a_call_with_a_lost_socket(connect)
                await refused_calls(connect, backend)
                await bad_tokens(connect)
                await offenders(connect)
                await sent_away(connect, server, admin_port)
            collector.wait_for("call")
            accept = {"Accept": "application/openmetrics-text"}
            async with aiohttp.ClientSession(headers=accept) as session, session.get(server.metrics_url) as answer:
                scrape = await answer.text()
            server.stop()
    collector.close()
    check(server.log.read_text(), scrape, "".join(str(span) for span in collector.spans), "".join(errors))


def check(log: str, scrape: str, spans: str, errors: str) -> None:
    """That everything was done, that it was told of, and that no mark is in it."""
    for line in (
        "event failed",
        "event refused",
        "call ended",
        "who may call whom",
        "keys of the token",
        "broke a rule",
    ):
        assert line in log, line
    for result in ("returned", "flooding", "token_expired", "dismissed"):
        assert f'"{result}"}} 1.0' in scrape, result
    assert 'authorisations_total{result="unusable"} ' in scrape
    assert "call.setup" in spans
    assert "rate_limited" in errors
    for name, told in {"log": log, "metrics": scrape, "spans": spans, "errors": errors}.items():
        assert [mark for mark in private if mark in told] == [], name


@pytest.fixture(autouse=True)
def _forget_the_private() -> Any:
    before = set(private)
    yield
    private.intersection_update(before)
