"""A pair of clients that makes one whole call after another and accepts no message but the expected next one."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from bench.load.client import Client, LoadError, event_packet, read_event

CANDIDATES = 5
"""From each side."""

EVENTS_A_CALL = 5 + 2 * CANDIDATES
"""What clients send: initiate, accept, offer, answer, the candidates, end."""

DESCRIPTION = {"type": "offer", "sdp": "v=0\r\n" + "a=rtpmap:96 VP8/90000\r\n" * 84}
"""As JSON it takes about 2 kB."""

CANDIDATE = [
    {"candidate": f"candidate:{n} 1 udp 2113937151 192.0.2.{n} 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
    for n in range(CANDIDATES)
]


class Times(NamedTuple):
    """What the calls of a run took, in seconds."""

    set_up: list[float]
    """From `call:initiate` to the delivery of the answer; at a rate, from when the call was due."""
    relay: list[float]
    """From a candidate's sending to its delivery."""


class Step(NamedTuple):
    """A message that has to come next, what it has to hold, and what follows from it."""

    event: str
    holds: dict[str, Any]
    then: Callable[[], None] | None = None


class Packets(NamedTuple):
    """What a pair says in every call, as it goes out."""

    initiate: bytes
    offer: bytes
    answer: bytes
    from_caller: list[bytes]
    from_callee: list[bytes]

    @classmethod
    def between(cls, caller: str, callee: str) -> "Packets":
        """Of these two."""
        there, back = {"from": caller, "to": callee}, {"from": callee, "to": caller}
        return cls(
            event_packet("call:initiate", {"to": callee, "callType": "video"}),
            event_packet("call:offer", {"offer": DESCRIPTION, **there, "callType": "video"}),
            event_packet("call:answer", {"answer": DESCRIPTION, **back}),
            [event_packet("ice:candidate", {"candidate": candidate, **there}) for candidate in CANDIDATE],
            [event_packet("ice:candidate", {"candidate": candidate, **back}) for candidate in CANDIDATE],
        )


class Side:
    """One client of a pair, and what it still has to hear.

    A message without a call's id is the same in every call. Once its packet was read and found right, the same bytes
    are right in every later call, which costs far less than to read them.
    """

    def __init__(self, client: Client, pair: "Pair") -> None:
        self.client = client
        self.say = client.send
        self.sent_at = [0.0] * CANDIDATES
        self.script: list[Step] = []
        self.position = 0
        self._known: dict[int, bytes] = {}
        self._pair = pair
        client.take = self._take
        client.lost = pair.fail

    def done(self) -> bool:
        """Whether the whole script was heard."""
        return self.position == len(self.script)

    def _take(self, packet: bytes) -> None:
        if packet != self._known.get(self.position) and not self._is_next(packet):
            return
        step = self.script[self.position]
        self.position += 1
        if step.then:
            step.then()
        if self.done():
            self._pair.one_done()

    def _is_next(self, packet: bytes) -> bool:
        event, payload = read_event(packet)
        if not self._pair.calling or self.done():
            self._pair.fail(LoadError(f"{self.client.user} got {event} {payload} after its call"))
            return False
        step = self.script[self.position]
        if event != step.event or any(payload.get(key) != value for key, value in step.holds.items()):
            self._pair.fail(LoadError(f"{self.client.user} expected {step.event}, got {event} {payload}"))
            return False
        if "callId" in payload:
            self._pair.check_call_id(self.client.user, payload["callId"])
        else:
            self._known[self.position] = packet
        return True


