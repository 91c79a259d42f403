"""A call that goes on beside a fault, and proof that nothing of it was lost, doubled or overtaken."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from tests.chaos.footprint import Footprint, returned, settled
from tests.interop.raw_client import RawClient, emit, hear, raw_user
from tests.support.server import Server

CANDIDATES_PER_TURN = 5
SDP = "v=0\r\n" + "a=rtpmap:111 opus/48000/2\r\n" * 75  # 2 kB
PACE_S = 0.02
"""Between two turns, so that the call itself is no load."""
TURN_S = 30.0
"""The longest that a turn may take. Only an upper bound, so that a test ends."""


class Party(NamedTuple):
    """One end of a call."""

    client: RawClient
    id: str


class HealthyCall:
    """Two parties that negotiate over and over: offer, answer and numbered candidates both ways.

    Each turn is checked to the letter: what arrives is what was sent, once, in order, and nothing else.
    """

    def __init__(self, caller: Party, callee: Party) -> None:
        self._caller = caller
        self._callee = callee
        self._call_id = ""
        self._turns = 0
        self._stopping = False
        self._progress = asyncio.Condition()
        self._talking: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Ring, accept, and negotiate from here on."""
        caller, callee = self._caller, self._callee
        await emit(caller.client, "call:initiate", {"to": callee.id, "callType": "video"})
        event, incoming = await hear(callee.client)
        self._call_id = incoming["callId"]
        assert (event, incoming["from"]) == ("call:incoming", caller.id)
        assert await hear(caller.client) == ("call:initiated", {"callId": self._call_id, "to": callee.id})
        await emit(callee.client, "call:accept", {"callId": self._call_id, "from": caller.id})
        await self._both_hear("call:accepted", {"callId": self._call_id, "by": callee.id})
        self._talking = asyncio.create_task(self._go_on())

    async def whole_turn(self) -> None:
        """Wait until a turn has passed that began after this was called. Raises what has broken the call."""
        async with self._progress:
            wanted = self._turns + 2
            await self._progress.wait_for(lambda: self._turns >= wanted or self._is_over())
        if self._talking is not None and self._talking.done():
            self._talking.result()

    async def end(self) -> None:
        """Hang up after a last whole turn: the very next thing that both hear, so nothing came twice before it."""
        await self.whole_turn()
        self._stopping = True
        if self._talking is not None:
            await self._talking
        await emit(self._caller.client, "call:end", {"callId": self._call_id})
        await self._both_hear("call:ended", {"callId": self._call_id, "by": self._caller.id, "code": "hangup"})

    async def abandon(self) -> None:
        """Stop wherever it is."""
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.wait({self._talking})

    def _is_over(self) -> bool:
        return self._stopping or self._talking is None

    async def _go_on(self) -> None:
        try:
            while not self._stopping:
                async with asyncio.timeout(TURN_S):
                    await self._relay(self._caller, self._callee, "call:offer")
                    await self._relay(self._callee, self._caller, "call:answer")
                self._turns += 1
                async with self._progress:
                    self._progress.notify_all()
                await asyncio.sleep(PACE_S)
        finally:
            self._stopping = True
            async with self._progress:
                self._progress.notify_all()

    async def _relay(self, sender: Party, receiver: Party, event: str) -> None:
        field = event.removeprefix("call:")
        said: list[tuple[str, dict[str, Any]]] = [
            (event, {field: {"type": field, "sdp": f"{SDP}a=mid:{self._turns}\r\n"}}),
            *(("ice:candidate", {"candidate": f"{self._turns}.{at}"}) for at in range(CANDIDATES_PER_TURN)),
        ]
        if event == "call:offer":
            said[0][1]["callType"] = "video"
        await sender.client.send(*(f"42{json.dumps([name, {**it, 'to': receiver.id}])}" for name, it in said))
        for name, payload in said:
            assert await hear(receiver.client) == (name, {**payload, "from": sender.id})

    async def _both_hear(self, event: str, payload: dict[str, Any]) -> None:
        for party in (self._caller, self._callee):
            assert await hear(party.client) == (event, payload)


@contextlib.asynccontextmanager
async def talking(caller: tuple[RawClient, str], callee: tuple[RawClient, str]) -> AsyncIterator[HealthyCall]:
    """A call between these two, who have joined, beside what happens here."""
    call = HealthyCall(Party(*caller), Party(*callee))
    try:
        await call.begin()
        await call.whole_turn()
        yield call
        await call.end()
    finally:
        await call.abandon()


@contextlib.asynccontextmanager
async def healthy_call(server: Server) -> AsyncIterator[HealthyCall]:
    """A call beside what happens here. Once all is over, the server holds what it held before."""
    before: Footprint = await settled(server)
    async with (
        raw_user(server.url, "websocket", "well-caller") as caller,
        raw_user(server.url, "websocket", "well-callee") as callee,
        talking(caller, callee) as call,
    ):
        yield call
    await returned(server, before)
