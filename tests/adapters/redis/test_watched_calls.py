"""What a node hears of the calls that it shares with others, besides what its sockets are told."""

from msgspec.structs import replace

from service.domain.call import Call, Party, Policy, State, ring, step
from service.domain.effects import Reason, RelayAnswer, RelayOffer
from service.domain.events import Accept, HangUp, Media
from service.domain.ids import CallId, SessionId, UserId
from service.ports import Seated, Unchanged
from tests.adapters.redis.test_inbox import Sockets, put
from tests.support.redis import Member, RedisServer, members, until

ALICE, BOB = SessionId("alice-1"), SessionId("bob-1")
CALL = CallId("c" * 32)


async def a_call(near: Member, far: Member) -> Call:
    """Alice, on the near node, calls Bob, on the far one."""
    near.attach(Sockets(ALICE))
    far.attach(Sockets(BOB))
    await near.directory.seat(UserId("alice"), ALICE)
    await far.directory.seat(UserId("bob"), BOB)
    assert (await near.directory.presence(UserId("bob"))).sessions == (BOB,)
    parties = Party(UserId("alice"), (ALICE,)), Party(UserId("bob"), (BOB,))
    call = ring(CALL, *parties, Media.AUDIO, Policy(), near.clock.now()).call
    await near.directory.commit(call, (Unchanged(CALL, 0), Seated(UserId("bob"), BOB)))
    await until(lambda: [known.version for known in far.tally.changed] == [1])
    return call


async def test_a_node_hears_of_each_change_that_it_did_not_make_and_how_it_ended(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (near, far):
        ringing = await a_call(near, far)
        answered = step(far.tally.changed[0], Accept(BOB), far.clock.now()).call
        await far.directory.commit(answered, (Unchanged(CALL, 1),))
        await until(lambda: [known.state for known in near.tally.changed] == [State.CONNECTING])
        ended = step(near.tally.changed[0], HangUp(ALICE), near.clock.now()).call
        await near.directory.commit(ended, (Unchanged(CALL, 2),))
        await until(lambda: bool(far.tally.over))
        ((call_id, last),) = far.tally.over
        assert call_id == CALL
        assert last is not None
        assert (last.state, last.reason, last.version) == (State.ENDED, Reason.HANGUP, 3)
        assert abs(last.placed_at_s - ringing.placed_at_s) < 1
        assert near.tally.over == []
        assert [known.version for known in far.tally.changed] == [1]


async def test_an_end_of_which_an_older_node_says_no_more(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (near, far):
        await a_call(near, far)
        await put(redis, far, {"e": CALL})
        await until(lambda: far.tally.over == [(CALL, None)])
        assert await far.directory.live_calls() == ()


async def test_an_end_that_cannot_be_read_is_an_end_all_the_same(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (near, far):
        await a_call(near, far)
        await put(redis, far, {"e": CALL, "f": b"\xc1"})
        await until(lambda: far.tally.over == [(CALL, None)])
        assert far.tally.poison == ["malformed"]
        assert await far.directory.live_calls() == ()


async def test_an_answer_that_reaches_its_socket_is_seen(redis: RedisServer) -> None:
    async with members(redis.url, 2) as (near, far):
        await a_call(near, far)
        offer = RelayOffer(to=(BOB,), sender=UserId("alice"), description=b"{}", media=Media.AUDIO)
        answer = RelayAnswer(to=(BOB,), sender=UserId("alice"), description=b"{}")
        gone = replace(answer, to=(SessionId("bob-0"),))
        near.directory.routes.learn({SessionId("bob-0"): far.name})
        await near.router.send((gone, offer, answer))
        await until(lambda: bool(far.tally.answers))
        assert far.tally.answers == [BOB]
        assert far.tally.missed == 1