class Pair:
    """Caller and callee. `freed` is called after every call, `failed` when something is wrong."""

    def __init__(self, caller: Client, callee: Client) -> None:
        self.freed: Callable[[Pair], None] = _nobody
        self.failed: Callable[[LoadError], None] = _raise
        self.calling = False
        self._times = Times([], [])
        self._since = 0.0
        self._call_id: str | None = None
        self._caller, self._callee = Side(caller, self), Side(callee, self)
        self._packets = Packets.between(caller.user, callee.user)
        self._caller.script = self._caller_script(caller.user, callee.user)
        self._callee.script = self._callee_script(caller.user, callee.user)

    def call(self, since: float, times: Times) -> None:
        """Begin a call that was due at `since` (`time.perf_counter`)."""
        self._since, self._times, self._call_id = since, times, None
        self._caller.position = self._callee.position = 0
        self.calling = True
        self._caller.say(self._packets.initiate)

    def where(self) -> str:
        """What each side waits for, for whoever wonders why nothing happens."""
        sides = (self._caller, self._callee)
        waits = (side.script[side.position].event if not side.done() else "nothing" for side in sides)
        return " and ".join(f"{side.client.user} for {wait}" for side, wait in zip(sides, waits, strict=True))

    async def leave(self) -> None:
        """Close both connections."""
        await self._caller.client.leave()
        await self._callee.client.leave()

    def fail(self, error: LoadError) -> None:
        """Something is wrong: tell whoever runs this pair."""
        self.failed(error)

    def check_call_id(self, user: str, call_id: str) -> None:
        """Every message that names a call names the same one."""
        if self._call_id is None:
            self._call_id = call_id
        elif call_id != self._call_id:
            self.fail(LoadError(f"{user} was told of the call {call_id} in the call {self._call_id}"))

    def one_done(self) -> None:
        """A side has heard everything."""
        if self._caller.done() and self._callee.done():
            self.calling = False
            self.freed(self)

    # --- what follows from what --------------------------------------------------------------------------

    def _caller_script(self, caller: str, callee: str) -> list[Step]:
        return [
            Step("call:initiated", {"to": callee}),
            Step("call:accepted", {"by": callee}, self._offer),
            Step("call:answer", {"from": callee, "answer": DESCRIPTION}, self._answered),
            *self._candidates(callee, self._callee),
            Step("call:ended", {"by": caller}),
        ]

    def _callee_script(self, caller: str, callee: str) -> list[Step]:
        return [
            Step("call:incoming", {"from": caller, "callType": "video"}, self._accept),
            Step("call:accepted", {"by": callee}),
            Step("call:offer", {"from": caller, "offer": DESCRIPTION, "callType": "video"}, self._answer),
            *self._candidates(caller, self._caller),
            Step("call:ended", {"by": caller}),
        ]

    def _candidates(self, sender: str, side: Side) -> list[Step]:
        def arrived(number: int) -> None:
            self._times.relay.append(time.perf_counter() - side.sent_at[number])
            if number == CANDIDATES - 1:
                self._end_when_all_arrived()

        return [
            Step("ice:candidate", {"from": sender, "candidate": CANDIDATE[n]}, lambda n=n: arrived(n))  # type: ignore[misc]
            for n in range(CANDIDATES)
        ]

    def _accept(self) -> None:
        caller = self._caller.client.user
        self._callee.say(event_packet("call:accept", {"callId": self._call_id, "from": caller}))

    def _offer(self) -> None:
        self._caller.say(self._packets.offer)

    def _answer(self) -> None:
        self._callee.say(self._packets.answer)
        _trickle(self._callee, self._packets.from_callee)

    def _answered(self) -> None:
        self._times.set_up.append(time.perf_counter() - self._since)
        _trickle(self._caller, self._packets.from_caller)

    def _end_when_all_arrived(self) -> None:
        sides = (self._caller, self._callee)
        if all(side.position == len(side.script) - 1 for side in sides):
            self._caller.say(event_packet("call:end", {"callId": self._call_id}))


def _trickle(sender: Side, packets: list[bytes]) -> None:
    for number, packet in enumerate(packets):
        sender.sent_at[number] = time.perf_counter()
        sender.say(packet)


def _nobody(_pair: Pair) -> None:
    """Nobody waits for the pair."""


def _raise(error: LoadError) -> None:
    raise error
