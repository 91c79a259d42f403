"""What is said of a call: verdicts, facts, and the ladder that people read."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import get_args

import pytest
from msgspec.structs import replace

from observability.catalogue import END_REASONS, Fault
from observability.explanation import VERDICTS
from observability.recent import RecentCalls
from observability.record import CallRecord
from service.domain.call import Call, Party, State
from service.domain.effects import Reason
from service.domain.events import Media
from service.domain.ids import CallId, SessionId, UserId
from service.protocol.admin import Explanation, HandledEvent, LiveCall
from service.transport.ladder import ladder
from service.transport.link import CloseReason
from tests.observability.node import Client, ObservedNode

NAMES = ("alice", "bob")


@pytest.fixture
async def stage() -> AsyncIterator[tuple[ObservedNode, Client, Client]]:
    node = ObservedNode(reconnect_grace_s=5, admin_token="t" * 32)
    yield node, node.join("alice"), node.join("bob")
    node.close()


def told(node: ObservedNode, call_id: str) -> Explanation:
    explanation = node.telemetry.explain(CallId(call_id))
    assert explanation is not None
    return explanation


Act = Callable[[ObservedNode, Client, Client], Awaitable[str]]


async def ringing(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = node.call(alice, "bob")
    await node.passes(3)
    return call_id


async def answered(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await ringing(node, alice, bob)
    bob.say("call:accept", callId=call_id)
    await node.passes(1)
    return call_id


async def connected(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await node.connected_call(alice, bob, NAMES)
    await node.passes(10)
    return call_id


async def cancelled(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await ringing(node, alice, bob)
    alice.say("call:end", callId=call_id)
    return call_id


async def rejected(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await ringing(node, alice, bob)
    bob.say("call:reject", callId=call_id)
    return call_id


async def busy(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await ringing(node, alice, bob)
    bob.say("call:reject", callId=call_id, code="busy")
    return call_id


async def no_answer(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = node.call(alice, "bob")
    await node.passes(30)
    return call_id


async def gave_up(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await answered(node, alice, bob)
    alice.say("call:end", callId=call_id)
    return call_id


async def before_media(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await answered(node, alice, bob)
    bob.say("call:answer", answer={"sdp": "x"}, to="alice")
    bob.say("call:end", callId=call_id)
    return call_id


async def hung_up(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await connected(node, alice, bob)
    bob.say("call:end", callId=call_id)
    return call_id


async def failed(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await answered(node, alice, bob)
    alice.say("call:quality", callId=call_id, stats={"ice": "failed", "failedIn": "checking"})
    alice.say("call:end", callId=call_id, code="failed")
    return call_id


async def failed_somehow(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await answered(node, alice, bob)
    alice.say("call:quality", callId=call_id, stats={"ice": "failed"})
    alice.say("call:end", callId=call_id, code="failed")
    return call_id


async def lost(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await connected(node, alice, bob)
    alice.gone()
    await node.passes(5)
    return call_id


async def left(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await connected(node, alice, bob)
    bob.gone(CloseReason.GOODBYE)
    return call_id


async def stopped(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await connected(node, alice, bob)
    await node.service.control.shut_down()
    return call_id


async def ended_by_operator(node: ObservedNode, alice: Client, bob: Client) -> str:
    call_id = await connected(node, alice, bob)
    assert await node.service.control.end(CallId(call_id))
    return call_id


@pytest.mark.parametrize(
    ("act", "verdict", "ended_by"),
    [
        (ringing, "It rings, for 3.0 s so far.", None),
        (answered, "It was answered; no client says yet that media flows.", None),
        (connected, "Media flows, as the clients say.", None),
        (cancelled, "The caller gave up after 3.0 s, before the answer.", "caller"),
        (rejected, "The callee declined after 3.0 s.", "callee"),
        (busy, "The callee was engaged in something else.", "callee"),
        (no_answer, "Nobody answered within 30.0 s.", "server"),
        (
            gave_up,
            "The caller gave up an answered call whose offer had no answer: a client failed to negotiate.",
            "caller",
        ),
        (before_media, "The callee hung up after the answer, before any client said that media flows.", "callee"),
        (hung_up, "The callee hung up after 10.0 s of media: a normal call.", "callee"),
        (failed, "The caller reported that no media came about; ICE failed (checking).", "caller"),
        (failed_somehow, "The caller reported that no media came about; ICE failed.", "caller"),
        (lost, "The caller lost its connection while the call was connected, and was not back in time.", "caller"),
        (left, "The callee left without hanging up while the call was connected.", "callee"),
        (stopped, "This node stopped and could not hand the call over.", "server"),
        (ended_by_operator, "Those who run the service ended it after 12.8 s, while it was connected.", "operator"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
async def test_the_verdict(
    stage: tuple[ObservedNode, Client, Client], act: Act, verdict: str, ended_by: str | None
) -> None:
    node, alice, bob = stage
    call_id = await act(node, alice, bob)
    now = told(node, call_id)
    assert (now.verdict, now.ended_by) == (verdict, ended_by)
    assert now.verdict in ladder(now).splitlines()
    await node.passes(60 if ended_by else 0)
    assert told(node, call_id) == now  # also from among the recent ones


LADDER = """\
video call {call_id}: ended, hangup by callee, fault none
The callee hung up after 13.0 s of media: a normal call.
placed {placed_at}, lasted 15.750 s, 0.0 ms of the set-up in this node

     at s  caller                    |  this node   |callee
    0.000  call:initiate ----------> |              |                            ok, 0.0 ms
    0.000                            |   ringing    |
    2.000                            |              | <------------ call:accept  ok, 0.0 ms
    2.000  call:offer -------------> |              |                            ok, 0.0 ms
    2.000  ice:candidate ----------> |              |                            3 in all until 2.000
    2.000                            |   answered   |
    2.500                            |              | <------------ call:answer  ok, 0.0 ms
    2.500                            |              | <---------- ice:candidate  1 in all
    2.500                            |  negotiated  |
    2.750  call:connected ---------> |              |                            ok, 0.0 ms
    2.750                            |  connected   |
   12.750                            |              |                    (lost)
   14.750                            |              | <-------------- user:join  ok, 0.0 ms
   14.750  call:offer -------------> |              |                            ok, 0.0 ms
   14.750                            |              |                    (back)  after 2.000 s
   14.750                            |renegotiation |                            the caller's
   15.750                            |              | <--------------- call:end  ok, 0.0 ms
   15.750                            |    ended     |

