"""The script of one simulated call: both parties do what was planned, and what came of it is reported."""

import random
import time
from typing import Any, NamedTuple

from synthetic import payloads
from synthetic.client import CallOverError, Client, GoneError, RefusedError, SyntheticError
from synthetic.dialogue import Exchange, Pair, code_of_end, same
from synthetic.plan import Kind, PlannedCall, Side
from synthetic.together import together

INTERRUPTED = "interrupted"
"""The server closed a connection or ended the call for reasons of its own."""

BROKEN = "broken"
"""A step was refused, or did not happen in time."""

STOPPED = "stopped"
"""The simulation was ended before the call was."""

SETTLE_S = 1.0

REPORT_EVERY_S = 10.0
"""How often a client says how its media fares, as the client guide has it. A shorter talk has one report."""

KIND_OF_CODE = {
    "hangup": Kind.ANSWERED,
    "rejected": Kind.REJECTED,
    "no_answer": Kind.UNANSWERED,
    "cancelled": Kind.CANCELLED,
    "busy": Kind.BUSY,
    "connection_lost": Kind.LOST,
    "failed": Kind.FAILED,
}


class Limits(NamedTuple):
    """How long a script waits, in seconds: for each step, and for what the server does in its own time."""

    step_s: float = 10.0
    patience_s: float = 120.0


class Played(NamedTuple):
    """What came of a call. `setup_s` is the time to media on both sides, without the ringing."""

    observed: str
    setup_s: float | None = None
    problem: str | None = None


async def play(call: PlannedCall, caller: Client, callee: Client, limits: Limits) -> Played:
    """Play a call to its end. Never raises a `SyntheticError`: that is an outcome."""
    script = _Script(call, Pair(caller, callee, limits.step_s), limits)
    try:
        code = await script.run()
        return Played(KIND_OF_CODE.get(code, code), script.setup_s)
    except SyntheticError as error:
        cause = await _cause(error, script)
        return Played(_observed(cause, script), script.setup_s, str(cause))


async def _cause(error: SyntheticError, script: "_Script") -> SyntheticError:
    """A refusal can be the first sign of an end, or of a lost connection, whose own sign is still on its way."""
    if isinstance(error, RefusedError) and script.cut_off is None:
        try:
            await together(script.pair.caller.stay(SETTLE_S), script.pair.callee.stay(SETTLE_S))
        except SyntheticError as cause:
            return cause
    return error


def _observed(error: SyntheticError, script: "_Script") -> str:
    parties = (script.pair.caller, script.pair.callee)
    if isinstance(error, GoneError) or not all(party.connected or party is script.cut_off for party in parties):
        return INTERRUPTED
    if not isinstance(error, CallOverError):
        return BROKEN
    return INTERRUPTED if error.code in ("server_shutdown", "connection_lost", "replaced") else _kind(error.code)


def _kind(code: str) -> str:
    return KIND_OF_CODE.get(code, BROKEN)


