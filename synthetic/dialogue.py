"""The parts of a call that both scripts play: ring, answer, negotiate, connect, hang up.

Each part checks that what one party sends is what the other receives.
"""

import random
from collections.abc import Iterable
from typing import Any, NamedTuple

from synthetic import payloads
from synthetic.client import ENDINGS, Client, SyntheticError
from synthetic.together import together


class ChangedError(SyntheticError):
    """What arrived is not what should have."""


class Pair(NamedTuple):
    """The two parties of one call. `timeout_s` bounds every single step."""

    caller: Client
    callee: Client
    timeout_s: float

    async def ring(self, media: str) -> str:
        """Place the call and see it ring; returns its id."""
        ack = await self.caller.request("call:initiate", {"to": self.callee.user, "callType": media}, self.timeout_s)
        incoming = (await self.callee.expect("call:incoming", timeout_s=self.timeout_s)).data
        same(incoming, {"from": self.caller.user, "callType": media, "callId": ack["callId"]}, "call:incoming")
        return str(ack["callId"])

    async def accept(self, call_id: str) -> None:
        """Answer, and see that both hear of it."""
        answer = {"callId": call_id, "from": self.caller.user}
        await self.callee.request("call:accept", answer, self.timeout_s)
        for heard in await together(*(self._accepted(client) for client in (self.caller, self.callee))):
            same(heard, {"callId": call_id, "by": self.callee.user}, "call:accepted")

    async def connected(self, call_id: str) -> None:
        """Both say that media flows."""
        await together(
            *(
                client.request("call:connected", {"callId": call_id}, self.timeout_s)
                for client in (self.caller, self.callee)
            )
        )

    async def report(self, call_id: str, caller: dict[str, Any], callee: dict[str, Any]) -> None:
        """Both say how their media fares."""
        await together(
            *(
                client.request("call:quality", {"callId": call_id, "stats": stats}, self.timeout_s)
                for client, stats in ((self.caller, caller), (self.callee, callee))
            )
        )

    async def end(self, by: Client, event: str, payload: dict[str, Any]) -> str:
        """One party ends the call; returns the code that both hear."""
        await by.request(event, payload, self.timeout_s)
        return await self.ending(self.timeout_s)

    async def ending(self, timeout_s: float) -> str:
        """Wait for the end that the server tells both of; returns its code."""
        first, second = await together(*(code_of_end(client, timeout_s) for client in (self.caller, self.callee)))
        if first != second:
            raise ChangedError(f"one party heard the code {first}, the other {second}")
        return first

    async def _accepted(self, client: Client) -> dict[str, Any]:
        return (await client.expect("call:accepted", timeout_s=self.timeout_s)).data


class Exchange(NamedTuple):
    """One offer, its answer and the candidates of both: the first negotiation, or an ICE restart."""

    offerer: Client
    answerer: Client
    media: str
    timeout_s: float

    async def offer(self, chance: random.Random) -> None:
        """Send an offer, and see it arrive unchanged."""
        offer = payloads.description(chance, "offer", self.media)
        message = {"offer": offer, "from": self.offerer.user, "to": self.answerer.user, "callType": self.media}
        await self.offerer.request("call:offer", message, self.timeout_s)
        same((await self.answerer.expect("call:offer", timeout_s=self.timeout_s)).data, {"offer": offer}, "call:offer")

    async def answer(self, chance: random.Random) -> None:
        """Send the answer, and see it arrive unchanged."""
        answer = payloads.description(chance, "answer", self.media)
        message = {"answer": answer, "from": self.answerer.user, "to": self.offerer.user}
        await self.answerer.request("call:answer", message, self.timeout_s)
        arrived = await self.offerer.expect("call:answer", timeout_s=self.timeout_s)
        same(arrived.data, {"answer": answer}, "call:answer")

    async def candidates(self, chance: random.Random, from_offerer: int, from_answerer: int) -> None:
        """Trickle candidates both ways, and see them arrive unchanged and in order."""
        forth = [payloads.candidate(chance, number) for number in range(from_offerer)]
        back = [payloads.candidate(chance, number) for number in range(from_answerer)]
        await together(
            self._trickle(self.offerer, self.answerer, forth), self._trickle(self.answerer, self.offerer, back)
        )

    async def _trickle(self, sender: Client, receiver: Client, candidates: Iterable[dict[str, Any]]) -> None:
        for candidate in candidates:
            await sender.send("ice:candidate", {"candidate": candidate, "from": sender.user, "to": receiver.user})
        for candidate in candidates:
            arrived = await receiver.expect("ice:candidate", timeout_s=self.timeout_s)
            same(arrived.data, {"candidate": candidate, "from": sender.user}, "ice:candidate")


async def code_of_end(client: Client, timeout_s: float) -> str:
    """The code of the call's end, as this party hears it."""
    return str((await client.expect(*ENDINGS, timeout_s=timeout_s)).data.get("code", "no code"))


def same(arrived: dict[str, Any], expected: dict[str, Any], event: str) -> None:
    """Check the fields that are expected of an event.

    Raises:
        ChangedError: names the event and the field, and not what is in it.
    """
    for field, value in expected.items():
        if arrived.get(field) != value:
            raise ChangedError(f"{event} arrived with another {field}")