phases: ring_delivery 0.000 s, ringing 2.000 s, negotiation 0.500 s, media 0.250 s
media, as the caller says: 2 reports, ICE connected, path relay, round trip 75.0 ms (worst 100.0 ms)
media, as the callee says: 1 report, jitter 5.0 ms (worst 5.0 ms), loss 2.0% (worst 2.0%)
"""


async def test_a_long_call_as_people_read_it(stage: tuple[ObservedNode, Client, Client]) -> None:
    node, alice, bob = stage
    call_id = await connected(node, alice, bob)
    bob.gone()
    await node.passes(2)
    bob = node.join("bob")
    alice.say("call:offer", offer={"sdp": "again"}, to="bob")
    pair = {"local": "relay", "remote": "host", "protocol": "udp"}
    alice.say("call:quality", callId=call_id, stats={"ice": "connected", "pair": pair, "roundTripTime": 0.05})
    alice.say("call:quality", callId=call_id, stats={"roundTripTime": 0.1})
    bob.say("call:quality", callId=call_id, stats={"jitter": 0.005, "fractionLost": 0.02})
    await node.passes(1)
    bob.say("call:end", callId=call_id)
    explanation = told(node, call_id)
    assert ladder(explanation) == LADDER.format(call_id=call_id, placed_at=explanation.placed_at)


async def test_what_the_head_says_of_a_cluster_of_glare_and_of_too_many_events(
    stage: tuple[ObservedNode, Client, Client],
) -> None:
    node, alice, bob = stage
    node.telemetry.node = "eu-1"
    call_id = node.call(alice, "bob")
    bob.say("call:initiate", to="alice", callType="video")
    for _ in range(70):
        alice.say("call:offer", offer={"sdp": "x"}, to="bob")
    explanation = told(node, call_id)
    assert explanation.glare
    text = ladder(explanation)
    assert "as node eu-1 saw it; if the other party is on another node, ask that one too" in text
    assert "glare: both had called each other, and got one call" in text
    assert f"and {explanation.events_not_kept} events more, which were not kept" in text
    assert explanation.events_not_kept == 8


async def test_an_event_that_waited_says_so(stage: tuple[ObservedNode, Client, Client]) -> None:
    waited = HandledEvent(0.5, None, "call:end", "call_not_found", 0.0125, 0.002)
    explanation = replace(told(stage[0], await ringing(*stage)), events=(waited,))
    assert "call_not_found, 2.0 ms, waited 12.5 ms" in ladder(explanation)


async def test_a_call_that_another_node_has_ended(stage: tuple[ObservedNode, Client, Client]) -> None:
    node, alice, bob = stage
    call_id = await connected(node, alice, bob)
    node.telemetry.ledger.close()  # the record is settled, and nobody has told of an end
    explanation = told(node, call_id)
    assert (
        explanation.verdict == "It is over for this node, and another node ended it or goes on with it: ask that one."
    )
    assert explanation.fault is explanation.reason is explanation.ended_in is None
    assert explanation.lasted_s == 2.75  # until the last that was seen


async def test_nothing_is_said_of_an_unknown_call(stage: tuple[ObservedNode, Client, Client]) -> None:
    assert stage[0].telemetry.explain(CallId("0" * 32)) is None


async def test_ended_calls_are_forgotten_where_nobody_can_ask(node: ObservedNode) -> None:
    call_id = await cancelled(node, node.join("alice"), node.join("bob"))
    assert told(node, call_id).reason == "cancelled"
    await node.passes(2)
    assert node.telemetry.explain(CallId(call_id)) is None


def test_only_the_last_ones_are_kept() -> None:
    recent = RecentCalls(at_most=2)
    party = Party(UserId("u"), (SessionId("s"),))
    for number in (1, 2, 2, 3):
        call = Call(
            id=CallId(str(number)),
            media=Media.AUDIO,
            caller=party,
            callee=party,
            placed_at_s=0,
            ring_until_s=1,
            reconnect_grace_s=0,
        )
        recent.settled(CallRecord(call, 0))
    assert [number for number in "123" if recent.find(CallId(number))] == ["2", "3"]
    assert len(recent) == 2


def test_the_words_of_the_api_are_those_of_the_telemetry() -> None:
    """The API may not import the catalogue, and names its words in prose."""
    said = str(get_args(Explanation.__annotations__["fault"]))
    assert all(f"`{fault}`" in said for fault in Fault)
    states = get_args(LiveCall.__annotations__["state"])[1].extra_json_schema["enum"]
    assert states == [state.value for state in State if state is not State.ENDED]
    assert {Reason(word) for word in END_REASONS} == set(VERDICTS)
