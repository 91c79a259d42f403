"""Watching users with the official client, in every mode of transport."""

import itertools
from pathlib import Path

from tests.interop.client import Client, Heard
from tests.interop.py_client import py_client
from tests.interop.script import all_hear, ended, hear_nothing, refused, ring
from tests.interop.stage import Stage
from tests.support.backend import Asked, http, running_backend
from tests.support.privacy import assert_nothing_private
from tests.support.server import running_server


def shown(user: Client | str, *, online: bool, in_call: bool) -> Heard:
    """A `user:status`."""
    name = user if isinstance(user, str) else user.name
    return ("user:status", {"userId": name, "isOnline": online, "isInCall": in_call})


async def watch(watcher: Client, *users: str) -> list[Heard]:
    """Watch users, and give what is told at once: before the acknowledgement, which is plain."""
    assert await watcher.ask("user:watch", {"userIds": users}) == {"ok": True}
    return [await watcher.next() for _ in users]


async def test_a_watcher_sees_a_user_come_talk_and_go(clients: Stage) -> None:
    alice, carol = await clients.join("alice", "carol")
    bob = await clients.connect("bob")
    assert await watch(alice, bob.name, carol.name) == [
        shown(bob, online=False, in_call=False),
        shown(carol, online=True, in_call=False),
    ]
    assert await alice.ask("user:unwatch", {"userIds": [carol.name]}) == {"ok": True}
    assert (await bob.ask("user:join", {"userId": bob.name}))["ok"]
    await bob.next()
    assert await alice.next() == shown(bob, online=True, in_call=False)
    call_id = await ring(carol, bob)
    assert await alice.next() == shown(bob, online=True, in_call=True)
    bob.emit("call:end", {"callId": call_id})
    await all_hear(ended(call_id, bob, "rejected"), bob, carol)
    assert await alice.next() == shown(bob, online=True, in_call=False)
    bob.disconnect()
    assert await alice.next() == shown(bob, online=False, in_call=False)
    await hear_nothing(alice, carol)


async def test_a_user_who_comes_and_goes_is_told_of_rightly_in_the_end(clients: Stage) -> None:
    alice, carol = await clients.join("alice", "carol")
    bob = await clients.connect("bob")
    await watch(alice, bob.name)
    for _ in range(10):
        restless = await clients.connect("restless", "websocket")
        await restless.ask("user:join", {"userId": bob.name})
        restless.disconnect()
    await bob.ask("user:join", {"userId": bob.name})
    await bob.next()
    await ring(carol, bob)
    pushes = [shown(bob, online=False, in_call=False)]
    while pushes[-1] != shown(bob, online=True, in_call=True):
        pushes.append(await alice.next())
    assert all(one != other for one, other in itertools.pairwise(pushes))
    await hear_nothing(alice)


async def test_who_has_not_joined_may_not_watch(clients: Stage) -> None:
    stranger = await clients.connect("stranger")
    for event in ("user:watch", "user:unwatch"):
        ack = await stranger.ask(event, {"userIds": ["bob"]})
        assert (ack["ok"], ack["error"]["code"]) == (False, "not_joined")
        assert await stranger.next() == refused(event, "User not authenticated", "not_joined")
    await stranger.fence()


async def test_more_than_the_limit_is_refused_and_changes_nothing(clients: Stage) -> None:
    (alice,) = await clients.join("alice")
    bob = await clients.connect("bob")
    many = [f"user-{number}" for number in range(256)]
    ack = await alice.ask("user:watch", {"userIds": [bob.name, *many]})
    assert (ack["ok"], ack["error"]["code"]) == (False, "too_many_watched")
    assert await alice.next() == refused("user:watch", "Too many users are watched", "too_many_watched")
    await bob.ask("user:join", {"userId": bob.name})
    await alice.fence()
    assert len(await watch(alice, *many)) == len(many)
    await alice.fence()


async def test_with_hidden_presence_a_watcher_learns_what_a_caller_may(tmp_path: Path) -> None:
    async def only_friends(asked: Asked) -> bytes:
        return http(b'{"allowed": %s}' % (b"true" if b'"caller":"friend' in asked.body else b"false"))

    async with running_backend("/may-call") as backend:
        backend.answer = only_friends
        settings = {"AUTHORIZE_URL": backend.url, "AUTHORIZE_SECRET": "s" * 32, "HIDE_PRESENCE": "true"}
        with running_server(tmp_path, **settings) as server:
            async with (
                py_client(server.url, "websocket", "friend") as friend,
                py_client(server.url, "websocket", "stranger") as stranger,
            ):
                for client in (friend, stranger):
                    assert await client.ask("user:watch", {"userIds": ["dora"]}) == {"ok": True}
                    assert (await client.next())[1]["isOnline"] is False
                async with py_client(server.url, "websocket", "dora") as dora:
                    for client in (friend, stranger):
                        await client.ask("user:watch", {"userIds": [dora.name]})
                    assert (await friend.next())[1] == {"userId": dora.name, "isOnline": True, "isInCall": False}
                    assert (await stranger.next())[1] == {"userId": dora.name, "isOnline": False, "isInCall": False}
                assert (await friend.next())[1] == {"userId": dora.name, "isOnline": False, "isInCall": False}
                await stranger.emit("user:status", {"userId": "nobody"})
                assert (await stranger.next())[1]["userId"] == "nobody"
            assert_nothing_private(server)
