"""The official Python client, in both transports: a whole call, and a refusal.

The server is one with short heartbeats, because this client waits for its last poll to end before it is closed.
"""

import pytest

from tests.interop.places import Urls
from tests.interop.py_client import py_client


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_whole_call(impatient_urls: Urls, transport: str) -> None:
    async with (
        py_client(impatient_urls[0], transport, "alice") as alice,
        py_client(impatient_urls[-1], transport, "bob") as bob,
    ):
        answer = await alice.ask("call:initiate", {"to": bob.name, "callType": "video"})
        call_id = answer["callId"]
        assert await bob.next() == ("call:incoming", {"from": alice.name, "callType": "video", "callId": call_id})
        assert await alice.next() == ("call:initiated", {"callId": call_id, "to": bob.name})
        await bob.emit("call:accept", {"callId": call_id, "from": alice.name})
        for party in (alice, bob):
            assert await party.next() == ("call:accepted", {"callId": call_id, "by": bob.name})
        await alice.emit("call:offer", {"offer": {"sdp": "o"}, "from": alice.name, "to": bob.name})
        assert await bob.next() == ("call:offer", {"offer": {"sdp": "o"}, "from": alice.name, "callType": "video"})
        await bob.emit("call:answer", {"answer": {"sdp": "a"}, "from": bob.name, "to": alice.name})
        assert await alice.next() == ("call:answer", {"answer": {"sdp": "a"}, "from": bob.name})
        await alice.emit("ice:candidate", {"candidate": None, "from": alice.name, "to": bob.name})
        assert await bob.next() == ("ice:candidate", {"candidate": None, "from": alice.name})
        assert await bob.ask("call:connected", {"callId": call_id}) == {"ok": True}
        ended = {"callId": call_id, "by": bob.name, "code": "hangup"}
        assert await bob.ask("call:end", {"callId": call_id}) == {"ok": True, **ended}
        for party in (alice, bob):
            assert await party.next() == ("call:ended", ended)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_party_leaves(impatient_urls: Urls, transport: str) -> None:
    async with py_client(impatient_urls[0], transport, "alice") as alice:
        async with py_client(impatient_urls[-1], transport, "bob") as bob:
            call_id = (await alice.ask("call:initiate", {"to": bob.name, "callType": "audio"}))["callId"]
            assert (await alice.next())[0] == "call:initiated"
        ended = {"callId": call_id, "by": bob.name, "code": "connection_lost", "reason": "User disconnected"}
        assert await alice.next() == ("call:ended", ended)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_refusal(impatient_urls: Urls, transport: str) -> None:
    async with py_client(impatient_urls[0], transport, "alice") as alice:
        error = {"message": "User not found", "code": "user_not_found", "event": "call:initiate"}
        answer = await alice.ask("call:initiate", {"to": "nobody", "callType": "audio"})
        assert answer == {"ok": False, "error": error}
        assert await alice.next() == ("error", error)
