"""Two real WebRTC endpoints complete an audio call through the server: offer, answer, candidates, ICE, DTLS, media."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

from tests.interop.py_client import PyClient, py_client
from tests.support.server import Server

PATIENCE_S = 15.0
FRAMES = 10


class Endpoint:
    """A peer connection that signals through a client of the server."""

    def __init__(self, client: PyClient, peer: str) -> None:
        self.client = client
        self.peer = peer
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.connection.addTrack(AudioStreamTrack())
        self.connected = asyncio.Event()
        self.track: asyncio.Future[MediaStreamTrack] = asyncio.get_running_loop().create_future()
        self.connection.on("track", self.track.set_result)
        self.connection.on("connectionstatechange", self._on_state)

    def _on_state(self) -> None:
        if self.connection.connectionState == "connected":
            self.connected.set()

    async def send(self, event: str, field: str, value: object) -> None:
        """Relay something to the peer."""
        assert await self.client.ask(event, {field: value, "from": self.client.name, "to": self.peer}) == {"ok": True}

    async def send_description(self, kind: str) -> None:
        """Send the local description without its candidates, and these after it one by one."""
        local = self.connection.localDescription
        lines = local.sdp.splitlines(keepends=True)
        candidates = [line for line in lines if line.startswith("a=candidate:")]
        assert candidates
        bare = "".join(line for line in lines if line not in candidates and not line.startswith("a=end-of-candidates"))
        await self.send(f"call:{kind}", kind, {"type": local.type, "sdp": bare})
        for line in candidates:
            candidate = {"candidate": line.strip().removeprefix("a="), "sdpMid": "0", "sdpMLineIndex": 0}
            await self.send("ice:candidate", "candidate", candidate)
        await self.send("ice:candidate", "candidate", None)

    async def take_description(self, kind: str) -> None:
        """Take the peer's description."""
        event, payload = await self.client.next()
        assert (event, payload["from"]) == (f"call:{kind}", self.peer)
        await self.connection.setRemoteDescription(RTCSessionDescription(**payload[kind]))

    async def take_candidates(self) -> None:
        """Take the peer's candidates, to the last."""
        while True:
            event, payload = await self.client.next()
            assert (event, payload["from"]) == ("ice:candidate", self.peer)
            init = payload["candidate"]
            if init is None:
                await self.connection.addIceCandidate(None)
                return
            candidate = candidate_from_sdp(init["candidate"].removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = init["sdpMid"], init["sdpMLineIndex"]
            await self.connection.addIceCandidate(candidate)

    async def hear_audio(self) -> None:
        """Receive decoded audio of the peer."""
        async with asyncio.timeout(PATIENCE_S):
            await self.connected.wait()
            track = await self.track
            assert track.kind == "audio"
            for _ in range(FRAMES):
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                assert frame.samples > 0

    async def rtp_received(self) -> int:
        """How many RTP packets have come from the peer."""
        report: dict[str, Any] = await self.connection.getStats()
        return sum(stats.packetsReceived for stats in report.values() if stats.type == "inbound-rtp")


@contextlib.asynccontextmanager
async def endpoint(client: PyClient, peer: str) -> AsyncIterator[Endpoint]:
    """An endpoint that is closed in the end."""
    opened = Endpoint(client, peer)
    try:
        yield opened
    finally:
        await opened.connection.close()


async def place_call(caller: PyClient, callee: PyClient) -> str:
    """Ring and accept."""
    call_id = str((await caller.ask("call:initiate", {"to": callee.name, "callType": "audio"}))["callId"])
    assert await callee.next() == ("call:incoming", {"from": caller.name, "callType": "audio", "callId": call_id})
    assert await caller.next() == ("call:initiated", {"callId": call_id, "to": callee.name})
    await callee.emit("call:accept", {"callId": call_id, "from": caller.name})
    for client in (caller, callee):
        assert await client.next() == ("call:accepted", {"callId": call_id, "by": callee.name})
    return call_id


async def test_audio_flows_both_ways(server: Server) -> None:
    async with (
        py_client(server.url, "websocket", "alice") as alice,
        py_client(server.url, "websocket", "bob") as bob,
        endpoint(alice, bob.name) as caller,
        endpoint(bob, alice.name) as callee,
    ):
        call_id = await place_call(alice, bob)
        await caller.connection.setLocalDescription(await caller.connection.createOffer())
        await caller.send_description("offer")
        await callee.take_description("offer")
        await callee.connection.setLocalDescription(await callee.connection.createAnswer())
        await callee.send_description("answer")
        await caller.take_description("answer")
        await asyncio.gather(caller.take_candidates(), callee.take_candidates())
        await asyncio.gather(caller.hear_audio(), callee.hear_audio())
        for side in (caller, callee):
            assert await side.rtp_received() >= FRAMES
            assert await side.client.ask("call:connected", {"callId": call_id}) == {"ok": True}
        ended = {"callId": call_id, "by": alice.name, "code": "hangup"}
        assert await alice.ask("call:end", {"callId": call_id}) == {"ok": True, **ended}
        for client in (alice, bob):
            assert await client.next() == ("call:ended", ended)
