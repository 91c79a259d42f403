"""Who may call whom, and what those learn who may not."""

import pytest

from service.domain.effects import Initiated, StatusReport
from service.domain.events import Media
from service.domain.ids import UserId
from service.domain.requests import Initiate, Status
from service.errors import (
    AlreadyInCallError,
    NotAllowedError,
    NotJoinedError,
    SelfCallError,
    SignallingError,
    UserNotAvailableError,
    UserNotFoundError,
)
from service.ports import Authoriser
from tests.control.harness import Rig

ALICE, BOB, CAROL, NOBODY = UserId("alice"), UserId("bob"), UserId("carol"), UserId("nobody")


class Blocked(Authoriser):
    """Nobody may call those in `by`."""

    def __init__(self, *by: UserId) -> None:
        self.by = set(by)
        self.asked: list[tuple[UserId, UserId]] = []

    async def may_call(self, caller: UserId, callee: UserId) -> bool:
        self.asked.append((caller, callee))
        return callee not in self.by


def rig(authoriser: Authoriser, *, hide_presence: bool = False) -> Rig:
    return Rig(authoriser=authoriser, hide_presence=hide_presence)


async def refusal(rig: Rig, caller: str, callee: UserId, socket: str = "1") -> type[SignallingError] | None:
    session = rig.sessions[f"{caller}-{socket}"]
    try:
        await rig.ask(session, Initiate(callee, Media.AUDIO))
    except SignallingError as error:
        return type(error)
    return None


async def test_who_may_calls_and_is_asked_about_once() -> None:
    rules = Blocked()
    node = rig(rules)
    alice, bob = await node.join(ALICE), await node.join(BOB)
    node.take(alice)
    assert await refusal(node, ALICE, BOB) is None
    assert isinstance(node.take(alice)[0], Initiated)
    assert len(node.take(bob)) == 2
    assert rules.asked == [(ALICE, BOB)]


async def test_who_may_not_is_told_so_and_the_callee_hears_nothing() -> None:
    node = rig(Blocked(BOB))
    alice, bob = await node.join(ALICE), await node.join(BOB)
    node.heard.clear()
    assert await refusal(node, ALICE, BOB) is NotAllowedError
    assert node.take(alice) == node.take(bob) == []
    assert node.watch.steps == []


async def test_the_callee_of_a_call_needs_no_leave_to_meet_his_caller() -> None:
    node = rig(Blocked(ALICE))
    await node.join(ALICE)
    await node.join(BOB)
    assert await refusal(node, ALICE, BOB) is None
    assert await refusal(node, BOB, ALICE) is None


async def test_what_happens_while_the_backend_is_asked_counts() -> None:
    class MeanwhileCarolCalls(Authoriser):
        async def may_call(self, caller: UserId, callee: UserId) -> bool:
            if caller == ALICE and not (await node.directory.presence(BOB)).call:
                await node.call(carol, BOB)
            return True

    node = rig(MeanwhileCarolCalls())
    await node.join(ALICE)
    await node.join(BOB)
    carol = await node.join(CAROL)
    assert await refusal(node, ALICE, BOB) is UserNotAvailableError


@pytest.mark.parametrize("hide_presence", [False, True])
async def test_what_a_caller_knows_of_himself_is_said_first(*, hide_presence: bool) -> None:
    rules = Blocked(ALICE, BOB)
    node = rig(rules, hide_presence=hide_presence)
    node.sessions["stranger-1"] = node.connect("stranger-1")
    await node.join(ALICE)
    await node.join(BOB)
    await node.join(CAROL)
    assert await refusal(node, "stranger", BOB) is NotJoinedError
    assert await refusal(node, ALICE, ALICE) is SelfCallError
    assert await refusal(node, ALICE, CAROL) is None
    rules.asked.clear()
    assert await refusal(node, ALICE, BOB) is AlreadyInCallError
    assert await refusal(node, ALICE, NOBODY) is AlreadyInCallError
    assert rules.asked == []


async def test_hidden_presence_makes_blocked_offline_and_unknown_one() -> None:
    rules = Blocked(BOB)
    node = rig(rules, hide_presence=True)
    for name in (ALICE, BOB, CAROL):
        await node.join(name)
    await node.leave(node.sessions["carol-1"])
    node.heard.clear()
    assert {await refusal(node, ALICE, callee) for callee in (BOB, CAROL, NOBODY)} == {UserNotFoundError}
    assert node.heard == []
    assert rules.asked == [(ALICE, BOB), (ALICE, CAROL), (ALICE, NOBODY)]


async def test_hidden_presence_hides_the_calls_of_those_who_blocked() -> None:
    rules = Blocked()
    node = rig(rules, hide_presence=True)
    for name in (ALICE, BOB, CAROL):
        await node.join(name)
    assert await refusal(node, CAROL, BOB) is None
    assert await refusal(node, ALICE, BOB) is UserNotAvailableError
    rules.by.add(BOB)
    assert await refusal(node, ALICE, BOB) is UserNotFoundError


@pytest.mark.parametrize(
    ("hide_presence", "seen"),
    [
        (False, {"stranger": (True, True), ALICE: (True, True), BOB: (True, True), CAROL: (True, True)}),
        (True, {"stranger": (False, False), ALICE: (False, False), BOB: (True, True), CAROL: (True, True)}),
    ],
)
async def test_who_sees_that_somebody_is_online(*, hide_presence: bool, seen: dict[str, tuple[bool, bool]]) -> None:
    """Bob is in a call with Carol, who may call him, and Alice may not."""

    class OnlyCarol(Authoriser):
        async def may_call(self, caller: UserId, callee: UserId) -> bool:
            return (caller, callee) == (CAROL, BOB)

    node = rig(OnlyCarol(), hide_presence=hide_presence)
    node.sessions["stranger-1"] = node.connect("stranger-1")
    for name in (ALICE, BOB, CAROL):
        await node.join(name)
    assert await refusal(node, CAROL, BOB) is None
    for asker, shown in seen.items():
        report = (await node.ask(node.sessions[f"{asker}-1"], Status(BOB))).confirmation
        assert isinstance(report, StatusReport)
        assert (report.online, report.in_call) == shown


async def test_hidden_presence_is_hidden_from_sockets_that_have_not_joined_whatever_the_rules_are() -> None:
    rules = Blocked()
    node = rig(rules, hide_presence=True)
    stranger = node.connect("stranger-1")
    await node.join(BOB)
    report = (await node.ask(stranger, Status(BOB))).confirmation
    assert isinstance(report, StatusReport)
    assert not report.online
    assert rules.asked == []
