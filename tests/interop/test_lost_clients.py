"""Clients that are gone without a word: the process dies, and with it every connection of it."""

from tests.interop.js_client import node_driver
from tests.interop.script import answered, ended, status
from tests.interop.stage import Stage, stage


async def test_party_whose_process_dies(impatient_clients: Stage, mode: str) -> None:
    (alice,) = await impatient_clients.join("alice")
    with node_driver() as doomed:
        async with stage(doomed, impatient_clients.urls[-1:], mode) as theirs:
            (bob,) = await theirs.join("bob")
            call_id = await answered(alice, bob)
            doomed.process.kill()
            assert await alice.next() == ended(call_id, bob, "connection_lost", "User disconnected")
    assert await status(alice, bob.name) == (False, False)
    assert await status(alice, alice.name) == (True, False)