class _Script:
    def __init__(self, call: PlannedCall, pair: Pair, limits: Limits) -> None:
        self.call = call
        self.pair = pair
        self.setup_s: float | None = None
        self.cut_off: Client | None = None
        self._limits = limits
        self._chance = random.Random(call.payload_seed)  # noqa: S311 - traffic, not cryptography
        self._rang_for_s = 0.0

    async def run(self) -> str:
        """Returns the code that the call ended with."""
        if self.call.asks_status:
            await self._ask_status()
        started_at = time.perf_counter()
        call_id = await (self._meet() if self.call.glare else self.pair.ring(self.call.media))
        match self.call.kind:
            case Kind.UNANSWERED:
                return await self.pair.ending(self._limits.patience_s)
            case Kind.REJECTED | Kind.BUSY | Kind.CANCELLED:
                return await self._decline(call_id)
            case Kind.LOST if self.call.lost_while_ringing and self._acting().is_noticed_at_once:
                await self._ring_on()
                return await self._lose()
        if not self.call.glare:
            await self._ring_on()
            await self.pair.accept(call_id)
        return await self._talk(call_id, started_at)

    async def _ask_status(self) -> None:
        caller, user = self.pair.caller, self.pair.callee.user
        status = await caller.request("user:status", {"userId": user}, self._limits.step_s)
        same(status, {"userId": user, "isOnline": True, "isInCall": False}, "user:status")

    async def _meet(self) -> str:
        """Both call each other at once. Who is the caller is the server's choice, so the parties may change places."""
        first, second = self.pair.caller, self.pair.callee
        acks = await together(
            *(
                client.request("call:initiate", {"to": peer.user, "callType": self.call.media}, self._limits.step_s)
                for client, peer in ((first, second), (second, first))
            )
        )
        call_id = str(acks[0]["callId"])
        same(acks[1], {"callId": call_id}, "the second call:initiate")
        heard = await together(
            *(client.expect("call:accepted", timeout_s=self._limits.step_s) for client in (first, second))
        )
        if heard[0].data.get("by") == first.user:
            self.pair = self.pair._replace(caller=second, callee=first)
        return call_id

    async def _ring_on(self) -> None:
        started_at = time.perf_counter()
        await self._stay(self.call.ring_s)
        self._rang_for_s = time.perf_counter() - started_at

    async def _stay(self, seconds: float) -> None:
        await together(self.pair.caller.stay(seconds), self.pair.callee.stay(seconds))

    async def _decline(self, call_id: str) -> str:
        await self._ring_on()
        if self.call.kind is Kind.CANCELLED:
            return await self.pair.end(self.pair.caller, "call:end", {"callId": call_id})
        payload = {"callId": call_id, "from": self.pair.caller.user}
        if self.call.kind is Kind.BUSY:
            payload["code"] = "busy"
        return await self.pair.end(self.pair.callee, "call:reject", payload)

    async def _talk(self, call_id: str, started_at: float) -> str:
        await self._negotiate(self.pair.caller, self.pair.callee)
        if self.call.kind is Kind.FAILED:
            await self.pair.report(call_id, payloads.failure(self._chance), payloads.failure(self._chance))
            return await self.pair.end(self._acting(), "call:end", {"callId": call_id, "code": "failed"})
        way = payloads.route(self._chance)
        await self.pair.connected(call_id)
        self.setup_s = time.perf_counter() - started_at - self._rang_for_s
        await self._report(call_id, way, {"ice": "connected"})
        if self.call.restart_by is None:
            await self._converse(call_id, way, self.call.talk_s)
        else:
            await self._converse(call_id, way, self.call.talk_s / 2)
            offerer = self._party(self.call.restart_by)
            await self._negotiate(offerer, self._other(offerer))
            await self._converse(call_id, way, self.call.talk_s / 2)
        if self.call.kind is Kind.LOST:
            return await self._lose()
        return await self.pair.end(self._acting(), "call:end", {"callId": call_id})

    async def _converse(self, call_id: str, way: payloads.Route, seconds: float) -> None:
        """Talk, and report on the media meanwhile."""
        while seconds > 0:
            await self._stay(min(seconds, REPORT_EVERY_S))
            seconds -= REPORT_EVERY_S
            await self._report(call_id, way, {})

    async def _report(self, call_id: str, way: payloads.Route, more: dict[str, Any]) -> None:
        caller, callee = (
            {**more, "pair": payloads.pair(way, caller=side), **payloads.measures(self._chance, way, self.call.media)}
            for side in (True, False)
        )
        await self.pair.report(call_id, caller, callee)

    async def _negotiate(self, offerer: Client, answerer: Client) -> None:
        exchange = Exchange(offerer, answerer, self.call.media, self._limits.step_s)
        await exchange.offer(self._chance)
        await exchange.answer(self._chance)
        await exchange.candidates(self._chance, self.call.caller_candidates, self.call.callee_candidates)

    async def _lose(self) -> str:
        """One party vanishes. It stays away until the server has ended the call, however long that takes."""
        self.cut_off = self._acting()
        await self.cut_off.cut()
        return await code_of_end(self._other(self.cut_off), self._limits.patience_s)

    def _party(self, side: Side) -> Client:
        return self.pair.caller if side is Side.CALLER else self.pair.callee

    def _other(self, client: Client) -> Client:
        return self.pair.callee if client is self.pair.caller else self.pair.caller

    def _acting(self) -> Client:
        return self._party(self.call.acting)
