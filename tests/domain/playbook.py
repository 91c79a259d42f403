"""Tests of a call that read as transcripts: `>>` is what happens, `<<` is what is expected to come of it.

    assert (
        Playbook(ringing())
        >> Accept(by=BOB)
        << Accepted(to=(ALICE, BOB), call_id=CALL, by="bob")
        << State.CONNECTING
    )

An event that is expected to be illegal is followed by `<< ILLEGAL`. Everything that comes of an event must be
expected, in order. `>> Passes(5)` lets time go by.
"""

import difflib
from typing import Final, NamedTuple, Self

from service.domain.call import Call, IllegalEventError, Party, Policy, State, ring, step
from service.domain.effects import Effect
from service.domain.events import Event, Media
from service.domain.ids import CallId, SessionId, UserId

ALICE: Final = SessionId("alice-1")
ALICE_2: Final = SessionId("alice-2")
BOB: Final = SessionId("bob-1")
BOB_2: Final = SessionId("bob-2")
BOB_3: Final = SessionId("bob-3")
MALLORY: Final = SessionId("mallory-1")
CALL: Final = CallId("c" * 32)
ALICE_ID: Final = UserId("alice")
BOB_ID: Final = UserId("bob")
STARTED_S: Final = 1000.0
RING_S: Final = 30.0
GRACE_S: Final = 10.0


class Passes(NamedTuple):
    """Time goes by."""

    seconds: float


class Illegal:
    """Expected instead of effects: the event is refused, and nothing has changed."""

    def __repr__(self) -> str:
        return "ILLEGAL"


ILLEGAL: Final = Illegal()
Expected = Effect | State | Illegal
Entry = Expected | Event | Passes


def ringing(*, at: tuple[SessionId, ...] = (BOB,), grace_s: float = 0.0) -> Call:
    """A call from Alice that rings at Bob's sessions since `STARTED_S`."""
    policy = Policy(ring_timeout_s=RING_S, reconnect_grace_s=grace_s)
    caller, callee = Party(ALICE_ID, (ALICE,)), Party(BOB_ID, at)
    return ring(CALL, caller, callee, Media.VIDEO, policy, STARTED_S).call


class Playbook:
    """A transcript, checked when its truth is asked for."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.now = STARTED_S
        self._script: list[Entry] = []
        self._checked = True

    def __rshift__(self, entry: Event | Passes) -> Self:
        self._script.append(entry)
        self._checked = False
        return self

    def __lshift__(self, entry: Expected) -> Self:
        self._script.append(entry)
        return self

    def __bool__(self) -> bool:
        self._checked = True
        happened: list[Entry] = []
        for number, entry in enumerate(self._script):
            if isinstance(entry, Passes):
                happened.append(entry)
                self.now += entry.seconds
            elif isinstance(entry, Event):
                happened.append(entry)
                happened.extend(self._apply(entry))
                if State in (type(wanted) for wanted in self._expectations_after(number)):
                    happened.append(self.call.state)
        if happened != self._script:
            raise AssertionError("\n".join(difflib.ndiff(_lines(self._script), _lines(happened))))
        self._script.clear()  # what is added from here on goes on from where the call stands
        return True

    def __del__(self) -> None:
        assert self._checked, "a playbook that nobody asserted"

    def _expectations_after(self, number: int) -> list[Entry]:
        following: list[Entry] = []
        for entry in self._script[number + 1 :]:
            if isinstance(entry, Event | Passes):
                break
            following.append(entry)
        return following

    def _apply(self, event: Event) -> list[Entry]:
        before = self.call
        try:
            done = step(before, event, self.now)
        except IllegalEventError:
            assert self.call is before
            return [ILLEGAL]
        self.call = done.call
        return list(done.effects)


def _lines(script: list[Entry]) -> list[str]:
    return [f"{'>>' if isinstance(entry, Event | Passes) else '<<'} {entry!r}" for entry in script]
